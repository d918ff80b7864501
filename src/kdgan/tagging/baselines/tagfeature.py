"""TagFeature: linear classifiers on image features joined with tag features (Chen et al., IEEE TMM 2012)."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.preprocessing import StandardScaler

from kdgan.tagging.arrays import Array, above, as_features, at_least, fitted, training
from kdgan.tagging.baselines._linear import LinearScores, constant, regression
from kdgan.tagging.baselines.neighbours import MEMORY, Metric, Neighbours, Votes


class TagFeature:
    """One linear classifier per tag, on what the image shows and on how its neighbours are tagged.

    The tag features of an image are the shares of its nearest training images (itself left out) that have each
    tag. Image and tag features are joined and standardised, and one logistic regression per tag scores them: unlike
    the margins of the paper's support vector machines, its log-odds compare between tags, as a ranking needs. A
    departure of more weight: where Chen et al. take the outputs of classifiers of frequent tags as tag features, these
    are votes of neighbours, which need no images but those to train on.

    Args:
        neighbours: how many nearest images vote, at most; all of them where there are fewer.
        c: inverse strength of the classifiers' L2 penalty, above 0.
        metric: `cosine` or `euclidean`.
        memory: bytes that the search may use, see `Neighbours`.

    Raises:
        UsageError: for arguments other than these.
    """

    description = "Linear classifiers on the photo and on its neighbours' tags (Chen et al., 2012)."
    """Description in a sentence."""
    cost = 5.0
    """Rough time of a fit, in updates of plain training by the thousand: the time left is guessed from it."""

    def __init__(
        self, neighbours: int = 100, *, c: float = 3e-3, metric: Metric = "cosine", memory: int = MEMORY
    ) -> None:
        at_least("neighbours", neighbours, 1)
        above("c", c, 0)
        self.neighbours, self.c, self.metric, self.memory = neighbours, c, metric, memory
        self._classifiers: LinearScores | None = None

    def fit(self, features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> Self:
        """Learn from features `(N, F)` and tags, bool `(N, K)`. Raises UsageError for other shapes."""
        x, y = training(features, tags)
        self._images = Neighbours(x, metric=self.metric, memory=self.memory)
        self._votes = Votes(y)
        indices = self._images.nearest_others(min(self.neighbours, len(x) - 1)).indices
        joined = np.hstack([x, self._votes(indices)])
        scaler = StandardScaler().fit(joined)
        joined = scaler.transform(joined)
        weights, offsets = np.zeros((joined.shape[1], y.shape[1])), np.zeros(y.shape[1])
        for tag, present in enumerate(y.T):
            if present.all() or not present.any():
                offsets[tag] = constant(present)
            else:
                weights[:, tag], offsets[tag] = regression(joined, present, self.c)
        self._classifiers = LinearScores(scaler, weights, offsets)
        return self

    def scores(self, features: ArrayLike | torch.Tensor) -> Array:
        """Log-odds `(M, K)` for features `(M, F)`; raises UsageError for another width, or before `fit`."""
        classifiers = fitted(self._classifiers, self)
        x = as_features(features, width=classifiers.scaler.n_features_in_ - classifiers.weights.shape[1])
        indices = self._images.nearest(x, min(self.neighbours, len(self._images))).indices
        return classifiers(np.hstack([x, self._votes(indices)]))
