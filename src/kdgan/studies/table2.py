"""The paper's Table 2: recommending tags for photos, popular tags and random ones, on a table of one's own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kdgan.files import write_json
from kdgan.studies.comparison import Comparison, Variant
from kdgan.studies.statistics import CONTROL
from kdgan.studies.tag_comparison import compare_tags, tag_base, write_records
from kdgan.studies.tag_page import write_tag_page
from kdgan.tags.baselines import BASELINES
from kdgan.training.config import Config
from kdgan.training.run import Machine

CELLS = ("popular", "random")
METHODS = (CONTROL, "distn", "mimic", "noisy", "codis", "nagan", "kdgan")


def table2(table: Path, cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    """A cell: every method with its defaults, on 200 popular or random tags of a table of photos."""
    base = replace(tag_base(str(table), "popular" if cell == "popular" else "random"), **changes)
    return Comparison(base, {method: Variant(method) for method in METHODS}, seeds)


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
        (results / "table2").mkdir(parents=True, exist_ok=True)
        write_records(results / "table2" / f"{cell}.csv", found.records)
        described = {
            "command": shlex.join(command),
            "seeds": list(seeds),
            "base": described_base(comparison.base),
            "variants": {name: asdict(variant) for name, variant in comparison.variants.items()},
        }
        write_json(results / "table2" / f"{cell}.json", json.loads(json.dumps(described)))
        (out / "table2").mkdir(parents=True, exist_ok=True)
        write_tag_page(out / "table2" / f"{cell}.html", replace(comparison.base, seed=seeds[0]), found)
    return failures


def described_base(base: Config) -> dict[str, Any]:
    """What all runs share, as a file of results says it: files by their names, as folders are one machine's own."""
    values = base.without("method", "seed", "hyper")
    return {**values, **{name: Path(values[name]).name for name in ("data", "embeddings") if values[name]}}
