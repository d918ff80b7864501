"""Cells of a column of a table as numbers or categories, each read as the whole column was understood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kdgan.data.dates import (
    DAY_FIRST,
    FORMS,
    MONTH_FIRST,
    any_moments,
    days,
    example_of,
    has_zone,
    moments,
    seconds,
    seconds_of_text,
)
from kdgan.data.numerals import PLAIN, Numerals
from kdgan.data.rows import series_of, sort_of
from kdgan.data.source import Array, brief
from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

LARGEST = 1e100
"""Bound of numbers: the square of a larger one may be none."""
NULLS = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "missing", "?", "-", "--", ".")
)
"""Texts, in lower case, that stand for no value in a column of numbers, dates or truth values."""
TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the cells of a column are, and how they are written in text.

    Attributes:
        kind: "number"; "truth", as 1 and 0; "date", as days since 1970-01-01; "seconds" of a time or duration; or
            "category".
        numerals: how numbers are written.
        form: of dates in text; empty for those of a typed table, which in text may have any that is no riddle.
        zone: whether dates have a time zone. Their numbers are those of UTC; others are those of their own clock.
        keeps_empty: whether an empty text is a category, as in typed tables, and not a value that is missing.
    """

    kind: Literal["number", "truth", "date", "seconds", "category"]
    numerals: Numerals = PLAIN
    form: str = ""
    zone: bool = False
    keeps_empty: bool = False

    def __post_init__(self) -> None:
        if self.form and self.form not in (*FORMS, DAY_FIRST, MONTH_FIRST):
            raise wrong(f"{brief(self.form)} is no form of dates that is known")
        if self.form and self.zone != has_zone(self.form):
            raise wrong(
                f"dates of the form {self.form} {'have' if has_zone(self.form) else 'have no'} time zone"
            )

    @property
    def note(self) -> str:
        """What is made of the column, for people, where that is not plain."""
        return {"date": "days since 1970-01-01", "seconds": "seconds"}.get(self.kind, self.numerals.note)

    @property
    def expected(self) -> str:
        """What a cell must be, for messages."""
        if self.kind == "date":
            with_zone = "a time zone" if self.zone else "no time zone"
            return f"a date with {with_zone}, such as {example_of(self.form, zone=self.zone)}"
        return {
            "number": f"a number, such as {self.numerals.example}",
            "truth": "true or false",
            "seconds": "a time or duration, such as 12:30:00",
            "category": "text",
        }[self.kind]

    def values(self, series: pl.Series, nulls: frozenset[str] = NULLS) -> Array:
        """The values of a column, or of some of its cells, see `values_of`."""
        return self.values_of([series], nulls)[0]

    def values_of(self, columns: Sequence[pl.Series], nulls: frozenset[str] = NULLS) -> list[Array]:
        """The values of columns that are all read so, at once.

        Args:
            columns: the cells of each, of one length and type: texts, which are parsed as this reading says; what they
                are already in a typed table; or, of one column, Python objects.
            nulls: the texts, in lower case, that stand for no value.

        Returns:
            For each float64 `(N,)`, NaN where there is no value; for categories text `(N,)`, None where there is none.

        Raises:
            UsageError: for a cell that does not fit, with its row (counted from 1) and what was expected.
        """
        import polars as pl

        series = columns[0] if len(columns) == 1 else pl.concat(columns)
        values, odd = self._read(series, nulls)
        expected = self.expected
        if not odd.any() and self.kind == "number":
            odd, expected = np.abs(values) > LARGEST, f"numbers up to {LARGEST:g}"
        if odd.any():
            place, row = divmod(int(odd.argmax()), len(columns[0]))
            column = columns[place]
            raise wrong(
                f"column {column.name!r} holds {_shown(column, row)} in row {row + 1}, and must hold {expected}"
            )
        return list(values.reshape(len(columns), -1)) if len(series) else [values for _ in columns]

    def _read(self, series: pl.Series, nulls: frozenset[str]) -> tuple[Array, Array]:
        """The values, and where a cell does not fit."""
        import polars as pl

        if series.dtype == pl.Object:
            return self._of_objects(series, nulls)
        if is_text(series.dtype):
            text = series.cast(pl.String).str.strip_chars()
            if self.kind == "category":
                text = text if self.keeps_empty else text.set(text == "", None)
                return np.array(text.to_list(), dtype=object), np.zeros(len(text), bool)
            known = known_of(text, nulls)
            found = self._of_text(known)
            return _with_nan(found), (found.is_null() & known.is_not_null()).to_numpy()
        there = series.is_not_null()
        if series.dtype.is_float():
            there &= series.is_not_nan().fill_null(value=False)
        typed = self._of_typed(series) if there.any() else None
        if typed is None:
            return self._none(len(series)), there.to_numpy()
        if self.kind == "category":
            return np.array(typed.to_list(), dtype=object), np.zeros(len(typed), bool)
        return _with_nan(typed), (typed.is_null() & there).to_numpy()

    def _none(self, count: int) -> Array:
        return np.full(count, None, object) if self.kind == "category" else np.full(count, np.nan)

    def _of_text(self, known: pl.Series) -> pl.Series:
        """Numbers of texts, null where one does not fit."""
        import polars as pl

        if self.kind == "number":
            return self.numerals.numbers(known)
        if self.kind == "seconds":
            return seconds_of_text(known)
        if self.kind == "date":
            return days(moments(known, self.form) if self.form else any_moments(known, zone=self.zone))
        written = {**TRUTH, "1": 1.0, "0": 0.0}
        return known.str.to_lowercase().replace_strict(written, default=None, return_dtype=pl.Float64)

    def _of_typed(self, series: pl.Series) -> pl.Series | None:
        """Numbers, or texts of categories, of typed cells, null where one does not fit; None where no cell does."""
        import polars as pl

        kind = series.dtype
        is_number = kind.is_numeric() or kind == pl.Boolean
        if self.kind == "number" and is_number:
            return series.cast(pl.Float64)
        if self.kind == "truth" and is_number:
            numbers = series.cast(pl.Float64)
            return numbers.set(~numbers.is_in([0.0, 1.0]).fill_null(value=False), None)
        if self.kind == "seconds" and kind in (pl.Time, pl.Duration):
            return seconds(series)
        if self.kind == "date" and kind in (pl.Date, pl.Datetime):
            return days(series) if self.zone == (getattr(kind, "time_zone", None) is not None) else None
        return series.cast(pl.String) if self.kind == "category" and kind.is_integer() else None

    def _of_objects(self, series: pl.Series, nulls: frozenset[str]) -> tuple[Array, Array]:
        """The same of cells of several kinds, those of each kind at once."""
        import polars as pl

        sorts: dict[object, list[int]] = {}
        for row, cell in enumerate(series.to_list()):
            if cell is not None:
                sorts.setdefault(sort_of(cell), []).append(row)
        values, odd = self._none(len(series)), np.zeros(len(series), bool)
        for rows in sorts.values():
            cells = series_of(series.name, [series[row] for row in rows])
            if cells.dtype == pl.Object:
                odd[rows] = True
            else:
                values[rows], odd[rows] = self._read(cells, nulls)
        return values, odd


def is_text(kind: pl.DataType) -> bool:
    """Whether cells of this type are texts."""
    import polars as pl

    return kind in (pl.String, pl.Categorical, pl.Enum)


def known_of(text: pl.Series, nulls: frozenset[str]) -> pl.Series:
    """The texts, null where they stand for no value."""
    return text.set(text.str.to_lowercase().is_in(list(nulls)).fill_null(value=True), None)


def _with_nan(numbers: pl.Series) -> Array:
    return numbers.fill_null(math.nan).to_numpy()


def _shown(series: pl.Series, row: int) -> str:
    try:
        return brief(str(series[row]))
    except (ValueError, OverflowError):  # a date beyond those of Python
        return f"a {series.dtype} of no year that is known"
