"""What the naive baselines share: they are written from their papers in loops and formulas, and MAP is within 2 %.

Only the generated scenes and the ranking measures come from kdgan; neighbours, votes, likelihoods, classifiers and
random draws are their own.
"""

from typing import NamedTuple

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score

Array = np.ndarray
NEIGHBOURS = 20


class Sets(NamedTuple):
    """Features `(N, F)` and tags, bool `(N, K)`, of photos to learn from and of others."""

    x: Array
    y: Array
    other_x: Array
    other_y: Array


class Near(NamedTuple):
    """Nearest photos to learn from, `(N, k)`, with distances: of each of them, itself left out, and of the others."""

    own: Array
    own_distances: Array
    other: Array
    other_distances: Array


def same_map(sets: Sets, scores: Array, naive: Array) -> None:
    ours, theirs, chance = (
        label_ranking_average_precision_score(sets.other_y, each)
        for each in (scores, naive, np.zeros(scores.shape) + sets.y.mean(0))
    )
    assert theirs > chance * 1.04, "the naive one learned nothing: no comparison"
    assert ours == pytest.approx(theirs, rel=0.02)


def by_cosine(image: Array, images: Array) -> tuple[Array, Array]:
    """All images, the nearest first, and their distances."""
    distances = 1 - images @ image / np.sqrt((images**2).sum(1) * (image**2).sum())
    order = np.argsort(distances, kind="stable")
    return order, distances[order]


def logistic_regression(x: Array, present: Array, c: float, weights: Array) -> tuple[Array, float]:
    """The minimum of ½|w|² + c Σ weight · log(1 + e^{∓(w·x + b)}), by Newton's method."""
    ones = np.column_stack([x, np.ones(len(x))])
    penalty = np.append(np.ones(x.shape[1]), 0.0)
    w = np.zeros(len(penalty))
    for _ in range(30):
        p = 1 / (1 + np.exp(-ones @ w))
        slope = penalty * w + c * ones.T @ (weights * (p - present))
        if np.abs(slope).max() < 1e-8 * max(1, c):
            break
        w -= np.linalg.solve(np.diag(penalty) + c * (ones.T * (weights * p * (1 - p))) @ ones, slope)
    assert np.abs(slope).max() < 1e-6 * max(1, c)
    return w[:-1], float(w[-1])
