"""Labels as they lie in files: which examples have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

NONE = -1
"""The whole number that may stand for no label."""
_NO_LABELS = ["na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "?"]


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


def labels_of(series: pl.Series, *, written: bool) -> NDArray[Any]:
    """Labels `(N,)` as they are written: text, integers, truth values or numbers; None or NaN where there is none.

    Raises:
        UsageError: if no row has a label, or they are of another type.
    """
    import polars as pl

    name, kind = series.name, series.dtype
    absent = series.is_null()
    if kind in (pl.String, pl.Categorical, pl.Enum):
        series = series.cast(pl.String).str.strip_chars()
        absent = absent | (series == "").fill_null(True)
    elif kind.is_float():
        absent = absent | series.is_nan().fill_null(True)
    if absent.all():
        raise wrong(f"column {name!r}, the target, has no label in any row")
    if kind in (pl.String, pl.Categorical, pl.Enum):
        none = series.filter(series.str.to_lowercase().is_in(_NO_LABELS)) if written else series[:0]
        if len(none):
            raise wrong(
                f"column {name!r}, the target, holds {none[0]!r} in {len(none):,} rows: leave these cells empty, or "
                "call the class otherwise if it is one"
            )
        return np.array(series.to_list(), dtype=object)
    if kind.is_integer() and kind != pl.UInt64:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return _with_none(whole)
    if kind == pl.Boolean or kind.is_float():
        return series.to_numpy() if kind.is_float() else _with_none(series)
    if kind.is_integer() or kind.is_decimal() or kind == pl.Date:
        return np.array(series.cast(pl.String).to_list(), dtype=object)
    raise wrong(f"column {name!r} is the target and must hold text or numbers, not {kind}")


def _with_none(series: pl.Series) -> NDArray[Any]:
    return np.array(series.to_list(), dtype=object) if series.null_count() else series.to_numpy()
