"""Which texts the report may show: what any source says of a text counts, whichever row stands for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ESCALATED, POLICY
from train.lock import resolve
from train.recipe import load
from train.report.hardest import Shown, look_up


@pytest.mark.parametrize("synthetic", [False, True])
def test_a_text_of_tier_3_is_withheld_whichever_of_its_rows_stands_for_it(
    make_recipe: Callable[..., Path], tmp_path: Path, synthetic: bool
) -> None:
    """The twin's label is one that is not trained, in a source that is not the standing row's; a synthetic
    twin is in no split at all."""
    recipe = make_recipe(rows=200)
    (tmp_path / "policy.yaml").write_text(POLICY + ESCALATED)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    grave = {12, 50}
    (tmp_path / "twins.csv").write_text(
        "text,hate,grooming\n"
        + "\n".join(
            f"{line.split(',')[0].upper()},0,{float(n in grave)}" for n, line in enumerate(lines[1:101])
        )
    )
    labels = "labels: {hate: hate, grooming: grooming}"
    mapping = f"{{path: twins.csv, text: text, {labels}, licence: MIT, synthetic: {str(synthetic).lower()}}}"
    recipe.write_text(recipe.read_text().replace("  sources:\n", f"  sources:\n    z: {mapping}\n"))
    resolved = resolve(load(recipe, ["labels=[hate]"]))
    (tmp_path / "recipe.yaml").write_text(resolved.recipe.to_yaml())
    resolved.corpus.write_split(tmp_path / "split.parquet")
    ids = resolved.corpus.table.column("id").to_pylist()
    assert len(ids) - len(resolved.corpus.row) == 100
    wanted = {"toy": ids[:110]}
    found = look_up(tmp_path, resolved.sources, wanted)
    assert {n for n in range(110) if found[ids[n]].text is None} == grave
    assert {found[ids[n]].reason for n in grave} == {"tier 3: not shown"}
    assert found[ids[105]].text == lines[106].split(",")[0]

    (tmp_path / "twins.csv").unlink()  # then nobody can say whether a twin is of tier 3
    found = look_up(tmp_path, resolved.sources, wanted)
    assert found[ids[0]] == Shown(None, "its source is not on this machine")
    assert found[ids[105]].text
    (tmp_path / "split.parquet").unlink()
    assert not any(shown.text for shown in look_up(tmp_path, resolved.sources, wanted).values())


def test_texts_of_a_dataset_folder_are_found(make_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = make_recipe(rows=200)
    (tmp_path / "set").mkdir()
    (tmp_path / "rows.csv").rename(tmp_path / "set" / "train.csv")
    resolved = resolve(load(recipe, [f"data.sources.toy.path=hub:{tmp_path}/set:train"]))
    (tmp_path / "recipe.yaml").write_text(resolved.recipe.to_yaml())
    resolved.corpus.write_split(tmp_path / "split.parquet")
    ids = resolved.corpus.table.column("id").to_pylist()[:20]
    found = look_up(tmp_path, resolved.sources, {"toy": ids})
    assert [found[id].text for id in ids] == resolved.corpus.table.column("text").to_pylist()[:20]
