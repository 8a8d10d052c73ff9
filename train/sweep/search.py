"""Which recipe a sweep trains next, and whether a run is worth its rest.

Nothing is stored: what is asked is a function of the sweep file and of what the runs before said, and these
are found finished when the same sweep begins again. So it ends up where it would have without a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from train.errors import InputError, Problem
from train.sweep.spec import Choice, Grid, Plan, Range, Tpe, rounded


class Trial(Protocol):
    """One run, before and while it is trained. Figures are better the greater they are."""

    choice: Choice

    def evaluated(self, figure: float | None) -> bool:
        """Told of each evaluation (None: nothing measurable, or beyond the limits); is it worth its rest?"""

    def ended(self, figure: float | None, early: bool) -> None:
        """Told of its best figure at its end; None where it has none. early: it was not worth its rest."""


def trials(plan: Plan) -> Iterator[Trial]:
    """Each is asked for when the one before has ended."""
    if isinstance(plan.sweep.search, Grid):
        yield from map(_Plain, plan.grid())
    else:
        yield from _drawn(plan.sweep.search, plan.sweep.space)


class _Plain:
    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def evaluated(self, figure: float | None) -> bool:
        return True

    def ended(self, figure: float | None, early: bool) -> None:
        pass


def _drawn(search: Tpe, space: Mapping[str, Any]) -> Iterator[Trial]:
    optuna = require_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.NopPruner()
    if search.prune == "median":
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=search.startup, n_warmup_steps=search.prune_from
        )
    # constant_liar is for runs at the same time; here each is told before the next is drawn
    sampler = optuna.samplers.TPESampler(
        seed=search.seed, n_startup_trials=search.startup, constant_liar=False
    )
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    distributions = {key: _distribution(values) for key, values in space.items()}
    for _ in range(search.runs):
        yield _Drawn(study, study.ask(distributions))


def _distribution(values: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Range):
        return CategoricalDistribution(range(len(values)))
    if values.whole:
        return IntDistribution(values.low, values.high, log=values.log, step=values.step or 1)
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)


def _written(value: Any, drawn_from: Any) -> Any:
    """A number that is no longer than needed, and in its range still, on a step of it if it has steps."""
    if not isinstance(value, float):
        return value
    if drawn_from.step is not None:
        return float(f"{value:.12g}")
    return min(max(rounded(value), drawn_from.low), drawn_from.high)


class _Drawn:
    def __init__(self, study: Any, trial: Any) -> None:
        self._study, self._trial, self._seen = study, trial, 0
        self._refused: int | None = None  # the evaluation after which its rest was not worth it
        self.choice: Choice = {key: _written(v, trial.distributions[key]) for key, v in trial.params.items()}

    def evaluated(self, figure: float | None) -> bool:
        self._seen += 1
        # what a run makes of its rest after all must not change what is drawn after it
        if figure is not None and self._refused is None:
            self._trial.report(figure, self._seen)
            if self._trial.should_prune():
                self._refused = self._seen
        return self._refused is None

    def ended(self, figure: float | None, early: bool) -> None:
        from optuna.trial import TrialState

        if self._refused is not None and (early or self._seen > self._refused):
            self._study.tell(self._trial, state=TrialState.PRUNED)
        elif figure is None:
            self._study.tell(self._trial, state=TrialState.FAIL)
        else:
            self._study.tell(self._trial, figure)


def require_optuna() -> Any:
    """The package. Raises InputError where it is not installed."""
    try:
        import optuna
    except ImportError:
        what, remedy = "'tpe', but Optuna is not installed", "pip install 'teensafe[sweep]', or kind: grid"
        raise InputError(Problem("search.kind", what, "the package optuna", remedy)) from None
    return optuna
