"""KNN: the tags of the visually nearest images (Makadia, Pavlovic & Kumar, IJCV 2010)."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from kdgan.errors import UsageError
from kdgan.tags._arrays import Array, Fitted, as_features, at_least, training
from kdgan.tags.neighbours import MEMORY, Metric, Neighbours, Votes

Transfer: TypeAlias = Literal["votes", "greedy"]


class KNN(Fitted):
    """Tags of an image from those of its nearest training images.

    The paper transfers a given number of tags; its choice becomes scores of all K tags in two ways:

    - `votes`: the share of the neighbours that have the tag, the paper's local frequency with the nearest image
      among the rest. This is how the baseline is compared on social tags (Li et al., "Socializing the semantic
      gap", 2016), and better there than
    - `greedy`: the paper's label transfer, carried on until every tag has its place. First come the tags of the
      nearest image, by their frequency in training; then the tags of the other neighbours, by local frequency
      times co-occurrence in training with the tags already transferred; then all others.

    Ties, and tags that no neighbour has, are ordered by frequency in training.

    Args:
        neighbours: how many nearest images, at most; all of them where there are fewer.
        transfer: `votes` or `greedy`.
        metric, memory: see `Neighbours`.

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
    ) -> None:
        at_least("neighbours", neighbours, 1)
        if transfer not in ("votes", "greedy"):
            raise UsageError(f"transfer {transfer!r}: choose votes or greedy")
        self.neighbours, self.transfer, self.metric, self.memory = neighbours, transfer, metric, memory

    def fit(self, features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> Self:
        """Keep the training images: features `(N, F)`, tags bool `(N, K)`. Raises UsageError for other shapes."""
        x, y = training(features, tags)
        self._images = Neighbours(x, metric=self.metric, memory=self.memory)
        self._votes = Votes(y)
        self._frequency = y.mean(0)
        if self.transfer == "greedy":
            counts = y.astype(np.float64)
            self._together = counts.T @ counts
            np.fill_diagonal(self._together, 0)
        return self

    def scores(self, features: ArrayLike | torch.Tensor) -> Array:
        """Scores `(M, K)` for features `(M, F)`; raises UsageError for another width, or before `fit`."""
        images = self._fitted("_images")
        indices = images.nearest(features, min(self.neighbours, len(images))).indices
        if self.transfer == "greedy":
            return self._greedy(indices)
        shares = self._votes(indices)
        # Less than half of one vote, so that it only decides between equal ones.
        return shares + self._frequency / (2.1 * indices.shape[1])

    def _greedy(self, indices: Array) -> Array:
        nearest = self._votes(indices[:, :1])
        others = self._votes(indices[:, 1:]) if indices.shape[1] > 1 else np.zeros_like(nearest)
        product = others * (nearest @ self._together) * (1 - nearest)
        product /= np.maximum(product.max(1, keepdims=True), np.finfo(np.float64).tiny)
        # Three tiers, a whole number apart; the product is at most 1 and the frequency too.
        return 3 * nearest + np.where(product > 0, 1 + product, 0) + (nearest + (product == 0)) * self._frequency / 2
