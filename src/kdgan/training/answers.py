"""The answers of a teacher of any kind, brought to logits of the student's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kdgan.data.targets import Kind
from kdgan.errors import UsageError, wrong
from kdgan.methods.player import logits_in
from kdgan.training.class_map import ClassMap, listed, translation

Gives = Literal["logits", "probabilities"]
"""What a teacher's numbers are."""

SMOOTHING = 1e-3
"""ε: probabilities p become the logits of (1 − ε)·p + ε/K, since one that is 0 has no logit. A tree that is sure then
is as sure as a network whose logits lie log(K/ε) apart: 9.2 for ten classes."""
_NO_CHANCE = 8
"""Rows of logits that do not all happen to look like probabilities."""
_SLACK = 0.01
"""How far the sum of a row of probabilities may be from 1, since services round what they give."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the numbers of a teacher are to be read.

    Attributes:
        gives: what they are.
        names: the class of each column, as an estimator has them; None where columns are classes 0 to K - 1.
        classes: the student's class for each of them, or None.
    """

    gives: Gives = "logits"
    names: tuple[Any, ...] | None = None
    classes: ClassMap | None = None

    def logits(self, values: Tensor, kind: Kind, classes: int, first: int = 0) -> Tensor:
        """Logits `(B, K)` of the student's classes.

        Args:
            values: what the teacher gave, `(B, K')`.
            kind: of task.
            classes: K.
            first: the number of the first example, for messages.

        Raises:
            UsageError: for numbers that are not finite, no probabilities, or of other classes.
        """
        self.check(values, kind, first)
        if kind == "binary" and (self.names is not None or self.classes is not None):
            return self._of_yes(values)
        if kind == "classes" and self.names is not None and self.classes is None:
            return self._placed(values, classes)
        found = values.float() if self.gives == "logits" else of_probabilities(values, kind)
        if self.classes is not None:
            change = translation(self.classes, classes, self.names).to(found.device)
            change.check(kind)
            return change(found)  # type: ignore[no-any-return]
        if found.shape[1] != classes:
            how = "teacher_classes=[0, 1] for no and yes" if kind == "binary" else "teacher_classes"
            raise UsageError(
                f"the teacher's {self.gives} are of {found.shape[1]} classes, but the student scores {classes}: say "
                f"which is which ({how})"
            )
        return found

    def check(self, values: Tensor, kind: Kind, first: int = 0) -> None:
        """Raises a UsageError unless all are finite and, where they should be, probabilities."""
        bad = (~values.isfinite().all(1)).nonzero()
        if len(bad):
            raise UsageError(
                f"the teacher's {self.gives} of example {first + int(bad[0])} are not finite: replace NaN and infinity"
            )
        if self.gives == "logits":
            if self.names is None and _seem_probabilities(values):
                raise UsageError(
                    "the teacher's logits are all at least 0 and sum to 1 in each example, as probabilities do: say "
                    "teacher_gives='probabilities', to kdgan.teach where it asked"
                )
            return
        bad = ((values < 0) | (values > 1 + _SLACK)).any(1).nonzero()
        if len(bad):
            row = int(bad[0])
            low, high = values[row].min().item(), values[row].max().item()
            raise UsageError(
                f"the teacher's probabilities of example {first + row} lie in {low:g}..{high:g}, not in 0..1: leave "
                "teacher_gives out where it gives logits"
            )
        sums = values.double().sum(1)
        bad = ((sums - 1).abs() > _SLACK).nonzero()
        if len(bad) and (kind == "classes" or (kind == "binary" and values.shape[1] > 1)):
            row = int(bad[0])
            raise UsageError(
                f"the teacher's probabilities of example {first + row} sum to {sums[row].item():g}, not to 1: leave "
                "teacher_gives out where it gives logits"
            )

    def _of_yes(self, values: Tensor) -> Tensor:
        """One logit for each example, from columns for what says yes and what says no."""
        given, names = self.classes, self.names
        if names is not None:
            self._check_columns(values)
        if given is None:
            if {*(names or ())} != {0, 1}:
                raise wrong(
                    f"the student says yes or no, but the teacher's classes are {listed(names)}, not 0 and 1: say "
                    "which is which (teacher_classes)"
                )
            given = {name: int(name) for name in names or ()}
        change = translation(given, None, names).to(values.device)
        change.check("binary")
        if names is not None and change.count != 2:
            raise wrong(
                f"the student says yes or no, and teacher_classes says of no class of {listed(names)} that it is 1"
            )
        if self.gives == "logits":
            return change.odds(values.float())
        return change.odds(of_probabilities(values, "binary" if values.shape[1] == 1 else "classes"))

    def _check_columns(self, values: Tensor) -> None:
        """Raises a UsageError unless there is one for each of the teacher's classes."""
        count = len(self.names or ())
        if count != values.shape[1]:
            raise UsageError(
                f"the teacher gives {values.shape[1]} columns for its {count} classes: one for each is needed"
            )

    def _placed(self, values: Tensor, classes: int) -> Tensor:
        """Columns in the places of the classes that they are of."""
        names = self.names or ()
        places = [_class_of(name, classes, names) for name in names]
        self._check_columns(values)
        missing = sorted({*range(classes)} - {*places})
        if missing:
            raise UsageError(
                f"the teacher knows no class {missing[0]} of the student's 0..{classes - 1}, which so would learn that "
                "it never occurs: fit it on examples of all classes"
            )
        placed = values[:, sorted(range(classes), key=places.__getitem__)]
        return placed.float() if self.gives == "logits" else of_probabilities(placed, "classes")


