"""KNN: the tags of the visually nearest images (Makadia, Pavlovic & Kumar, IJCV 2010)."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from kdgan.errors import UsageError
from kdgan.tagging.arrays import Array, at_least, fitted, training
from kdgan.tagging.baselines.neighbours import MEMORY, Engine, Metric, Neighbours, Votes

Transfer: TypeAlias = Literal["ranked", "greedy"]


class KNN:
    """Tags of an image from those of its nearest training images.

    The paper transfers a given number of tags: those of the nearest image first, then those that are frequent
    among the other neighbours. As scores of all K tags:

    - `ranked`: every neighbour gives its tags a share that falls with its rank r, as 1/√r, so that both matter
      at once: to be near, and to be many.
    - `greedy`: the paper's label transfer itself, carried on until every tag has its place. First come the tags of
      the nearest image, by their frequency in training; then the tags of the other neighbours, by local frequency
      times co-occurrence in training with the tags of the nearest image; then all others.

    Tags that no neighbour has are ordered by their frequency in training.

    Args:
        neighbours: how many nearest images, at most; all of them where there are fewer.
        transfer: `ranked` or `greedy`. Where one image's tags say little, as on Flickr, `ranked` is far better.
        metric: `cosine` or `euclidean`.
        memory: bytes that the search may use, see `Neighbours`.
        engine: what searches, see `Neighbours`.

    Raises:
        UsageError: for arguments other than these.
    """

    description = "The tags of the visually nearest photos (Makadia et al., 2010)."
    """Description in a sentence."""
    cost = 1.0
    """Rough time of a fit, in updates of plain training by the thousand: the time left is guessed from it."""

    def __init__(
        self,
        neighbours: int = 100,
        *,
        transfer: Transfer = "ranked",
        metric: Metric = "cosine",
        memory: int = MEMORY,
        engine: Engine = "numpy",
    ) -> None:
        at_least("neighbours", neighbours, 1)
        if transfer not in ("ranked", "greedy"):
            raise UsageError(f"transfer {transfer!r}: choose ranked or greedy")
        self.neighbours, self.transfer = neighbours, transfer
        self.metric, self.memory, self.engine = metric, memory, engine
        self._images: Neighbours | None = None

    def fit(self, features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> Self:
        """Keep the training images: features `(N, F)` and tags, bool `(N, K)`. Raises UsageError for other shapes."""
        x, y = training(features, tags)
        self._images = Neighbours(x, metric=self.metric, memory=self.memory, engine=self.engine)
        self._votes = Votes(y)
        self._frequency = y.mean(0)
        if self.transfer == "greedy":
            counts = y.astype(np.float64)
            self._together = counts.T @ counts
        return self

    def scores(self, features: ArrayLike | torch.Tensor) -> Array:
        """Scores `(M, K)` for features `(M, F)`; raises UsageError for another width, or before `fit`."""
        images = fitted(self._images, self)
        k = min(self.neighbours, len(images))
        indices = images.nearest(features, k).indices
        if self.transfer == "greedy":
            return self._greedy(indices)
        share = np.arange(1, k + 1) ** -0.5
        votes = self._votes(indices, np.tile(share / share.sum(), (len(indices), 1)))
        # Less than half of the least share: among tags that have votes it decides next to nothing.
        return np.asarray(votes + 0.5 * share[-1] / share.sum() * self._frequency)

    def _greedy(self, indices: Array) -> Array:
        nearest = self._votes(indices[:, :1])
        others = self._votes(indices[:, 1:]) if indices.shape[1] > 1 else np.zeros_like(nearest)
        product = others * (nearest @ self._together)
        product /= np.maximum(product.max(1, keepdims=True), 1)
        # Frequencies and products are at most 1: three tiers that do not meet.
        return np.where(nearest, 4 + self._frequency, np.where(product, 2 + product, self._frequency))
