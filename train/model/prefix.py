"""Layers that training leaves as they are, computed once for each text instead of at every update.

Where all below the layers that learn is frozen and nothing drops out, a text is always the same when it
reaches them. What it is there is kept on disk (`states`) and read again in every epoch, and by every run that
freezes the same layers: recipes that differ in adapter, loss, rates or mixture share it. Training alone reads
it. What is judged is computed whole, as it will be served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.errors import Failure, InputError, Problem
from train.files import cache_folder, canonical_json, sha256_bytes
from train.model.adapter import Qlora, layers
from train.model.first import FAMILIES
from train.model.precision import autocast
from train.model.states import States

if TYPE_CHECKING:
    from torch import Tensor, nn

    from train.model.classifier import Classifier

FORMAT = 1
"""Raise it when the same key would give other states."""
PROBED = 8
"""Texts on which reading is held against computing before a training relies on it."""
AGREES = {"fp32": 1e-3, "bf16": 0.1}
"""Most that what is kept of a text may be off, by number format: rounding is under 1e-5 or about a hundredth,
another text's state about one."""


def frozen(classifier: Classifier) -> int:
    """How many layers from the first on are computed alike at every update: nothing in or below them learns
    or drops out."""
    from torch import nn

    stack = layers(classifier.plain)
    learns = {p for p in classifier.plain.parameters() if p.requires_grad}
    # some families keep a dropout of their own, under a name that model.dropout does not reach
    drops = any(isinstance(part, nn.Dropout) and part.p > 0 for part in classifier.plain.modules())
    if drops or classifier.card.backbone.dropout > 0 or learns & _before(classifier.plain, stack[0]):
        return 0
    return next((i for i, layer in enumerate(stack) if learns & {*layer.parameters()}), len(stack))


def _before(model: nn.Module, first: nn.Module) -> set[nn.Parameter]:
    """Parameters of what a classifier's body names before its first layer: embeddings, as a rule."""
    found: set[nn.Parameter] = set()
    for part in getattr(model, str(model.base_model_prefix)).modules():
        if part is first:
            break
        found |= {*part.parameters(recurse=False)}
    return found


def kept() -> list[Path]:
    """Every folder of the cache with what frozen layers made of texts; of which texts, it does not tell."""
    return sorted(cache_folder().glob("prefix-*"))


