"""Results of runs as rows of a file, and the honest comparison of methods over paired seeds.

Everything here is a pure function on numbers, except for reading and writing results.csv. Accuracies are in
per cent, differences of accuracies in percentage points, times in seconds.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from scipy import stats

from kdgan.errors import UsageError
from kdgan.files import replacing

CONTROL = "supervised"
METHOD_ORDER = (CONTROL, "distn", "mimic", "noisy", "codis", "codis3", "nagan", "kdgan")
"""The order of methods in every table and figure, the control first; methods not named here follow by name."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: one row of results.csv, whose columns are these fields in this order.

    `student_accuracy` and `teacher_accuracy` are on test data after the last step (None for no teacher);
    `best_epoch_accuracy` is what picking the best evaluation on test data would have shown; all accuracies are
    in per cent. `seconds` is the run's own training time, `pretraining_seconds` that of the shared teacher and
    discriminator it builds on. Raises UsageError for numbers that are not finite and text with line breaks.
    """

    data: str
    labels: int
    method: str
    seed: int
    student_accuracy: float
    teacher_accuracy: float | None
    best_epoch_accuracy: float
    student_updates: int
    seconds: float
    pretraining_seconds: float
    validation_accuracy: float | None
    student_parameters: int
    teacher_parameters: int | None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            good = value.isprintable() if isinstance(value, str) else value is None or abs(value) < math.inf
            if not good:
                where = f"{field.name} of {self.method!r}, seed {self.seed}"
                raise UsageError(f"{where}: {value!r} is not printable or finite")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval; `low`, `high` and `sd` are None for a single value (n is 1)."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval, in the unit of the mean; None where n is 1."""
        return None if self.high is None else self.high - self.mean

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero; never true for a single value."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """What the seeds of one method on one data set and number of labels show; see `summarise`."""

    data: str
    labels: int
    method: str
    seeds: tuple[int, ...]
    accuracy: Interval
    teacher: Interval | None
    best_epoch: Interval
    to_control: Interval | None
    best_baseline: str | None
    to_best_baseline: Interval | None
    seconds: float
    pretraining_seconds: float
    student_updates: tuple[int, int]
    student_parameters: int
    teacher_parameters: int | None


def write_results(path: str | Path, records: Iterable[RunRecord]) -> None:
    """Write `records` as CSV, atomically. Floats keep every bit, None becomes an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(field.name for field in fields(RunRecord))
    writer.writerows(astuple(record) for record in records)
    with replacing(Path(path)) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8", newline="")


def read_results(path: str | Path) -> list[RunRecord]:
    """Read what `write_results` wrote.

    Raises UsageError with one line that names the file and, where it applies, the row (the header is row 1)
    and the column: for a missing file, other columns, or a cell of the wrong type.
    """
    try:
        text = Path(path).read_bytes().decode()
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the results file: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a results file: {error}") from error
    hints = get_type_hints(RunRecord)
    header = rows[0] if rows else []
    if header != list(hints):
        raise UsageError(f"{path}, row 1: expected the columns {','.join(hints)}; got {','.join(header)!r}")
    records = []
    for number, row in enumerate(rows[1:], start=2):
        where = f"{path}, row {number}"
        if len(row) != len(hints):
            raise UsageError(f"{where}: expected {len(hints)} cells, data to {header[-1]}, got {len(row)}")
        named = zip(hints.items(), row, strict=True)
        values = [_from_cell(f"{where}, column {name}", cell, hint) for (name, hint), cell in named]
        records.append(RunRecord(*values))
    return records


