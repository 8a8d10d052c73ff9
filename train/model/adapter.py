"""What is trained: every weight, low-rank adapters on frozen weights, the top layers, or the head alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from train.errors import InputError, Problem
from train.spec import Spec

if TYPE_CHECKING:
    from torch import nn


class Full(Spec):
    """Every weight is trained."""

    kind: Literal["full"] = "full"

    @property
    def freezes(self) -> bool:
        """Do layers below all that learns stay as they are?"""
        return False

    def attach(self, model: nn.Module, head: Sequence[str], dropout: float) -> nn.Module:
        """The model with what this adapter adds, and only what it trains requiring a gradient.

        head: names of the modules that form the head; they are trained whole whatever the adapter.
        Raises InputError where the model has nothing to attach to.
        """
        return model


class Head(Spec):
    """The head alone; the pretrained model stays as it is."""

    kind: Literal["head"] = "head"

    @property
    def freezes(self) -> bool:
        """As `Full.freezes`."""
        return True

    def attach(self, model: nn.Module, head: Sequence[str], dropout: float) -> nn.Module:
        """As `Full.attach`."""
        return _only(model, [getattr(model, name) for name in head])


class Top(Spec):
    """The last layers and the head; the layers below, embeddings and final norm are frozen."""

    kind: Literal["top"] = "top"
    layers: PositiveInt = 2
    """How many layers, counted from the head."""

    @property
    def freezes(self) -> bool:
        """As `Full.freezes`."""
        return True

    def attach(self, model: nn.Module, head: Sequence[str], dropout: float) -> nn.Module:
        """As `Full.attach`."""
        return _only(model, [*_top(model, self.layers, "layers"), *(getattr(model, name) for name in head)])


class _LowRank(Spec):
    """W + s B A with W frozen (Hu et al. 2021, arXiv:2106.09685)."""

    r: PositiveInt = 16
    """Rank."""
    alpha: PositiveFloat = 32
    """Scale: s = alpha / r."""
    rslora: bool = False
    """s = alpha / sqrt(r) (Kalajdzievski 2023, arXiv:2312.03732): large ranks learn as fast as small ones."""
    dora: bool = False
    """Length and direction of W's rows are trained apart (Liu et al. 2024, arXiv:2402.09353); slower."""
    targets: Literal["all-linear"] | tuple[str, ...] = Field(default="all-linear", min_length=1)
    """Names of the linear layers that get an adapter; the head never does, it is trained whole."""
    top: PositiveInt | None = None
    """How many of the model's layers, counted from the head, have adapters; the rest takes no backward pass.
    Default: all."""

    @property
    def freezes(self) -> bool:
        """As `Full.freezes`."""
        return self.top is not None

    def attach(self, model: nn.Module, head: Sequence[str], dropout: float) -> nn.Module:
        """As `Full.attach`."""
        from peft import LoraConfig, get_peft_model

        if self.targets != "all-linear":
            _must_be_linear(self.targets, model, head)
        if self.top is not None:
            targets: str | list[str] = _in_top(model, self.top, self.targets, head)
        else:
            targets = self.targets if isinstance(self.targets, str) else list(self.targets)
        config = LoraConfig(
            task_type="SEQ_CLS",
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=dropout,
            use_rslora=self.rslora,
            use_dora=self.dora,
            target_modules=targets,
            modules_to_save=list(head),  # peft never targets a module inside these
        )
        return get_peft_model(model, config)


class Lora(_LowRank):
    """Low-rank adapters on frozen weights."""

    kind: Literal["lora"] = "lora"


class Qlora(_LowRank):
    """Low-rank adapters on weights frozen in 4 bits (NF4; Dettmers et al. 2023, arXiv:2305.14314).

    Needs a CUDA GPU and bitsandbytes. The head is never quantized.
    """

    kind: Literal["qlora"] = "qlora"


def require_gpu(adapter: Adapter) -> None:
    """Raise InputError where this machine lacks what the adapter needs to train."""
    import importlib.util

    import torch

    if not isinstance(adapter, Qlora):
        return
    lacking = [] if torch.cuda.is_available() else ["no CUDA GPU"]
    if importlib.util.find_spec("bitsandbytes") is None:
        lacking.append("no bitsandbytes")
    if lacking:
        raise InputError(
            Problem(
                "adapter.kind",
                f"'qlora', but this machine has {' and '.join(lacking)}",
                "a CUDA GPU, and bitsandbytes (pip install 'teensafe[qlora]')",
                "adapter.kind=lora trains the same adapter on weights in full precision",
            )
        )


def layers(model: nn.Module) -> nn.ModuleList:
    """The stack of a classifier's layers, whatever the family: the longest list of modules of its base model.

    Raises InputError where there is none.
    """
    from torch import nn

    body = getattr(model, str(model.base_model_prefix))
    lists = [module for module in body.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        what = f"'top', but {type(model).__name__} has no list of layers"
        raise InputError(Problem("adapter.kind", what, "full, lora or head"))
    return max(lists, key=len)


def _top(model: nn.Module, count: int, asked: str) -> Sequence[nn.Module]:
    """The last layers. asked: the field that says how many. Raises InputError where there are not so many."""
    stack = layers(model)
    if count > len(stack):
        what = f"{count}, but the model has {len(stack)}"
        raise InputError(Problem(f"adapter.{asked}", what, f"at most {len(stack)}"))
    return stack[-count:]  # type: ignore[return-value]


def _in_top(
    model: nn.Module, count: int, targets: Literal["all-linear"] | Sequence[str], head: Sequence[str]
) -> list[str]:
    """Full names of the linear layers among `targets` from the first of the last layers on: in these layers,
    and what follows them, such as a pooler. A model names its parts in the order in which they compute."""
    first, modules = _top(model, count, "top")[0], [part for _, part in model.named_modules()]
    reached = set(modules[modules.index(first) :])
    return [
        name
        for name, part in _linear_outside(model, head)
        if part in reached
        and (isinstance(targets, str) or any(f".{name}".endswith(f".{target}") for target in targets))
    ]


def _linear_outside(model: nn.Module, head: Sequence[str]) -> list[tuple[str, nn.Module]]:
    """The linear layers outside the head, by name."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)]
    return [(name, part) for name, part in linear if name.split(".")[0] not in head]


def _only(model: nn.Module, trained: Iterable[nn.Module]) -> nn.Module:
    model.requires_grad_(False)
    for module in trained:
        module.requires_grad_(True)
    return model


def _must_be_linear(targets: Sequence[str], model: nn.Module, head: Sequence[str]) -> None:
    """Raise InputError for a name that no linear layer outside the head has: peft would pass over it."""
    outside = [name for name, _ in _linear_outside(model, head)]
    unknown = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in outside)]
    if unknown:
        names = ", ".join(sorted({name.split(".")[-1] for name in outside}))
        what = f"{', '.join(unknown)}: no linear layer outside the head has such a name"
        raise InputError(Problem("adapter.targets", what, f"all-linear, or some of {names}"))


Adapter = Annotated[Lora | Qlora | Full | Top | Head, Field(discriminator="kind")]
