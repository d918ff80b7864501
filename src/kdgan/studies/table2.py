"""The paper's Table 2: recommending tags for photos, popular tags and random ones, on a table of one's own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from kdgan.errors import UsageError
from kdgan.files import write_json
from kdgan.studies.comparison import Comparison, Variant
from kdgan.studies.statistics import CONTROL
from kdgan.studies.tag_comparison import TEACHER, compare_tags, tag_base, write_records
from kdgan.studies.tag_page import write_tag_page
from kdgan.studies.tuned import settings
from kdgan.tags.baselines import BASELINES
from kdgan.training.config import Config
from kdgan.training.run import Machine

CELLS = ("popular", "random")
SEEDS = MappingProxyType({"table2": 10, "figure3b": 10, "figure5": 3})
"""Studies on photos with tags, and how many seeds they have unless said otherwise."""

METHODS = (CONTROL, "distn", "mimic", "noisy", "codis", "nagan", "kdgan")


TUNED: Mapping[str, str | None] = MappingProxyType({"popular": "tags-popular", "random": "tags-popular"})
"""The search that found a cell's settings, `settings/NAME.json`; None for each method's defaults."""


def base(table: Path, cell: str) -> Config:
    """What all runs of a cell share: 200 popular or random tags of a table of photos.

    A table named `world` stands for generated scenes, to try the command out, with as many tags as these have.

    Raises:
        UsageError: if there is no such cell.
    """
    if cell not in CELLS:
        raise UsageError(f"tags are {' or '.join(CELLS)}, not {cell!r}")
    data = str(table)
    given = {
        "steps": 600,
        "teacher_steps": 400,
        "precision": "bfloat16",
        "count": 12 if data == "world" else 200,
    }
    # More evaluations than elsewhere, as Figure 3b draws curves through them.
    return tag_base(data, "popular" if cell == "popular" else "random", evaluations=20, **given)


def table2(table: Path, cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    """A cell: every method with its frozen settings."""
    tuned = settings(TUNED[cell])
    variants = {method: Variant.of(method, tuned.get(method, {})) for method in METHODS}
    return Comparison(replace(base(table, cell), **changes), variants, seeds)


def reproduce_table2(
    table: Path,
    cells: Sequence[str],
    seeds: Sequence[int],
    machine: Machine,
    out: Path,
    results: Path,
    *,
    changes: Mapping[str, Any],
    workers: int,
    threads: int,
    console: Console,
    command: Sequence[str],
) -> list[str]:
    """Carries out what is missing, and writes `results/table2/CELL.csv` and `CELL.json`, and a page for each cell.

    `results/table2/teacher/CELL.csv` holds T before any game, which is an upper bound and no competitor.

    Returns:
        What each failed run said.
    """
    failures = []
    for cell in cells:
        comparison = table2(table, cell, seeds, changes)
        console.print(
            f"table2, {cell}: {len(comparison.runs())} runs and {len(BASELINES) * len(seeds)} baselines"
        )
        found = compare_tags(
            comparison, tuple(BASELINES), machine, out, workers=workers, threads=threads, console=console
        )
        failures += found.failures
        (results / "table2" / TEACHER).mkdir(parents=True, exist_ok=True)
        competing = [record for record in found.records if record.method != TEACHER]
        write_records(results / "table2" / f"{cell}.csv", competing)
        bounds = [record for record in found.records if record.method == TEACHER]
        write_records(results / "table2" / TEACHER / f"{cell}.csv", bounds)
        describe(results / "table2" / f"{cell}.json", comparison, command)
        (out / "table2").mkdir(parents=True, exist_ok=True)
        write_tag_page(out / "table2" / f"{cell}.html", replace(comparison.base, seed=seeds[0]), found)
    return failures


def describe(file: Path, comparison: Comparison, command: Sequence[str]) -> None:
    """Writes what a comparison on photos was, as JSON: data by their names, as folders are one machine's own."""
    base = comparison.base.without("method", "seed", "hyper")
    described = {
        "command": shlex.join(command),
        "seeds": list(comparison.seeds),
        "base": {**base, **{name: Path(base[name]).name for name in ("data", "embeddings") if base[name]}},
        "variants": {name: asdict(variant) for name, variant in comparison.variants.items()},
    }
    write_json(file, json.loads(json.dumps(described)))
