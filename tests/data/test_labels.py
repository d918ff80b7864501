"""Labels that are none."""

from typing import Any

import numpy as np
import pytest

from kdgan.data.labels import have_labels

AS_NONE, AS_CLASS = "-1 is taken for no label", "-1 is taken for a class"


@pytest.mark.parametrize(
    ("labels", "there", "said"),
    [
        (np.array([0, 1, 2]), "111", ""),
        (np.array([0, -1, 2]), "101", AS_NONE),
        (np.array([5, -1, -1, 0, 7]), "10011", AS_NONE),
        (np.array([1, -1, 1]), "111", AS_CLASS),  # two classes
        (np.array([0, -1, 0]), "111", AS_CLASS),
        (np.array([0, -1, -2, 1]), "1111", AS_CLASS),
        (np.array([0, -2, 1]), "111", ""),
        (np.array(["0", "-1", "2"]), "101", AS_NONE),
        (np.array(["1", "-1", "1"]), "111", AS_CLASS),
        (np.array(["1", "-1", "two"]), "111", ""),
        (np.array(["a", "", " ", "b"]), "1001", ""),
        (np.array(["a", None, "b", ""], dtype=object), "1010", ""),
        (np.array([0, None, 2**63, -1], dtype=object), "1010", AS_NONE),
        (np.array([True, None, False], dtype=object), "101", ""),
        (np.array([0.0, np.nan, 1.0]), "101", ""),
        (np.array([0.0, -1.0, 1.0, np.nan]), "1010", AS_NONE),
        (np.array([0.5, -1.0, 1.0]), "111", ""),
        (np.array([True, False]), "11", ""),
        (np.array([None, None], dtype=object), "00", ""),
        (np.array([], dtype=np.int64), "", ""),
        (np.array([255, 0, 1], np.uint8), "111", ""),
    ],
)
def test_what_is_no_label(labels: np.ndarray[Any, Any], there: str, said: str) -> None:
    found, notes = have_labels(labels)
    assert "".join("01"[each] for each in found.tolist()) == there
    assert "; ".join(notes).startswith(said)
    assert len(notes) == bool(said)
