"""Which recipes a search draws, and which runs it ends: the same again after a break at any place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from train.errors import InputError
from train.sweep import search
from train.sweep.search import Trial, trials
from train.sweep.spec import Plan, load


@pytest.fixture
def plan(make_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Plan]:
    make_recipe()

    def plan(runs: int = 30, prune: str = "median", startup: int = 6) -> Plan:
        path = tmp_path / "sweep.yaml"
        path.write_text(
            "schema: 1\nname: rates\nrecipe: toy.yaml\n"
            f"search: {{runs: {runs}, seed: 3, startup: {startup}, prune: {prune}}}\n"
            "space:\n  train.lr: {low: 1e-5, high: 1e-1, log: true}\n  adapter.r: {low: 2, high: 16}\n"
            "  loss.kind: [bce, focal]\n"
        )
        return load(path)

    return plan


def figure(trial: Trial, at: int = 4) -> float:
    """Best at a rate of 3e-3, of a run's evaluation `at` of four."""
    import math

    off = abs(math.log10(trial.choice["train.lr"]) - math.log10(3e-3)) / 4
    return (1 - off) * (0.6 + 0.1 * at)


def passed(plan: Plan, stop: int | None = None) -> list[tuple[dict[str, object], int]]:
    """(choice, evaluations it had) of each run, or of those before `stop`."""
    found = []
    for number, trial in enumerate(trials(plan)):
        if number == stop:
            break
        seen = 0
        for at in range(1, 5):
            seen = at
            if not trial.evaluated(figure(trial, at)):
                break
        trial.ended(figure(trial, seen), seen < 4)
        found.append((dict(trial.choice), seen))
    return found


def test_it_draws_nearer_to_what_did_well(plan: Callable[..., Plan]) -> None:
    found = passed(plan(prune="none"))
    assert len(found) == 30 and all(seen == 4 for _, seen in found)
    off = [abs(figure_ - 1.0) for figure_ in (figure(_Told(choice)) for choice, _ in found)]
    assert sum(off[18:]) / 12 < 0.6 * sum(off[:6]) / 6
    rates = [choice["train.lr"] for choice, _ in found]
    assert all(1e-5 <= rate <= 1e-1 and float(f"{rate:.3g}") == rate for rate in rates)  # type: ignore[operator]
    assert all(2 <= choice["adapter.r"] <= 16 for choice, _ in found)  # type: ignore[operator]
    assert {choice["loss.kind"] for choice, _ in found} == {0, 1}


class _Told:
    def __init__(self, choice: dict[str, object]) -> None:
        self.choice = choice


def test_runs_below_the_median_end_early_and_none_before_there_are_enough(plan: Callable[..., Plan]) -> None:
    found = passed(plan())
    ended = [number for number, (_, seen) in enumerate(found) if seen < 4]
    assert ended and min(ended) >= 6
    full = [figure(_Told(choice)) for choice, seen in found if seen == 4]  # type: ignore[arg-type]
    early = [figure(_Told(found[n][0])) for n in ended]  # type: ignore[arg-type]
    assert max(early) < max(full)
    assert sorted(early)[len(early) // 2] < sorted(full)[len(full) // 2]


def test_a_break_changes_nothing(plan: Callable[..., Plan]) -> None:
    whole = passed(plan())
    for stop in (1, 7, 20):
        assert passed(plan(), stop) == whole[:stop]
    assert passed(plan()) == whole


def test_what_becomes_of_a_run_later_changes_nothing(plan: Callable[..., Plan]) -> None:
    """One that was ended early is trained to its end by hand, and found so when the sweep begins again."""
    whole, found = passed(plan()), []
    for trial in trials(plan()):
        seen = [trial.evaluated(figure(trial, at)) for at in range(1, 5)]
        trial.ended(figure(trial), False)
        found.append((dict(trial.choice), seen.index(False) + 1 if False in seen else 4))
    assert found == whole


def test_a_run_that_falls_behind_at_its_last_evaluation_has_finished(plan: Callable[..., Plan]) -> None:
    for number, trial in enumerate(trials(plan(runs=7))):
        last = 0.9 if number < 6 else 0.6
        wanted = [trial.evaluated(figure) for figure in (0.5, 0.5, 0.5, last)]
        trial.ended(last, False)
    assert wanted == [True, True, True, False]
    assert trial._trial.study.trials[-1].state.name == "COMPLETE"  # type: ignore[attr-defined]


def test_a_range_keeps_its_steps(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan()
    path = tmp_path / "sweep.yaml"
    path.write_text(
        path.read_text().replace("{low: 1e-5, high: 1e-1, log: true}", "{low: 1, high: 1.002, step: 0.0005}")
    )
    made = load(path)
    drawn = {trial.choice["train.lr"] for trial in trials(made)}
    assert drawn == {1.0, 1.0005, 1.001, 1.0015, 1.002}


def test_what_has_no_figure_is_not_taken_for_bad_or_good(plan: Callable[..., Plan]) -> None:
    drawn = []
    for trial in trials(plan(runs=12)):
        assert trial.evaluated(None)
        trial.ended(None, False)
        drawn.append(trial.choice["train.lr"])
    assert len({*drawn}) == 12


def test_without_optuna_it_says_what_to_install(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="'tpe', but Optuna is not installed") as caught:
        next(trials(made))
    assert "pip install 'teensafe\\[sweep\\]'" in str(caught.value).replace("[", "\\[").replace("]", "\\]")


def test_a_grid_needs_no_optuna() -> None:
    code = f"import sys; import {search.__name__}; print('optuna' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
