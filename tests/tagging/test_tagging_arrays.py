"""Features and tags as arrays, whatever they were, and one line about what they cannot be."""

import numpy as np
import pytest
import torch

from kdgan.tagging.arrays import above, as_features, as_tags, at_least, fitted, matrix, training
from support import refused


def test_anything_with_rows_of_numbers_will_do() -> None:
    rows = [[1, 2], [3, 4]]
    for values in (rows, np.array(rows), torch.tensor(rows), torch.tensor(rows, dtype=torch.bfloat16)):
        found = as_features(values)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert found.tolist() == rows
    weight = torch.nn.Parameter(torch.ones(2, 3))
    assert matrix(weight, "weights").shape == (2, 3)
    assert as_tags([[0, 1], [1.0, 0]], 2).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([1.0, 2.0], ("one row of numbers per image", "(2,)")),
        ([[]], ("at least one of each",)),
        ([["a"]], ("<U1",)),
        ([[1.0], [1.0, 2.0]], ("cannot be made an array",)),
        ([[1.0], [float("nan")]], ("image 1", "NaN")),
        ([[1e99]], ("image 0", "too large")),
    ],
)
def test_features_of_another_form_are_refused(values: object, parts: tuple[str, ...]) -> None:
    with refused("features", *parts):
        as_features(values)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    with refused("3 columns", "expected 2"):
        as_features([[1.0, 2.0, 3.0]], width=2)
    with refused("tags are of 1 images", "2"):
        as_tags([[0, 1]], 2)
    with refused("image 1", "0 and 1"):
        as_tags([[0, 1], [0, 2]], 2)
    with refused("too few"):
        training([[1.0]], [[1]])
    with refused("no image has a tag"):
        training([[1.0], [2.0]], [[0], [0]])
    with refused("k 0", "1 or more"):
        at_least("k", 0, 1)
    with refused("c 0", "above 0"):
        above("c", 0, 0)
    with refused("int has learned nothing yet"):
        fitted(None, 3)
