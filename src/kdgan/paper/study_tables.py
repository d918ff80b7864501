"""The table of each study, from the raw figures that `kdgan reproduce` writes: for its page and for the documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kdgan.paper import table1
from kdgan.paper.paper_figures import read_records, read_table
from kdgan.experiments.statistics import RunRecord, mean_interval, paired_difference
from kdgan.experiments.tables import NOTHING, markdown, plus_minus
from kdgan.paper.tag_comparison import HEADERS, MEASURES, TagRecord, table2
from kdgan.paper.tag_comparison import read_records as read_tag_records


@dataclass(frozen=True, slots=True)
class StudyTable:
    """Text in cells.

    Attributes:
        headers: of the columns.
        rows: as many cells each.
        words: headers of the columns that hold words.
        note: what the numbers are.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str]
    note: str

    def markdown(self) -> str:
        """The table and its note as GitHub Markdown."""
        return f"{markdown(self.headers, self.rows, words=self.words)}\n{self.note}\n"


def _table1(folder: Path) -> StudyTable:
    rows = table1.beside_the_paper(read_records(folder))
    return StudyTable(table1.HEADERS, rows, ("cell", "method"), table1.NOTE)


def _variants(folder: Path) -> StudyTable:
    rows = []
    for cell, runs in _by_cell(read_records(folder)).items():
        by_name: dict[str, dict[int, RunRecord]] = {}
        for run in runs:
            by_name.setdefault(run.method, {})[run.seed] = run
        whole = {seed: run.student_accuracy for seed, run in by_name.get("kdgan", {}).items()}
        for name, found in by_name.items():
            mine = {seed: run.student_accuracy for seed, run in found.items()}
            compared = name != "kdgan" and bool(whole.keys() & mine.keys())
            teachers = [run.teacher_accuracy for run in found.values() if run.teacher_accuracy is not None]
            rows.append(
                [
                    cell,
                    name,
                    str(len(found)),
                    plus_minus(mean_interval(mine.values())),
                    plus_minus(paired_difference(mine, whole), difference=True) if compared else NOTHING,
                    plus_minus(mean_interval(teachers)) if teachers else NOTHING,
                    f"{math.fsum(run.seconds for run in found.values()) / len(found):.0f}",
                ]
            )
    headers = ("cell", "variant", "seeds", "accuracy", "it − KDGAN", "teacher", "seconds")
    note = (
        "Test accuracy in % after the last step; ± half of the 95 % interval; differences in points, paired by "
        "seed. Teacher: T after the game; in the row of mimic, whose T stays as it is, T before it."
    )
    return StudyTable(headers, rows, ("cell", "variant"), note)


def _sizes(folder: Path) -> StudyTable:
    rows = []
    found: dict[str, dict[int, list[RunRecord]]] = {}
    for record in read_records(folder):
        by_size = found.setdefault(record.method.partition(":")[0], {})
        by_size.setdefault(record.student_parameters, []).append(record)
    for method, by_size in found.items():
        means = {size: mean_interval(run.student_accuracy for run in runs) for size, runs in by_size.items()}
        largest = means[max(means)].mean
        enough = min(size for size, interval in means.items() if interval.mean >= largest - 0.5)
        for size in sorted(by_size):
            teacher = by_size[size][0].teacher_parameters
            rows.append(
                [
                    method,
                    f"{size:,}",
                    plus_minus(means[size]),
                    NOTHING if teacher is None else f"{teacher / size:.1f}",
                    "smallest within 0.5 points of the largest" if size == enough else "",
                ]
            )
    headers = ("method", "parameters", "accuracy", "teacher's parameters to its", "remark")
    note = "Test accuracy in % after the last step; ± half of the 95 % interval over seeds."
    return StudyTable(headers, rows, ("method", "remark"), note)


def _variance(folder: Path) -> StudyTable:
    rows = []
    for file in sorted(folder.glob("*.csv")):
        found: dict[str, list[dict[str, str]]] = {}
        for row in read_table(file):
            found.setdefault(row["gradient"], []).append(row)
        for name, measured in found.items():
            means = [_mean(measured, what) for what in ("variance", "signal", "bias")]
            shown = [NOTHING if mean is None else f"{mean:.2e}" for mean in means]
            noise, signal = means[:2]
            shown.insert(2, f"{noise / signal:.1f}" if noise and signal and signal > 0 else NOTHING)
            rows.append([file.stem, "∇L_DS" if name == "distillation" else f"∇L_AD, {name}", *shown])
    headers = ("cell", "gradient of C", "variance", "signal", "variance / signal", "squared bias")
    note = (
        "Means over the game and over seeds. Variance: trace of the covariance between minibatches. Signal: squared "
        "norm of the mean gradient; the ratio of both does not depend on how a loss is weighed. Squared bias: squared "
        "norm of the mean difference to the exact gradient. What sampling adds is taken out of the last two, so that "
        "they may be slightly below 0."
    )
    return StudyTable(headers, rows, ("cell", "gradient of C"), note)


def _tag_variants(folder: Path) -> StudyTable:
    rows = []
    for file in sorted(file for file in folder.glob("*.csv") if not file.stem.endswith("-curves")):
        found: dict[str, dict[int, TagRecord]] = {}
        for record in read_tag_records(file):
            found.setdefault(record.method, {})[record.seed] = record
        for name, by_seed in found.items():
            cells = []
            for measure in ("P@3", "MAP"):
                place = MEASURES.index(measure)
                mine = {seed: 100 * record.values[place] for seed, record in by_seed.items()}
                game = {seed: 100 * r.values[place] for seed, r in found.get("kdgan", {}).items()}
                compared = name != "kdgan" and bool(game.keys() & mine.keys())
                cells.append(plus_minus(mean_interval(mine.values())))
                cells.append(
                    plus_minus(paired_difference(mine, game), difference=True) if compared else NOTHING
                )
            rows.append([file.stem, name, str(len(by_seed)), *cells])
    headers = ("tags", "variant", "seeds", "P@3", "it − KDGAN, P@3", "MAP", "it − KDGAN, MAP")
    note = (
        "On test photos after the last step, in %; ± half of the 95 % interval; differences in points, paired by "
        "seed."
    )
    return StudyTable(headers, rows, ("tags", "variant"), note)


def _table2(folder: Path) -> StudyTable:
    records = [record for file in sorted(folder.rglob("*.csv")) for record in read_tag_records(file)]
    note = (
        "On test photos after the last step, means over seeds, in [0, 1]; ± half of the 95 % interval. KDGAN − it: "
        "in MAP, paired by seed. Teacher: T before any game, which also sees the text. The paper's photos were others."
    )
    return StudyTable(HEADERS, table2(records), ("tags", "method"), note)


TABLES: Mapping[str, Callable[[Path], StudyTable]] = MappingProxyType(
    {
        "table1": _table1,
        "table2": _table2,
        "samples": _table1,
        "figure3a": _variants,
        "figure4": _variants,
        "figure3b": _tag_variants,
        "figure5": _tag_variants,
        "ablations": _variants,
        "judges": _variants,
        "figure7": _variance,
        "sizes": _sizes,
    }
)
"""By study: its table from its folder of results."""


def _mean(rows: Sequence[Mapping[str, str]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row[name]]
    return math.fsum(values) / len(values) if values else None


def _by_cell(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    cells: dict[str, list[RunRecord]] = {}
    for record in records:
        cells.setdefault(table1.cell_of(record), []).append(record)
    return cells
