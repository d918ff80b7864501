"""KNN (Makadia, Pavlovic & Kumar 2010) against a naive one."""

from collections.abc import Callable

import numpy as np
import pytest

from kdgan.tagging.baselines.knn import KNN, Transfer
from naive_baselines import NEIGHBOURS, Array, Near, Sets, same_map


def ranked(y: Array, neighbours: Array) -> list[float]:
    """Tags by the sum of 1/√rank over the neighbours that have them; by frequency where no neighbour has them."""
    total = sum(1 / rank**0.5 for rank in range(1, len(neighbours) + 1))
    return [
        sum(y[other, tag] / rank**0.5 for rank, other in enumerate(neighbours, 1)) / total
        + 1e-6 * y[:, tag].mean()
        for tag in range(y.shape[1])
    ]


def greedy(y: Array, neighbours: Array) -> list[float]:
    """The paper's steps, tag after tag: places in the ranking, the first one highest."""
    tags = range(y.shape[1])
    of_nearest = [tag for tag in tags if y[neighbours[0], tag]]
    places = sorted(of_nearest, key=lambda tag: -y[:, tag].sum())
    local = {tag: sum(y[other, tag] for other in neighbours[1:]) for tag in tags}
    together = {tag: sum((y[:, tag] & y[:, first]).sum() for first in of_nearest) for tag in tags}
    rest = [tag for tag in tags if tag not in places]
    places += sorted(
        (tag for tag in rest if local[tag] * together[tag]), key=lambda tag: -local[tag] * together[tag]
    )
    places += sorted((tag for tag in tags if tag not in places), key=lambda tag: -y[:, tag].sum())
    return [-float(places.index(tag)) for tag in tags]


@pytest.mark.parametrize(("transfer", "naive"), [("ranked", ranked), ("greedy", greedy)])
def test_knn(
    sets: Sets, near: Near, transfer: Transfer, naive: Callable[[Array, Array], list[float]]
) -> None:
    scores = KNN(NEIGHBOURS, transfer=transfer).fit(sets.x, sets.y).scores(sets.other_x)
    same_map(sets, scores, np.array([naive(sets.y, row) for row in near.other]))
