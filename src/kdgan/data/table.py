"""Tables of one's own: `.csv` and `.parquet`, one row per example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdgan.data.source import (
    Array,
    Part,
    Source,
    as_float32,
    assemble,
    check_finite,
    fixed_split,
    listing,
    unreadable,
)
from kdgan.errors import wrong

if TYPE_CHECKING:
    import polars as pl

SPLIT = "split"
MOST_CATEGORIES = 50


def read_table(path: Path, *, name: str, target: str | None, privileged: Sequence[str] = ()) -> Source:
    """The rows of a table as vectors: numbers and truth values as they are, text as one column per value.

    Text gets its columns from the values of the training part; any other value, and a missing one, is zero in
    all of them. A column `split` that holds "train" and "test" decides the split; without it a fixed stratified
    fifth is the test part. `Source.columns` names the resulting inputs.

    Args:
        path: a `.csv` file with a header, or a `.parquet` file.
        name: the name of the source.
        target: the column of the labels, which may be text, integers or truth values.
        privileged: the columns that are known while training and not afterwards. All others are inputs.

    Raises:
        UsageError: for a file that cannot be read, columns that are not there, labels or numbers that are
            missing, NaN or infinite, and columns of dates, nested values or text with more than 50 values.
    """
    frame = _read(path, name)
    _check_names(frame, name, target, privileged)
    assert target is not None  # _check_names refuses None
    labels = _labels(frame[target], f"{name}: column {target!r}")
    decided = SPLIT if SPLIT in frame.columns and SPLIT not in (target, *privileged) else None
    is_train = _given_split(frame[SPLIT], name) if decided else fixed_split(name, labels)
    inputs = [column for column in frame.columns if column not in (target, decided, *privileged)]
    if not inputs:
        raise wrong(f"{name} has no columns left for the inputs besides {listing([target, *privileged])}")
    values, columns = _numbers(frame, inputs, is_train, name)
    extra = _numbers(frame, privileged, is_train, name)[0] if privileged else None
    whole = Part(values, labels, extra)
    return assemble(name, "vector", whole.rows(is_train), whole.rows(~is_train), columns=columns)


def _read(path: Path, name: str) -> pl.DataFrame:
    import polars as pl

    try:
        # An open file, because polars would take a path with brackets or stars for a pattern.
        with path.open("rb") as file:
            if path.suffix.lower() == ".parquet":
                frame = pl.read_parquet(file)
            else:
                first = pl.read_csv(file, has_header=False, n_rows=1, infer_schema=False).row(0)
                twice = [column for column in first if column is not None and first.count(column) > 1]
                if twice:
                    raise wrong(f"{name} has more than one column {twice[0]!r}")
                file.seek(0)
                frame = pl.read_csv(file, infer_schema_length=None, try_parse_dates=True)
    except OSError as error:
        raise unreadable(name, error) from error
    except pl.exceptions.NoDataError as error:
        raise wrong(f"{name} is empty") from error
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:  # some damage makes polars panic
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"{name} cannot be read as a {path.suffix.lower()} table: {reason}") from error
    if frame.height == 0:
        raise wrong(f"{name} has no rows")
    return frame


def _check_names(frame: pl.DataFrame, name: str, target: str | None, privileged: Sequence[str]) -> None:
    columns = listing(frame.columns, limit=30)
    if target is None:
        raise wrong(f"{name} is a table: name its column of labels with --target; its columns are {columns}")
    for column in (target, *privileged):
        if column not in frame.columns:
            raise wrong(f"{name} has no column {column!r}: its columns are {columns}")
    for column in privileged:
        if column == target or privileged.count(column) > 1:
            raise wrong(f"column {column!r} can be only one of: the target, or privileged once")


def _labels(column: pl.Series, where: str) -> Array:
    _refuse_missing(column, where)
    if _is_text(column):
        return np.array(column.cast(str).to_list(), dtype=object)
    if column.dtype.is_integer() or _is_bool(column):
        return column.to_numpy()
    raise wrong(f"{where} is the target and must hold text or integers, not {column.dtype}")


def _given_split(column: pl.Series, name: str) -> Array:
    where = f"{name}: column {SPLIT!r}"
    _refuse_missing(column, where)
    values = np.array([str(value) for value in column])
    other = np.flatnonzero(~np.isin(values, ("train", "test")))
    if len(other):
        raise wrong(
            f"{where} holds {str(values[other[0]])!r} in row {other[0] + 1}: it must hold 'train' or 'test' in "
            "every row, or have another name if it is no split"
        )
    for part in ("train", "test"):
        if part not in values:
            raise wrong(f"{where} holds {part!r} in no row: both parts need examples")
    return np.asarray(values == "train")


def _numbers(
    frame: pl.DataFrame, names: Sequence[str], is_train: Array, name: str
) -> tuple[Array, tuple[str, ...]]:
    """The columns as float32 `(N, F)`, and the F names."""
    blocks: list[Array] = []
    columns: list[str] = []
    for column in names:
        series, where = frame[column], f"{name}: column {column!r}"
        if _is_text(series):
            block, values = _one_hot(series, is_train, where)
            columns += [f"{column}={value}" for value in values]
        elif series.dtype.is_numeric() or _is_bool(series):
            _refuse_missing(series, where)
            block = as_float32(series.cast(float).to_numpy())[:, None]
            check_finite(where, block)
            columns.append(column)
        else:
            raise wrong(
                f"{where} holds {series.dtype}, of which no numbers can be made: convert it or leave it out"
            )
        blocks.append(block)
    return np.concatenate(blocks, axis=1), tuple(columns)


def _one_hot(column: pl.Series, is_train: Array, where: str) -> tuple[Array, list[str]]:
    texts = np.array(column.cast(str).to_list(), dtype=object)
    values = sorted({text for text in texts[is_train] if text is not None})
    if not values:
        raise wrong(f"{where} has no value in any row for training: leave it out")
    if len(values) > MOST_CATEGORIES:
        shown = listing(values, limit=3)
        raise wrong(
            f"{where} is text with {len(values)} different values ({shown}): at most {MOST_CATEGORIES} can be"
        )
    return (texts[:, None] == np.array(values, dtype=object)).astype(np.float32), values


def _is_text(column: pl.Series) -> bool:
    import polars as pl

    return column.dtype in (pl.String, pl.Categorical, pl.Enum)


def _is_bool(column: pl.Series) -> bool:
    import polars as pl

    return column.dtype == pl.Boolean


def _refuse_missing(column: pl.Series, where: str) -> None:
    if column.null_count():
        row = column.is_null().arg_max()
        raise wrong(f"{where} has no value in row {(row or 0) + 1} (counted from 1, below the header)")