def _seem_probabilities(values: Tensor) -> bool:
    """Whether rows are at least 0 and sum to 1, and so many that it is no chance."""
    if len(values) < _NO_CHANCE or values.shape[1] < 2:
        return False
    return bool((values >= 0).all() & ((values.double().sum(1) - 1).abs() <= _SLACK).all())


def _class_of(name: Any, classes: int, names: Sequence[Any]) -> int:
    """The class of the student that has the same number."""
    try:
        number = int(name)
        same = number == name and 0 <= number < classes
    except (TypeError, ValueError):
        same = False
    if not same:
        raise wrong(
            f"the teacher's classes are {listed(names)}, but the student scores 0..{classes - 1}: say which is which "
            "(teacher_classes)"
        )
    return number


def of_probabilities(probabilities: Tensor, kind: Kind) -> Tensor:
    """Logits of the same shape, float32; see `SMOOTHING`.

    Args:
        probabilities: of K classes that exclude each other, or of bits, `(B, K)`.
        kind: of task, which tells the one from the other.
    """
    p = probabilities.double().clamp(0, 1)
    if kind == "classes":
        return ((1 - SMOOTHING) * p + SMOOTHING / p.shape[1]).log().float()
    return ((1 - SMOOTHING) * p + SMOOTHING / 2).logit().float()


def mean_of(logits: Sequence[Tensor], kind: Kind) -> Tensor:
    """The logits of the mean of the probabilities of several teachers, each `(B, K)`."""
    if len(logits) == 1:
        return logits[0]
    each = torch.stack([one.float() for one in logits])
    if kind == "classes":
        return each.log_softmax(2).logsumexp(0) - float(np.log(len(logits)))
    return functional.logsigmoid(each).logsumexp(0) - functional.logsigmoid(-each).logsumexp(0)


def as_values(answer: Any, count: int, what: str = "the teacher") -> Tensor:
    """What a teacher answered as numbers `(B, K)`: a tensor or an array, or an object or mapping with such as `logits`;
    one number for each example is a single column.

    Returns:
        A copy on the CPU, float32, without gradient.

    Raises:
        UsageError: for another answer, or one for other than `count` examples.
    """
    answer = logits_in(answer)
    try:
        found = answer if isinstance(answer, Tensor) else torch.as_tensor(np.asarray(answer))
    except (TypeError, ValueError, RuntimeError) as error:
        raise wrong(f"{what} must give numbers (N, K), not {type(answer).__name__}: {error}") from error
    if found.ndim == 1:
        found = found.unsqueeze(1)
    no_numbers = found.is_complex() or found.dtype == torch.bool
    if found.ndim != 2 or len(found) != count or no_numbers or not found.shape[1]:
        raise wrong(
            f"{what} must give a row of numbers for each of {count} examples, ({count}, K), not {tuple(found.shape)} "
            f"of {found.dtype}"
        )
    # In memory of its own, which the teacher may write into again, and as a tensor that may meet others with gradient.
    return found.detach().to("cpu", torch.float32, copy=True)
