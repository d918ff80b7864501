"""A study: comparisons that answer a question together, with the table and the figure that show it. A study is data."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from kdgan.errors import UsageError
from kdgan.experiments.comparison import Compared, compare
from kdgan.experiments.page import Picture, write_page
from kdgan.experiments.records import Curves, read_curves, read_records, write_curves, write_records
from kdgan.experiments.statistics import Row, rows_of
from kdgan.experiments.tables import Column, Table, table
from kdgan.experiments.variants import Comparison, Variant
from kdgan.files import make_folder, write_json
from kdgan.stored import read_json
from kdgan.tasks.config import Config
from kdgan.training.config import differences
from kdgan.training.execution import Execution
from kdgan.training.identity import plain


@dataclass(frozen=True, slots=True)
class Cell:
    """One comparison of a study.

    Attributes:
        name: such as `mnist-100`.
        base: what all its runs share.
        settings: the frozen settings of each method, empty for defaults.
    """

    name: str
    base: Config
    settings: Mapping[str, Mapping[str, Any]]

    def variant(self, method: str) -> Variant:
        """A method with its frozen settings."""
        return Variant.of(method, self.settings.get(method, {}))


@dataclass(frozen=True, slots=True)
class Results:
    """The raw figures of a cell, as they lie in files.

    Attributes:
        cell: its name.
        rows: of its records.
        curves: of its runs, where they were kept.
    """

    cell: str
    rows: Sequence[Row]
    curves: Curves


@dataclass(frozen=True, slots=True)
class Study:
    """Something to find out.

    Attributes:
        question: in a sentence.
        text: what was done.
        cells: names of its parts.
        variants: what is compared in a cell.
        columns: of its table, made from the rows of a cell.
        note: what the numbers are.
        figure: draws its results, if it has a figure.
        caption: of that.
        seeds: how many, unless asked otherwise.
        curves: metrics whose curves are kept.
        probe: what runs measure besides, see `kdgan.tasks.Config`.
        tabulate: gives the cells of the table where a row is no variant; None for a row for each.
    """

    question: str
    text: str
    cells: tuple[str, ...]
    variants: Callable[[Cell], Mapping[str, Variant]]
    columns: Sequence[Column]
    note: str
    figure: Callable[[Sequence[Results]], Figure] | None = None
    caption: str = ""
    seeds: int = 10
    curves: tuple[str, ...] = ("accuracy",)
    probe: str | None = None
    tabulate: Callable[[Sequence[Results]], Sequence[Sequence[str]]] | None = None

    def only(self, names: Sequence[str]) -> Study:
        """The same with some of its variants.

        Raises:
            UsageError: if a cell has none of that name; said when the cell is carried out.
        """

        def chosen(cell: Cell) -> Mapping[str, Variant]:
            there = self.variants(cell)
            for name in names:
                if name not in there:
                    raise UsageError(f"{cell.name} has no variant {name!r}: choose from {', '.join(there)}")
            return {name: there[name] for name in names}

        return replace(self, variants=chosen)

    def comparison(self, cell: Cell, seeds: Sequence[int]) -> Comparison:
        """The comparison of a cell."""
        return Comparison(replace(cell.base, probe=self.probe), self.variants(cell), seeds)

    def table(self, results: Sequence[Results]) -> Table:
        """Its table."""
        results = sorted(results, key=lambda each: (*self.cells, each.cell).index(each.cell))
        if self.tabulate is not None:
            return Table(self.columns, self.tabulate(results), self.note)
        return table([row for each in results for row in each.rows], self.columns, self.note)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a study.

    Attributes:
        out: holds the runs, which studies share, and gets `STUDY/` with pages for people.
        results: gets the raw figures, `STUDY/CELL.csv` and the like, small enough to commit.
    """

    out: Path
    results: Path


