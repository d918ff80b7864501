"""Columns of a table as numbers, in double precision: measurements, dates, truth values and categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from kdgan.data.source import Array, brief, listing
from kdgan.errors import UsageError, wrong

if TYPE_CHECKING:
    import polars as pl

Missing: TypeAlias = Literal["impute", "refuse"]
MOST_CATEGORIES = 50
LEAST_ROWS = 20
"""Rows from which on a column with another value in each is taken for a name of the rows."""
LARGEST = 1e100
"""Bound of numbers: the square of a larger one may be none."""
NULLS = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "missing", "?", "-", "--", ".")
)
"""Texts, in lower case, that stand for no value in a column of numbers, dates or truth values of a text file."""
_NO_LABELS = ["na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "?"]
_TRUTH = frozenset(("true", "false"))
_EXACT = 2.0**53
_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ"),
    *("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y"),
)
_FIRST_YEAR = 1000
_BLANKS = " '’\u00a0\u202f"
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was understood.

    Attributes:
        name: of the column.
        numbers: float64 `(N,)`, NaN where there is no value; None for categories.
        categories: text `(N,)`, None where there is no value; None for numbers.
        note: what was made of it where that is not plain, or nothing.
    """

    name: str
    numbers: Array | None = None
    categories: Array | None = None
    note: str = ""

    @property
    def missing(self) -> Array:
        """Where there is no value, `(N,)` of truth values."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.categories is not None
        return np.array([value is None for value in self.categories], bool)


def understood(series: pl.Series, *, written: bool) -> Column:
    """The column as numbers or categories.

    Args:
        series: the column; of a text file, all of it text.
        written: whether it is of a text file, so that text may be anything.

    Raises:
        UsageError: for nested values, infinite numbers, numbers among which there is something else, whole numbers
            that double precision cannot tell apart, and dates of which nobody knows the month.
    """
    import polars as pl

    name, kind = series.name, series.dtype
    if kind == pl.Null:
        return Column(name, np.full(len(series), np.nan))
    if kind in (pl.String, pl.Categorical, pl.Enum):
        text = series.cast(pl.String).str.strip_chars()
        return _of_text(text.set(text == "", None)) if written else _categories(text)
    if kind.is_numeric() or kind == pl.Boolean:
        return Column(name, _finite(series.cast(pl.Float64), series))
    if kind in (pl.Date, pl.Datetime):
        return Column(name, _days(series), note="days since 1970-01-01")
    if kind in (pl.Time, pl.Duration):
        seconds = series.cast(pl.Int64).cast(pl.Float64) / {"ms": 1e3, "us": 1e6}.get(
            getattr(kind, "time_unit", "ns") or "ns", 1e9
        )
        return Column(name, seconds.to_numpy(), note="seconds")
    raise wrong(f"column {name!r} holds {kind}, of which no numbers can be made")


def encoded(
    column: Column, is_train: Array, missing: Missing, own: int | None = None
) -> tuple[Array, list[str], str]:
    """The column as float64 `(N, F)`, the names of its F numbers, and what is to be said of it.

    Numbers that are missing become the mean of the training rows, beside a column that says where; of categories each
    that occurs in training rows becomes a column, and what is missing is zero in all of them. A column without a
    value in any training row is left out.

    Args:
        column: of all rows.
        is_train: which rows are for training, `(N,)` of truth values.
        missing: what to do about values that are missing.
        own: how many rows, the first, are of one file, in which a column may number them; None for all.

    Raises:
        UsageError: for more than 50 categories, and where `missing` says so for values that are missing.
    """
    absent, name = column.missing, column.name
    if not (~absent & is_train).any():
        return np.empty((len(absent), 0)), [], "has no value in any training row and is left out"
    if missing == "refuse" and absent.any():
        rows = np.flatnonzero(absent)
        raise wrong(
            f"column {name!r} has no value in {len(rows):,} rows, the first of them row {rows[0] + 1}"
        )
    if column.categories is not None:
        there = [value for value in column.categories[is_train] if value is not None]
        values = sorted(set(there))
        if len(values) > MOST_CATEGORIES or len(values) == len(there) >= LEAST_ROWS:
            shown = listing(values, limit=3)
            raise wrong(
                f"column {name!r} is text with {len(values)} different values in {len(there)} rows ({shown}): at most "
                f"{MOST_CATEGORIES} that repeat can be categories; --exclude leaves it out"
            )
        block = column.categories[:, None] == np.array(values, dtype=object)
        other = int((~absent & ~block.any(1)).sum())
        said = f"{other:,} rows hold what no training row holds" if other else ""
        return block.astype(np.float64), [f"{name}={value}" for value in values], said
    assert column.numbers is not None
    if _counts_rows(column.numbers[:own]):
        return np.empty((len(absent), 0)), [], "numbers the rows and is left out"
    if not absent.any():
        return column.numbers[:, None], [name], column.note or _if_it_names_rows(column.numbers)
    mean = math.fsum(column.numbers[is_train & ~absent]) / int((is_train & ~absent).sum())
    filled = np.where(absent, mean, column.numbers)
    said = f"{column.note}; " if column.note else ""
    if not (absent & is_train).any():
        said += f"{absent.sum():,} missing in rows that are not for training, as the mean of those that are"
        return filled[:, None], [name], said
    return np.stack([filled, absent], 1), [name, f"{name} missing"], f"{said}{absent.sum():,} missing"


def _if_it_names_rows(numbers: Array) -> str:
    whole = bool((numbers == np.rint(numbers)).all())
    if len(numbers) < LEAST_ROWS or not whole or len(np.unique(numbers)) < len(numbers):
        return ""
    return "another whole number in each row: --exclude leaves it out if it only names them"


def labels_of(series: pl.Series, *, written: bool) -> Array:
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


def _with_none(series: pl.Series) -> Array:
    return np.array(series.to_list(), dtype=object) if series.null_count() else series.to_numpy()


def _of_text(text: pl.Series) -> Column:
    """What a column of a text file holds, stripped of spaces."""
    import polars as pl

    name = text.name
    absent = text.str.to_lowercase().is_in(list(NULLS)).fill_null(True)
    known = text.set(absent, None)
    there = known.drop_nulls()
    if there.is_empty():
        return Column(name, np.full(len(text), np.nan))
    if set(there.str.to_lowercase().unique()) <= _TRUTH:
        numbers = (known.str.to_lowercase() == "true").cast(pl.Float64)
        return Column(name, numbers.fill_null(math.nan).to_numpy())
    plain, note = _plain_numbers(known, there)
    numbers = plain.cast(pl.Float64, strict=False)
    parsed = len(there) - int((numbers.is_null() & known.is_not_null()).sum())
    if parsed == len(there):
        return Column(name, _finite(numbers, plain), note=note)
    if parsed > 0.75 * len(there):
        row = int((numbers.is_null() & known.is_not_null()).arg_max() or 0)
        raise wrong(
            f"column {name!r} holds numbers and, in {len(there) - parsed:,} rows, something else ({brief(text[row])}"
            f" in row {row + 1}): mend it or leave the cell empty; where numbers name categories, begin them with a"
            " letter"
        )
    days = _dates(known, there)
    if days is not None:
        return Column(name, days, note="days since 1970-01-01")
    if there.str.contains(rf"^[+-]?[€$£¥]?\s?\d[\d.,{_BLANKS}]*\s?[%€$£¥]?$").all():
        raise wrong(
            f"column {name!r} holds numbers in a form that is not understood, such as {brief(there[0])}: write plain "
            "numbers; where they name categories, begin them with a letter"
        )
    return _categories(text)


def _plain_numbers(known: pl.Series, there: pl.Series) -> tuple[pl.Series, str]:
    """Numbers as a computer writes them, where all are written with a decimal comma, a currency or per cent sign."""
    import polars as pl

    note = ""
    for sign in ("%", "€", "$", "£", "¥"):
        bare = there.str.strip_chars(f"{sign}{_BLANKS}")
        if there.str.contains(sign, literal=True).all() and bare.str.contains(r"^[+-]?[\d.,]").all():
            known, there, note = known.str.strip_chars(f"{sign}{_BLANKS}"), bare, f"numbers with {sign}"
            break
    known, there = (each.str.replace_all("\u2212", "-", literal=True) for each in (known, there))
    if (
        there.str.contains(rf"\d[{_BLANKS}]\d{{3}}").any()
        and there.str.contains(rf"^[+-]?\d{{1,3}}([{_BLANKS}]\d{{3}})*([.,]\d+)?$").all()
    ):
        known, there = (each.str.replace_all(f"[{_BLANKS}]", "") for each in (known, there))
        note = note or "blanks between thousands"
    if not there.str.contains(",", literal=True).any():
        return known, note
    thousands = r"[+-]?[1-9]\d{0,2}(,\d{3})+"
    if there.str.contains(f"^({thousands}|[+-]?\\d+)(\\.\\d+)?$").all():
        # 1,234 may be a thousand or one and a bit: only another number of the column can tell.
        if there.str.contains(r"\.|,\d{3},").any():
            return known.str.replace_all(",", "", literal=True), note or "commas between thousands"
        doubtful = brief(there.filter(there.str.contains(",", literal=True))[0])
        raise wrong(
            f"column {known.name!r} holds {doubtful}, where the comma may stand between thousands or before "
            "decimals: write plain numbers"
        )
    if there.str.contains(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)?(,\d*)?([eE][+-]?\d+)?$").all():
        plain = known.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        return plain.cast(pl.String), "; ".join(filter(None, (note, "decimal commas")))
    return known, note


def _dates(known: pl.Series, there: pl.Series) -> Array | None:
    import polars as pl

    for form in _DATES:
        if not _parsed(there[:1], form).null_count():
            found = _parsed(known, form)
            odd = found.is_null() & known.is_not_null()
            if 0 < odd.sum() < 0.25 * len(there):
                row = int(odd.arg_max() or 0)
                raise wrong(
                    f"column {known.name!r} holds dates and, in {odd.sum():,} rows, something else "
                    f"({brief(known[row])} in row {row + 1}): mend it or leave the cell empty"
                )
            if found.null_count() == known.null_count() and found.dt.year().min() >= _FIRST_YEAR:  # type: ignore[operator]
                return _days(found)
    if there.str.contains(r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}$").all():
        raise wrong(
            f"column {known.name!r} holds dates with years of two digits, such as {brief(there[0])}: write 2024-03-31"
        )
    slashed = there.str.extract_groups(r"^(\d{1,2})[/-](\d{1,2})[/-](\d{4})$").struct.unnest()
    if slashed.null_count().sum_horizontal().item():
        return None
    first, second = (int(slashed.to_series(place).cast(pl.Int64).max()) for place in (0, 1))  # type: ignore[arg-type]
    if (first > 12) == (second > 12):
        raise wrong(
            f"column {known.name!r} holds dates such as {brief(there[0])}, of which nobody can tell the day from the "
            "month: write 2024-03-31"
        )
    dashed = known.str.replace_all("-", "/", literal=True)
    found = _parsed(dashed, "%d/%m/%Y" if first > 12 else "%m/%d/%Y")
    return _days(found) if found.null_count() == known.null_count() else None


def _parsed(text: pl.Series, form: str) -> pl.Series:
    import polars as pl

    try:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return pl.Series(text.name, [None] * len(text), pl.Datetime("us"))


def _days(series: pl.Series) -> Array:
    import polars as pl

    moments = series.cast(pl.Datetime("us")).cast(pl.Int64).cast(pl.Float64) / 86_400e6
    return moments.fill_null(math.nan).to_numpy()


def _categories(text: pl.Series) -> Column:
    return Column(text.name, categories=np.array(text.to_list(), dtype=object))


def _finite(numbers: pl.Series, origin: pl.Series) -> Array:
    """The numbers with NaN for those that are missing, all of which can be computed with."""
    import polars as pl

    values = numbers.fill_null(math.nan).to_numpy()
    beyond = np.abs(values) > LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        raise wrong(
            f"column {numbers.name!r} holds {brief(str(origin[row]))} in row {row + 1}, and must hold numbers up to "
            f"{LARGEST:g}"
        )
    whole = origin.cast(pl.String).str.strip_chars_start("+0")
    whole = whole.filter(whole.str.contains(r"^-?\d+$"))
    if (np.abs(values) > _EXACT).any() and whole.n_unique() > whole.cast(pl.Float64).n_unique():
        raise wrong(
            f"column {numbers.name!r} holds whole numbers above 2^53, which double precision cannot tell apart: take "
            "something from all of them, or leave the column out if they only name the rows"
        )
    return values


def _counts_rows(numbers: Array) -> bool:
    """Whether the numbers count the rows, up or down."""
    steps = np.diff(numbers)
    return len(numbers) >= LEAST_ROWS and bool((steps == 1).all() or (steps == -1).all())


def blocks_of(
    columns: Sequence[Column], is_train: Array, missing: Missing, own: int | None = None
) -> tuple[Array, tuple[str, ...], list[str], list[str]]:
    """The columns beside each other as float64 `(N, F)`, the F names, what is to be said, and what is wrong."""
    blocks: list[Array] = []
    names: list[str] = []
    notes: list[str] = []
    problems: list[str] = []
    for column in columns:
        try:
            block, its_names, note = encoded(column, is_train, missing, own)
        except UsageError as error:
            problems.append(str(error))
            continue
        blocks.append(block)
        names += its_names
        if note:
            notes.append(f"{column.name}: {note}")
    whole = np.concatenate(blocks, axis=1) if blocks else np.empty((len(is_train), 0))
    return whole, tuple(names), notes, problems
