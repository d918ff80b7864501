"""What a teacher said of each training example, where that was recorded: it finds its example in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kdgan.errors import UsageError


class Recorded(Protocol):
    """Logits of a teacher by example; those of an array, or of a file that is mapped into memory."""

    def __len__(self) -> int:
        """The number of examples."""

    def __getitem__(self, row: Any) -> Any:
        """Logits `(K,)` of an example, or those of a slice of them."""


class Rows:
    """Some rows of what was recorded, which stay where they are.

    Args:
        logits: all of them.
        start: the first.
        stop: the one after the last.
    """

    def __init__(self, logits: Recorded, start: int, stop: int) -> None:
        self.logits, self.start, self.stop = logits, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            start, stop, _ = row.indices(len(self))
            return self.logits[self.start + start : self.start + stop]
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self.logits[self.start + int(row)]


def numbers(logits: Any) -> Tensor:
    """Rows of logits as a tensor of their own, on the CPU."""
    if isinstance(logits, Tensor):
        return logits.detach().to("cpu", torch.float32)
    return torch.from_numpy(np.array(logits, dtype=np.float32))  # a copy: a file's rows cannot be written to


def check_finite(logits: Tensor, what: str) -> None:
    """Raises a UsageError, naming the first example, if a number is not finite."""
    bad = (~logits.isfinite().flatten(1).all(1)).nonzero()
    if len(bad):
        raise UsageError(
            f"{what}: the teacher's logits of example {int(bad[0])} hold NaN or infinite numbers"
        )


def rows_of(source: Any, logits: Recorded, what: str, *, last: bool) -> tuple[Rows, Rows]:
    """The rows that belong to the examples of some data, and those that are left for others.

    Args:
        source: the data: a Batch, a Dataset or a DataLoader.
        logits: one row for each example, in the order of the data set.
        what: name of the data in messages.
        last: whether none may be left.

    Raises:
        UsageError: if nobody knows which row belongs to which example, or there are not as many as examples.
    """
    unknown = UsageError(
        f"{what} has no order of its own, so nobody knows which of the teacher's logits belong to an example: give "
        "a Dataset, or the teacher itself"
    )
    if isinstance(source, DataLoader):
        # Without a size of batches a data set gives them as it likes; a loader of one's own need not ask for places.
        if source.batch_sampler is None or type(source).__iter__ is not DataLoader.__iter__:
            raise unknown
        source = source.dataset
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise unknown
    count = len(source)
    if len(logits) < count or (last and len(logits) > count):
        raise UsageError(
            f"the teacher's logits are of {len(logits)} examples, but {what} has {count}: one row for each, those of "
            "train before those of unlabelled"
        )
    return Rows(logits, 0, count), Rows(logits, count, len(logits))


@dataclass(frozen=True, slots=True)
class Told:
    """Examples as a loader collates them, with what the teacher said of them."""

    examples: Any
    logits: Tensor


class WithLogits(Dataset[Any]):
    """A data set of one's own, each example with what the teacher said of it.

    Args:
        data: the data set.
        logits: a row for each of its examples.
    """

    def __init__(self, data: Dataset[Any], logits: Recorded) -> None:
        self.data, self.logits = data, logits

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]

    def __getitem__(self, row: int) -> tuple[Any, Tensor]:
        # Places count from the end, too, as those of lists.
        return self.data[row], numbers(self.logits[row if row >= 0 else row + len(self)])


@dataclass(frozen=True, slots=True)
class CollateTold:
    """Collates the examples as their own loader does, and the logits beside them."""

    own: Callable[[list[Any]], Any]

    def __call__(self, rows: list[tuple[Any, Tensor]]) -> Told:
        """A batch of them."""
        examples, logits = zip(*rows, strict=True)
        return Told(self.own(list(examples)), torch.stack(logits))