def carry_out(
    name: str,
    study: Study,
    cells: Sequence[Cell],
    seeds: Sequence[int],
    execution: Execution,
    places: Places,
    *,
    console: Console,
    command: Sequence[str],
    lead: Sequence[str] = (),
) -> list[str]:
    """Carries out what is missing of a study, and writes the raw figures of these cells, and pages.

    Each cell gets `CELL.csv` (a row for each run), `CELL-curves.csv` and `CELL.json` (the command and the
    configurations) in the results, and a report of its own.

    Args:
        name: of the study.
        study: what it is.
        cells: in the order in which to do them.
        seeds: of the runs.
        execution: where and how.
        places: where all goes.
        console: where progress and tables go.
        command: as it was typed.
        lead: what its page says first.

    Returns:
        What each failed run said.

    Raises:
        UsageError: where the results hold figures of other runs: committed ones must not make way for a trial's.
    """
    folder, failures = places.results / name, list[str]()
    comparisons = {cell.name: study.comparison(cell, seeds) for cell in cells}
    for cell, comparison in comparisons.items():
        _check(folder / f"{cell}.json", comparison, command)
    for comparison in comparisons.values():
        comparison.check(execution)
    make_folder(folder)
    for cell, comparison in comparisons.items():
        console.print(f"{name}, {cell}: {len(comparison.runs())} runs")
        out = places.out / name / cell
        found = compare(
            comparison, execution, out, console=console, command=shlex.join(command), store=places.out
        )
        failures += found.failures
        if found.outcomes:
            _write(folder, cell, study, found)
            write_json(folder / f"{cell}.json", asdict(_described(comparison, command)))
    if any(folder.glob("*.csv")):
        write_study_page(study, folder, places.out / name / "report.html", lead)
    return failures


def read_results(folder: Path) -> list[Results]:
    """The raw figures of all cells that are in a folder."""
    results = []
    for cell in sorted({file.stem.removesuffix("-curves") for file in folder.glob("*.csv")}):
        records, curves = folder / f"{cell}.csv", folder / f"{cell}-curves.csv"
        rows = rows_of(read_records(records), cell) if records.exists() else []
        results.append(Results(cell, rows, read_curves(curves) if curves.exists() else {}))
    return results


def write_study_page(study: Study, folder: Path, path: Path, lead: Sequence[str] = ()) -> None:
    """Writes the page of a study from its raw figures in `folder`; same figures, same bytes."""
    results = read_results(folder)
    pictures = [] if study.figure is None else [Picture(study.figure(results), study.caption)]
    shown = {"In numbers": study.table(results)}
    write_page(path, study.question, [*lead, study.text], pictures=pictures, tables=shown)


def _write(folder: Path, cell: str, study: Study, found: Compared) -> None:
    write_records(folder / f"{cell}.csv", found.records)
    names = [name for name in study.curves if any(name in curves for curves in found.curves.values())]
    if names:
        write_curves(folder / f"{cell}-curves.csv", found.curves, names)


def _check(file: Path, comparison: Comparison, command: Sequence[str]) -> None:
    if not file.exists():
        return
    there, now = read_json(file, _Described), _described(comparison, command)
    message = differences(there.base, now.base)
    lost = sorted(set(there.seeds) - set(now.seeds))
    if not message and lost:
        seeds = [f"seeds {min(some)} to {max(some)}" for some in (there.seeds, now.seeds)]
        message = f"{seeds[0]} there and {seeds[1]} now, see --first-seed and --seeds"
    both = there.variants.keys() & now.variants.keys()
    if not message and any(there.variants[name] != now.variants[name] for name in both):
        message = "other settings of the methods"
    missing = sorted(there.variants.keys() - now.variants.keys())
    if not message and missing:
        message = f"{missing[0]} is there and not asked for now, see --variants"
    if message:
        raise UsageError(f"{file} tells of other runs ({message}): choose another --results, or delete it")


@dataclass(frozen=True, slots=True)
class _Described:
    """The command and the configurations of a cell."""

    command: str
    seeds: list[int]
    base: dict[str, Any]
    variants: dict[str, Any]


def _described(comparison: Comparison, command: Sequence[str]) -> _Described:
    return _Described(
        command=shlex.join(command),
        seeds=list(comparison.seeds),
        base=plain(comparison.base.shared(portable=True)),
        variants=plain({name: variant.plain() for name, variant in comparison.variants.items()}),
    )
