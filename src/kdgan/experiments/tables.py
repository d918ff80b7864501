"""Tables of variants: columns are data, and a table is shown as text in a terminal, as Markdown, or on a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from kdgan.experiments.statistics import Interval, Row
from kdgan.methods import CONTROL
from kdgan.ship.forms import PERCENT, Form, bare, form_of

NOTHING = "–"
"""Text of a cell that has no value."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        header: its name.
        text: what it says of a row.
        words: whether that is words, which stand to the left, and not a number.
    """

    header: str
    text: Callable[[Row], str]
    words: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Text in cells.

    Attributes:
        columns: of which headers and sides are taken.
        cells: a row for each variant.
        note: what the numbers are.
    """

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]
    note: str

    @property
    def headers(self) -> list[str]:
        """Headers of the columns."""
        return [column.header for column in self.columns]

    def markdown(self) -> str:
        """GitHub Markdown, the note below."""
        words = [column.header for column in self.columns if column.words]
        return f"{markdown(self.headers, self.cells, words=words)}\n{self.note}\n"

    def terminal(self, title: str) -> RichTable:
        """For a terminal, within 100 columns where the cells allow."""
        table = RichTable(
            # Text, not str: a name with square brackets is a name, not markup.
            title=Text(title),
            caption=Text(self.note),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for column in self.columns:
            table.add_column(column.header, justify="left" if column.words else "right", overflow="fold")
        for row in self.cells:
            table.add_row(*(Text(cell) for cell in row))
        return table


def table(rows: Sequence[Row], columns: Sequence[Column], note: str) -> Table:
    """A table of these rows."""
    return Table(columns, [[column.text(row) for column in columns] for row in rows], note)


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str]) -> str:
    """A GitHub Markdown table, columns named in `words` to the left and the others, numbers, to the right."""
    rule = [":---" if header in words else "---:" for header in headers]
    return "".join(f"{_markdown_row(cells)}\n" for cells in (headers, rule, *rows))


def _markdown_row(cells: Sequence[str]) -> str:
    safe = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(safe)} |"


# Numbers as text.


def plus_minus(interval: Interval | None, form: Form = PERCENT, *, difference: bool = False) -> str:
    """Mean ± half-width of the interval, e.g. "91.20 ± 0.41"; the mean alone for a single value."""
    if interval is None:
        return NOTHING
    mean = form.signed(interval.mean) if difference else form.text(interval.mean)
    return mean if interval.half_width is None else f"{mean} ± {form.text(interval.half_width)}"


def between(interval: Interval, pattern: str, form: Form = PERCENT, *, difference: bool = False) -> str:
    """`pattern` with the ends of the interval in place of its two {}, or nothing where there is no interval. Those of a
    value, not of a difference, are cut where the metric ends."""
    if interval.low is None or interval.high is None:
        return ""
    if difference:
        return pattern.format(form.signed(interval.low), form.signed(interval.high))
    return pattern.format(*map(form.text, form.cut(interval.low, interval.high)))


def seconds_text(seconds: float | None) -> str:
    """A duration in seconds, with a decimal below 100, e.g. "12.3" or "4,210"."""
    if seconds is None:
        return NOTHING
    return f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:,.0f}"


def seeds_text(rows: Sequence[Row]) -> str:
    """Number of seeds that the variants have, e.g. "10 seeds" or "8 to 10 seeds"."""
    counts = sorted({len(row.seeds) for row in rows})
    if not counts:
        return "no seeds"
    if counts == [1]:
        return "1 seed"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


# Columns that tables are made of.


def name(header: str = "method") -> Column:
    """The variant."""
    return Column(header, lambda row: row.name, words=True)


def cell(header: str = "cell") -> Column:
    """The cell."""
    return Column(header, lambda row: row.cell, words=True)


def seeds() -> Column:
    """Number of seeds."""
    return Column("seeds", lambda row: str(len(row.seeds)))


def mean(metric: str, header: str | None = None, *, interval: bool = True) -> Column:
    """A metric over seeds, with half of its interval."""

    def text(row: Row) -> str:
        found = row.mean(metric)
        return plus_minus(found, form) if interval or found is None else form.text(found.mean)

    form = form_of(metric)
    return Column(header or metric, text)


def minus(other: str, metric: str, header: str) -> Column:
    """Difference to another variant, its own value minus the other's, paired by seed."""
    form = form_of(metric)
    return Column(header, lambda row: plus_minus(row.minus(other, metric), form, difference=True))


def minus_corrected(other: str, metric: str, header: str) -> Column:
    """The same with an interval that is corrected for how many are compared with that one."""
    form = form_of(metric)
    return Column(header, lambda row: plus_minus(row.minus_corrected(other, metric), form, difference=True))


