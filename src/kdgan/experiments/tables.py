"""Summaries of methods as text: what came out in sentences, a table for the terminal, a table in Markdown.

Cells are made once, in `table_rows`, so that the terminal and the documentation never disagree; sentences are
derived from the numbers, so that they cannot claim what the runs do not show.
"""

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from kdgan.experiments.statistics import CONTROL, Interval, MethodSummary

NOTHING = "–"
"""What a cell shows where there is nothing to say."""


_WORDS = ("data", "method", "to best baseline")
_NOT_DISTILLING = (CONTROL, "nagan")


def signed(value: float) -> str:
    """A difference in points with its sign, e.g. "+1.20" or "−0.35"; "0.00" has none."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def plus_minus(interval: Interval | None, difference: bool = False) -> str:
    """Mean ± half-width of the interval, e.g. "91.20 ± 0.41"; the mean alone for a single value."""
    if interval is None:
        return NOTHING
    mean = signed(interval.mean) if difference else f"{interval.mean:.2f}"
    return mean if interval.half_width is None else f"{mean} ± {interval.half_width:.2f}"


def seconds_text(seconds: float) -> str:
    """A duration in seconds, with a decimal below 100, e.g. "12.3" or "4,210"."""
    return f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:,.0f}"


def seeds_text(summaries: Sequence[MethodSummary]) -> str:
    """How many seeds the methods have, e.g. "10 seeds" or "8 to 10 seeds"."""
    counts = sorted({len(summary.seeds) for summary in summaries})
    if not counts:
        return "no seeds"
    if counts == [1]:
        return "1 seed"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def caption(summaries: Sequence[MethodSummary]) -> str:
    """The line under a table: what the numbers are, their units, how many seeds."""
    return (
        f"Test accuracy in % after the last step, {seeds_text(summaries)}; ± half of the 95 % interval; "
        "differences in points, paired by seed; seconds: own + shared pretraining; parameters: student."
    )


def table_rows(summaries: Sequence[MethodSummary]) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table as plain text, one row per summary."""
    headers = ["method", "accuracy", "to control", "to best baseline", "seconds", "parameters"]
    rows = []
    for summary in summaries:
        best = plus_minus(summary.to_best_baseline, difference=True)
        rows.append(
            [
                summary.method,
                plus_minus(summary.accuracy),
                plus_minus(summary.to_control, difference=True),
                best if summary.to_best_baseline is None else f"{best} {summary.best_baseline}",
                f"{seconds_text(summary.seconds)} + {seconds_text(summary.pretraining_seconds)}",
                f"{summary.student_parameters:,}",
            ]
        )
    return headers, rows


def terminal_table(summaries: Sequence[MethodSummary]) -> Table:
    """The comparison as a rich Table that fits in 100 columns.

    Several data sets or numbers of labels become sections of it, each below a line that names it.
    """
    headers, rows = table_rows(summaries)
    settings = [f"{summary.data}, {summary.labels:,}" for summary in summaries]
    one = len(set(settings)) == 1
    table = Table(
        # Text, not str: a name with square brackets is a name, not markup.
        title=Text(f"{settings[0]} labels") if one else None,
        caption=Text(caption(summaries)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for header in headers:
        shown = "data, labels\nmethod" if header == "method" and not one else header
        table.add_column(shown, justify="left" if header in _WORDS else "right", overflow="fold")
    for index, row in enumerate(rows):
        if not one and settings[index] not in settings[:index]:
            table.add_section()
            table.add_row(Text(settings[index], style="bold"))
        table.add_row(*(Text(cell) for cell in row))
    return table


def markdown_table(summaries: Sequence[MethodSummary]) -> str:
    """The same table as GitHub Markdown, with data and labels as first columns and its caption below.

    Ends with a newline.
    """
    headers, rows = table_rows(summaries)
    full = [[s.data, f"{s.labels:,}", *row] for s, row in zip(summaries, rows, strict=True)]
    return f"{markdown(['data', 'labels', *headers], full, words=_WORDS)}\n{caption(summaries)}\n"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str]) -> str:
    """A GitHub Markdown table, columns named in `words` to the left and the others, numbers, to the right."""
    rule = [":---" if header in words else "---:" for header in headers]
    return "".join(f"{_markdown_row(cells)}\n" for cells in (headers, rule, *rows))


