"""A comparison as one HTML page that can be sent to a colleague: what came out, figures, tables, explanations.

The page needs nothing else: no network, no scripts, no fonts. The words around the numbers are derived from
the numbers, so that the page cannot claim what the runs do not show. Fixed text and looks are in report.html.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from kdgan.errors import UsageError
from kdgan.files import replacing
from kdgan.experiments import figures
from kdgan.experiments.statistics import CONTROL, Interval, MethodSummary, RunRecord, summarise
from kdgan.experiments.tables import NOTHING, between, caveats, outcome, seconds_text, signed

Curves = Mapping[tuple[str, int], Sequence[tuple[int, float]]]
"""(method, seed) to its (student updates, test accuracy in %) points."""

METHODS = {
    CONTROL: "The control: the student learns from the labels alone, without a teacher.",
    "distn": "Distillation: the student learns from the labels and a trained teacher's softened outputs.",
    "mimic": "The student learns to give the same logits as a trained teacher (least squares).",
    "noisy": "Like mimic, with random noise on the teacher's logits as a regulariser.",
    "codis": "Codistillation: student and teacher train at the same time and learn from each other.",
    "codis3": "Codistillation of three networks, which costs what KDGAN costs: the control for a third player.",
    "nagan": "The student plays against a discriminator that tells its labels from true ones; no teacher.",
    "kdgan": "Student and teacher learn from each other, and both play against a discriminator.",
}
"""What each method is, in a sentence."""


def write_report(
    path: str | Path,
    records: Iterable[RunRecord],
    curves: Curves,
    facts: Mapping[str, str],
    failures: Sequence[str] = (),
) -> None:
    """Write the page about one data set and number of labels to `path`, atomically; same input, same bytes.

    `records` are the runs to judge. `curves` maps (method, seed) to (student updates, test accuracy in %)
    points, for display only; without any the figure is left out. `facts` says what the study was, in
    the order given: data, student, teacher, steps, command, versions. `failures` is what runs said that failed, and are
    in no number: a mean over the others flatters. Raises UsageError where there is no run, or where
    runs of several data sets or numbers of labels are mixed.
    """
    rows = list(records)
    settings = sorted({(record.data, record.labels) for record in rows})
    if len(settings) != 1:
        found = ", ".join(f"{data} with {labels} labels" for data, labels in settings) or "no runs"
        raise UsageError(
            f"a report is about one data set and number of labels, got {found}; write one for each"
        )
    summaries = summarise(rows)
    methods = [summary.method for summary in summaries]
    colours = figures.method_colours([*methods, *(method for method, _ in curves)])
    data, labels = settings[0]
    room = files("kdgan.experiments")
    template = Template((room / "page.html").read_text(encoding="utf-8"))
    said = (
        [f"Runs that failed and are in no figure or mean ({len(failures)}): {'; '.join(failures[:5])}."]
        if failures
        else []
    )
    notes = "".join(f"<li>{_prose(note)}</li>" for note in [*said, *caveats(summaries)])
    page = template.substitute(
        style=(room / "page.css").read_text(encoding="utf-8"),
        title=escape(f"{data} with {labels:,} labels: which method trains the best student?"),
        lead="\n".join(f"<p>{_prose(sentence)}</p>" for sentence in outcome(summaries)),
        caveats=f'<ul class="caveats">{notes}</ul>' if notes else "",
        figures=_figures(rows, summaries, curves, colours),
        summary=_summary_table(summaries, colours),
        count=len(rows),
        runs=_runs_table(rows, methods),
        methods="\n".join(
            f"<dt>{escape(m)}</dt><dd>{escape(METHODS.get(m, 'A method of this study.'))}</dd>"
            for m in methods
        ),
        facts=_facts_table(facts),
    )
    with replacing(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _figures(
    rows: Sequence[RunRecord], summaries: Sequence[MethodSummary], curves: Curves, colours: Mapping[str, str]
) -> str:
    accuracies = {
        s.method: [
            row.student_accuracy for row in sorted(rows, key=lambda row: row.seed) if row.method == s.method
        ]
        for s in summaries
    }
    last = {summary.method: summary.accuracy.mean for summary in summaries}
    best = {summary.method: summary.best_epoch.mean for summary in summaries}
    drawn = [
        (
            figures.accuracy_figure(accuracies, colours),
            "Test accuracy per method.",
            "Dots: one seed each. Diamond and bar: their mean and its 95 % interval, at the right in numbers."
            + (" Dotted line: the mean of the control." if CONTROL in accuracies else ""),
        )
    ]
    if any(curves.values()):
        drawn.append(
            (
                figures.curves_figure(curves, colours),
                "Test accuracy while training.",
                "Line: mean over seeds. Band: lowest to highest seed. The axis may leave out a steep start.",
            )
        )
    drawn.append(
        (
            figures.best_epoch_figure(last, best, colours),
            "How much picking the best epoch flatters.",
            "Means over seeds; at the right the difference in points.",
        )
    )
    return "\n".join(
        f'<figure><div class="wide" role="img" aria-label="{escape(heading)}">'
        f"{figures.to_svg(figure, f'figure{n}')}</div>"
        f"<figcaption><strong>Figure {n}. {escape(heading)}</strong> {_prose(text)}</figcaption></figure>"
        for n, (figure, heading, text) in enumerate(drawn, start=1)
    )


def _summary_table(summaries: Sequence[MethodSummary], colours: Mapping[str, str]) -> str:
    headers = [
        "method", "seeds", "accuracy", "sd", "to control", "to best baseline", "best epoch on test",
        "teacher", "seconds", "updates", "parameters",
    ]  # fmt: skip
    body = []
    for s in summaries:
        against = f" {s.best_baseline}" if s.to_best_baseline is not None else ""
        teacher = "" if s.teacher_parameters is None else f"<small>{s.teacher_parameters:,}</small>"
        cells = [
            str(len(s.seeds)),
            _cell(s.accuracy),
            NOTHING if s.accuracy.sd is None else f"{s.accuracy.sd:.2f}",
            _cell(s.to_control, signed),
            _cell(s.to_best_baseline, signed, against),
            _cell(s.best_epoch),
            _cell(s.teacher),
            f"{seconds_text(s.seconds)}<small>+ {seconds_text(s.pretraining_seconds)}</small>",
            " to ".join(f"{count:,}" for count in sorted(set(s.student_updates))),
            f"{s.student_parameters:,}{teacher}",
        ]
        swatch = f'<span class="swatch" style="background:{colours[s.method]}"></span>'
        body.append(f"<th>{swatch}{escape(s.method)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return _table(headers, body)


def _cell(
    interval: Interval | None, number: Callable[[float], str] = "{:.2f}".format, after: str = ""
) -> str:
    if interval is None:
        return NOTHING
    return f"{number(interval.mean)}{escape(after)}{between(interval, '<small>{} to {}</small>', number)}"


def _runs_table(rows: Sequence[RunRecord], methods: Sequence[str]) -> str:
    headers = [
        "method", "seed", "accuracy", "best epoch on test", "validation", "teacher", "seconds, own",
        "seconds, pretraining", "student updates",
    ]  # fmt: skip
    body = []
    for row in sorted(rows, key=lambda row: (methods.index(row.method), row.seed)):
        accuracies = [
            row.student_accuracy,
            row.best_epoch_accuracy,
            row.validation_accuracy,
            row.teacher_accuracy,
        ]
        cells = [
            str(row.seed),
            *(NOTHING if accuracy is None else f"{accuracy:.2f}" for accuracy in accuracies),
            seconds_text(row.seconds),
            seconds_text(row.pretraining_seconds),
            f"{row.student_updates:,}",
        ]
        body.append(f"<th>{escape(row.method)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return _table(headers, body)


def _table(headers: Sequence[str], body: Sequence[str]) -> str:
    head = "".join(f"<th>{header}</th>" for header in headers)
    lines = "\n".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>"


def _facts_table(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    lines = "\n".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items())
    return f'<h2>The study</h2>\n<table class="facts"><tbody>\n{lines}\n</tbody></table>'


def _prose(text: str) -> str:
    return escape(text).replace(" %", "&nbsp;%")
