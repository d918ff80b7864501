"""Examples without labels that are not in the units of those with labels."""

from __future__ import annotations

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import leaves
from kdgan.errors import wrong

MOST_TIMES = 8.0
"""How many times as large numbers of one part may be as those of the other: bytes are 255 times as large as shares."""
_LEAST, _LOOKED_AT = 8, 1000
"""Examples of each, below which one cannot tell, and that are looked at."""


def check_range(unlabelled: Batch, labelled: Batch, what: str, beside: str) -> None:
    """Refuses inputs without labels whose numbers are as a whole far larger, or smaller, than those with labels.

    Both are scaled alike, so that other units would spoil what is learned from either. A few odd columns or examples do
    not count.

    Args:
        unlabelled: some without labels.
        labelled: some with labels, of the same form.
        what: name of the former in messages.
        beside: name of the latter.

    Raises:
        UsageError: if they are.
    """
    if min(len(unlabelled), len(labelled)) < _LEAST:
        return
    for mine, theirs in zip(leaves(unlabelled.inputs), leaves(labelled.inputs), strict=True):
        if not all(each.is_floating_point() for each in (mine, theirs)) and {mine.dtype, theirs.dtype} != {
            torch.uint8
        }:
            continue  # numbers of words, or bytes beside numbers, which are understood as shares
        sizes = [_size(each) for each in (mine, theirs)]
        if min(sizes) > 0 and not 1 / MOST_TIMES <= sizes[0] / sizes[1] <= MOST_TIMES:
            raise wrong(
                f"inputs of {what} are about {sizes[0]:.3g} in size, and those of {beside} {sizes[1]:.3g}: give both "
                "in the same units"
            )


def _size(values: Tensor) -> float:
    """The median of the 90 % quantiles of columns that are not 0 there; of images the median of their largest."""
    some = values[:_LOOKED_AT].double().abs()
    if not some.numel():
        return 0.0
    # How much of an image is black says nothing of its units.
    found = (
        some.flatten(1).amax(1)
        if some.ndim > 2
        else some.kthvalue(max(1, round(0.9 * len(some))), dim=0).values
    )
    found = found.reshape(-1)
    return float(found[found > 0].median()) if (found > 0).any() else 0.0
