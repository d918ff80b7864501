"""Columns of a table: what their cells are and how they are written, found out from all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdgan.data.cells import NULLS, TRUTH, Reading, is_text, known_of
from kdgan.data.dates import form_of, has_zone
from kdgan.data.numerals import look_like_numbers, numerals_of
from kdgan.data.source import Array, brief
from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

_EXACT = 2.0**53


def understood(series: pl.Series, *, written: bool) -> tuple[Reading, Array]:
    """How a column is to be read, and its values, see `Reading`.

    Args:
        series: the column; of a text file, all of it text.
        written: whether it is of a text file, so that text may be anything.

    Raises:
        UsageError: for nested values, infinite numbers, numbers among which there is something else, whole numbers
            that double precision cannot tell apart, and dates of which nobody knows the month.
    """
    import polars as pl

    reading = _of_written(series) if written and is_text(series.dtype) else _of_kind(series)
    values = reading.values(series)
    if reading.kind == "number" and (np.abs(values) > _EXACT).any():
        plain = series
        if is_text(series.dtype):
            plain = reading.numerals.plain(known_of(series.cast(pl.String).str.strip_chars(), NULLS))
        whole = plain.cast(pl.String).str.strip_chars_start("+0")
        whole = whole.filter(whole.str.contains(r"^-?\d+$"))
        if whole.n_unique() > whole.cast(pl.Float64).n_unique():
            raise wrong(
                f"column {series.name!r} holds whole numbers above 2^53, which double precision cannot tell apart: "
                "take something from all of them, or leave the column out if they only name the rows"
            )
    return reading, values


def _of_kind(series: pl.Series) -> Reading:
    """How a column of a typed table is read."""
    import polars as pl

    kind = series.dtype
    if is_text(kind):
        return Reading("category", keeps_empty=True)
    if kind == pl.Boolean:
        return Reading("truth")
    if kind.is_numeric() or kind == pl.Null:
        return Reading("number")
    if kind in (pl.Date, pl.Datetime):
        return Reading("date", zone=getattr(kind, "time_zone", None) is not None)
    if kind in (pl.Time, pl.Duration):
        return Reading("seconds")
    raise wrong(f"column {series.name!r} holds {kind}, of which no numbers can be made")


def _of_written(series: pl.Series) -> Reading:
    """How a column of a text file is read."""
    text = series.str.strip_chars()
    known = known_of(text, NULLS)
    there = known.drop_nulls()
    if there.is_empty():
        return Reading("number")
    if set(there.str.to_lowercase().unique()) <= set(TRUTH):
        return Reading("truth")
    numerals = numerals_of(there)
    odd = numerals.numbers(known).is_null() & known.is_not_null()
    if not odd.any():
        return Reading("number", numerals)
    if odd.sum() < 0.25 * len(there) or _stand_for_nothing(
        known.filter(odd), known.filter(~odd).drop_nulls()
    ):
        row = int(odd.arg_max() or 0)
        raise wrong(
            f"column {series.name!r} holds numbers and, in {odd.sum():,} rows, something else ({brief(text[row])}"
            f" in row {row + 1}): mend it or leave the cell empty; where numbers name categories, begin them with a"
            " letter"
        )
    form = form_of(known, there)
    if form is not None:
        return Reading("date", form=form, zone=has_zone(form))
    if look_like_numbers(there):
        raise wrong(
            f"column {series.name!r} holds numbers in a form that is not understood, such as {brief(there[0])}: write "
            "plain numbers; where they name categories, begin them with a letter"
        )
    return Reading("category")


def _stand_for_nothing(odd: pl.Series, numbers: pl.Series) -> bool:
    """Whether one or two texts among many different numbers say, as it seems, that there is none: `unknown`, `<21`."""
    return odd.n_unique() <= 2 and numbers.n_unique() > 4
