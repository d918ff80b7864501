"""The tables of the paper's studies: columns, notes, and rows that are no variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kdgan.experiments import tables
from kdgan.experiments.statistics import Row, mean_interval
from kdgan.experiments.study import Results
from kdgan.experiments.tables import NOTHING, Column, plus_minus
from kdgan.paper import figures
from kdgan.paper.cells import published
from kdgan.ship.forms import SCALED


def published_mean(metric: str, header: str) -> Column:
    """The paper's mean."""

    def text(row: Row) -> str:
        value = published(metric, row.cell, row.name)
        return NOTHING if value is None else f"{value:.2f}"

    return Column(header, text)


def teacher(metric: str, *, interval: bool) -> Column:
    """T's metric at the end."""
    return tables.mean(f"teacher/{metric}", "teacher", interval=interval)


def sizes(results: Sequence[Results]) -> list[list[str]]:
    """By method and size: accuracy, and the smallest that is within half a point of the largest."""
    cells = []
    found: dict[str, dict[int, list[Row]]] = {}
    for row in (row for each in results for row in each.rows):
        by_size = found.setdefault(row.name.partition(":")[0], {})
        by_size.setdefault(row.runs[0].student_parameters or 0, []).append(row)
    for method, by_size in found.items():
        means = {
            size: mean_interval(run.metrics["accuracy"] for row in rows for run in row.runs)
            for size, rows in by_size.items()
        }
        enough = min(size for size, each in means.items() if each.mean >= means[max(means)].mean - 0.5)
        for size in sorted(by_size):
            teacher = by_size[size][0].runs[0].teacher_parameters
            cells.append(
                [
                    method,
                    f"{size:,}",
                    plus_minus(means[size]),
                    NOTHING if teacher is None else f"{teacher / size:.1f}",
                    "smallest within 0.5 points of the largest" if size == enough else "",
                ]
            )
    return cells


def variance(results: Sequence[Results]) -> list[list[str]]:
    """By gradient: means over the game and over seeds."""
    cells = []
    for each in results:
        for gradient, label in figures.GRADIENTS.items():
            means = [_mean(each, f"{what}/{gradient}") for what in ("variance", "signal", "bias")]
            shown = [NOTHING if mean is None else f"{mean:.2e}" for mean in means]
            noise, signal = means[:2]
            shown.insert(2, f"{noise / signal:.1f}" if noise and signal and signal > 0 else NOTHING)
            if noise is not None:
                cells.append([each.cell, label, *shown])
    return cells


def _mean(results: Results, name: str) -> float | None:
    values = [value for curves in results.curves.values() for _, value in curves.get(name, ())]
    return math.fsum(values) / len(values) if values else None


def plain(*headers: str, words: Sequence[str]) -> list[Column]:
    """Columns of a table whose rows are no variants."""
    return [Column(header, str, words=header in words) for header in headers]


_IN_PERCENT = (
    "In %, on test data after the last step; ± half of the 95 % interval; differences paired by seed, "
    "each interval by itself."
)

TABLE_1: dict[str, Any] = {
    "columns": [
        tables.cell(),
        tables.name(),
        tables.seeds(),
        tables.mean("accuracy"),
        tables.less_than("kdgan", "accuracy", "KDGAN − it"),
        tables.best_epoch("accuracy"),
        teacher("accuracy", interval=False),
        published_mean("accuracy", "paper"),
        tables.seconds(),
    ],
    "note": (
        "Test accuracy in % after the last step; ± half of the 95 % interval. KDGAN − it: points, paired by seed, "
        "each interval by itself. Best "
        "epoch: what choosing it on test data would have added. Teacher: T at the end. Paper: the published mean. "
        "Seconds: own + shared pretraining, beside other work."
    ),
}

VARIANTS: dict[str, Any] = {
    "columns": [
        tables.cell(),
        tables.name("variant"),
        tables.seeds(),
        tables.mean("accuracy"),
        tables.minus("kdgan", "accuracy", "it − KDGAN"),
        teacher("accuracy", interval=True),
        Column("seconds", lambda row: tables.seconds_text(row.average("seconds"))),
    ],
    "note": (
        f"Accuracy. {_IN_PERCENT} Teacher: T after the game; in the row of mimic, whose T stays as it is, T before it."
    ),
}


