"""Photos to fit baselines on, and their neighbours."""

from typing import Any

import numpy as np
import pytest

from kdgan.tagging.data import choose
from kdgan.tagging.scenes import scenes
from naive_baselines import NEIGHBOURS, Near, Sets, by_cosine


@pytest.fixture(scope="module")
def sets() -> Sets:
    data = choose(scenes().photos, "popular", count=12, seed=1)
    train, test = data.rows["train"][:400], data.rows["test"][:400]
    x = data.features.astype(np.float64)
    return Sets(x[train], data.targets[train], x[test], data.targets[test])


@pytest.fixture(scope="module")
def near(sets: Sets) -> Near:
    found: Any = ([], [], [], [])
    for row, image in enumerate(sets.x):
        order, distances = by_cosine(image, sets.x)
        found[0].append(order[order != row][:NEIGHBOURS])
        found[1].append(distances[order != row][:NEIGHBOURS])
    for image in sets.other_x:
        order, distances = by_cosine(image, sets.x)
        found[2].append(order[:NEIGHBOURS])
        found[3].append(distances[:NEIGHBOURS])
    return Near(*map(np.array, found))
