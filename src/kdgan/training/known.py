"""Teachers that cannot be asked as the modules that a `Player` holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.recorded import Recorded
from kdgan.data.targets import Kind
from kdgan.errors import UsageError
from kdgan.training.answers import Reading, mean_of
from kdgan.training.faces import Face, Places

_AT_ONCE = 4096
"""Rows that are looked at together."""


class Known(Face):
    """A teacher of which there are only its numbers for training examples.

    Args:
        rows: a row of numbers for each example, those of all parts side by side.
        parts: how they are read and how many columns they take: an ensemble has several.
        check: holds examples against those that rows are of, where a file says which: see `Face.check`.
    """

    left_out: ClassVar[tuple[str, ...]] = ("rows", "_check")

    def __init__(
        self,
        rows: Recorded,
        parts: Sequence[tuple[Reading, int]],
        check: Callable[[Places, Batch], None] | None = None,
    ) -> None:
        super().__init__()
        self.rows, self.columns, self._check = rows, tuple(parts), check
        self.kind: Kind = "classes"
        self.classes = 0

    @property
    def count(self) -> int:
        """How many examples there are numbers for."""
        return len(self.rows)

    def settle(self, kind: Kind, classes: int) -> None:
        """Takes note of what the task is, and looks at every number.

        Raises:
            UsageError: for numbers that are not what they should be.
        """
        self.kind, self.classes = kind, classes
        for first in range(0, len(self.rows), _AT_ONCE):
            self._logits(self._values(slice(first, first + _AT_ONCE)), first)

    def check(self, places: Places, batch: Batch) -> None:
        """Raises a UsageError unless the file that it is of says that these are the examples."""
        if self._check is not None:
            self._check(places, batch)

    def answered(self, places: Places | None, batch: Batch | None) -> Tensor:
        """Logits `(B, K)` of the student's classes for the examples at those places, on the device of the batch."""
        assert places is not None
        values = self._values(places)
        return self._logits(values if batch is None else values.to(batch.device))

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Always raises a UsageError: nobody can be asked."""
        raise UsageError(
            "the teacher is known by its logits of training examples alone: it cannot be asked about others"
        )

    def _values(self, places: Places) -> Tensor:
        return torch.as_tensor(self.rows[places], dtype=torch.float32)

    def _logits(self, values: Tensor, first: int = 0) -> Tensor:
        found, start = [], 0
        for reading, width in self.columns:
            found.append(reading.logits(values[:, start : start + width], self.kind, self.classes, first))
            start += width
        return mean_of(found, self.kind)
