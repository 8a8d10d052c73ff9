"""From texts to predictions, with what a training left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from train.data.encoding import Encoder, Encoding
from train.data.order import scoring_batches, tokens_at_once
from train.errors import InputError, Problem
from train.evaluation.operating_points import OperatingPoint, apply
from train.evaluation.operating_points import read as read_points
from train.evaluation.predict import logits
from train.example import Prediction
from train.loop.checkpoints import MANIFEST, open_checkpoint
from train.model.classifier import Classifier
from train.model.classifier import load as load_classifier
from train.model.precision import native_bf16
from train.serving.draft import drafted
from train.tracking.run import find

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

POINTS = "operating_points.json"


class Scorer(Protocol):
    """A model that scores tokens, whatever computes it: train.model.classifier.Classifier, or a graph."""

    @property
    def tokenizer(self) -> Any: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def encoding(self) -> Mapping[str, Any]:
        """As `train.data.encoding.Encoding` reads it."""

    @property
    def device(self) -> torch.device: ...
    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Float32 [B, L], without gradient; inputs int64 [B, T]."""

    def folded(self) -> AbstractContextManager[None]:
        """While it lasts, `logits` may be faster."""

    def faster(self) -> Self | None:
        """The same model, faster and less exact; None where there is none."""


class Predictor:
    """A classifier with its operating points: calibrated probabilities and flags for any text."""

    def __init__(self, classifier: Scorer, points: Mapping[str, OperatingPoint]) -> None:
        self.labels = tuple(classifier.labels)
        self.classifier, self._points = classifier, points
        self.encoder = Encoder(classifier.tokenizer, Encoding.model_validate(classifier.encoding))

    @classmethod
    def load(cls, name: str) -> Predictor:
        """From a run (its selected checkpoint) or a checkpoint folder, on the GPU if there is one.

        Raises InputError where the run has no finished checkpoint, Failure for a damaged one.
        """
        folder = checkpoint_of(name)
        open_checkpoint(folder)
        return cls(load_for_scoring(folder), read_points(folder / POINTS))

    def logits(
        self,
        texts: Sequence[str],
        *,
        accelerator: Accelerator | None = None,
        stopping: Callable[[], bool] = lambda: False,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> np.ndarray | None:
        """Float32 [n, L], in the order of `texts`, shared over the processes; None if it was stopped.

        They are computed in the classifier's own number format.
        """
        tokens = self.encoder(texts)
        lengths = np.array([min(len(sequence), self.encoder.tokens) for sequence in tokens], dtype=np.int64)
        most = tokens_at_once(self.classifier.device.type)
        batches = scoring_batches(lengths, most)
        if accelerator:
            batches = batches[accelerator.process_index :: accelerator.num_processes]
        with self.classifier.folded():
            return logits(
                self.classifier.logits,
                self.encoder.batches(tokens, batches, most),
                (len(texts), len(self.labels)),
                reduce=self.encoder.reduce,
                accelerator=accelerator,
                stopping=stopping,
                advance=advance,
            )

    def judge(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(calibrated probabilities, flags), both [n, L], of logits [n, L]."""
        return apply(self._points, found, self.labels)

    def sure(self, probabilities: np.ndarray, tolerance: float) -> np.ndarray:
        """Whether a probability is further from its label's threshold than `tolerance`; both [n, L]."""
        thresholds = np.array([self._points[label].threshold for label in self.labels])
        return np.asarray(np.abs(probabilities - thresholds) > tolerance)

    def predict(self, ids: Sequence[str], texts: Sequence[str]) -> list[Prediction]:
        """Flags are those of the classifier's own number format; see `draft` for scores."""
        probabilities, flags = self.judge(self._drafted(texts))
        return [
            Prediction(
                id,
                {label: float(value) for label, value in zip(self.labels, probabilities[row], strict=True)},
                {label: bool(value) for label, value in zip(self.labels, flags[row], strict=True)},
            )
            for row, id in enumerate(ids)
        ]

    def _drafted(self, texts: Sequence[str]) -> np.ndarray:
        """Logits [n, L] that flag as `logits` does, most of them in bf16 where that is faster and was not
        trained in."""
        faster = self.classifier.faster()
        if faster is None:
            return _all(self, texts)
        draft = Predictor(faster, self._points)
        return drafted(partial(_all, draft), partial(_all, self), lambda found: self.judge(found)[1], texts)


def _all(predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    found = predictor.logits(texts)
    assert found is not None  # nothing stops it
    return found


def load_for_scoring(folder: Path) -> Classifier:
    """A saved classifier on the GPU if there is one, in its own number format where the machine has it."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    classifier = load_classifier(folder)
    if classifier.card.precision == "bf16" and not native_bf16(device):
        classifier = load_classifier(folder, "fp32")
    classifier.model.to(device)
    return classifier


def checkpoint_of(name: str) -> Path:
    """The checkpoint folder that MODEL on the command line means."""
    given = Path(name)
    folder = given if (given / MANIFEST).is_file() else find(name) / "checkpoints" / "best"
    if not (folder / POINTS).is_file():
        raise InputError(
            Problem(
                str(folder),
                "has no operating points yet, so it cannot flag anything",
                "the selected checkpoint of a finished run",
                "finish the training: run the same `teensafe train` command again",
            )
        )
    return folder
