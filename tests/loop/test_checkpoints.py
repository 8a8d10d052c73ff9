"""Checkpoints are whole, checked, and never lost to a failing save."""

from pathlib import Path

import pytest
import torch

from train.errors import Failure
from train.loop import checkpoints
from train.loop.checkpoints import Progress


def save(root: Path, step: int, best: bool = False) -> Path:
    progress = Progress(step=step, best_step=step if best else None)
    folder = checkpoints.save(
        root,
        progress,
        lambda part: (part / "weights.txt").write_text(f"weights {step}"),
        {"a/step": torch.tensor(float(step))},
    )
    if best:
        checkpoints.select(root, folder)
    return folder


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        save(tmp_path, step)
    found = checkpoints.newest(tmp_path, pytest.fail)
    assert found is not None
    assert found[0].name == "step-000100"
    assert found[1].step == 100
    assert checkpoints.trainer_state(found[0])["a/step"].item() == 100


@pytest.mark.parametrize("damage", ["truncate", "change", "remove", "manifest"])
def test_a_damaged_checkpoint_is_named_and_passed_over(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 5)
    folder = save(tmp_path, 10)
    victim = folder / ("checkpoint.json" if damage == "manifest" else "weights.txt")
    match damage:
        case "truncate" | "manifest":
            victim.write_bytes(victim.read_bytes()[:5])
        case "change":
            victim.write_text("weights 11")
        case "remove":
            victim.unlink()
    warnings: list[str] = []
    found = checkpoints.newest(tmp_path, warnings.append)
    assert found is not None
    assert found[1].step == 5
    assert len(warnings) == 1
    assert victim.name in warnings[0]
    with pytest.raises(Failure, match=victim.name):
        checkpoints.open_checkpoint(folder)


def test_when_none_is_whole_nothing_starts_over_silently(tmp_path: Path) -> None:
    (save(tmp_path, 5) / "weights.txt").unlink()
    with pytest.raises(Failure, match="none of 1 checkpoints is whole"):
        checkpoints.newest(tmp_path, lambda line: None)


def test_a_failing_save_keeps_what_was_there(tmp_path: Path) -> None:
    save(tmp_path, 5, best=True)

    def disk_full(part: Path) -> None:
        (part / "weights.txt").write_text("half")
        raise OSError(28, "No space left on device", str(part))

    with pytest.raises(OSError, match="No space"):
        checkpoints.save(tmp_path, Progress(step=10), disk_full, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best", "last", "step-000005"]
    assert (tmp_path / "last").resolve().name == "step-000005"


def test_pruning_keeps_best_and_last(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save(tmp_path, 10, best=True)
    save(tmp_path, 15)
    save(tmp_path, 20)
    checkpoints.prune(tmp_path)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-000010", "step-000020"]


def test_a_second_save_of_a_step_never_removes_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption the resume judges the step and saves it again: the only checkpoint there is."""
    folder = save(tmp_path, 5)
    before = (folder / "weights.txt").stat().st_ino
    checkpoints.save(tmp_path, Progress(step=5, evaluated=True), pytest.fail, {})
    assert checkpoints.open_checkpoint(folder, resume=True).evaluated
    assert (folder / "weights.txt").stat().st_ino == before


def test_an_added_file_is_checked_too(tmp_path: Path) -> None:
    folder = save(tmp_path, 5)
    (folder / "points.json").write_text("{}")
    checkpoints.add(folder, "points.json")
    checkpoints.open_checkpoint(folder)
    (folder / "points.json").write_text("{ }")
    with pytest.raises(Failure, match=r"points\.json"):
        checkpoints.open_checkpoint(folder)


def test_what_is_handed_over_goes_without_the_trainers_state(tmp_path: Path) -> None:
    folder = save(tmp_path, 5)
    (folder / checkpoints.TRAINER).unlink()
    checkpoints.open_checkpoint(folder)
    with pytest.raises(Failure, match=checkpoints.TRAINER):
        checkpoints.open_checkpoint(folder, resume=True)
