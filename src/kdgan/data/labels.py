"""Labels as they lie in files: which examples have one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE = -1
"""The whole number that may stand for no label."""


def have_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Which examples have a label, and what is to be said of that.

    None, NaN and empty text are no label. -1 is none where the labels are whole numbers, written as text or not, it is
    the only negative one, and there are at least two others: beside 1 alone, or beside -2, it is a class.

    Args:
        labels: of all parts of the data, `(N,)`, of any kind.

    Returns:
        A mask `(N,)`, and notes for people.

    Example:
        >>> have_labels(np.array([0, 1, -1, 2]))[0].tolist()
        [True, True, False, True]
        >>> have_labels(np.array([1, -1, 1, -1]))[0].tolist()
        [True, True, True, True]
    """
    there = ~_empty(labels)
    values = np.unique(labels[there])
    numbers = _whole(values)
    if numbers is None or not (numbers == NONE).any():
        return there, ()
    others = numbers[numbers != NONE]
    if len(others) < 2 or (others < 0).any():
        return there, (f"{NONE} is taken for a class: leave the label out where there is none",)
    there &= ~np.isin(labels, values[numbers == NONE])
    return there, (f"{NONE} is taken for no label: if it is a class, call it otherwise",)


def _empty(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind == "f":
        missing: NDArray[np.bool_] = np.isnan(labels)
        return missing
    if labels.dtype.kind == "U":
        return np.array([not label.strip() for label in labels], bool)
    if labels.dtype.kind == "O":
        return np.array(
            [label is None or (isinstance(label, str) and not label.strip()) for label in labels], bool
        )
    return np.zeros(len(labels), bool)


def _whole(values: NDArray[Any]) -> NDArray[Any] | None:
    """The distinct labels as numbers; None where not all of them are whole ones."""
    if values.dtype.kind == "b":
        return None
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if bool((numbers == np.rint(numbers)).all()) else None
