"""KNN: the tags of the visually nearest images (Makadia, Pavlovic & Kumar, IJCV 2010)."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from kdgan.errors import UsageError
from kdgan.tags._arrays import Array, at_least, fitted, training
from kdgan.tags.neighbours import MEMORY, Engine, Metric, Neighbours, Votes

Transfer: TypeAlias = Literal["votes", "greedy"]


class KNN:
    """Tags of an image from those of its nearest training images.

    The paper transfers a given number of tags; its choice becomes scores of all K tags in one of two ways:

    - `votes`: the share of the neighbours that have the tag, the paper's local frequency, with the nearest image
      as one of them. Among equal shares the tag that is more frequent in training comes first. This is the form
      in which the baseline is compared on social tags (Li et al., "Socializing the semantic gap", 2016).
    - `greedy`: the paper's label transfer, carried on until every tag has its place. First come the tags of the
      nearest image, by their frequency in training; then the tags of the other neighbours, by local frequency
      times co-occurrence in training with the tags of the nearest image; then all others, by their frequency.

    Args:
        neighbours: how many nearest images, at most; all of them where there are fewer.
        transfer: `votes` or `greedy`. On Flickr's tags, where one photo's tags say little, votes are far better.
        metric: `cosine` or `euclidean`.
        memory: bytes that the search may use, see `Neighbours`.
        engine: what searches, see `Neighbours`.

    Raises:
        UsageError: for arguments other than these.
    """

    def __init__(
        self,
        neighbours: int = 100,
        *,
        transfer: Transfer = "votes",
        metric: Metric = "cosine",
        memory: int = MEMORY,
        engine: Engine = "numpy",
    ) -> None:
        at_least("neighbours", neighbours, 1)
        if transfer not in ("votes", "greedy"):
            raise UsageError(f"transfer {transfer!r}: choose votes or greedy")
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
        # The frequency is worth less than half a vote: it decides between equal shares only.
        return np.asarray(self._votes(indices) + self._frequency / (2.1 * k))

    def _greedy(self, indices: Array) -> Array:
        nearest = self._votes(indices[:, :1])
        others = self._votes(indices[:, 1:]) if indices.shape[1] > 1 else np.zeros_like(nearest)
        product = others * (nearest @ self._together)
        product /= np.maximum(product.max(1, keepdims=True), 1)
        # Frequencies and products are at most 1: three tiers that do not meet.
        return np.where(nearest, 4 + self._frequency, np.where(product, 2 + product, self._frequency))
