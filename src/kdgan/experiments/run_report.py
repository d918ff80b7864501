"""The report on finished runs: the student beside its teacher and the control, on a terminal and as a page."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from kdgan.errors import wrong
from kdgan.experiments import run_figures
from kdgan.experiments.figures import colours_of
from kdgan.experiments.footprint import Footprint, footprints
from kdgan.experiments.gathered import OF_CONTROL, Gathered, Player, gather
from kdgan.experiments.page import Example, Picture, write_page
from kdgan.experiments.run_words import Values, gains, savings
from kdgan.experiments.statistics import title_of
from kdgan.experiments.tables import NOTHING, Column, Table
from kdgan.ship.forms import bare, form_of
from kdgan.ship.speed import BATCHES, Latency
from kdgan.tasks.config import ClassesData
from kdgan.tasks.diagnosis import Value, by_label, confusion, distances, reliability
from kdgan.tasks.run import likeliest
from kdgan.training.execution import Execution

MOST_CLASSES = 30
"""Classes up to which a confusion matrix is drawn; of more, the most frequent confusions are listed."""
MOST_EXAMPLES, MOST_CONFUSIONS, MOST_PANELS = 6, 15, 9
FEW = 3
"""Metrics for which a terminal has room."""
_COLOURS = {"student": "#0072b2", "teacher": "#d55e00", "control": "#8a8f98"}


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
        shown = self.gathered.metrics if metrics is None else metrics
        columns = [
            Column("", str, words=True),
            *(Column(f"{bare(name)}{_unit(name)}", str) for name in shown),
        ]
        cells = [
            [" − ".join(names), *(_value(found.get(name), name, len(names) == 2) for name in shown)]
            for names, found in self.values.items()
        ]
        return Table(columns, cells, self._note())

    def _note(self) -> str:
        less = [
            f"less {bare(name)} is better" for name in self.gathered.metrics if form_of(name).less_is_better
        ]
        over = f"{len(self.gathered.task.test):,} test examples, seed {self.gathered.seed}"
        if self.gathered.has_seeds:
            over = f"seeds; sizes, times and pictures: seed {self.gathered.seed}"
        return f"{'; '.join([f'On test data, 95 % intervals over {over}', *less])}."

    def costs_table(self) -> Table:
        """What networks take in rows, networks in columns."""
        costs = self.costs
        files = [*dict.fromkeys(file for each in costs.values() for file in each.files)]
        runtimes = [*dict.fromkeys(file for each in costs.values() for file in each.runtimes)]
        rows = [
            ["network", *(each.network for each in costs.values())],
            ["parameters", *(f"{each.parameters:,}" for each in costs.values())],
            *(
                [f"{file}, bytes", *(_count(each.files.get(file)) for each in costs.values())]
                for file in files
            ),
            ["operations (FLOPs) for an example", *(_flops(each.flops) for each in costs.values())],
            *(
                [f"memory at batch {count}, bytes", *(_count(each.memory[count]) for each in costs.values())]
                for count in BATCHES
            ),
            *(
                [f"PyTorch, batch {count}, ms", *(_latency(each.latency[count]) for each in costs.values())]
                for count in BATCHES
            ),
            *(
                [
                    f"{file} in ONNX Runtime, batch {count}, ms",
                    *(_runtime(each.runtimes.get(file), count) for each in costs.values()),
                ]
                for file in runtimes
                for count in BATCHES
            ),
        ]
        note = (
            "Times: median, and 95th percentile in brackets, of forward passes on the processor with one thread, warm. "
            "Networks of the same name are measured once."
        )
        names = [Column(name, str) for name in costs]
        return Table([Column("", str, words=True), *names], rows, note)

    def write(self, path: Path) -> None:
        """Writes the page, whole or not at all.

        Raises:
            UsageError: if the file cannot be written.
        """
        gathered, players = self.gathered, self._shown()
        colours = _colours(gathered)
        lead, *more = self.sentences
        pictures, details = self._pictures(players, colours)
        try:
            write_page(
                path,
                f"{self.title}: what was gained, and what it takes",
                [lead, *more, *filter(None, [gathered.task.about])],
                caveats=gathered.notes,
                pictures=pictures,
                tables={"Metrics": self.metrics_table(), "What the networks take": self.costs_table()},
                details=details,
                examples=self._examples(players),
                terms=self._terms(),
                facts=self._facts(),
                colours=colours,
                examples_heading=self._examples_heading(),
                reading="run",
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise wrong(f"{str(path)[:200]} cannot be written: {error.strerror}") from error

    def _shown(self) -> dict[str, Player]:
        return dict(list(self.gathered.players.items())[:MOST_PANELS])

    def _pictures(
        self, players: Mapping[str, Player], colours: Mapping[str, str]
    ) -> tuple[list[Picture], dict[str, Table]]:
        task, targets = self.gathered.task, self.gathered.task.test.targets
        found = {name: reliability(player.logits, targets) for name, player in players.items()}
        pictures = [
            Picture(
                run_figures.reliability_figure(found, colours),
                "How sure, and how often right (reliability).",
                "Each dot is the test examples of one range of confidence, as large as there are many; on the dotted "
                "line confidence is what it should be, below it the network is too sure. ECE: mean distance from it.",
            )
        ]
        if targets.ndim > 1:
            figure, table = self._by_label(players, colours)
            return [*pictures, figure], table
        counts = {name: confusion(player.logits, targets) for name, player in players.items()}
        if len(task.labels) <= MOST_CLASSES:
            pictures.append(
                Picture(
                    run_figures.confusion_figure(counts, task.labels),
                    "Which classes are taken for which (confusion matrix).",
                    "Rows: the true class. Columns: what it is named. Shade: share of the row.",
                )
            )
        return pictures, {"The most frequent confusions": _confusions(counts, task.labels)}

    def _by_label(
        self, players: Mapping[str, Player], colours: Mapping[str, str]
    ) -> tuple[Picture, dict[str, Table]]:
        task = self.gathered.task
        found = {name: by_label(player.logits, task.test.targets) for name, player in players.items()}
        count = next(iter(found.values()))[1]
        order = np.argsort(-count, kind="stable")
        labels = [task.labels[place] for place in order]
        values = {name: each[order] for name, (each, _) in found.items()}
        picture = Picture(
            run_figures.labels_figure(values, labels, colours),
            "How well each label is found (average precision).",
            f"The {min(len(labels), run_figures.MOST_LABELS)} labels that most test examples have, the most frequent "
            "first.",
        )
        columns = [Column("label", str, words=True), Column("test examples", str)]
        cells = [
            [label, str(count[place]), *(_percent(each[row]) for each in values.values())]
            for row, (label, place) in enumerate(zip(labels, order, strict=True))
        ]
        columns += [Column(name, str) for name in values]
        table = Table(
            columns, cells, "Average precision on test data in %; – where no example has the label."
        )
        return picture, {"Average precision of every label": table}

    def _differing(self) -> tuple[torch.Tensor, str] | None:
        """How far the first student is from its teacher, for each test example; and who they are."""
        subject, players = self.gathered.subject, self.gathered.players
        if subject.teacher is None or not {subject.student, subject.teacher} <= players.keys():
            return None
        one, other = players[subject.student], players[subject.teacher]
        return distances(one.logits, other.logits), f"{one.name} and {other.name}"

    def _examples_heading(self) -> str:
        found = self._differing()
        if found is None:
            return ""
        subject, players = self.gathered.subject, self.gathered.players
        one, other = (players[str(name)].logits.argmax(1) for name in (subject.student, subject.teacher))
        apart = int((one != other).sum())
        return f"Where {found[1]} differ most (they name other labels for {apart:,} of {len(one):,} test examples)"

    def _examples(self, players: Mapping[str, Player]) -> list[Example]:
        found = self._differing()
        if found is None:
            return []
        task = self.gathered.task
        places = found[0].sort(descending=True, stable=True).indices[:MOST_EXAMPLES]
        said = {name: _said(player, places, task) for name, player in players.items()}
        return [
            Example(
                shown.name,
                shown.labels,
                shown.picture,
                {f"{name} ({sure[row]})": labels[row] for name, (labels, sure) in said.items()},
                shown.values,
            )
            for row, shown in enumerate(task.shown_at(places.tolist()))
        ]

    def _terms(self) -> dict[str, str]:
        terms = {}
        for group in self.gathered.groups:
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


def _said(player: Player, places: torch.Tensor, task: object) -> tuple[list[list[str]], list[str]]:
    """The likeliest labels of some examples, and how likely the first is."""
    logits = player.logits[places]
    most = 1 if player.run.config.data.kind == "classes" else 5
    sure = logits.double().softmax(1).amax(1)
    return likeliest(logits, task, most), [f"{100 * chance:.0f} %" for chance in sure.tolist()]  # type: ignore[arg-type]


def _colours(gathered: Gathered) -> dict[str, str]:
    """Of players: those of their methods where there are several, and the same three where there is one."""
    methods = {
        name: method
        for group in gathered.groups
        for name, method in ((group.student, group.method), (group.teacher, f"teacher of {group.method}"))
        if name
    }
    found = colours_of(methods.values())
    return {name: _COLOURS.get(name, found[method]) for name, method in methods.items()}


def _confusions(counts: Mapping[str, np.ndarray], labels: Sequence[str]) -> Table:
    first = next(iter(counts.values()))
    off = first.copy()
    np.fill_diagonal(off, 0)
    rows, columns = np.unravel_index(np.argsort(-off, axis=None, kind="stable")[:MOST_CONFUSIONS], off.shape)
    cells = [
        [labels[true], labels[named], *(str(each[true, named]) for each in counts.values())]
        for true, named in zip(rows, columns, strict=True)
        if off[true, named]
    ]
    headers = [Column("true", str, words=True), Column("named", str, words=True)]
    note = f"Test examples, those that the {next(iter(counts))} confuses most often first."
    return Table([*headers, *(Column(name, str) for name in counts)], cells, note)


def _unit(metric: str) -> str:
    unit = form_of(metric).unit
    return f", {unit}" if unit else ""


def _value(value: Value | None, metric: str, difference: bool) -> str:
    """Such as `91.20 (90.10 to 92.30)`."""
    if value is None:
        return NOTHING
    form = form_of(metric)
    number = form.signed if difference else form.text
    ends = (
        "" if value.low is None or value.high is None else f" ({number(value.low)} to {number(value.high)})"
    )
    return f"{number(value.value)}{ends}"


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _flops(value: int | None) -> str:
    return "not counted" if value is None else f"{value:,}"


def _latency(value: Latency) -> str:
    return f"{value.median:.3f} ({value.p95:.3f})"


def _runtime(found: Mapping[int, Latency] | str | None, count: int) -> str:
    if found is None:
        return NOTHING
    return "not measured" if isinstance(found, str) else _latency(found[count])


def _percent(value: float) -> str:
    return NOTHING if np.isnan(value) else f"{value:.2f}"


def _runtime_version() -> list[str]:
    try:
        return [f"onnxruntime {version('onnxruntime')}"]
    except ImportError:
        return []
