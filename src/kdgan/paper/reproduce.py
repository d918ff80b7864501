"""The paper's tables and figures, each by one command, and the questions its reviewers asked: `kdgan reproduce`."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.files import replacing
from kdgan.experiments.comparison import Compared, Comparison, Variant, compare, facts
from kdgan.experiments.page import write_page
from kdgan.experiments.statistics import write_results
from kdgan.paper.table1 import CELLS, base, frozen, table1
from kdgan.paper.table2 import SEEDS
from kdgan.paper.variance import measure_variance
from kdgan.paper.work import Work

Cell = Callable[[str, Sequence[int], Mapping[str, Any]], Comparison]
"""A cell's name, the seeds, and changes of the shared configuration, to what is compared in it."""


@dataclass(frozen=True, slots=True)
class Study:
    """Something to reproduce.

    Attributes:
        cells: names of its parts, each a comparison.
        comparison: makes one of them.
        seeds: how many, unless said otherwise.
    """

    cells: tuple[str, ...]
    comparison: Cell
    seeds: int


def _kdgan(
    cell: str, seeds: Sequence[int], changes: Mapping[str, Any], variants: Mapping[str, Any]
) -> Comparison:
    """Variants of KDGAN by what they change of its frozen settings: hyperparameters, or fields of the configuration."""
    shared = replace(base(cell), **changes)
    tuned = frozen(cell, "kdgan")
    made = {}
    for name, change in variants.items():
        config = {key: value for key, value in change.items() if hasattr(shared, key)}
        hyper = {key: value for key, value in change.items() if key not in config}
        made[name] = Variant("kdgan", {**tuned.hyper, **hyper}, {**tuned.config, **config})
    return Comparison(shared, made, seeds)


ABLATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "kdgan": {},
        "kdgan: no game": {"adversarial": 0.0},
        "kdgan: labels through D alone": {"supervision": 0.0},
        "kdgan: labels and game, no distillation": {"beta": 0.0, "gamma": 0.0},
        "kdgan: T learns nothing from C": {"gamma": 0.0},
        "kdgan: no distillation": {"beta": 0.0, "gamma": 0.0, "supervision": 0.0},
        "kdgan: C pretrained for a tenth": {"student_pretraining": 0.1},
        "kdgan: views not moved": {"reach": 0.0},
        "kdgan: all learn in every update": {"interval": 1},
        "kdgan: concrete, τ annealed": {"estimator": "concrete"},
        "kdgan: concrete, τ = 1": {"estimator": "concrete", "tau_start": 1.0, "tau_end": 1.0},
        "kdgan: concrete, τ = 0.1": {"estimator": "concrete", "tau_start": 0.1, "tau_end": 0.1},
        "kdgan: reinforce": {"estimator": "reinforce"},
        "kdgan: reinforce, baseline": {"estimator": "reinforce-baseline"},
        "kdgan: D does not see x": {"discriminator": "blind"},
        "kdgan: D is the product of labels": {"judge": "labels"},
    }
)
"""What each variant takes from KDGAN, or puts in its place."""

JUDGES = ("kdgan", "kdgan: no game", "kdgan: D is the product of labels")
"""Of the ablations, those that say what a discriminator that learns is worth."""

WEIGHTS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "alpha": (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        "beta": (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
        "gamma": (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0),
    }
)
"""The paper's search ranges (Figure 4)."""

WIDTHS = (25, 50, 100, 200, 400, 800)
"""Of both hidden layers of the student, for accuracy against size."""


