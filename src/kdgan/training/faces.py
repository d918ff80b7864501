"""Teachers of any kind as the modules that a `Player` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.recorded import Recorded
from kdgan.data.targets import Kind
from kdgan.errors import UsageError, wrong
from kdgan.methods.player import evaluating, forward, logits_in
from kdgan.training.answers import Reading, as_values, mean_of
from kdgan.training.class_map import NOT_ONE_TO_ONE, Translation

Sees = Literal["both", "inputs", "privileged"]
"""What a teacher is called with, where there is privileged information."""


class Seeing(nn.Module):
    """A network of one's own that is called with some of what there is, or scores classes of its own.

    Args:
        module: the network.
        sees: what it is called with.
        translation: brings its classes to those of the student; None where they are the same.
    """

    def __init__(self, module: nn.Module, sees: Sees, translation: Translation | None) -> None:
        super().__init__()
        self.module, self.sees, self.translation = module, sees, translation
        self.training = module.training  # and no part of it is touched

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Logits `(B, K)` of the student's classes."""
        answer = self.module(*inputs, **named)
        return answer if self.translation is None else self.translation(as_logits(answer))

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is.

        Raises:
            UsageError: if the classes are not to be translated so.
        """
        if kind != "classes" and self.translation is not None and not self.translation.is_one_to_one:
            raise UsageError(NOT_ONE_TO_ONE)


def as_logits(answer: Any) -> Tensor:
    """The logits in what a network gave, with their gradient."""
    found = logits_in(answer)
    if not isinstance(found, Tensor) or found.ndim != 2:
        kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise wrong(f"the teacher must give logits of shape (B, K), not {kind}")
    return found


class Asked(nn.Module):
    """A function of one's own, asked for what it says of examples.

    It is called with what a network would be called with, in memory of its own: tensors on the CPU, or arrays where the
    caller's data are arrays.

    Args:
        ask: from inputs to logits or probabilities `(B, K)`, see `as_values`.
        reading: how its numbers are read.
        sees: what it is called with.
        arrays: whether it is called with numpy arrays.
    """

    apart: ClassVar[tuple[str, ...]] = ("ask",)
    """Attributes that tell nothing of a call: what it said is with the data. Where it is asked as training goes on, its
    code is in `known`."""

    def __init__(self, ask: Callable[..., Any], reading: Reading, sees: Sees, *, arrays: bool) -> None:
        super().__init__()
        self.ask, self.reading, self.sees, self.arrays = ask, reading, sees, arrays
        self.kind: Kind = "classes"
        self.classes = 0
        self.known = ""

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is."""
        self.kind, self.classes = kind, classes

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Logits `(B, K)` of the student's classes, on the device of the inputs, without gradient."""
        first = next(iter((*inputs, *named.values())))
        return self.reading.logits(self.values(*inputs, **named), self.kind, self.classes).to(first.device)

    def values(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """What it says, `(B, K')` on the CPU."""
        first = next(iter((*inputs, *named.values())))
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            answer = self.answer(
                [self._given(each) for each in inputs],
                {key: self._given(each) for key, each in named.items()},
            )
            return as_values(answer, len(first))

    def answer(self, inputs: Sequence[Any], named: dict[str, Any]) -> Any:
        """What it gives."""
        return self.ask(*inputs, **named)

    def _given(self, part: Tensor) -> Any:
        # It may write into what it is given, which others see too.
        own = part.detach().to("cpu", copy=True)
        return own.numpy() if self.arrays else own


class Known(nn.Module):
    """A teacher of which there are only its numbers for training examples.

    Args:
        rows: a row of numbers for each example, those of all parts side by side.
        parts: how they are read and how many columns they take: an ensemble has several.
        check: holds rows against the examples that they are with, where a file says which they are of.
    """

    apart: ClassVar[tuple[str, ...]] = ("rows", "check")

    def __init__(
        self,
        rows: Recorded,
        parts: Sequence[tuple[Reading, int]],
        check: Callable[[Batch, Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        self.rows, self.parts, self.check = rows, tuple(parts), check
        self.width = len(rows[0]) if len(rows) else 0
        self.start = 0
        self.kind: Kind = "classes"
        self.classes = 0

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is, and looks at every number.

        Raises:
            UsageError: for numbers that are not what they should be.
        """
        self.kind, self.classes = kind, classes
        for first in range(0, len(self.rows), _AT_ONCE):
            self.logits(torch.as_tensor(self.rows[first : first + _AT_ONCE], dtype=torch.float32), first)

    def logits(self, values: Tensor, first: int = 0) -> Tensor:
        """Logits `(B, K)` of the student's classes from rows of numbers; `first` is the number of the first."""
        found, start = [], 0
        for reading, width in self.parts:
            found.append(reading.logits(values[:, start : start + width], self.kind, self.classes, first))
            start += width
        return mean_of(found, self.kind)

    def own(self, values: Tensor) -> Tensor:
        """Its own columns of those of all members of an ensemble."""
        return values[:, self.start : self.start + self.width]

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Always raises a UsageError: nobody can be asked."""
        raise UsageError(
            "the teacher is known by its logits of training examples alone: it cannot be asked about others"
        )


_AT_ONCE = 4096


class Ensemble(nn.Module):
    """Several teachers, whose probabilities are averaged.

    Args:
        members: faces or networks.
        sees: what they are called with.
    """

    def __init__(self, members: Sequence[nn.Module], sees: Sees) -> None:
        super().__init__()
        self.members, self.sees = nn.ModuleList(members), sees
        self.kind: Kind = "classes"
        start = 0
        for each in known(self):
            each.start = start
            start += each.width

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is."""
        self.kind = kind
        for each in self.members:
            settle(each, kind, classes)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The logits of the mean of all probabilities."""
        return mean_of([as_logits(each(*inputs, **named)) for each in self.members], self.kind)


def settle(face: nn.Module, kind: Kind, classes: int) -> None:
    """Tells a teacher what the task is; a network need not know."""
    if isinstance(face, Seeing | Asked | Known | Ensemble):
        face.settle(kind, classes)


def known(face: nn.Module) -> list[Known]:
    """The parts of a teacher that cannot be asked, in order."""
    return [each for each in face.modules() if isinstance(each, Known)]


def is_network(face: nn.Module) -> bool:
    """Whether all of it are networks."""
    return not any(isinstance(each, Known | Asked) for each in face.modules())


def networks(face: nn.Module) -> Iterator[nn.Module]:
    """The networks of a caller's own, each of which has a device of its own."""
    if isinstance(face, Ensemble):
        for each in face.members:
            yield from networks(each)
    elif isinstance(face, Seeing):
        yield face.module
    else:
        yield face


def answered(face: nn.Module, batch: Batch) -> Tensor:
    """Logits `(B, K)` of the student's classes for a batch, whose `teacher_logits` are rows of all that is known."""
    if isinstance(face, Known):
        assert batch.teacher_logits is not None
        return face.logits(face.own(batch.teacher_logits))
    if isinstance(face, Ensemble):
        return mean_of([answered(each, batch) for each in face.members], face.kind)
    with evaluating(face):
        return forward("teacher", face, batch)
