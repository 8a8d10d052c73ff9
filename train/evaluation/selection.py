"""When checkpoints are evaluated, which one is kept as the best, and what the best one has to keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from train.evaluation.gates import Gate, GateText
from train.spec import Spec

Prevalence = Annotated[float, Field(gt=0, lt=1)]


class Select(Spec):
    metric: str = Field(default="dev/macro/auprc", pattern=r"^dev[^/]*/[^/]+/(auprc|auroc|f1)$")
    """`<dev set>/<label or macro>/<auprc, auroc or f1>`. All-synthetic data: dev.synthetic/macro/auprc."""
    subject_to: tuple[GateText, ...] = ()
    """Limits on dev suites, such as `suite.benign-teen-dev/any/fpr <= 0.02`: figures as they are, without a
    bound, at operating points fitted for that checkpoint. A checkpoint that keeps all is better than any that
    does not."""

    @field_validator("subject_to")
    @classmethod
    def _of_dev_suites(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            gate = Gate.parse(text)
            if not gate.key.split("/")[0].endswith("-dev") or gate.baseline:
                raise ValueError(f"'{text}': expected a figure of a dev suite, as in suite.NAME-dev/any/fpr")
        return value


class Evaluation(Spec):
    every: str = Field(default="1 epoch", pattern=r"^[1-9][0-9]* (steps?|epochs?)$")
    """How often a checkpoint is saved and evaluated on dev: `500 steps` or `1 epoch`."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations without a better one; null never stops early."""
    select: Select = Select()
    calibration: Literal["exportable", "any"] = "exportable"
    """any: isotonic regression is a candidate, too, where the calibration split bears it. It does not fold
    into a head, so such operating points cannot be handed over with the weights."""
    prevalence: Prevalence | dict[str, Prevalence] = 0.01
    """Share of the texts on your platform that carry a label, for all labels or by label: test sets hold far
    more, and precision depends on it. An assumption: state yours."""
    gates: tuple[GateText, ...] = ()
    """What the selected checkpoint has to keep, with 95% confidence: `suite.benign-teen/any/fpr <= 0.02`,
    `test/hate/recall/lang=* >= 0.3` (the worst value), `test/macro/auprc >= RUN - 0.01`. One that is not held
    makes `train` and `evaluate` exit with 3."""

    def prevalence_of(self, label: str) -> float | None:
        """The stated one; None where only other labels have one."""
        return self.prevalence.get(label) if isinstance(self.prevalence, dict) else self.prevalence
