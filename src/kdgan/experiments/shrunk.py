"""What a search for a smaller student has found: as a table, a plot and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from kdgan.experiments.figures import INK, MUTED, plain_axes
from kdgan.files import replacing, write_json
from kdgan.ship.forms import form_of


@dataclass(frozen=True, slots=True)
class Candidate:
    """A student of some width.

    Attributes:
        network: its name.
        parameters: numbers in it.
        milliseconds: that one instance takes.
    """

    network: str
    parameters: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What a race has found.

    Attributes:
        metric: the first, by which students are judged.
        chosen: the smallest student that holds or, where size or time is bounded, the best within; None if none does.
        bound: what a student had to reach on validation data; None where size or time is bounded.
        candidates: all that took part, the widest first.
        rounds: updates of each round, and what students reached on validation data, by network: means over seeds.
        test: metrics of the chosen one on test data.
        examples: of validation, by which it is decided.
    """

    metric: str
    chosen: Candidate | None
    bound: float | None
    candidates: Sequence[Candidate]
    rounds: Sequence[tuple[int, Mapping[str, float]]]
    test: Mapping[str, float]
    examples: int

    def terminal(self) -> Table:
        """The frontier: a row for each student."""
        form = form_of(self.metric)
        found = Table(
            title=f"{self.metric} on {self.examples:,} validation examples by size of the student",
            title_justify="left",
        )
        for header in (
            "student",
            "parameters",
            "ms",
            *(f"{steps:,} updates" for steps, _ in self.rounds),
            "",
        ):
            found.add_column(header, justify="left" if header in ("student", "") else "right")
        for each in self.candidates:
            values = [
                form.text(found_[each.network]) if each.network in found_ else "" for _, found_ in self.rounds
            ]
            mark = "chosen" if each == self.chosen else ""
            found.add_row(each.network, f"{each.parameters:,}", f"{each.milliseconds:.3f}", *values, mark)
        return found

    def figure(self) -> Figure:
        """The same as a plot, the last round full and the others hollow."""
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        sizes = {each.network: each.parameters for each in self.candidates}
        for place, (steps, found) in enumerate(self.rounds):
            points = sorted((sizes[network], value) for network, value in found.items())
            last = place == len(self.rounds) - 1
            axes.plot(
                *zip(*points, strict=True),
                "o-" if last else "o",
                color="#d55e00" if last else MUTED,
                markerfacecolor="#d55e00" if last else "none",
                label=f"{steps:,} updates",
            )
        if self.bound is not None:
            axes.axhline(self.bound, color=INK, linestyle=":", linewidth=1, label="what must hold")
        if self.chosen is not None:
            axes.axvline(
                self.chosen.parameters, color=INK, linewidth=1, label=f"chosen: {self.chosen.network}"
            )
        plain_axes(axes)
        axes.set_xscale("log")
        axes.set_xlabel("parameters of the student")
        axes.set_ylabel(f"{self.metric} on validation data")
        axes.legend(frameon=False)
        return figure

    def write(self, out: Path) -> None:
        """Writes `shrunk.json` and `frontier.png`."""
        write_json(
            out / "shrunk.json",
            {
                "metric": self.metric,
                "bound": self.bound,
                "chosen": None if self.chosen is None else asdict(self.chosen),
                "candidates": [asdict(each) for each in self.candidates],
                "rounds": [{"steps": steps, "validation": dict(found)} for steps, found in self.rounds],
                "test": dict(self.test),
                "examples": self.examples,
            },
        )
        with replacing(out / "frontier.png") as temporary:
            self.figure().savefig(temporary, format="png", dpi=150)
