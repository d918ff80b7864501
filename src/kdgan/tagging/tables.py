"""Parquet tables that come from anywhere: read, or refused in one line."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdgan.errors import one_line, wrong
from kdgan.files import quiet
from kdgan.tagging.files import check_regular

if TYPE_CHECKING:
    import polars as pl


def read_parquet(path: Path, columns: Sequence[str] = ()) -> pl.DataFrame:
    """The table in a Parquet file: all of it, or these columns.

    Raises:
        UsageError: if the file cannot be read, is no Parquet, or lacks one of the columns.
    """
    import polars as pl

    check_regular(path)
    try:
        # An open file, because polars would take a path with brackets or stars for a pattern, and a folder for a table.
        with path.open("rb") as file, quiet():
            names = pl.read_parquet_schema(file)
            missing = [column for column in columns if column not in names]
            if not missing:
                file.seek(0)
                return pl.read_parquet(file, columns=list(columns) or None)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n", 1)[0]
        raise wrong(f"{path} cannot be read as Parquet: {reason[:300]}") from error
    raise wrong(f"{path} has no column {missing[0]!r}: it has {listed(names)}")


def write_parquet(table: pl.DataFrame, path: Path) -> None:
    """Writes a table to a file that `kdgan.files` replaces.

    Raises:
        OSError: if it cannot be written.
    """
    import polars as pl

    try:
        with path.open("wb") as file:  # polars takes no path that is not UTF-8
            table.write_parquet(file)
    except pl.exceptions.PolarsError as error:
        # What the system said, such as a full disk, in an error of polars' own.
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def identifiers(table: pl.DataFrame, column: str, path: Path) -> list[str]:
    """A column of identifiers, text or whole numbers, as text.

    Raises:
        UsageError: if it holds anything else, or some are missing.
    """
    import polars as pl

    kind = table.schema[column]
    if not (is_text(kind) or kind.is_integer()):
        raise wrong(f"column {column!r} of {path} must hold text or whole numbers, not {told(kind)}")
    if table[column].null_count():
        raise wrong(f"column {column!r} of {path} must hold a value in every row, and some are missing")
    return table[column].cast(pl.String).to_list()


def texts(table: pl.DataFrame, column: str, path: Path) -> list[str | None]:
    """A column of texts; all None where there is none.

    Raises:
        UsageError: if it holds anything else.
    """
    import polars as pl

    if column not in table.columns:
        return [None] * len(table)
    kind = table.schema[column]
    if not is_text(kind) and kind != pl.Null:
        raise wrong(f"column {column!r} of {path} must hold texts, not {told(kind)}")
    return table[column].cast(pl.String).to_list()


def matrix(column: pl.Series, path: Path, name: str) -> NDArray[np.float32]:
    """A column of lists of numbers, all of one length, as float32 `(N, F)`.

    Raises:
        UsageError: if it holds anything else, or numbers that are missing, not finite or too large.
    """
    import polars as pl

    kind = column.dtype
    if not isinstance(kind, pl.List | pl.Array) or not kind.inner.is_numeric():
        raise wrong(f"column {name!r} of {path} must hold lists of numbers, not {told(kind)}")
    lengths = set(column.list.len().to_list()) if isinstance(kind, pl.List) else {kind.size}
    if len(lengths) != 1 or not lengths.isdisjoint((None, 0)) or column.null_count():
        raise wrong(
            f"column {name!r} of {path} must hold lists of one length, not of {sorted(map(str, lengths))[:5]}"
        )
    numbers = column.explode()
    if numbers.null_count():
        raise wrong(f"column {name!r} of {path} must hold numbers, and some are missing")
    # A copy: what polars lends cannot be written to, and torch wants that it could.
    matrix = np.array(numbers.cast(pl.Float32).to_numpy()).reshape(len(column), -1)
    if not np.isfinite(matrix).all():
        raise wrong(f"column {name!r} of {path} holds values that are not finite, or too large for float32")
    return matrix


def is_text(kind: pl.DataType) -> bool:
    """Whether a column of this type holds text."""
    import polars as pl

    return isinstance(kind, pl.String | pl.Categorical | pl.Enum)


def told(kind: pl.DataType) -> str:
    """A type in short: that of a structure names all its fields."""
    return str(kind)[:100]


def listed(names: Iterable[str]) -> str:
    """The names of columns, the first 30, in one printable line."""
    shown = list(names)
    return one_line(", ".join(shown[:30])) + (f" and {len(shown) - 30} more" if len(shown) > 30 else "")
