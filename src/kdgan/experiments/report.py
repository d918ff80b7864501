"""The report of a comparison: what its records show, in sentences, figures and tables.

The words around the numbers are derived from the numbers, so that the page cannot claim what the runs do not show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from kdgan.experiments import figures, tables
from kdgan.experiments.earned import Ladder, alternative_text, earned, has_teacher, ladder_of, values_of
from kdgan.experiments.page import Example, Picture, write_page
from kdgan.experiments.records import Curves, Points, Record
from kdgan.experiments.statistics import LEAST_SEEDS, Interval, Row, best_name, rows_of, title_of
from kdgan.experiments.tables import NOTHING, Column, between, seconds_text, seeds_text, titled
from kdgan.methods import CONTROL
from kdgan.ship.forms import Form, bare, form_of

MOST_VARIANTS, MOST_RUNS, MOST_TEXT = 30, 500, 10_000
"""Variants that a page shows, runs that have a row each, and characters of a fact: a page stays small."""


def write_report(
    path: Path,
    records: Iterable[Record],
    curves: Curves,
    *,
    metrics: Sequence[str],
    facts: Mapping[str, str] | None = None,
    described: Mapping[str, str] | None = None,
    failures: Sequence[str] = (),
    examples: Sequence[Example] = (),
    about: str = "",
    self_trained: Collection[str] = (),
) -> None:
    """Writes the page about one data set, atomically; same input, same bytes.

    Its size is bounded: of many variants the best are shown, of many runs the range and median, and of many seeds and
    points of curves some, which the page says. Its sentences and intervals are always of all.

    Args:
        path: of the file.
        records: the runs to judge.
        curves: for display only; without any of the first metric that figure is left out.
        metrics: names, the first of which the comparison is about.
        facts: what the study was, in the order given: data, student, teacher, steps, command, versions.
        described: what each variant is, in a sentence.
        failures: what runs said that failed, and are in no number: a mean over the others flatters.
        examples: what the variants say of test examples.
        about: what the task is, where that needs words.
        self_trained: variants whose teacher learned from examples without labels before the method began.

    Raises:
        UsageError: where there is no run, or where runs of several data sets are mixed.
    """
    records = list(records)
    title = title_of(records)
    rows = rows_of(records, title)
    metric = metrics[0]
    shown = _shown(rows, metric)
    hidden = {row.name for row in rows} - {row.name for row in shown}
    curves = {key: found for key, found in curves.items() if key[0] not in hidden}
    note = tables.note_of_comparison(rows, metrics, report=True)
    failed = f"Runs that failed and are in no figure or mean ({len(failures)}): {'; '.join(failures[:5])}."
    gain = earned(rows, metric, self_trained=self_trained)
    left_out = (
        f"Of {len(rows):,} variants figures and tables show {len(shown)}: those with the best mean {bare(metric)}, "
        "KDGAN and the control."
    )
    colours = figures.colours_of([*(row.name for row in shown), *(name for name, _ in curves)])
    every = [run for row in shown for run in row.runs]
    heading = f"The {len(every)} runs of these variants" if hidden else f"All {len(every)} runs"
    write_page(
        path,
        f"{title}: which method trains the best student?",
        [*filter(None, [gain]), *outcome(rows, metric), *filter(None, [about])],
        caveats=[*([failed] if failures else []), *caveats(rows), *([left_out] if hidden else [])],
        pictures=_pictures(shown, curves, metric, colours),
        tables={"The comparison in numbers": tables.table(shown, tables.of_report(metrics), note)},
        details={f"{heading}, in short": _ranges_table(shown, metrics)}
        if len(every) > MOST_RUNS
        else {heading: _runs_table(every, metrics)},
        examples=[replace(each, predictions=_without(hidden, each.predictions)) for each in examples],
        terms={row.name: (described or {}).get(row.name, "A variant of this study.") for row in shown},
        facts={name: _cut(text) for name, text in (facts or {}).items()},
        colours=colours,
    )


def _shown(rows: Sequence[Row], metric: str) -> Sequence[Row]:
    """The rows that there is room for: the best, and the two that the sentences are about."""
    if len(rows) <= MOST_VARIANTS:
        return rows
    means = {row.name: interval.mean for row in rows if (interval := row.mean(metric))}
    best = sorted(means, key=means.__getitem__, reverse=not form_of(metric).less_is_better)
    named = [row.name for row in rows if row.name in ("kdgan", CONTROL)]
    kept = {*named, *[name for name in best if name not in named][: MOST_VARIANTS - len(named)]}
    return [row for row in rows if row.name in kept]


def _without(hidden: set[str], found: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: labels for name, labels in found.items() if name not in hidden}


def _cut(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]} … and {len(text) - MOST_TEXT:,} characters more"


def _pictures(rows: Sequence[Row], curves: Curves, metric: str, colours: Mapping[str, str]) -> list[Picture]:
    drawn = [_ladder(ladder_of(rows, metric), colours)]
    # Some runs look at test data once, at the end: then what validation data showed is drawn.
    part, name = next(
        (
            (part, name)
            for part, name in (("test", metric), ("validation", f"validation/{metric}"))
            if any(found.get(name) for found in curves.values())
        ),
        ("", ""),
    )
    of_metric = {key: points for key, found in curves.items() if (points := found.get(name))}
    if of_metric:
        drawn.append(
            Picture(
                figures.curves_figure(metric, of_metric, colours, part=part),
                f"{titled(metric)} while training.",
                f"On {part} data. Line: mean over seeds. Band: lowest to highest seed. The axis may leave out a "
                f"steep start.{_about_points(of_metric)}",
            )
        )
    best = {row.name: interval.mean for row in rows if (interval := row.mean(f"best_epoch/{metric}"))}
    if best:
        last = {
            row.name: interval.mean for row in rows if row.name in best and (interval := row.mean(metric))
        }
        drawn.append(
            Picture(
                figures.best_epoch_figure(metric, last, best, colours),
                "How much picking the best epoch flatters.",
                "Means over seeds; at the right the difference.",
            )
        )
    return drawn


def _ladder(ladder: Ladder, colours: Mapping[str, str]) -> Picture:
    """The picture of what each variant reached and, beside a control, earned."""
    metric, teacher = ladder.metric, ladder.teacher
    text = "Dots: one seed each. Diamond and bar: their mean and its 95 % interval, at the right in numbers."
    if CONTROL in ladder.means:
        text += " Dotted line: the mean of the control."
    if ladder.gains:
        text += (
            " Below each number: the difference to the control, paired by seed, with an interval that is corrected for "
            "how many there are (Holm), bold where it excludes zero."
        )
    mark = None
    if teacher is not None:
        mark = f"teacher of {teacher.name}", values_of(teacher, ladder.of_teacher)
        text += f" Open diamond: the teacher of {teacher.name} at the end, with all it sees."
    text += _about_dots({row.name: values_of(row, metric) for row in ladder.rows})
    return Picture(
        figures.ladder_figure(
            metric,
            {row.name: values_of(row, metric) for row in ladder.rows},
            colours,
            gains=ladder.gains,
            teacher=mark,
        ),
        f"{titled(metric)} on test data per method{', and what it earned' if ladder.gains else ''}.",
        text,
        alternative_text(ladder),
    )


def _about_dots(values: Mapping[str, Sequence[float]]) -> str:
    if max(map(len, values.values()), default=0) <= figures.MOST_DOTS:
        return ""
    return (
        f" Where there are more than {figures.MOST_DOTS} seeds, as many of them are drawn, evenly from the lowest to "
        "the highest."
    )


def _about_points(curves: Mapping[tuple[str, int], Points]) -> str:
    updates: dict[str, set[int]] = {}
    for (name, _), points in curves.items():
        updates.setdefault(name, set()).update(update for update, _ in points)
    if max(map(len, updates.values()), default=0) <= figures.MOST_POINTS:
        return ""
    return f" Of more than {figures.MOST_POINTS} updates as many are drawn."


def _names(runs: Sequence[Record], metrics: Sequence[str]) -> list[str]:
    """Of all metrics that runs have, the first those that the comparison is about."""
    return list(dict.fromkeys([*metrics, *(name for run in runs for name in run.metrics)]))


def _ranges_table(rows: Sequence[Row], metrics: Sequence[str]) -> tables.Table:
    names = _names([run for row in rows for run in row.runs], metrics)
    columns = [
        Column("method", lambda row: row.name, words=True),
        *(Column(name, str) for name in ("runs", *names)),
    ]
    cells = [
        [
            row.name,
            f"{len(row.runs):,}",
            *(_range([run.metrics[name] for run in row.runs if name in run.metrics], name) for name in names),
        ]
        for row in rows
    ]
    note = (
        f"More than {MOST_RUNS} runs: of each metric the lowest, the median and the highest value in place of a row "
        "for each run, which results.csv has. On test data unless it says otherwise. teacher/…: T at the end. "
        "best_epoch/…: the best evaluation."
    )
    return tables.Table(columns, cells, note)


def _range(values: Sequence[float], metric: str) -> str:
    if not values:
        return NOTHING
    return " · ".join(map(form_of(metric).text, (min(values), median(values), max(values))))


def _runs_table(runs: Sequence[Record], metrics: Sequence[str]) -> tables.Table:
    shown = _names(runs, metrics)
    columns = [
        Column("method", lambda row: row.name, words=True),
        *(
            Column(header, str)
            for header in ("seed", *shown, "seconds, own", "seconds, pretraining", "updates")
        ),
    ]
    cells = [
        [
            run.method,
            str(run.seed),
            *(
                NOTHING if name not in run.metrics else form_of(name).text(run.metrics[name])
                for name in shown
            ),
            seconds_text(run.seconds),
            seconds_text(run.pretraining_seconds),
            NOTHING if run.student_updates is None else f"{run.student_updates:,}",
        ]
        for run in runs
    ]
    note = (
        "On test data unless it says otherwise. teacher/…: T at the end. best_epoch/…: the best evaluation."
    )
    return tables.Table(columns, cells, note)


def outcome(rows: Sequence[Row], metric: str) -> list[str]:
    """Outcome of a comparison in plain sentences: the best mean, KDGAN, the worth of distilling.

    A difference counts only where its paired 95 % interval excludes zero. `rows` must not be empty.
    """
    means = {row.name: interval for row in rows if (interval := row.mean(metric))}
    by_name, form = {name: interval.mean for name, interval in means.items()}, form_of(metric)
    first = best_name(metric, by_name)
    best = next(row for row in rows if row.name == first)
    where = f"On {best.cell}, {seeds_text(rows)}"
    ends = between(means[best.name], " (95 % interval {} to {})", form)
    value = f"{form.with_unit(means[best.name].mean)}{ends}"
    if len(rows) == 1:
        alone = "there is nothing to compare it with"
        return [f"{where}: {best.name} reaches a mean {bare(metric)} on test data of {value}; {alone}."]
    most = "lowest" if form.less_is_better else "highest"
    sentences = [f"{where}: {best.name} has the {most} mean {bare(metric)} on test data, {value}."]
    trivial = best.mean(f"majority/{metric}")
    if trivial is not None and means[first].mean <= trivial.mean:
        sentences.append(
            f"No method is better than always naming the largest class, which gives {trivial.mean:.2f} %."
        )
    kdgan = next((row for row in rows if row.name == "kdgan"), None)
    subject, mark = (best, "next best") if kdgan is None else (kdgan, "best")
    baseline = subject.best_other(metric)
    # The best of several was picked, as in `earned`.
    difference = None if baseline is None else subject.minus_corrected(baseline, metric)
    if difference is not None:
        verdicts = ("so it is ahead", "so it is behind", "so these runs do not tell the two apart")
        sentences.append(
            _against(
                subject.name, difference, form, f"the {mark} baseline, {baseline}", verdicts, _paired(subject)
            )
        )
    control = next((row for row in rows if row.name == CONTROL), None)
    distilled = [row for row in rows if has_teacher(row) and row.minus(CONTROL, metric) is not None]
    if control is None:
        sentences.append("Without the no-teacher control, whether distilling was worth it cannot be told.")
    elif distilled:
        ahead = best_name(metric, {row.name: by_name[row.name] for row in distilled})
        sentences.append(_worth(next(row for row in distilled if row.name == ahead), control, metric))
    return sentences


def _worth(distilled: Row, control: Row, metric: str) -> str:
    difference = distilled.minus_corrected(CONTROL, metric)
    assert difference is not None
    verdicts = (
        "so distilling was worth it",
        "so distilling did harm",
        "so whether distilling was worth it stays open",
    )
    times = [_whole(row) for row in (distilled, control)]
    took = f"a run of {distilled.name} took {times[0]} s, one of the control {times[1]} s"
    against = _against(
        distilled.name,
        difference,
        form_of(metric),
        "the control without a teacher",
        verdicts,
        _paired(distilled),
    )
    return f"{against} With pretraining, {took}."


def _paired(row: Row) -> str:
    """What an interval of a difference to another variant is."""
    many = len(row.others) - 1
    return f"paired 95 % interval (Holm, of {many})" if many > 1 else "paired 95 % interval"


def _whole(row: Row) -> str:
    return seconds_text((row.average("seconds") or 0) + (row.average("pretraining_seconds") or 0))


def _against(
    method: str,
    difference: Interval,
    form: Form,
    other: str,
    verdicts: tuple[str, str, str],
    what: str = "paired 95 % interval",
) -> str:
    ahead, behind, open_ = verdicts
    side = "above" if difference.mean >= 0 else "below"
    by = " ".join(filter(None, [form.text(abs(difference.mean)), form.points]))
    text = f"{method} is {by} {side} {other}"
    is_better = (difference.mean < 0) if form.less_is_better else (difference.mean > 0)
    if difference.low is None:
        return f"{text}; a single seed gives no interval, {open_}."
    ends = between(difference, ", {} to {},", form, difference=True)
    if not difference.is_conclusive and difference.mean:
        why = (
            f"is of {difference.n} seeds"
            if difference.n < LEAST_SEEDS
            else "is of seeds that agree by chance"
        )
        return f"{text}; the {what}{ends} {why}, {open_}."
    verdict = (ahead if is_better else behind) if difference.excludes_zero else open_
    zero = "excludes" if difference.excludes_zero else "includes"
    return f"{text}; the {what}{ends} {zero} zero, {verdict}."


def caveats(rows: Sequence[Row]) -> list[str]:
    """Weaknesses of the comparison: few seeds, seeds that not all methods have, unequal student updates."""
    found = []
    fewest = min(len(row.seeds) for row in rows)
    if fewest < 5:
        found.append(
            f"Few seeds (the fewest: {fewest}): intervals are wide or missing, and the order may change."
        )
    if len({row.seeds for row in rows}) > 1:
        found.append("Not every method has the same seeds; differences are over the seeds that both have.")
    updates = {run.student_updates for row in rows for run in row.runs if run.student_updates is not None}
    if len(updates) > 1:
        found.append(
            f"Student updates differ between runs ({min(updates):,} to {max(updates):,}): "
            "part of a difference may come from longer training."
        )
    return found
