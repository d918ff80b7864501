"""RelExamples: classifiers from relevant positive and relevant negative examples (Li & Snoek, ACM MM 2013)."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.preprocessing import StandardScaler

from kdgan.tagging.arrays import Array, above, as_features, at_least, fitted, training
from kdgan.tagging.baselines._linear import LinearScores, constant, regression
from kdgan.tagging.baselines._logistic import fit_logistic
from kdgan.tagging.baselines.neighbours import MEMORY, Metric, Neighbours, Votes

_CANDIDATES = 3  # times as many negatives are looked at in a round as are chosen
_MISSED = 0.01  # share of the candidates taken for images that lack the tag by their owner's omission


class RelExamples:
    """Per tag, an ensemble of linear classifiers of its relevant examples.

    - Relevant positives: of the images with the tag, those with the largest share of neighbours that have it too
      (tag relevance by neighbour voting, Li, Snoek & Worring, IEEE TMM 2009). The authors fuse this ranking with one
      by the meanings of an image's tags, which is left out here.
    - Relevant negatives, by negative bootstrapping: the first classifier gets random images without the tag; each
      later one those that the ensemble so far takes most for the tag, out of a random lot. The uppermost hundredth
      of that lot is passed over, as images whose owner forgot the tag.
    - The ensemble is the mean of its classifiers: logistic regressions in which both kinds weigh the same.
    - A logistic function per tag on all training images (Platt's scaling, as in the authors' code) makes the
      ensembles' values log-odds that compare between tags.

    Args:
        positives: how many relevant positives, at most.
        negatives: how many relevant negatives, at most; as many as the positives where those are more.
        rounds: classifiers per tag.
        neighbours: how many nearest images vote on tag relevance, at most.
        c: inverse strength of the classifiers' L2 penalty, above 0.
        metric: `cosine` or `euclidean`.
        memory: bytes that the search may use, see `Neighbours`.
        seed: of the random draws; the same seed gives the same scores.

    Raises:
        UsageError: for arguments other than these.
    """

    description = "Linear classifiers of relevant positive and negative photos (Li & Snoek, 2013)."
    """Description in a sentence."""
    cost = 20.0
    """Rough time of a fit, in updates of plain training by the thousand: the time left is guessed from it."""

    def __init__(
        self,
        positives: int = 500,
        negatives: int = 300,
        *,
        rounds: int = 5,
        neighbours: int = 100,
        c: float = 1e-4,
        metric: Metric = "cosine",
        memory: int = MEMORY,
        seed: int = 0,
    ) -> None:
        counts = {"positives": positives, "negatives": negatives, "rounds": rounds, "neighbours": neighbours}
        for name, value in counts.items():
            at_least(name, value, 1)
        above("c", c, 0)
        at_least("seed", seed, 0)
        self.positives, self.negatives, self.rounds, self.neighbours = (
            positives,
            negatives,
            rounds,
            neighbours,
        )
        self.c, self.metric, self.memory, self.seed = c, metric, memory, seed
        self._classifiers: LinearScores | None = None

    def fit(self, features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> Self:
        """Learn from features `(N, F)` and tags, bool `(N, K)`. Raises UsageError for other shapes."""
        x, y = training(features, tags)
        images = Neighbours(x, metric=self.metric, memory=self.memory)
        relevance = Votes(y)(images.nearest_others(min(self.neighbours, len(x) - 1)).indices)
        x = x.astype(np.float64)  # the regressions' line searches fail in float32
        scaler = StandardScaler().fit(x)
        x = scaler.transform(x)
        weights, offsets = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
        for tag, present in enumerate(y.T):
            if present.any() and not present.all():
                # A stream per tag: a tag's classifiers do not depend on which other tags there are.
                rng = np.random.default_rng([self.seed, tag])
                positives = _highest(np.flatnonzero(present), relevance[:, tag], self.positives)
                weights[:, tag], offsets[tag] = self._ensemble(x, positives, np.flatnonzero(~present), rng)
        scale = fit_logistic(x @ weights + offsets, y)
        fixed = y.all(0) | ~y.any(0)
        weights = np.where(fixed, 0, weights * scale.slope)
        offsets = np.where(fixed, [constant(present) for present in y.T], scale(offsets))
        self._classifiers = LinearScores(scaler, weights, offsets)
        return self

    def scores(self, features: ArrayLike | torch.Tensor) -> Array:
        """Log-odds `(M, K)` for features `(M, F)`; raises UsageError for another width, or before `fit`."""
        classifiers = fitted(self._classifiers, self)
        return classifiers(as_features(features, width=len(classifiers.weights)))

    def _ensemble(
        self, x: Array, positives: Array, negatives: Array, rng: np.random.Generator
    ) -> tuple[Array, float]:
        count = min(max(self.negatives, len(positives)), len(negatives))
        weights, offset = np.zeros(x.shape[1]), 0.0
        for done in range(self.rounds):
            lot = rng.choice(
                negatives, count if not done else min(_CANDIDATES * count, len(negatives)), replace=False
            )
            if done:
                passed = min(int(_MISSED * len(lot)), len(lot) - count)
                lot = _highest(lot, x @ weights, count + passed)[passed:]
            chosen = np.concatenate([positives, lot])
            present = np.arange(len(chosen)) < len(positives)
            new, new_offset = regression(x[chosen], present, self.c, class_weight="balanced")
            weights += (new - weights) / (done + 1)
            offset += (new_offset - offset) / (done + 1)
        return weights, offset


def _highest(images: Array, values: Array, count: int) -> Array:
    """The `count` of `images` (indices) with the highest `values` (of all images); the earlier where equal."""
    return np.asarray(images[np.argsort(-values[images], kind="stable")][:count])
