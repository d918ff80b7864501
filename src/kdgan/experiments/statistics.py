"""The honest comparison of methods over paired seeds: pure functions on numbers.

Metrics and their differences are in the units of their records, see `kdgan.ship.forms`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy.special import stdtr, stdtrit

from kdgan.errors import UsageError
from kdgan.experiments.records import Record
from kdgan.methods import METHODS
from kdgan.ship.forms import form_of
from kdgan.tasks.config import BASELINES

LEAST_SEEDS = 3
"""Seeds from which on a difference is concluded from."""


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
    def is_conclusive(self) -> bool:
        """Whether there are enough values to conclude from, which are not all equal by chance: two, or three equal ones
        as small test parts give, may well lie close together."""
        return self.n >= LEAST_SEEDS and self.sd is not None and self.sd > 0

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero, and is of enough values to say so."""
        outside = self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)
        return outside and self.is_conclusive


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
    # The quantile of Student's t, as scipy.stats has it, which takes a second to import.
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Interval:
    """Mean of a − b over the seeds that both have, with the interval of the paired t test.

    `a` and `b` map seeds to values. Raises UsageError where they share no seed.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise UsageError(f"no shared seed to pair: {sorted(a)} against {sorted(b)}")
    return mean_interval((a[seed] - b[seed] for seed in shared), confidence)


def holm(differences: Sequence[Interval], confidence: float = 0.95) -> list[Interval]:
    """The same means, each with an interval that is corrected for how many are compared (Holm, 1979).

    An interval excludes zero just where Holm's procedure finds a difference: where none of them has one, it finds any
    at all with a probability of at most 1 − `confidence`. Of k the clearest has the interval of confidence
    1 − (1 − `confidence`) / k, the next that with k − 1, and so on; from the first that includes zero on, all have
    the confidence of that one.

    Args:
        differences: of one family, as `paired_difference` gives them; those of a single value stay without an interval.
        confidence: of the family.

    Example:
        >>> clear, unclear = holm([mean_interval([1.0, 1.1, 1.2]), mean_interval([-0.1, 0.0, 0.2])])
        >>> clear.excludes_zero, unclear.excludes_zero
        (True, False)
    """
    found, level, rejects = list(differences), 1 - confidence, True
    for rank, place in enumerate(sorted(range(len(found)), key=lambda place: _p_value(found[place]))):
        each = found[place]
        if rejects:
            level = (1 - confidence) / (len(found) - rank)
            rejects = _p_value(each) <= level
        if each.sd is not None:
            half = float(stdtrit(each.n - 1, 1 - level / 2)) * each.sd / math.sqrt(each.n)
            found[place] = replace(each, low=each.mean - half, high=each.mean + half)
    return found


def _p_value(difference: Interval) -> float:
    """Of the two-sided t test for a mean of zero; 1 where there is nothing to test with."""
    if difference.sd is None or difference.mean == 0:
        return 1.0
    if difference.sd == 0:
        return 0.0
    t = abs(difference.mean) / (difference.sd / math.sqrt(difference.n))
    return 2 * float(stdtr(difference.n - 1, -t))


@dataclass(frozen=True, slots=True)
class Row:
    """One variant in one cell: what a row of a table is about.

    Attributes:
        cell: its name, such as `mnist-100`.
        name: of the variant.
        runs: its records, by seed.
        others: the records of all variants of the cell, itself included, by name.
        best: the best and the next of them that are no KDGAN, by metric, once one was asked for: shared by all rows of
            the cell, so that a row costs the same however many there are.
    """

    cell: str
    name: str
    runs: tuple[Record, ...]
    others: Mapping[str, tuple[Record, ...]]
    best: dict[str, list[str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its runs."""
        return tuple(run.seed for run in self.runs)

    def mean(self, metric: str) -> Interval | None:
        """The metric over seeds; None where no run has it."""
        values = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        return mean_interval(values) if values else None

    def minus(self, other: str | None, metric: str) -> Interval | None:
        """The metric minus that of another variant of the cell, paired; None for itself and where nothing pairs."""
        if other is None or other == self.name:
            return None
        mine, theirs = _by_seed(self.runs, metric), _by_seed(self.others.get(other, ()), metric)
        return paired_difference(mine, theirs) if mine.keys() & theirs.keys() else None

    def minus_corrected(self, other: str, metric: str) -> Interval | None:
        """The same with an interval that is corrected for how many variants of the cell are compared with that one."""
        differences = {
            name: found
            for name, runs in self.others.items()
            if (found := replace(self, name=name, runs=runs).minus(other, metric)) is not None
        }
        return dict(zip(differences, holm([*differences.values()]), strict=True)).get(self.name)

    def best_other(self, metric: str) -> str | None:
        """The other variant with the best mean, among those that are not KDGAN or a variant of it."""
        if metric not in self.best:
            means = {
                name: math.fsum(values) / len(values)
                for name, runs in self.others.items()
                if not name.startswith("kdgan") and (values := _by_seed(runs, metric).values())
            }
            self.best[metric] = []
            for _ in range(min(2, len(means))):
                self.best[metric].append(name := best_name(metric, means))
                del means[name]
        return next((name for name in self.best[metric] if name != self.name), None)

    def average(self, field: str) -> float | None:
        """The mean of a field of its records; None where not all of them have it."""
        values = [getattr(run, field) for run in self.runs]
        return None if None in values else math.fsum(values) / len(values)


