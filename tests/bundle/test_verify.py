"""verify finds whatever was done to a bundle, and names the file."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.conftest import Exported, write_keys
from train.bundle.manifest import Manifest
from train.bundle.verify import prove
from train.cli import main
from train.errors import InputError, TeensafeError
from train.files import canonical_json, sha256_bytes, sha256_file


@pytest.fixture
def own(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the bundle."""
    return Path(shutil.copytree(exported.bundle, tmp_path / "bundle"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _named(folder: Path, key: Path | None) -> str:
    with pytest.raises(TeensafeError) as wrong:
        prove(folder, key)
    return str(wrong.value)


def test_an_untouched_bundle_is_proven(exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(exported.bundle)]) == 0
    said = capsys.readouterr().err
    assert "integrity only, not authenticity" in said
    assert all(f"{runtime}: 64 golden rows agree" in said for runtime in ("torch", "onnx", "onnx-int8"))
    assert main(["verify", str(exported.bundle), "--key", str(exported.public)]) == 0
    assert "authentic: signed by the owner" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_mutation_of_every_file_is_found_and_named(own: Path, exported: Exported, seed: int) -> None:
    """With the key, so that the signature's own file counts, too."""
    draw = random.Random(seed)
    for path in _files(own):
        content, name = path.read_bytes(), str(path.relative_to(own))
        at = draw.randrange(len(content))
        flipped = content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
        for changed in (flipped, content[: draw.randrange(len(content))], None):
            path.unlink() if changed is None else path.write_bytes(changed)
            assert name in _named(own, exported.public), f"{name} at {at}"
            path.write_bytes(content)
        beside = path.with_name(path.name + ".extra")
        beside.write_text("x")
        assert str(beside.relative_to(own)) in _named(own, exported.public)
        beside.unlink()
    assert prove(own, exported.public)


def test_flips_are_found_without_a_key_but_for_the_signature(own: Path) -> None:
    for path in _files(own):
        if path.name == "model.sig":
            continue
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        assert str(path.relative_to(own)) in _named(own, None)
        path.write_bytes(content)


def test_a_manifest_mended_by_hand_passes_without_a_key_and_fails_with_one(
    own: Path, exported: Exported
) -> None:
    card, path = own / "README.md", own / "manifest.json"
    card.write_text(card.read_text() + "\nSafe for everything.\n")
    said = json.loads(path.read_text())
    said["files"]["README.md"] = sha256_file(card)
    del said["self_sha256"]
    path.write_text(
        canonical_json(said | {"self_sha256": sha256_bytes(canonical_json(said).encode())}) + "\n"
    )
    assert prove(own)
    assert "model.sig: does not hold under this key" in _named(own, exported.public)


def test_the_wrong_key_no_signature_and_no_key(own: Path, tmp_path: Path) -> None:
    _, other = write_keys(tmp_path)
    assert "model.sig: does not hold under this key" in _named(own, other)
    (own / "model.sig").unlink()
    assert "model.sig: is missing" in _named(own, other)
    with pytest.raises(InputError, match="is no public key"):
        prove(own, own / "README.md")
    with pytest.raises(InputError, match="is no bundle"):
        prove(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["model/pytorch_model.bin", "x.pkl", "model/modeling.py", "onnx/a.PT"])
def test_what_may_run_code_is_refused_before_anything_is_opened(own: Path, name: str) -> None:
    (own / name).write_bytes(b"x")
    (own / "manifest.json").write_text("{")  # nobody gets as far as reading it
    assert f"{name}: may run code" in _named(own, None)


def test_links_are_refused(own: Path) -> None:
    target = own / "golden.jsonl"
    target.rename(own.parent / "golden.jsonl")
    target.symlink_to(own.parent / "golden.jsonl")
    assert "golden.jsonl: is a symbolic link" in _named(own, None)


def _reseal(folder: Path, **changed: object) -> None:
    """What somebody does who wants a wrong bundle to pass: all hashes are right again."""
    manifest = Manifest.read(folder)
    files = {name: sha256_file(folder / name) for name in manifest.files}
    manifest.model_copy(update={"files": files, **changed}).write(folder)


def _edit(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"problem_type": "single_label_classification"}, "problem_type is 'single_label_classification'"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map: it would have code loaded"),
        ({"id2label": {"0": "hate", "1": "harassment"}}, "its labels are not the manifest's"),
    ],
)
def test_a_configuration_that_says_something_else(own: Path, changed: dict[str, object], said: str) -> None:
    _edit(own / "model/config.json", **changed)
    _reseal(own)
    assert said in _named(own, None)


def test_a_tokenizer_that_would_have_code_loaded(own: Path) -> None:
    _edit(own / "model/tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]})
    _reseal(own)
    assert "model/tokenizer_config.json: auto_map" in _named(own, None)


def test_weights_that_are_missing_or_left_over(own: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = own / "model/model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("classifier.weight"))
    save_file({key: value for key, value in weights.items() if key != name}, path, {"format": "pt"})
    _reseal(own)
    assert "1 weights are missing, such as classifier.weight" in _named(own, None)
    save_file({**weights, "more": weights[name].clone()}, path, {"format": "pt"})
    _reseal(own)
    assert "1 weights are unexpected, such as more" in _named(own, None)


def test_other_weights_and_thresholds_do_not_give_the_golden_answers(own: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = own / "model/model.safetensors"
    weights = load_file(path)
    save_file(
        {k: v * 1.01 if k == "classifier.weight" else v for k, v in weights.items()}, path, {"format": "pt"}
    )
    _reseal(own)
    assert "torch: row golden-" in _named(own, None)
    save_file(weights, path, {"format": "pt"})
    manifest = Manifest.read(own)
    torch = manifest.variants["torch"]
    low = torch.model_copy(update={"thresholds": dict.fromkeys(manifest.names, 1e-9)})
    _reseal(own, variants={**manifest.variants, "torch": low})
    assert "torch: other flags in rows" in _named(own, None)


def test_another_tokenizer_is_told_from_other_arithmetic(own: Path) -> None:
    path = own / "model/tokenizer.json"
    said = json.loads(path.read_text())
    vocabulary = said["model"]["vocab"]
    vocabulary["the"], vocabulary["school"] = vocabulary["school"], vocabulary["the"]
    path.write_text(json.dumps(said))
    _reseal(own)
    assert "other tokens in rows" in _named(own, None)


def test_a_bundle_cannot_lower_what_it_is_held_to(own: Path) -> None:
    golden, manifest = own / "golden.jsonl", Manifest.read(own)
    lines = golden.read_text().splitlines(keepends=True)
    for kept in (0, 3):
        golden.write_text("".join(lines[:kept]))
        _reseal(own)
        assert f"golden.jsonl: has {kept} rows" in _named(own, None)
    golden.write_text("".join(lines))
    _reseal(own, variants={})
    assert "has no variant torch and onnx" in _named(own, None)
    loose = {name: v.model_copy(update={"tolerance": 1.0}) for name, v in manifest.variants.items()}
    _reseal(own, variants=loose)
    assert "torch allows itself a difference of 1" in _named(own, None)
