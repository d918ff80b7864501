"""Rows of a table in whatever holds them: a file, a frame, columns by name, a list of rows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdgan.data.delimited import PACKED, SUFFIXES, read_delimited
from kdgan.data.source import brief, listing, unreadable
from kdgan.errors import wrong
from kdgan.files import quiet

if TYPE_CHECKING:
    import polars as pl

_NUMPY = {"b", "i", "u", "f", "m", "M"}
"""Kinds of arrays that polars takes as they are."""


def is_table(path: Path) -> bool:
    """Whether the name is that of a table, text or not, packed or not."""
    packed = path.suffix.lower() in PACKED
    suffix = Path(path.stem if packed else path).suffix.lower()
    return suffix in SUFFIXES or (suffix == ".parquet" and not packed)


def is_written(path: Path) -> bool:
    """Whether a table is a text file."""
    return path.suffix.lower() != ".parquet"


def read_frame(path: Path, *, name: str, whole: bool = False) -> tuple[pl.DataFrame, list[str]]:
    """The table in a file, and what was found out that is not the usual; of a text file all is text.

    Rows without any value are left out or, where the `whole` is wanted, refused.

    Raises:
        UsageError: for a file that cannot be read, and one without rows.
    """
    import polars as pl

    if is_written(path):
        return read_delimited(path, name=name, whole=whole)
    try:
        # An open file, because polars would take a path with brackets or stars for a pattern.
        with path.open("rb") as file, quiet():
            frame = pl.read_parquet(file)
    except OSError as error:
        raise unreadable(name, error) from error
    except (Exception, pl.exceptions.PanicException) as error:  # of any kind: the file may hold anything
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"{name} cannot be read as a .parquet table: {reason}") from error
    if frame.height == 0:
        raise wrong(f"{name} has no rows")
    return frame, []


def cells_of(rows: Any, wanted: Sequence[str]) -> tuple[dict[str, pl.Series], list[str], list[str]]:
    """The columns that are wanted, out of whatever holds rows, see `TableReader.read`.

    Returns:
        The columns in the order of `wanted`, the names of the others, and what was found out of a file.

    Raises:
        UsageError: for what holds no rows, and for columns that are not there.
    """
    import polars as pl

    notes: list[str] = []
    if isinstance(rows, str | Path):
        path = Path(rows)
        if not is_table(path):
            raise wrong(f"{path} is no table: expected .parquet, .csv or .tsv (these two may be packed)")
        rows, notes = read_frame(path, name=path.name, whole=True)
    pandas = sys.modules.get("pandas")
    if isinstance(rows, pl.DataFrame):
        columns: Mapping[str, Any] = {name: rows[name] for name in rows.columns}
    elif pandas is not None and isinstance(rows, pandas.DataFrame):
        columns = _by_name((name, _of_pandas(rows.iloc[:, place])) for place, name in enumerate(rows.columns))
    elif isinstance(rows, Mapping):
        columns = _by_name(rows.items())
    elif isinstance(rows, list | tuple) and rows and all(isinstance(row, Mapping) for row in rows):
        columns = _of_rows(rows)
    else:
        raise wrong(
            f"{brief(rows)} holds no rows: expected a DataFrame, a mapping from columns to their values, a list of "
            "mappings, or the path of a table"
        )
    absent = [name for name in wanted if name not in columns]
    if absent:
        raise wrong(
            f"there is no column {absent[0]!r}, which training had"
            f"{f' (nor {len(absent) - 1} more)' if absent[1:] else ''}: the columns are {listing(columns)}"
        )
    found = {name: _as_series(name, columns[name]) for name in wanted}
    lengths = {name: len(series) for name, series in found.items()}
    if len(set(lengths.values())) > 1:
        (one, more), (other, less) = Counter(lengths).most_common()[0], Counter(lengths).most_common()[-1]
        raise wrong(f"column {one!r} has {more:,} values, and {other!r} {less:,}")
    return found, [name for name in columns if name not in found], notes


def sort_of(cell: Any) -> object:
    """What polars can hold in one column without changing any of them."""
    if isinstance(cell, datetime):
        return datetime, cell.tzinfo is not None
    return int if type(cell) is float else type(cell)


def series_of(name: str, cells: Iterable[Any]) -> pl.Series:
    """Python objects as a column of their type, or of objects where they are of several.

    Raises:
        UsageError: for what no column can hold.
    """
    import polars as pl

    try:
        found = [_plain(cell) for cell in cells]
        if len({sort_of(cell) for cell in found if cell is not None}) > 1:
            return pl.Series(name, found, dtype=pl.Object)
        if any(type(cell) is float or _is_large(cell) for cell in found):
            found = [None if cell is None else _as_float(cell) for cell in found]
        return pl.Series(name, found)
    except Exception as error:  # of any kind: the cells may be anything
        raise wrong(f"column {name!r} holds what no column of a table can hold: {error}") from error


def _plain(cell: Any) -> Any:
    """A cell as an object of Python's own."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]")
    if getattr(cell, "ndim", None) == 0 and hasattr(cell, "item"):
        cell = cell.item()  # of numpy and torch
    if isinstance(cell, Decimal):
        return float(cell)
    return cell.astimezone(UTC) if isinstance(cell, datetime) and cell.tzinfo is not None else cell


def _is_large(cell: Any) -> bool:
    return type(cell) is int and abs(cell) >= 2**63


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _by_name(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found = [(str(name), values) for name, values in items]
    twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if twice:
        raise wrong(f"there is more than one column {twice[0]!r}")
    return dict(found)


def _of_rows(rows: Sequence[Mapping[Any, Any]]) -> dict[str, list[Any]]:
    named = [_by_name(row.items()) for row in rows]
    names = dict.fromkeys(name for row in named for name in row)
    for number, row in enumerate(named, start=1):
        absent = [name for name in names if name not in row]
        if absent:
            raise wrong(f"row {number} has no column {absent[0]!r}: give None where there is no value")
    return {name: [row[name] for row in named] for name in names}


def _as_series(name: str, values: Any) -> pl.Series:
    import polars as pl

    if isinstance(values, pl.Series):
        return values.alias(name)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(values, pandas.Series):
        return _as_series(name, _of_pandas(values))
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in _NUMPY:
        if values.dtype.kind in "mM":
            values = values.astype(f"{values.dtype.kind}8[us]")
        return pl.Series(name, values)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise wrong(f"column {name!r} is {brief(values)}: expected a list of its values, one for each row")
    return series_of(name, values)


def _of_pandas(series: Any) -> Any:
    """A pandas column as an array, a polars column, or a list of objects, without what polars would need more for."""
    import polars as pl

    if getattr(series.dtype, "tz", None) is not None:
        moments = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return pl.Series(moments.astype("M8[us]")).dt.replace_time_zone("UTC")
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in _NUMPY:
        return series.to_numpy()
    return series.astype(object).where(series.notna(), None).tolist()