def rows_of(records: Iterable[Record], cell: str | None = None) -> list[Row]:
    """A row for each variant of each cell: cells by name, variants as `ordered`.

    Args:
        records: the runs.
        cell: the one that all of them belong to; None for one of each data set and number of examples with labels, and
            without.

    Raises:
        UsageError: where a run is there twice.
    """
    cells: dict[tuple[str, int, int], dict[str, dict[int, Record]]] = {}
    for record in records:
        own = ("", 0, 0) if cell else (record.data, record.labels, record.unlabelled)
        by_name = cells.setdefault(own, {})
        by_seed = by_name.setdefault(record.method, {})
        if record.seed in by_seed:
            run = f"{record.method}, seed {record.seed} on {record.data} with {record.labels} labels"
            raise UsageError(f"{run} is there twice; keep one of the rows")
        by_seed[record.seed] = record
    rows = []
    for (data, labels, unlabelled), found in sorted(cells.items()):
        others = {name: tuple(run for _, run in sorted(found[name].items())) for name in ordered(found)}
        where = cell or _title(data, [labels], [unlabelled])
        best: dict[str, list[str]] = {}
        rows += [Row(where, name, runs, others, best) for name, runs in others.items()]
    return rows


def title_of(records: Sequence[Record]) -> str:
    """Title of the runs of one comparison: its data, and how many examples with labels, and without, which may differ
    by seed, where known.

    Raises:
        UsageError: where there is no run, or where runs of several data sets are mixed.
    """
    data = sorted({record.data for record in records})
    if len(data) != 1:
        raise UsageError(f"a comparison is about one data set, got {', '.join(data) or 'no runs'}")
    return _title(data[0], [record.labels for record in records], [record.unlabelled for record in records])


def _title(data: str, labels: Sequence[int], unlabelled: Sequence[int]) -> str:
    beside = f", {from_to(unlabelled)} unlabelled" if any(unlabelled) else ""
    return f"{data}, {from_to(labels)} labels{beside}" if any(labels) else data


def from_to(counts: Sequence[int]) -> str:
    """Counts as text, e.g. "100" where all are equal, or "98 to 100"."""
    return " to ".join(f"{count:,}" for count in dict.fromkeys([min(counts), max(counts)]))


def ordered(names: Iterable[str]) -> list[str]:
    """The distinct names: baselines without a network, then methods, the cheapest first, then others as they come."""
    found = list(dict.fromkeys(names))
    known = [name for name in (*BASELINES, *METHODS) if name in found]
    return known + [name for name in found if name not in known]


def best_name(metric: str, means: Mapping[str, float]) -> str:
    """The variant with the best mean of a metric, of equal ones the first; there must be one."""
    return (min if form_of(metric).less_is_better else max)(means, key=means.__getitem__)


def _by_seed(runs: Sequence[Record], metric: str) -> dict[int, float]:
    return {run.seed: run.metrics[metric] for run in runs if metric in run.metrics}
