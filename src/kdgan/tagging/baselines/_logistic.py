"""One logistic function per tag, on one score per tag: TagProp's sigmoids, and the calibration of classifiers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from kdgan.tagging.arrays import Array


class Logistic(NamedTuple):
    """p(tag | score) = σ(slope · score + offset), `(K,)` each."""

    slope: Array
    offset: Array

    def __call__(self, scores: Array) -> Array:
        """Log-odds of the tags, `(N, K)`, from their scores `(N, K)`."""
        return np.asarray(self.slope * scores + self.offset)


def log_likelihood(log_odds: Array, tags: Array, weights: Array | float) -> Array:
    """Σ over images of weights · log p(tag or its absence), one value per tag, `(K,)`, in nats."""
    wrong = np.where(tags, -log_odds, log_odds)
    # log(1 + e^z) in the form that neither overflows nor needs the slow logaddexp.
    return np.asarray(-(weights * (np.maximum(wrong, 0) + np.log1p(np.exp(-np.abs(wrong))))).sum(0))


def fit_logistic(
    scores: Array, tags: Array, weights: Array | float = 1.0, start: Logistic | None = None, steps: int = 40
) -> Logistic:
    """The logistic functions of greatest log-likelihood, by Newton's method with damping (Levenberg–Marquardt).

    No tag's likelihood is lower than at `start`. Where a score tells a tag's images from all others the likelihood
    has no maximum; the number of steps then bounds how steep the function becomes.

    Args:
        scores: one per image and tag, `(N, K)`.
        tags: bool `(N, K)`.
        weights: of each image and tag in the likelihood, `(N, K)`, or one for all.
        start: where to begin; by default each tag's frequency, whatever the score.
        steps: of Newton's method, for all tags together.
    """
    middle, spread = scores.mean(0), scores.std(0)
    spread = np.where(spread > 0, spread, 1)
    x = (scores - middle) / spread
    if start is None:
        common = (tags.sum(0) + 0.5) / (len(tags) + 1)
        current = Logistic(np.zeros_like(middle), np.log(common / (1 - common)))
    else:
        current = Logistic(start.slope * spread, start.offset + start.slope * middle)
    value = log_likelihood(current(x), tags, weights)
    damping = np.full_like(value, 1e-3)
    for _ in range(steps):
        new = _step(x, tags, weights, current, damping)
        reached = log_likelihood(new(x), tags, weights)
        better = reached > value
        current = Logistic(*(np.where(better, n, c) for n, c in zip(new, current, strict=True)))
        done = np.all(reached - value <= 1e-10 * np.abs(value))
        value = np.where(better, reached, value)
        damping = np.where(better, damping / 10, damping * 10)
        if done:
            break
    return Logistic(current.slope / spread, current.offset - current.slope * middle / spread)


def _step(x: Array, tags: Array, weights: Array | float, current: Logistic, damping: Array) -> Logistic:
    p = expit(current(x))
    residual, curvature = weights * (tags - p), weights * p * (1 - p)
    gradient = (residual * x).sum(0), residual.sum(0)
    aa, ab, bb = (curvature * x * x).sum(0), (curvature * x).sum(0), curvature.sum(0)
    # A score that is the same for all images has no curvature of its own: a share of the offset's keeps the
    # equations solvable, and the slope where it is.
    aa, bb = aa * (1 + damping) + 1e-9 * bb, bb * (1 + damping)
    scale = np.maximum(aa * bb - ab * ab, np.finfo(np.float64).tiny)
    slope = (bb * gradient[0] - ab * gradient[1]) / scale
    offset = (aa * gradient[1] - ab * gradient[0]) / scale
    return Logistic(current.slope + slope, current.offset + offset)