def _two_games(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    whole = table1(cell, seeds, changes)
    return replace(whole, variants={name: whole.variants[name] for name in ("nagan", "kdgan")})


def _game(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    return _kdgan(cell, seeds, changes, {"kdgan": {}})


def _ablations(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    variants = _kdgan(cell, seeds, changes, ABLATIONS)
    # MIMIC's teacher is T as it was before the game.
    mimic = frozen(cell, "mimic")
    return replace(variants, variants={"mimic": mimic, **variants.variants})


def _judges(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    return _kdgan(cell, seeds, changes, {name: ABLATIONS[name] for name in JUDGES})


def _weights(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    varied = {
        f"kdgan: {name} = {value:g}": {name: value} for name, values in WEIGHTS.items() for value in values
    }
    return _kdgan(cell, seeds, changes, varied)


def _sizes(cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    variants = {}
    for width in WIDTHS:
        for method in ("supervised", "mimic", "codis", "kdgan"):
            own = frozen(cell, method)
            variants[f"{method}: {width}"] = replace(
                own, config={**own.config, "student": f"mlp-{width}-{width}"}
            )
    return Comparison(replace(base(cell), **changes), variants, seeds)


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "table1": Study(tuple(CELLS), table1, 10),
        "ablations": Study(("mnist-100", "mnist-1000"), _ablations, 5),
        "judges": Study(("mnist-100", "mnist-1000"), _judges, 10),
        "figure4": Study(("mnist-100",), _weights, 3),
        "figure3a": Study(("mnist-100",), _two_games, 10),
        "samples": Study(tuple(cell for cell in CELLS if cell.startswith("mnist")), table1, 10),
        "figure7": Study(("mnist-100",), _game, 3),
        "sizes": Study(("mnist-1000",), _sizes, 3),
    }
)
"""By name, as `kdgan reproduce` takes them."""


def reproduce(name: str, cells: Sequence[str], seeds: Sequence[int], work: Work) -> list[str]:
    """Carries out what is missing of a study, and writes the raw figures of all cells that are there.

    Each cell gets `CELL.csv` (one row a run; for figure7, what the run measured), `CELL-curves.csv`, `CELL.json`, and a
    report of its own.

    Args:
        name: of the study.
        cells: which parts, in the order in which to do them.
        seeds: of the runs.
        work: how.

    Returns:
        What each failed run said.

    Raises:
        UsageError: for an unknown study or cell, or where `work.results` holds figures of other runs.
    """
    study, folder = find(name, cells), work.results / name
    failures = []
    for cell in cells:
        work.check(name, cell, study.comparison(cell, seeds, work.changes))
    for cell in cells:
        comparison = study.comparison(cell, seeds, work.changes)
        work.console.print(f"{name}, {cell}: {len(comparison.runs())} runs")
        if name == "figure7":
            file = folder / f"{cell}.csv"
            failures += measure_variance(comparison, work.machine, work.out, file, **work.processes)
        else:
            compared = compare(
                comparison,
                work.machine,
                work.out / name / cell,
                facts=facts(comparison, work.machine, shlex.join(work.command)),
                store=work.out,
                **work.processes,
            )
            failures += compared.failures
            _write(folder, cell, comparison, compared)
        work.describe(name, cell, comparison)
    write_page(name, folder, work.out / name / "report.html")
    return failures


def find(name: str, cells: Sequence[str]) -> Study:
    """The study of that name, if it has these cells.

    Raises:
        UsageError: if it has not, or there is none.
    """
    if name not in STUDIES:
        raise UsageError(f"unknown study {name!r}: choose from {', '.join(sorted((*STUDIES, *SEEDS)))}")
    for cell in cells:
        if cell not in STUDIES[name].cells:
            raise UsageError(f"{name} has no cell {cell!r}: choose from {', '.join(STUDIES[name].cells)}")
    return STUDIES[name]


def _write(folder: Path, cell: str, comparison: Comparison, compared: Compared) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runs = comparison.runs()
    write_results(folder / f"{cell}.csv", compared.rows(runs))
    with replacing(folder / f"{cell}-curves.csv") as temporary, temporary.open("w", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["method", "seed", "student_updates", "test_accuracy"])
        for name, seed in runs:
            for updates, value in compared.curves.get((name, seed), ()):
                table.writerow([name, seed, updates, value])
