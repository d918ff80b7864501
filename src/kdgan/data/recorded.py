"""Logits of a teacher by example, where they were recorded: they find their examples in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kdgan.errors import UsageError


class Recorded(Protocol):
    """Logits of a teacher by example; those of an array, or of a file that is mapped into memory."""

    def __len__(self) -> int:
        """The number of examples."""

    def __getitem__(self, row: Any) -> Any:
        """Logits `(K,)` of an example, or those of a slice of them."""


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


@dataclass(frozen=True, slots=True)
class ExamplesWithLogits:
    """Examples as a loader collates them, with the teacher's logits."""

    examples: Any
    logits: Tensor


class WithLogits(Dataset[Any]):
    """A data set of one's own, each example with the teacher's logits of it.

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
class CollateWithLogits:
    """Collates the examples as their own loader does, and the logits beside them."""

    own: Callable[[list[Any]], Any]

    def __call__(self, rows: list[tuple[Any, Tensor]]) -> ExamplesWithLogits:
        """A batch of them."""
        examples, logits = zip(*rows, strict=True)
        return ExamplesWithLogits(self.own(list(examples)), torch.stack(logits))
