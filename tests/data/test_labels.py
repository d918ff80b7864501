"""Labels that are none."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.data.labels import Labels, have_labels, labels_of
from support import refused

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
    found, notes = have_labels(Labels.of(labels))
    assert "".join("01"[each] for each in found.tolist()) == there
    assert "; ".join(notes).startswith(said)
    assert len(notes) == bool(said)


@given(
    st.lists(
        st.sampled_from(["b", "a", "10", "9", "-1", "", " ", "é", "\U0001f600", None]),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 30),
)
def test_each_distinct_label_is_held_once_and_each_example_keeps_its_own(
    labels: list[str | None], cut: int
) -> None:
    array = np.array([*labels, None], dtype=object)
    found = Labels.of(array)
    own = [label for label in labels if label is not None and label.strip()]
    assert list(found.values) == sorted(set(own))
    there = [label if label is not None and label.strip() else None for label in array]
    assert [None if place < 0 else found.values[place] for place in found.places] == there
    assert len(found) == len(array)
    parts = [Labels.of(array[:cut]), Labels.of(array[cut:])]
    for joined in (Labels.joined(parts), Labels.joined([found[np.arange(cut)[: len(found)]], found[cut:]])):
        values, places, counts = joined.counted()
        assert list(values) == sorted(set(own))
        assert [None if place < 0 else values[place] for place in places] == there
        assert list(counts) == [own.count(value) for value in values]


@given(st.lists(st.sampled_from(["b", "a", "B ", "10", "9", "", " ", "é", "\U0001f600", None]), min_size=1))
def test_columns_of_text_become_what_their_array_becomes(labels: list[str | None]) -> None:
    stripped = np.array([None if label is None else label.strip() for label in labels], dtype=object)
    expected = Labels.of(stripped)
    series = pl.Series("y", labels, dtype=pl.String)
    if not len(expected.values):
        with refused("has no label in any row"):
            labels_of(series, written=True)
        return
    for column in (series, series.cast(pl.Categorical)):
        found = labels_of(column, written=True)
        assert list(found.values) == list(expected.values)
        assert found.places.tolist() == expected.places.tolist()


@pytest.mark.parametrize(
    ("series", "values", "places"),
    [
        (pl.Series("y", [3, None, 1, 3]), [1, 3], [1, -1, 0, 1]),
        (pl.Series("y", [3, 200, 3], dtype=pl.UInt8), [3, 200], [0, 1, 0]),
        (pl.Series("y", [True, None, False]), [False, True], [1, -1, 0]),
        (pl.Series("y", [0.5, None, float("nan"), -1.0]), [-1.0, 0.5], [1, -1, -1, 0]),
        (pl.Series("y", [2**63, 5, None], dtype=pl.UInt64), ["5", "9223372036854775808"], [1, 0, -1]),
        (pl.Series("y", [date(2024, 3, 2), date(2024, 1, 1)]), ["2024-01-01", "2024-03-02"], [1, 0]),
    ],
)
def test_columns_of_other_types(series: pl.Series, values: list[object], places: list[int]) -> None:
    found = labels_of(series, written=False)
    assert list(found.values) == values
    assert found.places.tolist() == places


def test_labels_of_parts_with_others_are_put_together() -> None:
    joined = Labels.joined(
        [Labels.of(np.array([7, 5, 7])), Labels.of(np.array([], np.int64)), Labels.of(np.array([6]))]
    )
    assert joined.values.tolist() == [5, 6, 7]
    assert joined.places.tolist() == [2, 0, 2, 1]
