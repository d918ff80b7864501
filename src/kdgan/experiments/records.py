"""Records of runs as rows of CSV files: the outcome of each run, and its curves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from kdgan.errors import UsageError
from kdgan.files import replacing
from kdgan.stored import content_of
from kdgan.tasks.run import Outcome

Points: TypeAlias = Sequence[tuple[int, float]]
"""(updates of the student, value)."""
Curves: TypeAlias = Mapping[tuple[str, int], Mapping[str, Points]]
"""By variant and seed, and then by metric."""


@dataclass(frozen=True, slots=True)
class Record:
    """One run: one row of results.csv, which has these columns with a column for each metric in place of `metrics`.

    Attributes:
        data: what data.
        labels: labelled examples; 0 where the data have no length.
        method: the variant's name.
        seed: of the run.
        metrics: see `kdgan.tasks.Outcome`; each is a finite number.
        student_updates: of C, pretraining included; None without a network.
        seconds: the run's own training time; None where it was not kept.
        pretraining_seconds: that of the shared teacher and discriminator it builds on.
        student_parameters: numbers in C.
        teacher_parameters: numbers in T.
        unlabelled: examples without labels beside them; a column of its own, where there are any.

    Raises:
        UsageError: for numbers that are not finite, and text with line breaks.
    """

    data: str
    labels: int
    method: str
    seed: int
    metrics: Mapping[str, float]
    student_updates: int | None
    seconds: float | None
    pretraining_seconds: float | None
    student_parameters: int | None
    teacher_parameters: int | None
    unlabelled: int = 0

    def __post_init__(self) -> None:
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metrics"} | dict(
            self.metrics
        )
        for name, value in numbers.items():
            good = value.isprintable() if isinstance(value, str) else value is None or abs(value) < math.inf
            if not good:
                where = f"{name} of {self.method!r}, seed {self.seed}"
                raise UsageError(f"{where}: {value!r} is not printable or finite")


def record_of(data: str, method: str, seed: int, outcome: Outcome) -> Record:
    """The row of a run."""
    return Record(
        data=data,
        labels=outcome.labels,
        method=method,
        seed=seed,
        metrics=outcome.metrics,
        student_updates=outcome.student_updates,
        seconds=outcome.seconds,
        pretraining_seconds=outcome.pretraining_seconds,
        student_parameters=outcome.student_parameters,
        teacher_parameters=outcome.teacher_parameters,
        unlabelled=outcome.unlabelled,
    )


_BEFORE, _UNLABELLED = ("data", "labels", "method", "seed"), "unlabelled"
_AFTER = ("student_updates", "seconds", "pretraining_seconds", "student_parameters", "teacher_parameters")


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a file of records.

    Attributes:
        metrics: those that have a column, in their order.
        unlabelled: whether there is a column for examples without labels.
    """

    metrics: tuple[str, ...]
    unlabelled: bool

    @staticmethod
    def for_all(records: Iterable[Record]) -> Layout:
        """One that has room for all that the records say."""
        rows = list(records)
        metrics = dict.fromkeys(name for record in rows for name in record.metrics)
        return Layout(tuple(metrics), any(record.unlabelled for record in rows))

    @staticmethod
    def of(header: Sequence[str]) -> Layout | None:
        """That of a file with this first row; None where it is none of records."""
        found = Layout((), _UNLABELLED in header)
        before = len(found.header) - len(_AFTER)
        found = Layout(tuple(header[before : len(header) - len(_AFTER)]), found.unlabelled)
        return found if [*header] == found.header and len(set(header)) == len(header) else None

    @property
    def header(self) -> list[str]:
        """The first row."""
        return [*self._before, *self.metrics, *_AFTER]

    @property
    def _before(self) -> tuple[str, ...]:
        return (*_BEFORE[:2], _UNLABELLED, *_BEFORE[2:]) if self.unlabelled else _BEFORE

    def holds(self, record: Record) -> bool:
        """Whether there is a column for all that a record says."""
        return record.metrics.keys() <= {*self.metrics} and (self.unlabelled or not record.unlabelled)

    def cells(self, record: Record) -> list[Any]:
        """The row of a record."""
        before, after = ([getattr(record, name) for name in names] for names in (self._before, _AFTER))
        return [*before, *(record.metrics.get(name) for name in self.metrics), *after]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes records as CSV, atomically. Numbers keep every bit; None, and a metric that a run lacks, are empty."""
    rows = list(records)
    layout = Layout.for_all(rows)
    write_csv(path, [layout.header, *map(layout.cells, rows)])


def read_records(path: Path) -> list[Record]:
    """The records in a file of `write_records`.

    Raises:
        UsageError: naming the file and, where it applies, the row (the header is row 1) and the column: for a missing
            file, other columns, or a cell of the wrong type.
    """
    hints = {name: hint for name, hint in get_type_hints(Record).items() if name != "metrics"}
    header, *rows = _cells(path) or [[]]
    layout = Layout.of(header)
    if layout is None or (rows and not layout.metrics):
        expected = ",".join([*_BEFORE, "METRIC...", *_AFTER])
        raise UsageError(f"{path}, row 1: expected the columns {expected}; got {','.join(header)!r}")
    records = []
    for number, row in enumerate(rows, start=2):
        where = f"{path}, row {number}"
        if len(row) != len(header):
            raise UsageError(f"{where}: expected {len(header)} cells, data to {header[-1]}, got {len(row)}")
        values = {
            name: _from_cell(f"{where}, column {name}", cell, hints.get(name, float | None))
            for name, cell in zip(header, row, strict=True)
        }
        measured = {name: values.pop(name) for name in layout.metrics}
        found = {name: value for name, value in measured.items() if value is not None}
        records.append(Record(**values, metrics=found))
    return records


def write_curves(path: Path, curves: Curves, metrics: Sequence[str]) -> None:
    """Writes the curves of some metrics as CSV, atomically: method, seed, student_updates, and a column for each."""
    lines: list[Sequence[object]] = [["method", "seed", "student_updates", *metrics]]
    for (method, seed), by_metric in curves.items():
        at: dict[int, dict[str, float]] = {}
        for name in metrics:
            for updates, value in by_metric.get(name, ()):
                at.setdefault(updates, {})[name] = value
        for updates, found in sorted(at.items()):
            lines.append([method, seed, updates, *(found.get(name) for name in metrics)])
    write_csv(path, lines)


def read_curves(path: Path) -> dict[tuple[str, int], dict[str, list[tuple[int, float]]]]:
    """The curves in a file of `write_curves`.

    Raises:
        UsageError: if the file cannot be read, or holds something else.
    """
    curves: dict[tuple[str, int], dict[str, list[tuple[int, float]]]] = {}
    try:
        for row in read_csv(path):
            by_metric = curves.setdefault((row.pop("method"), int(row.pop("seed"))), {})
            updates = int(row.pop("student_updates"))
            for name, cell in row.items():
                if cell:
                    by_metric.setdefault(name, []).append((updates, float(cell)))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} does not hold curves") from error
    return curves


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by the names in its first.

    Raises:
        UsageError: if it cannot be read.
    """
    header, *rows = _cells(path) or [[]]
    return [dict(zip(header, row, strict=False)) for row in rows]


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    """Writes a CSV file, atomically; None becomes an empty cell."""
    with replacing(path) as temporary:
        temporary.write_bytes(as_csv(lines))


def as_csv(lines: Iterable[Sequence[object]]) -> bytes:
    """Rows as a CSV file holds them."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue().encode()


def _cells(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(content_of(path).decode(), newline=""), strict=True))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the results file: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a results file: {error}") from error


def _from_cell(where: str, cell: str, hint: Any) -> Any:
    if hint is str and cell.isprintable():
        return cell
    if cell == "" and hint in (float | None, int | None):
        return None
    whole = hint in (int, int | None)
    with suppress(ValueError):  # the message below is for these and for numbers that are not finite
        if whole:
            return int(cell)
        if hint is not str and math.isfinite(number := float(cell)):
            return number
    expected = "printable text" if hint is str else f"a {'whole' if whole else 'finite'} number"
    raise UsageError(f"{where}: expected {expected}, got {cell!r}")
