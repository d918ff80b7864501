"""The report on finished runs: the student beside its teacher and the control, on a terminal and as a page."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from kdgan.errors import wrong
from kdgan.experiments.footprint import Footprint, footprints
from kdgan.experiments.gathered import OF_CONTROL, Gathered
from kdgan.experiments.gathering import gather
from kdgan.experiments.page import write_page
from kdgan.experiments.run_pictures import colours, differing, pictures
from kdgan.experiments.run_tables import costs_table, metrics_table
from kdgan.experiments.run_words import Values, gains, savings
from kdgan.experiments.statistics import title_of
from kdgan.experiments.tables import Table
from kdgan.tasks.config import ClassesData
from kdgan.training.execution import Execution

FEW = 3
"""Metrics for which a terminal has room."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """Report on runs that have finished.

    Attributes:
        gathered: the runs.
        values: metrics by (name,), and their differences by pair of names.
        costs: what networks take, by name.
        command: as it was typed.
    """

    gathered: Gathered
    values: Values
    costs: Mapping[str, Footprint]
    command: str = ""

    @staticmethod
    def of(
        paths: Iterable[Path], execution: Execution, *, trust: bool = False, command: str = ""
    ) -> RunReport:
        """The report on the runs of folders, each of a run or of a comparison.

        Args:
            paths: folders.
            execution: where players are judged; what they take is measured on the CPU.
            trust: import what the runs name, metrics, networks and methods of one's own: importing runs code.
            command: as it was typed, for the page.

        Raises:
            UsageError: for folders without finished runs of networks, and for data that have changed.
        """
        gathered = gather(paths, execution, trust=trust)
        return RunReport(gathered, gathered.values(), footprints(gathered), command)

    @property
    def title(self) -> str:
        """The data, and how many labels."""
        return title_of(self.gathered.records)

    @property
    def sentences(self) -> list[str]:
        """What was gained, and at what cost."""
        return [*gains(self.gathered, self.values), *savings(self.gathered, self.costs)]

    def metrics_table(self, metrics: Sequence[str] | None = None) -> Table:
        """Players and differences in rows, metrics in columns; all of them by default."""
        return metrics_table(
            self.gathered, self.values, self.gathered.metrics if metrics is None else metrics
        )

    def costs_table(self) -> Table:
        """What networks take in rows, networks in columns."""
        return costs_table(self.costs)

    def write(self, path: Path) -> None:
        """Writes the page, whole or not at all.

        Raises:
            UsageError: if the file cannot be written.
        """
        gathered = self.gathered
        lead, *more = self.sentences
        drawn, details = pictures(gathered)
        heading, examples = differing(gathered)
        try:
            write_page(
                path,
                f"{self.title}: what was gained, and what it takes",
                [lead, *more, *filter(None, [gathered.task.about])],
                caveats=gathered.notes,
                pictures=drawn,
                tables={"Metrics": self.metrics_table(), "What the networks take": self.costs_table()},
                details=details,
                examples=examples,
                terms=_terms(gathered),
                facts=self._facts(),
                colours=colours(gathered),
                examples_heading=heading,
                reading="run",
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise wrong(f"{str(path)[:200]} cannot be written: {error.strerror}") from error

    def _facts(self) -> dict[str, str]:
        runs = [run for group in self.gathered.groups for run in group.runs.values()]
        names = [f"{run.config.method}, seed {run.config.seed}: {run.folder.name}" for run in runs]
        processor = platform.processor() or platform.machine()
        libraries = [f"{name} {version(name)}" for name in ("kdgan", "numpy")]
        return {
            "Data": self.title,
            "Test examples": f"{len(self.gathered.task.test):,}",
            "Runs": "; ".join(names[:20]) + ("; …" if len(names) > 20 else ""),
            "Measured on": f"{platform.system()}, {processor}, one thread",
            "Versions": ", ".join([*libraries, f"torch {torch.__version__}", *_runtime_version()]),
            **({"Command": self.command} if self.command else {}),
        }


def _terms(gathered: Gathered) -> dict[str, str]:
    """What each player is, by name."""
    terms = {}
    for group in gathered.groups:
        run = next(iter(group.runs.values()))
        if group.student == OF_CONTROL:
            terms[OF_CONTROL] = "The same student, trained on the labels alone (supervised)."
        else:
            terms[group.student] = f"{run.config.student}, trained by {run.config.method}."
        if group.teacher:
            sees = "" if isinstance(run.config.data, ClassesData) else ", which also reads texts"
            privileged = bool(getattr(run.config.data, "privileged", ()))
            sees = ", which also sees the privileged columns" if privileged else sees
            terms[group.teacher] = f"{run.config.teacher}{sees}."
    return terms


def _runtime_version() -> list[str]:
    try:
        return [f"onnxruntime {version('onnxruntime')}"]
    except ImportError:
        return []
