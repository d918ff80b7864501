"""The paper's Table 2: recommending tags for photos, popular tags and random ones, on a table of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kdgan.errors import UsageError
from kdgan.experiments.comparison import Comparison, Variant
from kdgan.experiments.statistics import CONTROL
from kdgan.paper.tag_comparison import TEACHER, compare_tags, tag_base, write_records
from kdgan.paper.tag_page import write_tag_page
from kdgan.experiments.tuned import settings
from kdgan.paper.work import Work
from kdgan.tagging.baselines import BASELINES
from kdgan.training.config import Config

CELLS: tuple[str, ...] = ("popular", "random")
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
        "augment": "noise",
        "count": 12 if data == "world" else 200,
    }
    # More evaluations than elsewhere, as Figure 3b draws curves through them.
    return tag_base(data, "popular" if cell == "popular" else "random", evaluations=20, **given)


def table2(table: Path, cell: str, seeds: Sequence[int], changes: Mapping[str, Any]) -> Comparison:
    """A cell: every method with its frozen settings."""
    tuned = settings(TUNED[cell])
    variants = {method: Variant.of(method, tuned.get(method, {})) for method in METHODS}
    return Comparison(replace(base(table, cell), **changes), variants, seeds)


def carry_out(table: Path, cell: str, seeds: Sequence[int], work: Work) -> list[str]:
    """Carries out what is missing of a cell, and writes `table2/CELL.csv` and `CELL.json`, and a page.

    `table2/teacher/CELL.csv` holds T before any game, which is an upper bound and no competitor.

    Returns:
        What each failed run said.
    """
    comparison, folder = table2(table, cell, seeds, work.changes), work.results / "table2"
    work.console.print(
        f"table2, {cell}: {len(comparison.runs())} runs, {len(BASELINES) * len(seeds)} baselines"
    )
    found = compare_tags(comparison, tuple(BASELINES), work.machine, work.out, **work.processes)
    for part, bound in ((folder, False), (folder / TEACHER, True)):
        records = [record for record in found.records if (record.method == TEACHER) == bound]
        write_records(part / f"{cell}.csv", records)
    work.describe("table2", cell, comparison)
    page = work.out / "table2" / f"{cell}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_tag_page(page, replace(comparison.base, seed=seeds[0]), found)
    return found.failures