def against(other: str, metric: str, header: str | None = None) -> Column:
    """A metric over seeds, and in brackets the difference to another variant, paired by seed, with half of its interval
    as it is corrected for how many are compared."""
    form = form_of(metric)

    def text(row: Row) -> str:
        found, difference = row.mean(metric), row.minus_corrected(other, metric)
        if found is None:
            return NOTHING
        beside = "" if difference is None else f" ({plus_minus(difference, form, difference=True)})"
        return f"{form.text(found.mean)}{beside}"

    return Column(header or metric, text)


def less_than(other: str, metric: str, header: str) -> Column:
    """Difference to another variant, the other's value minus its own, paired by seed."""

    def text(row: Row) -> str:
        found = row.minus(other, metric)
        if found is None:
            return NOTHING
        flipped = Interval(-found.mean, _negative(found.high), _negative(found.low), found.sd, found.n)
        return plus_minus(flipped, form_of(metric), difference=True)

    return Column(header, text)


def to_best_other(metric: str, header: str = "to best baseline") -> Column:
    """Difference to the best other variant that is no KDGAN, corrected as `minus_corrected`, and the name of that."""

    def text(row: Row) -> str:
        best = row.best_other(metric)
        found = None if best is None else row.minus_corrected(best, metric)
        return NOTHING if found is None else f"{plus_minus(found, form_of(metric), difference=True)} {best}"

    return Column(header, text, words=True)


def best_epoch(metric: str) -> Column:
    """What choosing the best evaluation on test data would have added."""

    def text(row: Row) -> str:
        best, last = row.mean(f"best_epoch/{metric}"), row.mean(metric)
        return NOTHING if best is None or last is None else form_of(metric).signed(best.mean - last.mean)

    return Column("best epoch", text)


def seconds() -> Column:
    """Seconds: own and shared pretraining."""

    def text(row: Row) -> str:
        own, shared = row.average("seconds"), row.average("pretraining_seconds")
        return f"{seconds_text(own)} + {seconds_text(shared)}"

    return Column("seconds", text)


def parameters() -> Column:
    """Parameters of the student."""

    def text(row: Row) -> str:
        count = row.runs[0].student_parameters
        return NOTHING if count is None else f"{count:,}"

    return Column("parameters", text)


def titled(metric: str) -> str:
    """The name of a metric at the beginning of a sentence."""
    name = bare(metric)
    return name[:1].upper() + name[1:]


MOST = 3
"""Metrics beside which a table in a terminal has room for what runs cost."""


def of_comparison(metrics: Sequence[str]) -> list[Column]:
    """Columns of `kdgan compare`: the first metric in full, of the others the means; and costs, where there is room."""
    costs = [seconds(), parameters()] if len(metrics) <= MOST else []
    return [*_compared(metrics), *costs]


def of_report(metrics: Sequence[str]) -> list[Column]:
    """Columns of its page: also the seeds, T at the end, and what choosing the best epoch would have added."""
    first = metrics[0]
    more = [seeds(), best_epoch(first), mean(f"teacher/{first}", "teacher")]
    return [*_compared(metrics), *more, seconds(), parameters()]


def _compared(metrics: Sequence[str]) -> list[Column]:
    first, *others = metrics
    shown = [mean(first), *(mean(other, interval=False) for other in others)]
    return [name(), *shown, minus_corrected(CONTROL, first, "to control"), to_best_other(first)]


def note_of_comparison(rows: Sequence[Row], metrics: Sequence[str], *, report: bool = False) -> str:
    """The line under these tables: what the numbers are, their units, how many seeds."""
    form, trivial = form_of(metrics[0]), rows[0].mean(f"majority/{metrics[0]}") if rows else None
    notes = [
        f"{titled(metrics[0])} on test data{form.in_unit} after the last step, {seeds_text(rows)}",
        *(f"less {bare(each)} is better" for each in metrics if form_of(each).less_is_better),
        *([f"always naming the largest class gives {trivial.mean:.2f}"] if trivial else []),
        "± half of the 95 % interval",
        f"differences{f' in {form.points}' if form.points else ''}, paired by seed, with intervals corrected for how "
        "many are compared with the same one (Holm)",
    ]
    if report:
        notes += [
            "best epoch: what choosing it on test data would have added",
            "teacher: T at the end, with all it sees",
        ]
    if report or len(metrics) <= MOST:
        notes += ["seconds: own + shared pretraining", "parameters: student"]
    return f"{'; '.join(notes)}."


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
