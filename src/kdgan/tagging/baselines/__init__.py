"""Methods that recommend tags from the photo alone, without a network: what the paper's Table 2 compares with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, Self

from numpy.typing import ArrayLike

from kdgan.tagging.arrays import Array
from kdgan.tagging.baselines.knn import KNN
from kdgan.tagging.baselines.relexamples import RelExamples
from kdgan.tagging.baselines.tagfeature import TagFeature
from kdgan.tagging.baselines.tagprop import TagProp


class Baseline(Protocol):
    """Learns from photos with tags, then scores tags for other photos; made without arguments."""

    def fit(self, features: ArrayLike, tags: ArrayLike) -> Self:
        """Learns from features `(N, F)` and tags, bool `(N, K)`."""

    def scores(self, features: ArrayLike) -> Array:
        """A score for every tag, `(M, K)`, of photos with features `(M, F)`."""


BASELINES: Mapping[str, type[Baseline]] = MappingProxyType(
    {"knn": KNN, "tprop": TagProp, "tfeat": TagFeature, "rexmp": RelExamples}
)
"""By the name in options and results, in the order of Table 2."""
