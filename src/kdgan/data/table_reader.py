"""A table's columns as training learned them: a value that goes into a student's file and reads new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdgan.data.cells import NULLS, Reading
from kdgan.data.encoding import Encoding, absent_in
from kdgan.data.rows import cells_of
from kdgan.data.source import Array, listing
from kdgan.errors import UsageError, wrong

if TYPE_CHECKING:
    import polars as pl

MOST_COLUMNS = 10**6
_MOST_NULLS = 1000
_FEW_ROWS = 1000


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table: its name, how its cells are read, and how what they hold becomes inputs."""

    name: str
    reading: Reading
    encoding: Encoding

    def __post_init__(self) -> None:
        if self.encoding.kind != "left out" and (self.encoding.kind == "categories") != (
            self.reading.kind == "category"
        ):
            raise wrong(f"column {self.name!r} is read as {self.reading.kind} and is {self.encoding.kind}")

    def text(self, inputs: Array) -> str:
        """What the inputs of this column say of one row, for people: up to six digits of numbers."""
        if self.encoding.kind == "categories":
            return (
                self.encoding.categories[int(inputs.argmax())] if inputs.max() > 0.5 else "none that is known"
            )
        if self.encoding.marks_missing and inputs[1] > 0.5:
            return "missing"
        if self.reading.kind == "date":
            moment = np.datetime64(0, "s") + np.timedelta64(round(86400 * float(inputs[0])), "s")
            return str(moment).removesuffix("T00:00:00")
        if self.reading.kind == "truth":
            return "true" if inputs[0] > 0.5 else "false"
        return f"{inputs[0]:.6g}"


@dataclass(frozen=True, slots=True)
class TableReader:
    """What is made of a table's rows: plain values alone, which are checked wherever they come from.

    Attributes:
        columns: the input columns in their order, those too that are left out.
        nulls: the texts, in lower case, that stand for no value where a column does not hold categories.

    Raises:
        UsageError: for columns that no training could have given.

    Example:
        >>> age = TableColumn("age", Reading("number"), Encoding("numbers", mean=40.0))
        >>> cities = Encoding("categories", categories=("Oslo",))
        >>> reader = TableReader((age, TableColumn("city", Reading("category"), cities)))
        >>> inputs, notes = reader.read([{"age": "31", "city": "Oslo"}, {"age": "?", "city": "Rome"}])
        >>> inputs.tolist()
        [[31.0, 1.0], [40.0, 0.0]]
        >>> notes
        ('age: 1 missing, as the mean of training rows', "city: 1 rows hold what no training row holds: 'Rome'")
    """

    columns: tuple[TableColumn, ...]
    nulls: tuple[str, ...] = tuple(sorted(NULLS))

    def __post_init__(self) -> None:
        if len(self.columns) > MOST_COLUMNS:
            raise wrong(
                f"a table has {len(self.columns):,} input columns: at most {MOST_COLUMNS:,} can be read"
            )
        seen: set[str] = set()
        for column in self.columns:
            if column.name in seen:
                raise wrong(f"a table has more than one column {column.name!r}")
            seen.add(column.name)
        if not self.width:
            raise wrong("a table has no input column")
        if len(self.nulls) > _MOST_NULLS:
            raise wrong(f"{len(self.nulls):,} texts stand for no value: at most {_MOST_NULLS:,} can")

    @property
    def width(self) -> int:
        """The number of inputs, F."""
        return sum(column.encoding.width for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the F inputs."""
        return tuple(name for column in self.columns for name in column.encoding.names(column.name))

    def cells(self, inputs: Array) -> dict[str, str]:
        """What the inputs `(F,)` of a row say of each column, for people.

        Example:
            >>> age = TableColumn("age", Reading("number"), Encoding("numbers", mean=40.0))
            >>> TableReader((age,)).cells(np.array([31.0]))
            {'age': '31'}
        """
        found, start = {}, 0
        for column in self.columns:
            part = inputs[start : start + column.encoding.width]
            start += column.encoding.width
            if len(part):
                found[column.name] = column.text(part)
        return found

    def read(self, rows: Any) -> tuple[Array, tuple[str, ...]]:
        """Rows as inputs, each as it would have been among the rows of training.

        Texts are parsed as those of training were, wherever they are. Numbers, dates and truth values of typed tables
        are taken as they are; a date of training in days is a date here. What is missing is imputed.

        Args:
            rows: a polars or pandas DataFrame, a mapping from columns to lists of values, a list of mappings, or the
                path of a `.csv`, `.tsv` (both may be packed) or `.parquet` file. Columns are found by name, in any
                order; others than those of the inputs are not read.

        Returns:
            float64 `(N, F)`, and what people should know: categories that training did not hold, what was missing and
            what was not read.

        Raises:
            UsageError: for a column that is not there, and for a cell that does not fit: its column, its row (counted
                from 1) and what was expected.
        """
        used = [column for column in self.columns if column.encoding.width]
        nulls, name = frozenset(self.nulls), Path(rows).name if isinstance(rows, str | Path) else ""
        try:
            cells, others, notes = cells_of(rows, [column.name for column in used])
            values = _values(used, cells, nulls)
        except UsageError as error:
            said = str(error)
            raise wrong(said if said.startswith(name) else f"{name}: {said}") from error
        known = {column.name for column in self.columns}
        surplus = [name for name in others if name not in known]
        if surplus:
            notes.append(f"not read: {listing(surplus, limit=5)}")
        for column in used:
            notes += [f"{column.name}: {note}" for note in _about(column.encoding, values[column.name])]
        blocks = [column.encoding.inputs(values[column.name]) for column in used]
        return np.concatenate(blocks, axis=1), tuple(notes)


def _values(
    used: Sequence[TableColumn], cells: Mapping[str, pl.Series], nulls: frozenset[str]
) -> dict[str, Array]:
    """The values of each column; of few rows those of columns that are read alike at once, which is far faster."""
    import polars as pl

    groups: dict[object, list[TableColumn]] = {}
    for column in used:
        series = cells[column.name]
        alone = len(series) > _FEW_ROWS or series.dtype in (pl.Object, pl.Categorical, pl.Enum)
        groups.setdefault(column.name if alone else (column.reading, series.dtype), []).append(column)
    found: dict[str, Array] = {}
    for group in groups.values():
        names = [column.name for column in group]
        values = group[0].reading.values_of([cells[name] for name in names], nulls)
        found.update(zip(names, values, strict=True))
    return found


def _about(encoding: Encoding, values: Array) -> list[str]:
    """What people should know of values of a column."""
    absent = int(absent_in(values).sum())
    if encoding.kind == "numbers":
        return [f"{absent:,} missing, as the mean of training rows"] if absent else []
    unknown = encoding.unknown(values)
    found = [f"{absent:,} missing"] if absent else []
    if unknown.any():
        which = listing(dict.fromkeys(values[unknown]), limit=3)
        found.append(f"{unknown.sum():,} rows hold what no training row holds: {which}")
    return found
