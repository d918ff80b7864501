"""Teachers of any kind as the modules that a `Player` holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.targets import Kind
from kdgan.errors import wrong
from kdgan.methods.player import called_with, evaluating, forward, logits_in
from kdgan.training import identity
from kdgan.training.answers import Reading, mean_of
from kdgan.training.class_map import Translation

Sees = Literal["both", "inputs", "privileged"]
"""What a teacher is called with, where there is privileged information."""
Places: TypeAlias = "slice | NDArray[np.int64]"
"""Places of examples among all training examples, those of `train` before those of `unlabelled`."""


class Face(identity.LeavingOut):
    """A teacher of any kind as a module.

    Attributes:
        sees: what it is called with.
        reading: how the numbers of `as_given` are read.
    """

    sees: Sees = "both"
    reading: Reading = Reading()

    @property
    def is_network(self) -> bool:
        """Whether all of it are networks."""
        return False

    @property
    def count(self) -> int | None:
        """How many examples it is known for, where some of it is known by its numbers alone; None where none is."""
        return None

    def parts(self) -> Iterator[Face]:
        """Those of an ensemble, else itself."""
        yield self

    def networks(self) -> Iterator[nn.Module]:
        """The modules of a caller's own, each of which has a device of its own."""
        yield self

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is.

        Raises:
            UsageError: if it cannot teach that.
        """

    def check(self, places: Places, batch: Batch) -> None:
        """Raises a UsageError unless the numbers at these places are of these examples, where it is known what of."""

    def answered(self, places: Places | None, batch: Batch | None) -> Tensor:
        """Logits `(B, K)` of the student's classes, without gradient.

        Args:
            places: of the examples, for what is known by its numbers.
            batch: the examples, for what is asked; None where nothing is.
        """
        assert batch is not None
        with evaluating(self):
            return forward("teacher", self, batch)

    def as_given(self) -> Face:
        """The module that gives the numbers which a file of logits holds."""
        return self

    def fingerprint(self) -> str:
        """A text that tells it from others: code, settings and weights, as far as they can be known."""
        return f"{identity.of_form(self)} {identity.of_tensors(self.state_dict().values())}"

    def keep_fingerprint(self) -> None:
        """Makes its fingerprint part of its form, for what is asked as training goes on; that of a network is."""


class Seeing(Face):
    """A network of one's own that is called with some of what there is, or scores classes of its own.

    Args:
        module: the network.
        sees: what it is called with.
        translation: brings its classes to those of the student; None where they are the same.
    """

    def __init__(self, module: nn.Module, sees: Sees, translation: Translation | None) -> None:
        super().__init__()
        self.module, self.sees, self.translation = module, sees, translation
        self.kind: Kind = "classes"
        self.training = module.training  # and no part of it is touched

    @property
    def is_network(self) -> bool:
        """True."""
        return True

    def networks(self) -> Iterator[nn.Module]:
        """The caller's own."""
        yield self.module

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Logits `(B, K)` of the student's classes."""
        answer = self.module(*inputs, **named)
        if self.translation is None:
            return answer
        logits = as_logits(answer)
        return self.translation.odds(logits) if self.kind == "binary" else self.translation(logits)

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is.

        Raises:
            UsageError: if the classes are not to be translated so.
        """
        self.kind = kind
        if self.translation is not None:
            self.translation.check(kind)


class Ensemble(Face):
    """Several teachers, whose probabilities are averaged.

    Args:
        members: faces or networks.
        sees: what they are called with.
    """

    def __init__(self, members: Sequence[nn.Module], sees: Sees) -> None:
        super().__init__()
        self.members, self.sees = nn.ModuleList(members), sees
        self.kind: Kind = "classes"

    def _faces(self) -> list[Face]:
        return [as_face(each) for each in self.members]

    @property
    def is_network(self) -> bool:
        """Whether all members are."""
        return all(each.is_network for each in self._faces())

    @property
    def count(self) -> int | None:
        """How many examples are known of members that cannot be asked; None where all can."""
        return next((each.count for each in self._faces() if each.count is not None), None)

    def parts(self) -> Iterator[Face]:
        """Those of all members, in order."""
        for each in self._faces():
            yield from each.parts()

    def networks(self) -> Iterator[nn.Module]:
        """Those of all members."""
        for each in self._faces():
            yield from each.networks()

    def settle(self, kind: Kind, classes: int) -> None:
        """Tells all members what the task is."""
        self.kind = kind
        for each in self._faces():
            each.settle(kind, classes)

    def check(self, places: Places, batch: Batch) -> None:
        """Raises a UsageError unless the examples are those that all members are known for."""
        for each in self._faces():
            each.check(places, batch)

    def answered(self, places: Places | None, batch: Batch | None) -> Tensor:
        """The logits of the mean of all probabilities, of what is known and of what is asked."""
        return mean_of([each.answered(places, batch) for each in self._faces()], self.kind)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """The logits of the mean of all probabilities."""
        return mean_of([as_logits(each(*inputs, **named)) for each in self.members], self.kind)


def as_face(module: nn.Module) -> Face:
    """A teacher of any kind, or a network of one's own as such."""
    if isinstance(module, Face):
        return module
    sees: Any = called_with(module)
    return Seeing(module, sees, None)


def as_logits(answer: Any) -> Tensor:
    """The logits in what a network gave, with their gradient."""
    found = logits_in(answer)
    if not isinstance(found, Tensor) or found.ndim != 2:
        kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise wrong(f"the teacher must give logits of shape (B, K), not {kind}")
    return found


def is_network(module: nn.Module) -> bool:
    """Whether all of a player are networks."""
    return as_face(module).is_network


def networks(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of a caller's own in a player, each of which has a device of its own."""
    return as_face(module).networks()
