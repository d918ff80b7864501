"""Examples without labels that are not in the units of those with labels."""

from __future__ import annotations

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import leaves
from kdgan.errors import wrong

MOST_TIMES = 8.0
"""How many times as large numbers of one part may be as those of the other: bytes are 255 times as large as shares."""
MOST_TIMES_OF_A_COLUMN = 50.0
"""The same of one column by itself, which may be rare."""
_LEAST, _LOOKED_AT, _NAMED = 8, 1000, 5
"""Examples of each, below which one cannot tell, that are looked at, and columns that are named."""


def check_range(unlabelled: Batch, labelled: Batch, what: str, beside: str) -> list[str]:
    """Refuses inputs without labels whose numbers are as a whole far larger, or smaller, than those with labels.

    Both are scaled alike, so that other units would spoil what is learned from either. Of a few odd columns it only
    tells.

    Args:
        unlabelled: some without labels.
        labelled: some with labels, of the same form.
        what: name of the former in messages.
        beside: name of the latter.

    Returns:
        Notes for people, of columns.

    Raises:
        UsageError: if they are.
    """
    notes: list[str] = []
    if min(len(unlabelled), len(labelled)) < _LEAST:
        return notes
    for mine, theirs in zip(leaves(unlabelled.inputs), leaves(labelled.inputs), strict=True):
        if not all(each.is_floating_point() for each in (mine, theirs)) and {mine.dtype, theirs.dtype} != {
            torch.uint8
        }:
            continue  # numbers of words, or bytes beside numbers, which are understood as shares
        columns = [_sizes(each) for each in (mine, theirs)]
        sizes = [float(each[each > 0].median()) if (each > 0).any() else 0.0 for each in columns]
        if min(sizes) > 0 and not 1 / MOST_TIMES <= sizes[0] / sizes[1] <= MOST_TIMES:
            raise wrong(
                f"inputs of {what} are about {sizes[0]:.3g} in size, and those of {beside} {sizes[1]:.3g}: give both "
                "in the same units"
            )
        # Another width is refused where players are called.
        same = mine.ndim == 2 and mine.shape[1:] == theirs.shape[1:]
        if same and (odd := odd_columns(mine, theirs)):
            named = ", ".join(map(str, odd[:_NAMED])) + (" and others" if len(odd) > _NAMED else "")
            notes.append(f"inputs of {what} in column {named} (from 0): {of_other_size(beside)}")
    return notes


def of_other_size(beside: str) -> str:
    """What is said of columns that `odd_columns` finds."""
    return f"more than {MOST_TIMES_OF_A_COLUMN:g} times as large or as small as in {beside}: are the units the same?"


def odd_columns(mine: Tensor, theirs: Tensor) -> list[int]:
    """Places of columns whose numbers are far larger, or smaller, in one part than in the other.

    Args:
        mine: numbers of the one, `(N, F)`, NaN nowhere.
        theirs: of the other, `(M, F)`.
    """
    if min(len(mine), len(theirs)) < _LEAST:
        return []
    ratios = _sizes(mine) / _sizes(theirs)
    within = (ratios >= 1 / MOST_TIMES_OF_A_COLUMN) & (ratios <= MOST_TIMES_OF_A_COLUMN)
    # A column that is 0 nearly everywhere in either tells nothing.
    return ((ratios > 0) & ratios.isfinite() & ~within).nonzero()[:, 0].tolist()


def _sizes(values: Tensor) -> Tensor:
    """The 90 % quantiles of columns; of images the largest value of each."""
    some = values[:_LOOKED_AT].double().abs()
    if not some.numel():
        return some.flatten()
    # How much of an image is black says nothing of its units.
    if some.ndim > 2:
        return some.flatten(1).amax(1)
    return some.kthvalue(max(1, round(0.9 * len(some))), dim=0).values.reshape(-1)
