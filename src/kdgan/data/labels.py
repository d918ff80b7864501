"""Labels as they lie in files: each distinct one once, and which examples have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

NONE = -1
"""The whole number that may stand for no label."""
_NO_LABELS = ["na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "?"]


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of examples. Each distinct one is an object once, so that all that is done with a million costs little.

    Attributes:
        values: the distinct ones `(K,)` in ascending order, of any kind.
        places: which of them each example has, int64 `(N,)`; -1 where it has none.
    """

    values: NDArray[Any]
    places: NDArray[np.int64]

    @staticmethod
    def of(labels: NDArray[Any]) -> Labels:
        """Those in an array `(N,)`; None, NaN and empty text are no label."""
        there = np.ones(len(labels), bool)
        if labels.dtype.kind == "f":
            there = ~np.isnan(labels)
        elif labels.dtype.kind == "O":
            there = labels != np.array(None)  # each compared to it
        places = np.full(len(labels), -1)
        values, places[there] = np.unique(labels[there], return_inverse=True)
        empty = np.array([isinstance(value, str) and not value.strip() for value in values], bool)
        # The last of all is for examples without a label, whose place is -1.
        kept = np.append(np.where(empty, -1, np.cumsum(~empty) - 1), -1)
        return Labels(values[~empty], kept[places])

    @staticmethod
    def joined(parts: Sequence[Labels]) -> Labels:
        """Those of one part after another."""
        first = parts[0]
        if all(part.values is first.values for part in parts):
            return Labels(first.values, np.concatenate([part.places for part in parts]))
        values, known = np.unique(np.concatenate([part.values for part in parts]), return_inverse=True)
        own = np.split(known, np.cumsum([len(part.values) for part in parts])[:-1])
        places = [np.append(of_part, -1)[part.places] for of_part, part in zip(own, parts, strict=True)]
        return Labels(values, np.concatenate(places))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: NDArray[Any]) -> Labels:
        """Those of the examples at `index`."""
        return Labels(self.values, self.places[index])

    def counted(self) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """The distinct labels that occur, the place of each example's among them, and how often each occurs."""
        counts = np.bincount(self.places[self.places >= 0], minlength=len(self.values))
        there = counts > 0
        places = np.append(np.cumsum(there) - 1, -1)[self.places]
        return self.values[there], places, counts[there]


def have_labels(labels: Labels) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Which examples have a label, and what is to be said of that.

    -1 is none where the labels are whole numbers, written as text or not, it is the only negative one, and there are
    at least two others: beside 1 alone, or beside -2, it is a class.

    Args:
        labels: of all parts of the data.

    Returns:
        A mask `(N,)`, and notes for people.

    Example:
        >>> have_labels(Labels.of(np.array([0, 1, -1, 2])))[0].tolist()
        [True, True, False, True]
        >>> have_labels(Labels.of(np.array([1, -1, 1, -1])))[0].tolist()
        [True, True, True, True]
    """
    values, places, _ = labels.counted()
    there = places >= 0
    numbers = _whole(values)
    if numbers is None or not (numbers == NONE).any():
        return there, ()
    others = numbers[numbers != NONE]
    if len(others) < 2 or (others < 0).any():
        return there, (f"{NONE} is taken for a class: leave the label out where there is none",)
    there &= ~np.append(numbers == NONE, False)[places]
    return there, (f"{NONE} is taken for no label: if it is a class, call it otherwise",)


def _whole(values: NDArray[Any]) -> NDArray[Any] | None:
    """The distinct labels as numbers; None where not all of them are whole ones."""
    if values.dtype.kind == "b":
        return None
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if bool((numbers == np.rint(numbers)).all()) else None


def labels_of(series: pl.Series, *, written: bool) -> Labels:
    """Labels as they are written: text, integers, truth values or numbers.

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
        return _of_text(series.set(absent, None))
    if kind.is_integer() and kind != pl.UInt64:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return _of_numbers(whole)
    if kind == pl.Boolean or kind.is_float():
        return _of_numbers(series)
    if kind.is_integer() or kind.is_decimal() or kind == pl.Date:
        return _of_text(series.cast(pl.String))
    raise wrong(f"column {name!r} is the target and must hold text or numbers, not {kind}")


def _of_text(series: pl.Series) -> Labels:
    import polars as pl

    values = series.drop_nulls().unique().sort()
    places = series.cast(pl.Enum(values)).to_physical().cast(pl.Int64).fill_null(-1)
    return Labels(np.array(values.to_list(), dtype=object), places.to_numpy())


def _of_numbers(series: pl.Series) -> Labels:
    there = series.is_not_null().to_numpy()
    known = Labels.of(series.drop_nulls().to_numpy())
    places = np.full(len(series), -1)
    places[there] = known.places
    return Labels(known.values, places)
