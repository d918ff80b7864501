"""Teachers of any kind as the modules that a `Player` holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.stream import Recorded
from kdgan.data.targets import Kind
from kdgan.errors import UsageError, wrong
from kdgan.methods.player import evaluating, forward
from kdgan.training.answers import NOT_ONE_TO_ONE, Reading, Translation, as_values, mean_of

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
    found = answer.get("logits", answer) if isinstance(answer, dict) else getattr(answer, "logits", answer)
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


class Estimator(Asked):
    """A trained estimator as scikit-learn has them: `predict_proba`, else `decision_function`.

    It is called with an array `(B, F)` of all numbers of an example.

    Args:
        estimator: trained.
        classes: the student's class for its classes, see `Reading`.
        sees: what it is called with.
    """

    def __init__(self, estimator: Any, classes: Any, sees: Sees) -> None:
        gives_probabilities = hasattr(estimator, "predict_proba")
        names = getattr(estimator, "classes_", None)
        plain = None
        if isinstance(names, np.ndarray) and names.ndim == 1:
            plain = tuple(names.tolist())
        reading = Reading("probabilities" if gives_probabilities else "logits", plain, classes)
        super().__init__(
            estimator.predict_proba if gives_probabilities else estimator.decision_function,
            reading,
            sees,
            arrays=True,
        )
        self.estimator = estimator
        self.labels = names if isinstance(names, list) else None

    apart: ClassVar[tuple[str, ...]] = ("ask", "estimator")

    def answer(self, inputs: Sequence[Any], named: dict[str, Any]) -> Any:
        """Probabilities or margins `(B, K')`; of several labels those that they are there."""
        rows = np.concatenate([part.reshape(len(part), -1) for part in (*inputs, *named.values())], axis=1)
        with warnings.catch_warnings():
            # Trained on a table, it misses the names of the columns.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            found = self.ask(rows)
        if isinstance(found, list):
            return np.stack([_yes(each, self._labels(place)) for place, each in enumerate(found)], axis=1)
        if self.reading.gives == "logits" and np.ndim(found) == 1:
            # One margin tells two classes apart.
            return np.stack([-found / 2, found / 2], axis=1)
        return found

    def _labels(self, place: int) -> list[Any]:
        return [0, 1] if self.labels is None else np.asarray(self.labels[place]).tolist()


def _yes(probabilities: Any, names: list[Any]) -> Any:
    """The probability that a label is there, which an estimator has no column for that never saw it so."""
    found = np.asarray(probabilities)
    if set(names) - {0, 1} or found.ndim != 2 or found.shape[1] != len(names):
        raise wrong(f"an output of the teacher has the classes {names!r:.60}, not 0 and 1")
    return found[:, names.index(1)] if 1 in names else np.zeros(len(found))


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


class Rows:
    """Rows of several teachers side by side.

    Args:
        parts: the rows of each, of the same number.
    """

    def __init__(self, parts: Sequence[Recorded]) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, row: Any) -> Any:
        if len(self.parts) == 1:
            return self.parts[0][row]
        return np.concatenate([np.asarray(part[row]) for part in self.parts], axis=-1)


class Lazy:
    """Logits made of rows as they are asked for.

    Args:
        face: the teacher, which is known by rows alone.
        rows: of all its parts.
    """

    def __init__(self, face: nn.Module, rows: Recorded) -> None:
        self.face, self.rows = face, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Tensor:
        values = torch.as_tensor(self.rows[row], dtype=torch.float32)
        several = values.ndim == 2
        found = self._made(self.face, values if several else values.unsqueeze(0))
        return found if several else found[0]

    def _made(self, face: nn.Module, values: Tensor) -> Tensor:
        if isinstance(face, Known):
            return face.logits(face.own(values))
        assert isinstance(face, Ensemble)
        return mean_of([self._made(each, values) for each in face.members], face.kind)