def _markdown_row(cells: Sequence[str]) -> str:
    safe = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(safe)} |"


def outcome(summaries: Sequence[MethodSummary]) -> list[str]:
    """What a comparison on one setting shows, in plain sentences: highest mean, KDGAN, worth of distilling.

    A difference counts only where its paired 95 % interval excludes zero. `summaries` must not be empty.
    """
    best = max(summaries, key=lambda summary: summary.accuracy.mean)
    where = f"On {best.data} with {best.labels:,} labels and {seeds_text(summaries)}"
    accuracy = f"{best.accuracy.mean:.2f} %{between(best.accuracy, ' (95 % interval {} to {})')}"
    if len(summaries) == 1:
        alone = "there is nothing to compare it with"
        return [f"{where}, {best.method} reaches a mean test accuracy of {accuracy}; {alone}."]
    sentences = [f"{where}, {best.method} has the highest mean test accuracy: {accuracy}."]
    kdgan = next((summary for summary in summaries if summary.method == "kdgan"), None)
    subject, mark = (best, "next best") if kdgan is None else (kdgan, "best")
    if subject.to_best_baseline is not None:
        verdicts = ("so it is ahead", "so it is behind", "so these runs do not tell the two apart")
        baseline = f"the {mark} baseline, {subject.best_baseline}"
        sentences.append(_against(subject.method, subject.to_best_baseline, baseline, verdicts))
    distilled = [s for s in summaries if s.method not in _NOT_DISTILLING and s.to_control is not None]
    if distilled:
        sentences.append(_worth(max(distilled, key=lambda s: s.accuracy.mean), summaries))
    elif CONTROL not in {summary.method for summary in summaries}:
        sentences.append("Without the no-teacher control, whether distilling was worth it cannot be told.")
    return sentences


def _worth(distilled: MethodSummary, summaries: Sequence[MethodSummary]) -> str:
    control = next(summary for summary in summaries if summary.method == CONTROL)
    assert distilled.to_control is not None
    verdicts = (
        "so distilling was worth it",
        "so distilling did harm",
        "so whether distilling was worth it stays open",
    )
    times = [seconds_text(s.seconds + s.pretraining_seconds) for s in (distilled, control)]
    took = f"a run of {distilled.method} took {times[0]} s, one of the control {times[1]} s"
    against = _against(distilled.method, distilled.to_control, "the control without a teacher", verdicts)
    return f"{against} With pretraining, {took}."


def _against(method: str, difference: Interval, other: str, verdicts: tuple[str, str, str]) -> str:
    ahead, behind, open_ = verdicts
    side = "above" if difference.mean >= 0 else "below"
    text = f"{method} is {abs(difference.mean):.2f} points {side} {other}"
    if difference.low is None:
        return f"{text}; a single seed gives no interval, {open_}."
    verdict = (ahead if difference.mean > 0 else behind) if difference.excludes_zero else open_
    zero = "excludes" if difference.excludes_zero else "includes"
    return f"{text}; the paired 95 % interval{between(difference, ', {} to {},', signed)} {zero} zero, {verdict}."


def between(interval: Interval, pattern: str, number: Callable[[float], str] = "{:.2f}".format) -> str:
    """`pattern` with the ends of the interval in place of its two {}, or nothing where there is no interval."""
    if interval.low is None or interval.high is None:
        return ""
    return pattern.format(number(interval.low), number(interval.high))


def caveats(summaries: Sequence[MethodSummary]) -> list[str]:
    """What weakens the comparison: few seeds, seeds that not all methods have, unequal student updates."""
    found = []
    fewest = min(len(summary.seeds) for summary in summaries)
    if fewest < 5:
        found.append(
            f"Few seeds (the fewest: {fewest}): intervals are wide or missing, and the order may change."
        )
    if len({summary.seeds for summary in summaries}) > 1:
        found.append("Not every method has the same seeds; differences are over the seeds that both have.")
    updates = {count for summary in summaries for count in summary.student_updates}
    if len(updates) > 1:
        found.append(
            f"Student updates differ between runs ({min(updates):,} to {max(updates):,}): "
            "part of a difference may come from longer training."
        )
    return found
