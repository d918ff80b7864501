"""The paper's studies on a table of photos: Table 2, and Figures 3b and 5, which share its runs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.files import replacing
from kdgan.methods import hyperparameters
from kdgan.experiments.comparison import Comparison, run_all, run_folder, run_of
from kdgan.experiments.page import write_page
from kdgan.paper.reproduce import WEIGHTS
from kdgan.paper.table2 import CELLS, carry_out, table2
from kdgan.paper.tag_comparison import MEASURES, TagRecord, write_records
from kdgan.paper.work import Work
from kdgan.tagging.data import read_photos
from kdgan.tasks.run import Outcome

Cell = Callable[[Path, str, Sequence[int], Mapping[str, Any]], Comparison]
"""A table of photos, a cell's name, the seeds, and changes of the shared configuration, to what is compared in it."""


def _two_games(table: Path, cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    whole = table2(table, cell, seeds, changes)
    return replace(whole, variants={name: whole.variants[name] for name in ("nagan", "kdgan")})


def _weights(table: Path, cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    whole = table2(table, cell, seeds, changes)
    game = whole.variants["kdgan"]
    usual = {**hyperparameters("kdgan"), **game.hyper}
    varied = {"kdgan": game}
    for name, values in WEIGHTS.items():
        for value in values:
            # Where a weight has its usual value the game is that of Table 2, and said in the same way shares its run.
            own = game.hyper if value == usual[name] else {**game.hyper, name: value}
            varied[f"kdgan: {name} = {value:g}"] = replace(game, hyper=own)
    return replace(whole, variants=varied)


TAG_STUDIES: Mapping[str, Cell] = MappingProxyType({"figure3b": _two_games, "figure5": _weights})
"""By name, as `kdgan reproduce` takes them."""


def reproduce_tags(
    name: str, table: Path, cells: Sequence[str], seeds: Sequence[int], work: Work
) -> list[str]:
    """Carries out what is missing of a study on photos with tags, and writes the raw figures of its cells.

    Each cell gets `CELL.csv` (the measures of each run, in [0, 1]), `CELL.json`, and for figure3b `CELL-curves.csv`:
    P@3 of C on test photos, in [0, 1], at each evaluation.

    Args:
        name: table2, or one of `TAG_STUDIES`, which share its runs.
        table: Parquet file of photos, as `kdgan.tagging.data.read_photos` takes it, or `world`.
        cells: popular, random or both.
        seeds: of the runs.
        work: how.

    Returns:
        What each failed run said.

    Raises:
        UsageError: if the study has no such cell, the configuration does not fit the data, or a run was made before P@3
            was recorded.
    """
    if not set(cells) <= set(CELLS):
        raise UsageError(f"{name} has the cells {' and '.join(CELLS)}, not {', '.join(cells)}")
    if str(table) != "world":
        for cell in cells:  # before any of them is begun
            read_photos(table).has("popular" if cell == "popular" else "random")
    make = table2 if name == "table2" else TAG_STUDIES[name]
    for cell in cells:
        work.check(name, cell, make(table, cell, seeds, work.changes))
    if name == "table2":
        return [said for cell in cells for said in carry_out(table, cell, seeds, work)]
    folder = work.results / name
    failures = []
    for cell in cells:
        comparison = make(table, cell, seeds, work.changes)
        runs = comparison.runs()
        for config in {config.method: config for config in runs.values()}.values():
            run_of(config, work.machine)  # what is wrong is found here, before anything is written
        work.console.print(f"{name}, {cell}: {len({config.name for config in runs.values()})} runs")
        found: dict[tuple[str, int], Outcome] = {}
        failures += run_all(runs, work.machine, work.out, keep=found.__setitem__, **work.processes)
        done = {key: found[key] for key in runs if key in found}
        if name == "figure3b":
            for key, outcome in done.items():
                if "P@3" not in outcome.curves:
                    run = run_folder(work.out, runs[key])
                    raise UsageError(
                        f"{run} is from before P@3 was recorded on the way: delete it and repeat the command"
                    )
            _write_curves(folder / f"{cell}-curves.csv", done)
        write_records(folder / f"{cell}.csv", (_record(cell, key, outcome) for key, outcome in done.items()))
        work.describe(name, cell, comparison)
    write_page(name, folder, work.out / name / "report.html")
    return failures


def _record(cell: str, key: tuple[str, int], outcome: Outcome) -> TagRecord:
    return TagRecord(cell, *key, tuple(outcome.measures[measure] / 100 for measure in MEASURES))


def _write_curves(path: Path, found: Mapping[tuple[str, int], Outcome]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["method", "seed", "student_updates", "P@3"])
        for (method, seed), outcome in found.items():
            for updates, value in outcome.curves["P@3"]:
                table.writerow([method, seed, updates, value / 100])
