"""Tables of a report on runs: metrics, what networks take, confusions and single labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kdgan.experiments.footprint import Footprint
from kdgan.experiments.gathered import Gathered
from kdgan.experiments.run_words import Values
from kdgan.experiments.tables import NOTHING, Column, Table
from kdgan.ship.forms import bare, form_of
from kdgan.ship.speed import BATCHES, Latency
from kdgan.tasks.diagnosis import Value

MOST_CONFUSIONS = 15


def metrics_table(gathered: Gathered, values: Values, metrics: Sequence[str]) -> Table:
    """Players and differences in rows, metrics in columns."""
    columns = [
        Column("", str, words=True),
        *(Column(f"{bare(name)}{_unit(name)}", str) for name in metrics),
    ]
    cells = [
        [" − ".join(names), *(_value(found.get(name), name, len(names) == 2) for name in metrics)]
        for names, found in values.items()
    ]
    less = [f"less {bare(name)} is better" for name in gathered.metrics if form_of(name).less_is_better]
    over = f"{len(gathered.task.test):,} test examples, seed {gathered.seed}"
    if gathered.has_seeds:
        over = f"seeds; sizes, times and pictures: seed {gathered.seed}"
    return Table(columns, cells, f"{'; '.join([f'On test data, 95 % intervals over {over}', *less])}.")


def costs_table(costs: Mapping[str, Footprint]) -> Table:
    """What networks take in rows, networks in columns."""
    files = [*dict.fromkeys(file for each in costs.values() for file in each.files)]
    runtimes = [*dict.fromkeys(file for each in costs.values() for file in each.runtimes)]
    rows = [
        ["network", *(each.network for each in costs.values())],
        ["parameters", *(f"{each.parameters:,}" for each in costs.values())],
        *([f"{file}, bytes", *(_count(each.files.get(file)) for each in costs.values())] for file in files),
        ["operations (FLOPs) for an example", *(_flops(each.flops) for each in costs.values())],
        *(
            [f"memory at batch {count}, bytes", *(_count(each.memory[count]) for each in costs.values())]
            for count in BATCHES
        ),
        *(
            [f"PyTorch, batch {count}, ms", *(_latency(each.latency[count]) for each in costs.values())]
            for count in BATCHES
        ),
        *(
            [
                f"{file} in ONNX Runtime, batch {count}, ms",
                *(_runtime(each.runtimes.get(file), count) for each in costs.values()),
            ]
            for file in runtimes
            for count in BATCHES
        ),
    ]
    note = (
        "Times: median, and 95th percentile in brackets, of forward passes on the processor with one thread, warm. "
        "Networks of the same name are measured once."
    )
    return Table([Column("", str, words=True), *(Column(name, str) for name in costs)], rows, note)


def confusions_table(counts: Mapping[str, np.ndarray], labels: Sequence[str]) -> Table:
    """Confusions `(K, K)` by player, those that the first makes most often."""
    first = next(iter(counts.values()))
    off = first.copy()
    np.fill_diagonal(off, 0)
    rows, columns = np.unravel_index(np.argsort(-off, axis=None, kind="stable")[:MOST_CONFUSIONS], off.shape)
    cells = [
        [labels[true], labels[named], *(str(each[true, named]) for each in counts.values())]
        for true, named in zip(rows, columns, strict=True)
        if off[true, named]
    ]
    headers = [Column("true", str, words=True), Column("named", str, words=True)]
    note = f"Test examples, those that the {next(iter(counts))} confuses most often first."
    return Table([*headers, *(Column(name, str) for name in counts)], cells, note)


def labels_table(values: Mapping[str, np.ndarray], labels: Sequence[str], counts: np.ndarray) -> Table:
    """Average precision of each label in % `(K,)` by player, and how many test examples have it `(K,)`."""
    cells = [
        [label, str(counts[row]), *(_percent(each[row]) for each in values.values())]
        for row, label in enumerate(labels)
    ]
    columns = [Column("label", str, words=True), Column("test examples", str)]
    columns += [Column(name, str) for name in values]
    return Table(columns, cells, "Average precision on test data in %; – where no example has the label.")


def _unit(metric: str) -> str:
    unit = form_of(metric).unit
    return f", {unit}" if unit else ""


def _value(value: Value | None, metric: str, difference: bool) -> str:
    """Such as `91.20 (90.10 to 92.30)`."""
    if value is None:
        return NOTHING
    form = form_of(metric)
    number = form.signed if difference else form.text
    ends = (
        "" if value.low is None or value.high is None else f" ({number(value.low)} to {number(value.high)})"
    )
    return f"{number(value.value)}{ends}"


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _flops(value: int | None) -> str:
    return "not counted" if value is None else f"{value:,}"


def _latency(value: Latency) -> str:
    return f"{value.median:.3f} ({value.p95:.3f})"


def _runtime(found: Mapping[int, Latency] | str | None, count: int) -> str:
    if found is None:
        return NOTHING
    return "not measured" if isinstance(found, str) else _latency(found[count])


def _percent(value: float) -> str:
    return NOTHING if np.isnan(value) else f"{value:.2f}"