def _first(row: Row) -> str:
    """The metric that a cell is about."""
    return "MAP" if row.mean("accuracy") is None else "accuracy"


def _beyond(other: str, header: str) -> Column:
    """What a row has more than another, corrected for how many are compared with it."""

    def text(row: Row) -> str:
        found = row.minus_corrected(other, _first(row))
        return NOTHING if found is None else plus_minus(found, difference=True)

    return Column(header, text)


def _teacher(row: Row) -> str:
    found = row.mean(f"teacher/{_first(row)}")
    return NOTHING if found is None else f"{found.mean:.2f}"


UNLABELLED: dict[str, Any] = {
    "columns": [
        tables.cell(),
        tables.name("variant"),
        tables.seeds(),
        Column("accuracy or MAP", lambda row: plus_minus(row.mean(_first(row)))),
        _beyond("supervised", "it − supervised"),
        _beyond("selftrain", "it − selftrain"),
        _beyond("distn", "it − distn"),
        _beyond("kdgan: no game", "it − no game"),
        _beyond("distn: T sees the photo alone", "it − T sees the photo alone"),
        Column("teacher", _teacher),
        tables.seconds(),
    ],
    "note": (
        "In %, on test data after the last step, means over seeds; ± half of the 95 % interval. Differences in points, "
        "paired by seed, with intervals corrected for how many variants of the cell are compared with the same one "
        "(Holm). Teacher: T at the end. Seconds: own + shared pretraining, beside other work."
    ),
}

DISTRIBUTION: dict[str, Any] = {
    "columns": [
        tables.cell(),
        tables.name("variant"),
        tables.seeds(),
        Column("accuracy or MAP", lambda row: plus_minus(row.mean("accuracy") or row.mean("MAP"))),
        *(
            tables.against("kdgan", f"{metric}{suffix}", f"{header}{scaled}")
            for metric, header in (("log_loss", "log loss"), ("brier", "Brier"), ("ece", "ECE"))
            for suffix, scaled in (("", ""), (SCALED, ", scaled"))
        ),
    ],
    "note": (
        "On test data after the last step, means over seeds; accuracy or MAP in % ± half of the 95 % interval. Log "
        "loss in nats, expected calibration error (ECE) in %; less is better. Scaled: after temperature scaling on "
        "validation data. In brackets: it − KDGAN, paired by seed, ± half of the 95 % interval, which is corrected for "
        "how many variants of the cell are compared with KDGAN (Holm)."
    ),
}

TAG_VARIANTS: dict[str, Any] = {
    "columns": [
        tables.cell("tags"),
        tables.name("variant"),
        tables.seeds(),
        tables.mean("P@3"),
        tables.minus("kdgan", "P@3", "it − KDGAN, P@3"),
        tables.mean("MAP"),
        tables.minus("kdgan", "MAP", "it − KDGAN, MAP"),
    ],
    "note": _IN_PERCENT,
}


TABLE_2: dict[str, Any] = {
    "columns": [
        tables.cell("tags"),
        tables.name(),
        tables.seeds(),
        *(tables.mean(metric, interval=False) for metric in ("P@3", "P@5", "F@3", "F@5")),
        tables.mean("MAP"),
        tables.mean("MRR", interval=False),
        tables.less_than("kdgan", "MAP", "KDGAN − it, MAP"),
        tables.mean("teacher/MAP", "teacher's MAP", interval=False),
        published_mean("MAP", "paper's MAP"),
    ],
    "note": (
        "On test photos after the last step, means over seeds, in %; ± half of the 95 % interval. KDGAN − it: "
        "points, paired by seed, each interval by itself. Teacher: T at the end, which also sees the text: an upper "
        "bound, no competitor; that of mimic is T before any game. The paper's photos were others."
    ),
}
