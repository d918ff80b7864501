"""Teachers of other classes than the student's: which stand for which."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from kdgan.data.targets import Kind
from kdgan.errors import UsageError, wrong

ClassMap: TypeAlias = "Mapping[Any, int | None] | Sequence[int | None]"
"""The student's class for each of the teacher's: by that class, or for all of them in order; None for none. A student
of one logit has two classes, 0 (no) and 1 (yes), or one, 0, which is the logit itself: yes, and no is all else."""


class Translation(nn.Module):
    """The teacher's logits as those of the student's classes: what several of its classes weigh adds up.

    The logit of a class of the student is the log of the sum of the exponentials of those of the teacher's classes that
    stand for it, so that the probabilities are theirs, summed, and divided by what is left where classes of the teacher
    have no counterpart.

    Args:
        groups: for each class of the student, the places of those of the teacher.
        width: K of the teacher, where it is known.
    """

    index: Tensor
    spare: Tensor
    named: Tensor

    def __init__(self, groups: Sequence[Sequence[int]], width: int | None = None) -> None:
        super().__init__()
        most = max(map(len, groups))
        index = [[*group, *[group[0]] * (most - len(group))] for group in groups]
        spare = [[place >= len(group) for place in range(most)] for group in groups]
        self.register_buffer("index", torch.tensor(index), persistent=False)
        self.register_buffer("spare", torch.tensor(spare), persistent=False)
        self.register_buffer("named", torch.tensor(sorted({*chain(*groups)})), persistent=False)
        self.width, self.last = width, max(map(max, groups))

    @property
    def count(self) -> int:
        """Of classes of the student."""
        return len(self.index)

    @property
    def is_one_to_one(self) -> bool:
        """Whether each class of the student has a single counterpart."""
        return self.index.shape[1] == 1

    def check(self, kind: Kind) -> None:
        """Raises a UsageError where classes of the student are not to be said so in that kind of task."""
        if kind == "multilabel" and not self.is_one_to_one:
            raise UsageError(
                "teacher_classes adds up classes that exclude each other, and several labels of an example do not: one "
                "label of the teacher for each"
            )
        if kind == "binary" and self.count > 2:
            raise UsageError(
                f"teacher_classes names class {self.count - 1} of the student, which says yes or no: 1 or 0"
            )

    def forward(self, logits: Tensor) -> Tensor:
        """Logits `(B, K)` of the student's classes from the teacher's `(B, K')`.

        Raises:
            UsageError: if the teacher scores other classes than it was said to.
        """
        found = logits.shape[1]
        if self.width not in (None, found):
            raise UsageError(
                f"teacher_classes has {self.width} entries, but the teacher scores {found} classes: one for each"
            )
        if found <= self.last:
            raise UsageError(
                f"teacher_classes names class {self.last} of the teacher, which scores {found} classes, "
                f"0..{found - 1}"
            )
        each = logits[:, self.index]
        if self.is_one_to_one:
            return each.squeeze(2)
        return each.masked_fill(self.spare, float("-inf")).logsumexp(2)

    def odds(self, logits: Tensor) -> Tensor:
        """The log-odds `(B, 1)` of the classes that stand for a student's single logit, against all others of the
        teacher's; or, where the student's two answers have a counterpart each, of 1 against 0.

        Raises:
            UsageError: if the teacher scores other classes than it was said to.
        """
        found: Tensor = self(logits)
        if self.count == 2:
            return found[:, 1:] - found[:, :1]
        if logits.shape[1] == 1:
            return found  # which is that already
        if logits.shape[1] == len(self.named):
            raise UsageError(
                f"teacher_classes: all {len(self.named)} classes of the teacher stand for yes, and none for no"
            )
        return found - logits.index_fill(1, self.named, float("-inf")).logsumexp(1, keepdim=True)


def translation(
    given: ClassMap, classes: int | None = None, names: Sequence[Hashable] | None = None
) -> Translation:
    """The translation that a caller's `teacher_classes` says.

    Args:
        given: see `ClassMap`.
        classes: K of the student, where it is known.
        names: the teacher's classes in the order of its columns, where they have names of their own.

    Raises:
        UsageError: for what is no such mapping, or a class of the student that no class of the teacher stands for.
    """
    if isinstance(given, Mapping):
        pairs, width = list(given.items()), None
    elif isinstance(given, Sequence) and not isinstance(given, str):
        pairs, width = list(enumerate(given)), len(given)
    else:
        raise wrong(
            f"teacher_classes must be {{teacher's class: student's class}} or a list, not {type(given).__name__}"
        )
    places = None if names is None or width is not None else {name: at for at, name in enumerate(names)}
    groups: dict[int, list[int]] = {}
    for theirs, mine in pairs:
        if mine is None:
            continue
        if places is None:
            place = _whole(theirs, "a class of the teacher")
        elif theirs in places:
            place = places[theirs]
        else:
            raise wrong(
                f"teacher_classes names {theirs!r:.60}, but the teacher's classes are {listed(names)}"
            )
        groups.setdefault(_whole(mine, "a class of the student"), []).append(place)
    count = max(groups, default=0) + 1 if classes is None else classes
    for each in range(count):
        if each not in groups:
            raise UsageError(
                f"teacher_classes: no class of the teacher stands for class {each} of the student, which so would "
                "learn that it never occurs"
            )
    if max(groups) >= count:
        raise UsageError(
            f"teacher_classes names class {max(groups)} of the student, which scores {count}, 0..{count - 1}"
        )
    return Translation([groups[each] for each in range(count)], width)


def _whole(value: Any, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise wrong(f"teacher_classes: {what} must be a whole number from 0, not {value!r:.60}")
    return number


def listed(names: Sequence[Hashable] | None) -> str:
    """The first of them, in words."""
    found = [str(name) for name in names or ()]
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
