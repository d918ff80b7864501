"""TagFeature (Chen, Xu, Tsang & Luo 2012) against a naive one."""

import numpy as np

from kdgan.tagging.baselines.tagfeature import TagFeature
from naive_baselines import NEIGHBOURS, Near, Sets, logistic_regression, same_map


def test_tagfeature(sets: Sets, near: Near) -> None:
    joined, other = (
        np.column_stack([x, [[sets.y[n, tag].mean() for tag in range(sets.y.shape[1])] for n in neighbours]])
        for x, neighbours in ((sets.x, near.own), (sets.other_x, near.other))
    )
    middle, spread = joined.mean(0), joined.std(0)
    joined, other = (joined - middle) / spread, (other - middle) / spread
    naive = np.empty(sets.other_y.shape)
    for tag in range(sets.y.shape[1]):
        w, b = logistic_regression(joined, sets.y[:, tag], 0.02, np.ones(len(joined)))
        naive[:, tag] = other @ w + b
    same_map(sets, TagFeature(NEIGHBOURS, c=0.02).fit(sets.x, sets.y).scores(sets.other_x), naive)
