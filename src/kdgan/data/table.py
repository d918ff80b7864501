"""Tables of one's own: `.csv`, `.tsv` and `.parquet`, one row per example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdgan.data.columns import Column, Missing, blocks_of, labels_of, understood
from kdgan.data.delimited import read_delimited
from kdgan.data.source import PARTS, Array, Part, Source, assemble, brief, fixed_split, listing, unreadable
from kdgan.errors import UsageError, wrong
from kdgan.files import quiet

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

    What is made of a column, and of values that are missing, see `kdgan.data.columns`; everything that is wrong with
    a table is said at once. A column `split` that holds "train" and "test", and perhaps "validation", decides the
    split; without it a fixed stratified fifth is the test part. `Source.columns` names the resulting inputs.

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
    written = path.suffix.lower() != ".parquet"
    frame, notes = read_delimited(path, name=name) if written else (_parquet(path, name), [])
    _check_names(frame, name, target, privileged, exclude)
    assert target is not None  # _check_names refuses None
    frame, problems = frame.drop(exclude), []
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
    columns: dict[str, Column] = {}
    for column in (*inputs, *privileged):
        try:
            columns[column] = understood(frame[column], written=written)
        except UsageError as error:
            problems.append(str(error))
    problems += (
        _doubtful_points(frame, columns, pointed=any("semicolons" in note for note in notes))
        if written
        else []
    )
    known = [[columns[each] for each in group if each in columns] for group in (inputs, privileged)]
    values, names, said, bad = blocks_of(known[0], is_train, missing, own)
    extra, _, more, worse = blocks_of(known[1], is_train, missing, own)
    problems += bad + worse
    if not problems and not names:
        why = f" ({'; '.join(said)})" if said else ""
        problems.append(f"no columns are left for the inputs besides {listing([target, *privileged])}{why}")
    if not problems and privileged and not extra.shape[1]:
        problems.append("no privileged columns are left")
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
    return assemble(name, "vector", *parts, columns=names, notes=notes)


def _followed_by(
    frame: pl.DataFrame, path: Path, left_out: Sequence[str | None], *, written: bool
) -> tuple[pl.DataFrame, list[str]]:
    """The table with the rows of another one below it, which have no values in the columns that are left out."""
    import polars as pl

    name = path.name
    if written != (path.suffix.lower() != ".parquet"):
        raise wrong(
            f"{name} must be a table of the same kind as the one with labels: .parquet, or text, as that is"
        )
    other, notes = read_delimited(path, name=name) if written else (_parquet(path, name), [])
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


def _kind(kind: pl.DataType) -> str:
    import polars as pl

    if kind in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    return "numbers" if kind.is_numeric() or kind == pl.Boolean else str(kind)


def _parquet(path: Path, name: str) -> pl.DataFrame:
    import polars as pl

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
    return frame


def _check_names(
    frame: pl.DataFrame, name: str, target: str | None, privileged: Sequence[str], exclude: Sequence[str]
) -> None:
    columns = listing(frame.columns, limit=30)
    if target is None:
        raise wrong(f"{name} is a table: name its column of labels with --target; its columns are {columns}")
    for column in (target, *privileged, *exclude):
        if column not in frame.columns:
            raise wrong(f"{name} has no column {column!r}: its columns are {columns}")
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
        if frame[column].dtype in (pl.String, pl.Categorical, pl.Enum):
            values = {PARTS.get(str(value).strip().lower()) for value in frame[column].unique().to_list()}
            if {"train", "test"} <= values and None not in values:
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


def _doubtful_points(frame: pl.DataFrame, columns: dict[str, Column], *, pointed: bool) -> list[str]:
    """Points of columns that may stand between thousands: where others have decimal commas, or where semicolons divide
    cells, as people do who write such."""
    if not pointed and not any("decimal commas" in column.note for column in columns.values()):
        return []
    found = []
    for name, column in columns.items():
        if column.numbers is None or column.note:
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
