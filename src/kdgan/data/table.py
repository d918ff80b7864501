"""Tables of one's own: `.csv`, `.tsv` and `.parquet`, one row per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kdgan.data.cells import Reading, is_text
from kdgan.data.columns import understood
from kdgan.data.encoding import Missing, fitted
from kdgan.data.labels import labels_of
from kdgan.data.rows import is_written, read_frame
from kdgan.data.source import PARTS, Array, Part, Source, assemble, brief, fixed_split, listing
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.data.unlike import odd_columns, of_other_size
from kdgan.errors import UsageError, wrong

if TYPE_CHECKING:
    import polars as pl

SPLIT = "split"
_SHOWN = 10


def read_table(
    path: Path,
    *,
    name: str,
    target: str | None,
    privileged: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Missing = "impute",
    unlabelled: Path | None = None,
) -> Source:
    """The rows of a table as vectors: numbers, truth values and dates as numbers, text as one column per value.

    What is made of a column see `kdgan.data.columns`, and of values that are missing `kdgan.data.encoding`; everything
    that is wrong with a table is said at once. A column `split` that holds "train" and "test", and perhaps
    "validation", decides the split; without it a fixed stratified fifth is the test part. `Source.columns` names the
    resulting inputs, and `Source.reader` makes them of further rows.

    Args:
        path: a `.csv` or `.tsv` file with a header, which may be packed, or a `.parquet` file.
        name: the name of the source.
        target: the column of the labels, which are taken as they are written.
        privileged: the columns that are known while training and not afterwards. All others are inputs.
        exclude: columns to leave out.
        missing: what to do about values that are missing.
        unlabelled: another table of the same kind, with these inputs and privileged columns by name. Its rows are for
            training and have no label, whatever else is in it.

    Raises:
        UsageError: for a file that cannot be read, columns that are not there, and columns that no numbers can be
            made of.
    """
    frame, notes = read_frame(path, name=name)
    _check_names(frame, name, target, privileged, exclude)
    assert target is not None  # _check_names refuses None
    return table_of(
        frame.drop(exclude),
        name=name,
        target=target,
        privileged=privileged,
        missing=missing,
        unlabelled=unlabelled,
        written=is_written(path),
        notes=notes,
    )


def table_of(
    frame: pl.DataFrame,
    *,
    name: str,
    target: str,
    privileged: Sequence[str] = (),
    missing: Missing = "impute",
    unlabelled: Path | None = None,
    written: bool = False,
    notes: Sequence[str] = (),
) -> Source:
    """The source that `read_table` makes of a frame with these columns; `written` where its values are text of a file.

    Raises:
        UsageError: see there.
    """
    notes, problems = [*notes], []
    part_of, labels = None, None
    decides, own = _split_column(frame, [target, *privileged]), frame.height
    if decides is not None:
        part_of = _given_split(frame[decides], name)
        notes.append(f"column {decides!r} decides the parts")
    if unlabelled is not None:
        frame, more = _followed_by(frame, unlabelled, (target, decides), written=written)
        notes += more
        part_of = None if part_of is None else np.append(part_of, ["train"] * (frame.height - own))
    try:
        labels = labels_of(frame[target], written=written)
        is_train = fixed_split(name, labels) if part_of is None else part_of == "train"
    except UsageError as error:
        problems.append(str(error).removeprefix(f"{name}: "))
        is_train = np.ones(frame.height, bool)
    inputs = [column for column in frame.columns if column not in (target, *privileged)]
    if decides is not None:
        inputs.remove(decides)
    found: dict[str, tuple[Reading, Array]] = {}
    for column in (*inputs, *privileged):
        try:
            found[column] = understood(frame[column], written=written)
            if unlabelled is not None:
                notes += _apart(frame[column], *found[column], own, name, unlabelled.name, written=written)
        except UsageError as error:
            problems.append(str(error))
    if written:
        readings = {column: reading for column, (reading, _) in found.items()}
        problems += _doubtful_points(frame, readings, pointed=any("semicolons" in note for note in notes))
    known = [{each: found[each] for each in group if each in found} for group in (inputs, privileged)]
    values, columns, said, bad = _encoded(known[0], is_train, missing, own)
    extra, _, more, worse = _encoded(known[1], is_train, missing, own)
    problems += bad + worse
    if not problems and not values.shape[1]:
        why = f" ({'; '.join(said)})" if said else ""
        problems.append(f"no columns are left for the inputs besides {listing([target, *privileged])}{why}")
    if not problems and privileged and not extra.shape[1]:
        problems.append("no privileged columns are left" + (f" ({'; '.join(more)})" if more else ""))
    if problems or labels is None:
        where = name if unlabelled is None else f"{name} followed by {unlabelled.name}"
        raise wrong(f"{where}: {_in_words(problems)}")
    whole = Part(values, labels, extra if privileged else None)
    notes += _short([*said, *more])
    if part_of is None:
        parts = [whole.rows(is_train), whole.rows(~is_train)]
    else:
        parts = [
            whole.rows(part_of == which) for which in ("train", "test", "validation") if which in part_of
        ]
    reader = TableReader(columns)
    source = assemble(name, "vector", *parts, columns=reader.names, notes=notes)
    return replace(source, reader=reader)


def _encoded(
    found: Mapping[str, tuple[Reading, Array]], is_train: Array, missing: Missing, own: int
) -> tuple[Array, tuple[TableColumn, ...], list[str], list[str]]:
    """The columns beside each other as float64 `(N, F)`, what was learned of them, what is to be said, and what is
    wrong."""
    blocks: list[Array] = [np.empty((len(is_train), 0))]
    columns: list[TableColumn] = []
    notes: list[str] = []
    problems: list[str] = []
    for name, (reading, values) in found.items():
        try:
            encoding, note = fitted(name, values, is_train, missing=missing, own=own, note=reading.note)
        except UsageError as error:
            problems.append(str(error))
            continue
        blocks.append(encoding.inputs(values))
        columns.append(TableColumn(name, reading, encoding))
        if note:
            notes.append(f"{name}: {note}")
    return np.concatenate(blocks, axis=1), tuple(columns), notes, problems


def _followed_by(
    frame: pl.DataFrame, path: Path, left_out: Sequence[str | None], *, written: bool
) -> tuple[pl.DataFrame, list[str]]:
    """The table with the rows of another one below it, which have no values in the columns that are left out."""
    import polars as pl

    name = path.name
    if path.is_dir() or path.suffix.lower() == ".npz":
        raise wrong(f"{name} is no table: beside a table, examples without labels come as another table")
    if written != is_written(path):
        raise wrong(
            f"{name} must be a table of the same kind as the one with labels: .parquet, or text, as that is"
        )
    other, notes = read_frame(path, name=name)
    wanted = [column for column in frame.columns if column not in left_out]
    for column in wanted:
        if column not in other.columns:
            raise wrong(
                f"{name} has no column {column!r}, which the table with labels has: {listing(other.columns)}"
            )
        kinds = [_kind(each[column].dtype) for each in (frame, other)]
        if kinds[0] != kinds[1] and pl.Null not in (frame[column].dtype, other[column].dtype):
            raise wrong(f"{name} holds {kinds[1]} in column {column!r}, and the table with labels {kinds[0]}")
    surplus = [column for column in other.columns if column not in wanted]
    notes = [f"{name}: {note}" for note in notes]
    if surplus:
        notes.append(f"{name}: not read: {listing(surplus, limit=5)}")
    texts = [column for column in wanted if _kind(frame[column].dtype) == "text"]
    both = [each.with_columns(pl.col(texts).cast(pl.String)) for each in (frame, other.select(wanted))]
    return pl.concat(both, how="diagonal_relaxed"), notes


def _apart(
    series: pl.Series,
    reading: Reading,
    numbers: Array,
    own: int,
    first_name: str,
    name: str,
    *,
    written: bool,
) -> list[str]:
    """A note where a column of the two tables can hardly mean the same: no category in both, or numbers of other units.

    Raises:
        UsageError: if the rows of the first, by themselves, would be no categories.
    """
    if reading.kind == "number":
        labelled, others = (
            torch.from_numpy(each[~np.isnan(each)])[:, None] for each in np.split(numbers, [own])
        )
        differ = bool(odd_columns(others, labelled))
        return [f"{series.name}: in {name} {of_other_size(first_name)}"] if differ else []
    if reading.kind != "category":
        return []
    first, further = series[:own], series[own:]
    values = [set(each.drop_nulls().to_list()) for each in (first, further)]
    if not all(values):
        return []
    alone = understood(first, written=written)[0].kind
    if alone != "category":
        what = {"number": "numbers", "truth": "truth values", "date": "dates", "seconds": "times"}[alone]
        odd = brief(sorted(map(str, values[1] - values[0]))[0])
        raise wrong(
            f"column {series.name!r} holds {what} with labels and in {name} something else, such as {odd}: write both "
            "in one way"
        )
    if values[0] & values[1]:
        return []
    return [f"{series.name}: no value of {name} is among those with labels"]


def _kind(kind: pl.DataType) -> str:
    import polars as pl

    if is_text(kind):
        return "text"
    return "numbers" if kind.is_numeric() or kind == pl.Boolean else str(kind)


def _check_names(
    frame: pl.DataFrame, name: str, target: str | None, privileged: Sequence[str], exclude: Sequence[str]
) -> None:
    columns = listing(frame.columns, limit=30)
    if target is None:
        raise wrong(f"{name} is a table: name its column of labels with --target; its columns are {columns}")
    absent = [
        column for column in dict.fromkeys((target, *privileged, *exclude)) if column not in frame.columns
    ]
    if absent:
        raise wrong(f"{name} has no column {listing(absent)}: its columns are {columns}")
    named = [target, *privileged, *dict.fromkeys(exclude)]
    twice = [column for column in named if named.count(column) > 1]
    if twice:
        raise wrong(f"column {twice[0]!r} can be only one of: the target, privileged once, or left out")


def _split_column(frame: pl.DataFrame, others: Sequence[str]) -> str | None:
    """The column `split`, or another one of text whose values all name parts, training and test among them."""
    import polars as pl

    for column in (each for each in frame.columns if each not in others):
        if column == SPLIT:
            return column
        if is_text(frame[column].dtype) and not frame[column].null_count():
            # Without looking at each value in Python: columns of numbers are text here, too.
            values = frame[column].unique().cast(pl.String).str.strip_chars().str.to_lowercase().unique()
            if values.is_in([*PARTS]).all() and {"train", "test"} <= {
                PARTS[value] for value in values.to_list()
            }:
                return column
    return None


def _given_split(column: pl.Series, name: str) -> Array:
    """The part of each row, `(N,)` of text."""
    where = f"{name}: column {column.name!r}"
    values = [PARTS.get(str(value).strip().lower()) for value in column.to_list()]
    if None in values:
        row = values.index(None)
        raise wrong(
            f"{where} holds {column[row]!r} in row {row + 1}: it must hold 'train' or 'test', or 'validation', in "
            "every row, or have another name if it is no split"
        )
    for part in ("train", "test"):
        if part not in values:
            raise wrong(f"{where} holds {part!r} in no row: both parts need examples")
    return np.array(values)


def _doubtful_points(frame: pl.DataFrame, readings: Mapping[str, Reading], *, pointed: bool) -> list[str]:
    """Points of columns that may stand between thousands: where others have decimal commas, or where semicolons divide
    cells, as people do who write such."""
    if not pointed and all(reading.numerals.commas != "decimal" for reading in readings.values()):
        return []
    found = []
    for name, reading in readings.items():
        if reading.kind != "number" or reading.note:
            continue
        text = frame[name].drop_nulls().str.strip_chars()
        points = text.filter(text.str.contains(".", literal=True))
        if len(points) and points.str.contains(r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$").all():
            found.append(
                f"column {name!r} holds {brief(points[0])}, where the point may stand between thousands or before "
                "decimals: write plain numbers"
            )
    return found


def _in_words(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    listed = "; ".join(f"({number}) {problem}" for number, problem in enumerate(problems[:_SHOWN], start=1))
    return f"{len(problems)} problems: {listed}{more}"


def _short(notes: Sequence[str]) -> list[str]:
    return [*notes[:_SHOWN], *([f"and {len(notes) - _SHOWN} more columns"] if len(notes) > _SHOWN else [])]
