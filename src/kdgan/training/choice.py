"""Choice of a student among its evaluations, and the end of training where nothing gets better."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """Choice of the student by a metric, among the evaluations.

    Attributes:
        metric: its name.
        better: whether the first of two values is better than the second.
        keep: whether the student is, in the end, as it was at the best evaluation.
        patience: evaluations without a better value after which training ends; None never ends it.
    """

    metric: str
    better: Callable[[float, float], bool] = operator.gt
    keep: bool = True
    patience: int | None = None

    def best(self, history: list[dict[str, Any]]) -> int:
        """The number of the best evaluation, the first of those that are equally good."""
        best = 0
        for number, record in enumerate(history):
            if self.better(record[self.metric], history[best][self.metric]):
                best = number
        return best

    def ends(self, history: list[dict[str, Any]]) -> bool:
        """Whether there was no better value for too long."""
        return (
            self.patience is not None
            and bool(history)
            and len(history) - 1 - self.best(history) >= self.patience
        )
