"""Functions of one's own as the modules that a `Player` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from kdgan.data.targets import Kind
from kdgan.errors import wrong
from kdgan.training import identity
from kdgan.training.answers import Reading, as_values
from kdgan.training.faces import Face, Sees


class Asked(Face):
    """A function of one's own, asked for its logits of examples.

    It is called with what a network would be called with, in memory of its own: tensors on the CPU, or arrays where the
    caller's data are arrays.

    Args:
        ask: from inputs to logits or probabilities `(B, K)`, see `as_values`.
        reading: how its numbers are read.
        sees: what it is called with.
        arrays: whether it is called with numpy arrays.
    """

    left_out: ClassVar[tuple[str, ...]] = ("ask",)
    """What it gave is with the data. Where it is asked as training goes on, its code is in `code_hash`."""

    def __init__(self, ask: Callable[..., Any], reading: Reading, sees: Sees, *, arrays: bool) -> None:
        super().__init__()
        self.ask, self.reading, self.sees, self.arrays = ask, reading, sees, arrays
        self.kind: Kind = "classes"
        self.classes = 0
        self.code_hash = ""

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is."""
        self.kind, self.classes = kind, classes

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Logits `(B, K)` of the student's classes, on the device of the inputs, without gradient."""
        first = next(iter((*inputs, *named.values())))
        return self.reading.logits(self.values(*inputs, **named), self.kind, self.classes).to(first.device)

    def values(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The numbers that it gives, `(B, K')` on the CPU."""
        first = next(iter((*inputs, *named.values())))
        with (
            torch.no_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            _no_training(),
        ):
            answer = self.answer(
                [self._given(each) for each in inputs],
                {key: self._given(each) for key, each in named.items()},
            )
            return as_values(answer, len(first))

    def answer(self, inputs: Sequence[Any], named: dict[str, Any]) -> Any:
        """Its answer in any form, see `as_values`."""
        return self.ask(*inputs, **named)

    def as_given(self) -> Face:
        """The same that gives its numbers as they are, and not logits."""
        return _AsGiven(self)

    def fingerprint(self) -> str:
        """Code and all that it was made with, as far as they can be known."""
        return f"{identity.of_object(self.ask)} {self.reading.gives} {self.sees}"

    def keep_fingerprint(self) -> None:
        """Makes its code part of what a folder of a run is bound to."""
        self.code_hash = self.fingerprint()

    def _given(self, part: Tensor) -> Any:
        # It may write into what it is given, which others see too.
        own = part.detach().to("cpu", copy=True)
        return own.numpy() if self.arrays else own


class _AsGiven(Face):
    """The numbers of a function as it gives them."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked, self.sees = asked, asked.sees

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Numbers `(B, K')` that are finite and, where they should be, probabilities."""
        found = self.asked.values(*inputs, **named)
        # The task is not known, and of several labels rows may sum to anything.
        self.asked.reading.check(found, "multilabel")
        return found


@contextmanager
def _no_training() -> Iterator[None]:
    """Refuses, within the block, calls of layers that change as they are called, or answer at random.

    A network of the caller's own is put into `eval()` mode. Of those that a function calls nobody knows before.
    """

    def check(layer: nn.Module, _: object) -> None:
        if layer.training and _learns_or_draws(layer):
            raise wrong(
                f"the teacher, a function, calls a network in train() mode, with a layer {type(layer).__name__} that "
                "changes or answers at random: call its eval() first"
            )

    hook = register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


def _learns_or_draws(layer: nn.Module) -> bool:
    """Whether a layer of torch's does more in `train()` mode than in `eval()` mode."""
    kinds = nn.modules
    if isinstance(layer, kinds.dropout._DropoutNd):
        return layer.p > 0
    if isinstance(layer, nn.RReLU | kinds.batchnorm._BatchNorm):
        return True
    if isinstance(layer, kinds.batchnorm._NormBase):  # of instances
        return layer.track_running_stats
    return isinstance(layer, nn.MultiheadAttention | nn.RNNBase) and layer.dropout > 0
