"""The paper's Table 1: deep model compression on MNIST and CIFAR-10, under an honest protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.experiments.comparison import Comparison, Variant
from kdgan.tasks.presets import PRESETS
from kdgan.experiments.statistics import CONTROL, MethodSummary, RunRecord, paired_difference, summarise
from kdgan.experiments.tables import NOTHING, plus_minus, signed
from kdgan.experiments.tuned import settings
from kdgan.training.config import Config

METHODS = (CONTROL, "distn", "mimic", "noisy", "codis", "codis3", "nagan", "kdgan")
"""The control without a teacher, the paper's methods, and three networks in co-distillation."""

_MNIST = {"data": "mnist", "batch": 128, "lr": 2e-3, "evaluations": 10, "precision": "bfloat16"}
_FEW = {"reach": 0.14, "steps": 1000, "teacher_lr": 5e-4, "interval": 4}
_CIFAR = {"data": "cifar10", "batch": 64, "lr": 1e-3, "evaluations": 10, "precision": "bfloat16"}

CELLS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mnist-100": {**_MNIST, **_FEW, "labels": 100, "augment": "elastic-strong"},
        "mnist-1000": {**_MNIST, **_FEW, "labels": 1000},
        # In runs as long as these students come close to their teachers, so that those must be good: on validation
        # images of seed 100, T is better by a quarter of a point at a rate of 1e-3 than at 2e-3. What T learns before
        # is shorter: ten seeds of eight methods take two cores an hour and a half as it is.
        "mnist-10000": {
            **_MNIST,
            "labels": 10_000,
            "batch": 256,
            "steps": 8000,
            "teacher_steps": 2500,
            "evaluations": 5,
            "pretraining_lr": 1e-3,
            "teacher_lr": 5e-4,
            "interval": 8,
        },
        # As long as two cores can. On validation images of seed 100, T gains four points by views as of photographs and
        # as much by weight decay, and C under a point by twice as many updates (results/changes/cifar10-500.csv).
        "cifar10-500": {
            **_CIFAR,
            "labels": 500,
            "augment": "photo",
            "weight_decay": 1.0,
            "steps": 1500,
            "teacher_steps": 2000,
            "evaluations": 5,
            "pretraining_lr": 4e-3,
            "teacher_lr": 1e-3,
            "interval": 4,
        },
        "cifar10-5000": {**_CIFAR, "labels": 5000, "steps": 10_000},
        "cifar10-50000": {**_CIFAR, "labels": 50_000, "steps": 40_000},
    }
)
"""What all methods of a column share, beside the preset of the data."""

PAPER: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "codis": (74.02, 95.77, 98.89, 54.17, 77.82, 85.12),
        "distn": (68.34, 93.97, 98.79, 50.92, 76.59, 83.32),
        "noisy": (66.53, 93.45, 98.58, 50.18, 75.42, 82.99),
        "mimic": (67.35, 93.78, 98.65, 51.74, 75.66, 84.33),
        "nagan": (64.90, 93.60, 98.95, 46.29, 76.11, 85.34),
        "kdgan": (77.95, 96.42, 99.25, 57.56, 79.36, 86.50),
    }
)
"""Published means in % (Wang et al., NeurIPS 2018, Table 1), in the order of `CELLS`."""

TUNED: Mapping[str, str | None] = MappingProxyType(
    {
        "mnist-100": "mnist-100",
        "mnist-1000": "mnist-1000",
        "mnist-10000": "mnist-10000",
        "cifar10-500": None,
        "cifar10-5000": None,
        "cifar10-50000": None,
    }
)
"""The cell whose search found a cell's settings, `settings/CELL.json`; None for each method's defaults."""


def base(cell: str) -> Config:
    """What all runs of a cell share; its method and seed are to be replaced.

    Raises:
        UsageError: if there is no such cell.
    """
    if cell not in CELLS:
        raise UsageError(f"unknown cell {cell!r}: choose from {', '.join(CELLS)}")
    own = CELLS[cell]
    given = {**PRESETS[own["data"]], "teacher_steps": own["steps"], **own}
    return Config(**given, method=CONTROL, seed=0)


def frozen(cell: str, method: str) -> Variant:
    """A method with its frozen settings in a cell: what `kdgan tune` found on validation data."""
    return Variant.of(method, settings(TUNED[cell]).get(method, {}))


def table1(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    """A cell: every method with its frozen settings."""
    variants = {method: frozen(cell, method) for method in METHODS}
    return Comparison(replace(base(cell), **changes), variants, seeds)


def cell_of(record: RunRecord) -> str:
    """The cell that a run belongs to."""
    return f"{record.data}-{record.labels}"


HEADERS = ("cell", "method", "seeds", "accuracy", "KDGAN − it", "best epoch", "teacher", "paper", "seconds")
NOTE = (
    "Test accuracy in % after the last step; ± half of the 95 % interval. KDGAN − it: points, paired by seed. Best "
    "epoch: what choosing it on test data would have added. Teacher: T at the end. Paper: the published mean. "
    "Seconds: own + shared pretraining, beside other work."
)
"""What `beside_the_paper` gives."""


def beside_the_paper(records: Iterable[RunRecord]) -> list[list[str]]:
    """Table 1 as text: per cell and method our mean and interval beside the published mean; see `NOTE`."""
    rows = list(records)
    cells = {cell: [record for record in rows if cell_of(record) == cell] for cell in CELLS}
    return [
        [cell, *_row(summary, runs, index)]
        for index, (cell, runs) in enumerate(cells.items())
        for summary in summarise(runs)
    ]


def _row(summary: MethodSummary, runs: Sequence[RunRecord], index: int) -> list[str]:
    by_seed = {
        name: {run.seed: run.student_accuracy for run in runs if run.method == name}
        for name in (summary.method, "kdgan")
    }
    mine, game = by_seed[summary.method], by_seed["kdgan"]
    paired = summary.method != "kdgan" and mine.keys() & game.keys()
    published = PAPER.get(summary.method)
    return [
        summary.method,
        str(len(summary.seeds)),
        plus_minus(summary.accuracy),
        plus_minus(paired_difference(game, mine), difference=True) if paired else NOTHING,
        signed(summary.best_epoch.mean - summary.accuracy.mean),
        NOTHING if summary.teacher is None else f"{summary.teacher.mean:.2f}",
        NOTHING if published is None else f"{published[index]:.2f}",
        f"{summary.seconds:.0f} + {summary.pretraining_seconds:.0f}",
    ]