def _from_cell(where: str, cell: str, hint: Any) -> Any:
    if hint is str and cell.isprintable():
        return cell
    if cell == "" and hint in (float | None, int | None):
        return None
    whole = hint in (int, int | None)
    with suppress(ValueError):  # said below, together with numbers that are not finite
        if whole:
            return int(cell)
        if hint is not str and math.isfinite(number := float(cell)):
            return number
    expected = "printable text" if hint is str else f"a {'whole' if whole else 'finite'} number"
    raise UsageError(f"{where}: expected {expected}, got {cell!r}")


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Mean of `values` with its Student t interval, in the unit of the values; one value has no interval.

    Raises UsageError for no values at all, or a `confidence` outside (0, 1).
    """
    numbers = [float(value) for value in values]
    if not numbers:
        raise UsageError("no values to average: expected at least one")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence}: expected a number between 0 and 1, such as 0.95")
    n = len(numbers)
    mean = math.fsum(numbers) / n
    if n == 1:
        return Interval(mean, None, None, None, 1)
    sd = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (n - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Interval:
    """Mean of a − b over the seeds that both have, with the interval of the paired t test.

    `a` and `b` map seeds to accuracies. Raises UsageError where they share no seed.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise UsageError(f"no shared seed to pair: {sorted(a)} against {sorted(b)}")
    return mean_interval((a[seed] - b[seed] for seed in shared), confidence)


def method_order(methods: Iterable[str]) -> list[str]:
    """The distinct `methods`: those of METHOD_ORDER first, in its order, then the others by name."""
    found = set(methods)
    return [name for name in METHOD_ORDER if name in found] + sorted(found.difference(METHOD_ORDER))


def summarise(records: Iterable[RunRecord]) -> list[MethodSummary]:
    """One summary per data set, number of labels and method, in that order, methods in canonical order.

    Differences are paired by seed. The best baseline of a method is the other method with the highest mean
    among those that are not KDGAN or a variant of it (a name that starts with "kdgan"); the control counts.
    A difference is None where there is nothing to compare with; `student_updates` is (fewest, most).
    Raises UsageError where a run is there twice.
    """
    settings: dict[tuple[str, int], dict[str, dict[int, RunRecord]]] = {}
    for record in records:
        by_seed = settings.setdefault((record.data, record.labels), {}).setdefault(record.method, {})
        if record.seed in by_seed:
            run = f"{record.method}, seed {record.seed} on {record.data} with {record.labels} labels"
            raise UsageError(f"{run} is there twice; keep one of the rows")
        by_seed[record.seed] = record
    return [_summary(method, runs) for _, runs in sorted(settings.items()) for method in method_order(runs)]


def _summary(method: str, by_method: Mapping[str, Mapping[int, RunRecord]]) -> MethodSummary:
    runs = [run for _, run in sorted(by_method[method].items())]
    accuracies = {name: {s: r.student_accuracy for s, r in rows.items()} for name, rows in by_method.items()}
    mine = accuracies[method]
    others = [name for name in method_order(by_method) if name != method and not name.startswith("kdgan")]
    best = max(others, key=lambda name: mean_interval(accuracies[name].values()).mean, default=None)
    updates = sorted(run.student_updates for run in runs)
    teachers = [run.teacher_accuracy for run in runs if run.teacher_accuracy is not None]

    def difference(other: str | None) -> Interval | None:
        theirs = accuracies.get(other, {}) if other and other != method else {}
        return paired_difference(mine, theirs) if mine.keys() & theirs.keys() else None

    return MethodSummary(
        data=runs[0].data,
        labels=runs[0].labels,
        method=method,
        seeds=tuple(run.seed for run in runs),
        accuracy=mean_interval(run.student_accuracy for run in runs),
        teacher=mean_interval(teachers) if teachers else None,
        best_epoch=mean_interval(run.best_epoch_accuracy for run in runs),
        to_control=difference(CONTROL),
        best_baseline=best,
        to_best_baseline=difference(best),
        seconds=mean_interval(run.seconds for run in runs).mean,
        pretraining_seconds=mean_interval(run.pretraining_seconds for run in runs).mean,
        student_updates=(updates[0], updates[-1]),
        student_parameters=runs[0].student_parameters,
        teacher_parameters=runs[0].teacher_parameters,
    )
