"""The verdict of a comparison: its records, what they say in a table, in words and on a page, and as plain values."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kdgan.errors import wrong
from kdgan.experiments import tables
from kdgan.experiments.earned import earned
from kdgan.experiments.records import Curves, Record
from kdgan.experiments.statistics import Row, best_name, rows_of, title_of
from kdgan.files import save_json
from kdgan.methods import CONTROL

if TYPE_CHECKING:
    from kdgan.experiments.page import Example


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict of a comparison; print it.

    Attributes:
        records: of the runs that ended.
        curves: of the same.
        metrics: names, the first of which the comparison is about.
        facts: what the study was.
        described: what each variant is, in a sentence.
        failures: what runs said that failed, and are in no number.
        self_trained: variants whose teacher learned from examples without labels before the method began.
    """

    records: Sequence[Record]
    curves: Curves
    metrics: Sequence[str]
    facts: Mapping[str, str] = field(default_factory=dict)
    described: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[str] = ()
    self_trained: Collection[str] = ()

    @property
    def title(self) -> str:
        """The data, and how many labels."""
        return title_of(self.records)

    @property
    def rows(self) -> list[Row]:
        """A row for each variant, from which every mean and paired difference may be asked."""
        return rows_of(self.records, self.title)

    @property
    def table(self) -> tables.Table:
        """The variants in numbers."""
        rows = self.rows
        return tables.table(
            rows, tables.of_comparison(self.metrics), tables.note_of_comparison(rows, self.metrics)
        )

    @property
    def best(self) -> str:
        """The variant with the best mean of the first metric; `sentences` say how sure that is."""
        means = {row.name: mean.mean for row in self.rows if (mean := row.mean(self.metrics[0]))}
        return best_name(self.metrics[0], means)

    @property
    def earned(self) -> str:
        """What the teacher, the unlabelled data and the best method earned, in a sentence; empty without a control."""
        return earned(self.rows, self.metrics[0], self_trained=self.self_trained)

    @property
    def sentences(self) -> list[str]:
        """The outcome in words: first what was earned, beside a control; the last is about the control: who is ahead of
        it by how much, or that none is."""
        from kdgan.experiments.report import outcome  # with matplotlib, which workers need not import

        return [*filter(None, [self.earned]), *outcome(self.rows, self.metrics[0])]

    def __str__(self) -> str:
        """The table, what was earned, and the outcome against the control in a sentence."""
        text = io.StringIO()
        console = Console(file=text, width=100)
        console.print(self.table.terminal(self.title))
        failed = [f"Failed, and in no number: {each}" for each in self.failures]
        return "\n".join(
            [
                *(line.rstrip() for line in text.getvalue().rstrip().splitlines()),
                *filter(None, [self.earned]),
                self.sentences[-1],
                *failed,
            ]
        )

    def report(self, path: Path | str, *, examples: Sequence[Example] = (), about: str = "") -> None:
        """Writes the page, as `kdgan compare` does, whole or not at all.

        Args:
            path: of the file, `report.html`.
            examples: what the variants say of test examples.
            about: what the task is, where that needs words.

        Raises:
            UsageError: if the file cannot be written.
        """
        from kdgan.experiments.report import write_report  # with matplotlib, which workers need not import

        if not isinstance(path, Path | str) or not str(path):
            raise wrong(f"path must be that of a file, not {path!r:.60}")
        try:
            write_report(
                Path(path),
                self.records,
                self.curves,
                metrics=self.metrics,
                facts=self.facts,
                described=self.described,
                failures=self.failures,
                examples=examples,
                about=about,
                self_trained=self.self_trained,
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise wrong(f"{str(path)[:200]} cannot be written: {error.strerror}") from error

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold: means, paired differences to the control (Holm), runs, curves."""
        return {
            "title": self.title,
            "metrics": list(self.metrics),
            "best": self.best,
            "sentences": self.sentences,
            "methods": {row.name: self._method(row) for row in self.rows},
            "runs": [{**asdict(record), "metrics": dict(record.metrics)} for record in self.records],
            "curves": [
                {
                    "method": method,
                    "seed": seed,
                    "points": {name: [[*point] for point in points] for name, points in found.items()},
                }
                for (method, seed), found in self.curves.items()
            ],
            "facts": dict(self.facts),
            "failures": list(self.failures),
        }

    def save(self, path: Path | str) -> None:
        """Writes `to_dict()` as JSON, whole or not at all.

        Raises:
            UsageError: if the file cannot be written.
        """
        save_json(path, self.to_dict())

    def _method(self, row: Row) -> dict[str, Any]:
        means = {name: row.mean(name) for name in self.metrics}
        differences = {name: row.minus_corrected(CONTROL, name) for name in self.metrics}
        return {
            "description": self.described.get(row.name, ""),
            "seeds": list(row.seeds),
            "means": {name: asdict(found) for name, found in means.items() if found},
            "to_control": {name: asdict(found) for name, found in differences.items() if found},
        }