class Prefix:
    """The frozen layers of a classifier, and what they make of texts."""

    def __init__(self, classifier: Classifier, depth: int, probe: Mapping[str, Tensor]) -> None:
        """depth: how many layers, at least 1; probe: inputs of some texts to train on.

        Raises InputError for a family whose upper layers read more than one state of each token, made by one
        pass through the frozen ones.
        """
        import torch
        import transformers

        self._classifier, self.depth, self._probe = classifier, depth, probe
        config: Any = classifier.plain.config
        # where the head reads the first position of the last frozen layer, nothing else of it is kept
        self._first = depth == len(layers(classifier.plain)) and config.model_type in FAMILIES
        passes, logits = self._watched()
        self._returned = passes[-1]
        state, precision = _state_of(self._returned), classifier.card.precision
        others = self._returned[1:] if isinstance(self._returned, tuple) else ()
        a_state = isinstance(state, torch.Tensor) and state.shape[:-1] == probe["input_ids"].shape
        if len(passes) > 1 or not a_state or any(other is not None for other in others):
            raise self._unsuited()
        key = [
            FORMAT,
            transformers.__version__,  # whose code the layers are
            classifier.card.base_digest,
            isinstance(classifier.card.adapter, Qlora),
            depth,
            self._first,
            precision,
        ]
        folder = cache_folder() / f"prefix-{sha256_bytes(canonical_json(key).encode())[:32]}"
        self.states = States(folder, precision, state.shape[-1])
        with self._reading(lambda ids, mask: state):
            _, again = self._watched()
        if not again.allclose(logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
            raise self._unsuited()

    def _unsuited(self) -> InputError:
        name = type(self._classifier.plain).__name__
        what = f"the upper layers of {name} read more than what layer {self.depth} hands them"
        return InputError(Problem("train.cache_prefix", what, "false for this model"))

    def _watched(self) -> tuple[list[Any], Tensor]:
        """Of the probe as training computes it: what the last frozen layer returns, pass by pass, and the
        logits."""
        import torch

        classifier, returned = self._classifier, []
        classifier.model.train()
        last = layers(classifier.plain)[self.depth - 1]
        hook = last.register_forward_hook(lambda layer, given, out: returned.append(out))
        try:
            with torch.no_grad(), autocast(classifier.device, classifier.card.precision):
                on_device = {name: value.to(classifier.device) for name, value in self._probe.items()}
                logits = classifier.model(**on_device).logits.float()
        finally:
            hook.remove()
        return returned, logits

    def prove(self) -> float:
        """How far what is kept of the probe is off what is computed, of its size: the mean over a text's
        tokens, so that the few whose states are a thousand times as large do not speak for all; of the texts
        the most.

        Raises Failure where that is more than rounding.
        """
        import torch

        mask = self._probe["attention_mask"]
        kept = self._state(self._probe["input_ids"], mask)
        if kept is None:
            what = "what was kept of the texts is gone: somebody has emptied the cache meanwhile"
            raise Failure(Problem(str(self.states.folder), what, remedy="the same command makes it again"))
        seen = mask.to(kept.device).bool()
        if self._first:
            seen = seen & (torch.arange(mask.shape[1], device=seen.device) == 0)
        right = _state_of(self._returned).float()
        each = (kept.float() - right).norm(dim=-1) / right.norm(dim=-1).clamp(min=1e-12)
        off = float((each.where(seen, 0.0).sum(dim=1) / seen.sum(dim=1).clamp(min=1)).max())
        if not off <= AGREES[self.states.precision]:
            what = f"what is kept of {len(mask)} texts is {off:.2g} off what the model computes of them"
            remedy = "remove the folder: it is made again"
            raise Failure(Problem(str(self.states.folder), what, "rounding", remedy))
        return off

    def bytes_of(self, texts: Sequence[np.ndarray]) -> int:
        """What the states of these texts take on disk."""
        return sum(map(self._each, texts)) * self.states.width * np.dtype(self.states.dtype).itemsize

    def _each(self, text: np.ndarray) -> int:
        return 1 if self._first else len(text)

    def fill(
        self,
        texts: Sequence[np.ndarray],
        batches: Callable[[Sequence[np.ndarray]], Iterator[tuple[np.ndarray, Mapping[str, Tensor]]]],
        advance: Callable[[int], None] = lambda texts: None,
    ) -> None:
        """Compute and keep the states of these token sequences. batches: texts -> (positions, inputs)."""

        def compute(
            part: Sequence[np.ndarray],
        ) -> Iterator[tuple[Sequence[int], Sequence[np.ndarray]]]:
            last = layers(self._classifier.plain)[self.depth - 1]
            with self._classifier.folded(), _stopping_at(last):
                for positions, inputs in batches(part):
                    found = self._to_keep(self._reached(inputs))
                    seen = inputs["attention_mask"].numpy().astype(bool)
                    yield (
                        positions.tolist(),
                        [
                            own[:1] if self._first else own[mask]
                            for own, mask in zip(found, seen, strict=True)
                        ],
                    )
                    advance(len(positions))

        self.states.add(texts, self._each, compute)

    def _reached(self, inputs: Mapping[str, Tensor]) -> Tensor:
        try:
            self._classifier.logits(inputs)
        except _Reached as reached:
            return reached.state
        raise AssertionError("a layer that computes nothing")

    def _to_keep(self, state: Tensor) -> np.ndarray:
        import torch

        if self.states.precision == "fp32":
            return state.float().cpu().numpy()
        return state.to(torch.bfloat16).cpu().view(torch.uint16).numpy()

    def read(self) -> AbstractContextManager[None]:
        """While it lasts, training reads what the frozen layers make of a batch where it is kept for all of
        its texts, and computes it elsewhere; scoring computes it."""
        return self._reading(self._state)

    @contextmanager
    def _reading(self, states: Callable[[Tensor, Tensor], Tensor | None]) -> Iterator[None]:
        plain: Any = self._classifier.plain
        stack = layers(plain)[: self.depth]
        ways = [layer.forward for layer in stack]
        whole = plain.forward
        before = [(part, vars(part).get("forward")) for part in (plain, *stack)]
        kept: list[Tensor | None] = [None]

        def forward(*args: Any, **inputs: Any) -> Any:
            if plain.training and {"input_ids", "attention_mask"} <= inputs.keys():
                kept[0] = states(inputs["input_ids"], inputs["attention_mask"])
            try:
                return whole(*args, **inputs)
            finally:
                kept[0] = None

        def passing(way: Callable[..., Any]) -> Callable[..., Any]:
            def layer(*args: Any, **more: Any) -> Any:
                if kept[0] is None:
                    return way(*args, **more)
                others = self._returned[1:] if isinstance(self._returned, tuple) else None
                return kept[0] if others is None else (kept[0], *others)

            return layer

        try:
            plain.forward = forward
            for layer, way in zip(stack, ways, strict=True):
                layer.forward = passing(way)
            yield
        finally:
            for part, own in before:
                del part.forward
                if own is not None:
                    part.forward = own

    def _state(self, ids: Tensor, mask: Tensor) -> Tensor | None:
        """Of a batch, [B, T, D], zero where it is padded; None where a text's is not kept."""
        import torch

        tokens, seen = ids.cpu().numpy(), mask.cpu().numpy().astype(bool)
        places = self.states.find([row[own] for row, own in zip(tokens, seen, strict=True)])
        if places is None:
            return None
        found = np.zeros((*tokens.shape, self.states.width), dtype=self.states.dtype)
        try:
            for own, row, (states, start, end) in zip(seen, found, places, strict=True):
                row[np.flatnonzero(own)[: end - start]] = states[start:end]
        except FileNotFoundError:  # the cache may be emptied at any time
            return None
        made = torch.from_numpy(found)
        bits = made.view(torch.bfloat16) if self.states.precision == "bf16" else made
        return bits.to(self._classifier.device).to(_state_of(self._returned).dtype)


def _state_of(returned: Any) -> Tensor:
    """What a layer hands on of all it returns."""
    state: Tensor = returned[0] if isinstance(returned, tuple) else returned
    return state


class _Reached(Exception):
    def __init__(self, state: Tensor) -> None:
        self.state = state


@contextmanager
def _stopping_at(layer: nn.Module) -> Iterator[None]:
    """While it lasts, computing ends after a layer: with _Reached, which has what the layer returned."""

    def stop(layer: nn.Module, given: Any, out: Any) -> None:
        raise _Reached(_state_of(out))

    hook = layer.register_forward_hook(stop)
    try:
        yield
    finally:
        hook.remove()
