"""Methods that recommend tags from the photo alone, without a network: what the paper's Table 2 compares with."""

from kdgan.tagging.baselines.knn import KNN
from kdgan.tagging.baselines.relexamples import RelExamples
from kdgan.tagging.baselines.tagfeature import TagFeature
from kdgan.tagging.baselines.tagprop import TagProp

__all__ = ["KNN", "RelExamples", "TagFeature", "TagProp"]
