"""Dates and times of a column as numbers: days since 1970-01-01, seconds."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from kdgan.data.source import brief
from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

FORMS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ"),
    *("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y"),
)
"""Forms of dates that say all by themselves."""
DAY_FIRST, MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
"""Those of which only a whole column can tell one from the other."""
_SLASHED = r"^(\d{1,2})[/-](\d{1,2})[/-](\d{4})$"
_FIRST_YEAR = 1000
_TIME = re.compile(r"(\d{1,6}):([0-5]\d)(?::([0-5]\d(?:\.\d{1,9})?))?")


def has_zone(form: str) -> bool:
    """Whether dates of this form say where the clock stands."""
    return form.endswith(("Z", "%:z"))


def form_of(known: pl.Series, there: pl.Series) -> str | None:
    """The form of the dates of a column, None where it holds something else.

    Args:
        known: the texts, null where there is no value.
        there: those that are no nulls.

    Raises:
        UsageError: for something else among dates, years of two digits, and days that may be months.
    """
    name = known.name
    for form in FORMS:
        if not _parsed(there[:1], form).null_count():
            found = _parsed(known, form)
            odd = found.is_null() & known.is_not_null()
            if 0 < odd.sum() < 0.25 * len(there):
                row = int(odd.arg_max() or 0)
                raise wrong(
                    f"column {name!r} holds dates and, in {odd.sum():,} rows, something else "
                    f"({brief(known[row])} in row {row + 1}): mend it or leave the cell empty"
                )
            if not odd.any() and found.dt.year().min() >= _FIRST_YEAR:  # type: ignore[operator]
                return form
    if there.str.contains(r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}$").all():
        raise wrong(
            f"column {name!r} holds dates with years of two digits, such as {brief(there[0])}: write 2024-03-31"
        )
    return _slashed_form(there)


def _slashed_form(there: pl.Series) -> str | None:
    import polars as pl

    parts = there.str.extract_groups(_SLASHED).struct.unnest()
    if parts.null_count().sum_horizontal().item():
        return None
    first, second = (int(parts.to_series(place).cast(pl.Int64).max()) for place in (0, 1))  # type: ignore[arg-type]
    if (first > 12) == (second > 12):
        raise wrong(
            f"column {there.name!r} holds dates such as {brief(there[0])}, of which nobody can tell the day from the "
            "month: write 2024-03-31"
        )
    form = DAY_FIRST if first > 12 else MONTH_FIRST
    return None if moments(there, form).null_count() else form


def moments(text: pl.Series, form: str) -> pl.Series:
    """The dates without their zone, in UTC where they have one; null where a text is none of this form.

    Args:
        text: null where there is no value.
        form: one of `FORMS`, `DAY_FIRST` or `MONTH_FIRST`.
    """
    import polars as pl

    if form in (DAY_FIRST, MONTH_FIRST):
        fits = text.str.contains(_SLASHED)
        found = _parsed(text.str.replace_all("-", "/", literal=True), form)
    else:
        found = _parsed(text, form)
        fits = found.dt.year() >= _FIRST_YEAR  # %Y takes a 24, too
    return found.cast(pl.Datetime("us")).set(~fits.fill_null(value=False), None)


def any_moments(text: pl.Series, *, zone: bool) -> pl.Series:
    """The same of a text of any of `FORMS` that name a zone, or of those that do not."""
    import polars as pl

    found = pl.Series(text.name, [None] * len(text), pl.Datetime("us"))
    for form in FORMS:
        if has_zone(form) == zone and (found.is_null() & text.is_not_null()).any():
            found = found.fill_null(moments(text, form))
    return found


def days(series: pl.Series) -> pl.Series:
    """Days since 1970-01-01, in UTC where there is a zone, of dates with or without a time."""
    import polars as pl

    return series.cast(pl.Datetime("us")).cast(pl.Int64).cast(pl.Float64) / 86_400e6


def seconds(series: pl.Series) -> pl.Series:
    """Seconds of times of the day, since midnight, and of durations."""
    import polars as pl

    parts = {"ms": 1e3, "us": 1e6}.get(getattr(series.dtype, "time_unit", "ns") or "ns", 1e9)
    return series.cast(pl.Int64).cast(pl.Float64) / parts


def seconds_of_text(text: pl.Series) -> pl.Series:
    """Seconds of texts such as 12:30 or 12:30:05.5, null where a text is none."""
    import polars as pl

    matches = [None if each is None else _TIME.fullmatch(each) for each in text.to_list()]
    found = [None if match is None else _nanoseconds(*match.groups("0")) for match in matches]
    return seconds(pl.Series(text.name, found, pl.Int64).cast(pl.Duration("ns")))


def _nanoseconds(hours: str, minutes: str, whole: str) -> int:
    return (int(hours) * 3600 + int(minutes) * 60) * 10**9 + int(Decimal(whole) * 10**9)


def example_of(form: str, *, zone: bool) -> str:
    """A date of this form, for messages; of any form where it is empty."""
    import polars as pl

    moment = pl.Series([datetime(2024, 3, 31, 12, 30)])
    if form.endswith("%:z") or (zone and not form):
        moment = moment.dt.replace_time_zone("UTC")
    return str(moment.dt.strftime(form or ("%Y-%m-%d %H:%M:%S%:z" if zone else "%Y-%m-%d"))[0])


def _parsed(text: pl.Series, form: str) -> pl.Series:
    import polars as pl

    try:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return pl.Series(text.name, [None] * len(text), pl.Datetime("us"))
