"""Methods that recommend tags from the photo alone, without a network: what the paper's Table 2 compares with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kdgan.errors import UsageError
from kdgan.tags.neighbours import Neighbours, Votes

Floats = NDArray[np.floating]


class Baseline(Protocol):
    """Learns from photos with tags, then scores tags for other photos."""

    def fit(self, features: Floats, tags: NDArray[np.bool_]) -> Self:
        """Learns from features `(N, F)` and tags `(N, K)`."""

    def scores(self, features: Floats) -> Floats:
        """A score for every tag `(M, K)` of photos with features `(M, F)`."""


class KNN:
    """Tags of the visually nearest training photos (after Makadia, Pavlovic & Kumar, 2010).

    The paper transfers the tags of the nearest neighbour first and then the most frequent ones of the others; as a
    ranking of all tags, each neighbour here gives its tags a share that falls with its rank.

    Args:
        neighbours: how many.
    """

    def __init__(self, neighbours: int = 100) -> None:
        if neighbours < 1:
            raise UsageError(f"neighbours must be at least 1, not {neighbours}")
        self.neighbours = neighbours
        self._search: Neighbours | None = None
        self._votes: Votes | None = None

    def fit(self, features: Floats, tags: NDArray[np.bool_]) -> Self:
        """Keeps the training photos."""
        self._search, self._votes = Neighbours(features), Votes(tags)
        return self

    def scores(self, features: Floats) -> Floats:
        """Shares of the neighbours that have each tag, `(M, K)`."""
        if self._search is None or self._votes is None:
            raise UsageError("KNN has to be fitted before it can score")
        count = min(self.neighbours, len(self._search))
        found = self._search.nearest(features, count)
        weights = 1 / np.arange(1, count + 1) ** 0.5
        return self._votes(found.indices, np.tile(weights / weights.sum(), len(features)))


BASELINES: Mapping[str, type[Baseline]] = MappingProxyType({"knn": KNN})
"""By the name in options and results."""
