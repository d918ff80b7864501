"""Ranking metrics of tag recommendation: P@k, R@k, F@k, MAP and MRR.

An image's tags are ranked by score, the highest first; equal scores by tag index, the lower first. Every
metric is computed per image and then averaged over images. Images without a true tag have no ranking to
measure: they are left out and counted. All values lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from kdgan.errors import UsageError
from kdgan.tagging.arrays import Array, as_tags, matrix


@dataclass(frozen=True, slots=True)
class Ranking:
    """The metrics of each image that has a true tag, in the order of the images, `(M,)` each; see `ranking`.

    `precision`, `recall` and `f_measure` map k to P@k, R@k and F@k; `kept` `(N,)` says which of the N images
    these are.
    """

    precision: dict[int, Array]
    recall: dict[int, Array]
    f_measure: dict[int, Array]
    average_precision: Array
    reciprocal_rank: Array
    kept: Array

    def per_image(self) -> dict[str, Array]:
        """Every column of Table 2 by name: P@k for each k, F@k for each k, MAP, MRR; `(M,)` each."""
        return {
            **{f"P@{k}": values for k, values in self.precision.items()},
            **{f"F@{k}": values for k, values in self.f_measure.items()},
            "MAP": self.average_precision,
            "MRR": self.reciprocal_rank,
        }

    def means(self) -> dict[str, float]:
        """The means over images of `per_image`, under the same names."""
        return {name: float(values.mean()) for name, values in self.per_image().items()}


def ranking(
    scores: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor, ks: Sequence[int] = (3, 5)
) -> Ranking:
    """Quality of the ranking of each image's true tags by `scores`.

    - P@k: true tags among the first k, divided by k (also where there are fewer than k tags in all).
    - R@k: the same, divided by the number of the image's true tags.
    - F@k: harmonic mean of P@k and R@k of the image; 0 where both are 0.
    - Average precision: the mean, over the true tags, of the precision down to that tag in the whole ranking.
    - Reciprocal rank: 1 / rank of the first true tag.

    Args:
        scores: `(N, K)`, higher for a tag that fits better; infinite scores are allowed, NaN is not.
        tags: the true ones, bool `(N, K)` (zeros and ones will do).
        ks: where rankings are cut for P@k, R@k and F@k.

    Raises:
        UsageError: if shapes differ, a score is NaN, no image has a true tag, or a k is not a whole number
            from 1.

    Example:
        >>> ranking([[0.9, 0.1, 0.5]], [[True, True, False]], ks=[2]).means()["P@2"]
        0.5
    """
    given = matrix(scores, "scores")
    true = as_tags(tags, len(given), of="scores")
    _check(given, true, ks)
    kept = true.any(1)
    given, true = given[kept], true[kept]
    # A stable ascending sort of the reversed columns, reversed: descending, and the lower index first in ties.
    # Negating the scores instead would wrap around for unsigned and lose the smallest signed integer.
    order = true.shape[1] - 1 - np.argsort(given[:, ::-1], axis=1, kind="stable")[:, ::-1]
    hits = np.take_along_axis(true, order, axis=1)
    found = hits.cumsum(1)
    count = found[:, -1]
    ranks = np.arange(1, hits.shape[1] + 1)
    precision = {k: found[:, min(k, len(ranks)) - 1] / k for k in ks}
    recall = {k: found[:, min(k, len(ranks)) - 1] / count for k in ks}
    # 2PR / (P + R) with P = h/k and R = h/m is 2h / (k + m): nothing to divide by zero.
    f_measure = {k: 2 * found[:, min(k, len(ranks)) - 1] / (k + count) for k in ks}
    average_precision = (hits * found / ranks).sum(1) / count
    return Ranking(
        precision, recall, f_measure, average_precision, 1 / (hits.argmax(1) + 1), np.asarray(kept)
    )


def _check(scores: Array, tags: Array, ks: Sequence[int]) -> None:
    if scores.shape != tags.shape:
        raise UsageError(
            f"scores are of {scores.shape[1]} tags and tags of {tags.shape[1]}: expected the same"
        )
    bad = np.isnan(scores).any(1)
    if bad.any():
        raise UsageError(f"scores of image {bad.argmax()} hold NaN: no ranking")
    for k in ks:
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise UsageError(f"k {k!r}: a ranking is cut at a whole number from 1")
    if not tags.any():
        raise UsageError("no image has a true tag: there is no ranking to measure")
