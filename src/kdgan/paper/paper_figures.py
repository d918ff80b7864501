"""The paper's figures, and those its reviewers asked for, from the raw figures that `kdgan reproduce` writes."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from kdgan.errors import UsageError
from kdgan.paper import tag_comparison
from kdgan.experiments.figures import GRID, INK, MUTED, curves_figure, draw_curves, method_colours
from kdgan.experiments.statistics import RunRecord, mean_interval, method_order, read_results
from kdgan.paper.tag_comparison import MEASURES

Curves = dict[tuple[str, int], list[tuple[int, float]]]


def read_curves(file: Path, measure: str = "test_accuracy") -> Curves:
    """(method, seed) to its (student updates, measure on test data) points, from a file of `kdgan reproduce`.

    Raises:
        UsageError: if the file cannot be read, or holds something else.
    """
    curves: Curves = {}
    try:
        for row in read_table(file):
            key = row["method"], int(row["seed"])
            curves.setdefault(key, []).append((int(row["student_updates"]), float(row[measure])))
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{file} does not hold curves of {measure}") from error
    return curves


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file.

    Raises:
        UsageError: if it cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def training_curves(folder: Path) -> Figure:
    """Figure 3a: test accuracy of C against its updates, NaGAN against KDGAN, all seeds."""
    curves = {
        key: points
        for file in sorted(folder.glob("*-curves.csv"))
        for key, points in read_curves(file).items()
        if key[0] in ("nagan", "kdgan")
    }
    return curves_figure(curves, method_colours(["nagan", "kdgan"]))


def weights(folder: Path) -> Figure:
    """Figure 4: accuracy of KDGAN against α, β and γ, each alone; bars are 95 % intervals over seeds."""
    found = [(record.method, record.student_accuracy) for record in read_records(folder)]
    return _weights_figure({"test accuracy, %": found})


def tag_curves(folder: Path) -> Figure:
    """Figure 3b: P@3 of C on test photos against its updates, NaGAN against KDGAN, a panel for each choice of tags."""
    files = sorted(folder.glob("*-curves.csv"))
    colours = method_colours(["nagan", "kdgan"])
    figure = Figure(figsize=(4.2 * max(len(files), 1) + 1.4, 3.6), layout="constrained")
    panels = figure.subplots(1, max(len(files), 1), squeeze=False)[0]
    shown: tuple[list[Artist], list[str]] = [], []
    for axes, file in zip(panels, files, strict=False):
        handles, labels = draw_curves(axes, read_curves(file, "P@3"), colours, narrowest=0.01)
        axes.set_title(f"{file.stem.removesuffix('-curves')} tags", color=INK)
        shown = shown if shown[0] else (handles, labels)
    panels[0].set_ylabel("P@3 on test photos")
    if shown[0]:
        figure.legend(*shown, loc="outside right center", frameon=False, labelcolor=INK, markerscale=1.8)
    return figure


def tag_weights(folder: Path) -> Figure:
    """Figure 5: P@3 of KDGAN against α, β and γ, each alone, a row for each choice of tags."""
    place = MEASURES.index("P@3")
    found: dict[str, list[tuple[str, float]]] = {}
    for file in sorted(folder.glob("*.csv")):
        for record in tag_comparison.read_records(file):
            rows = found.setdefault(f"P@3, {record.tags} tags", [])
            rows.append((record.method, record.values[place]))
    return _weights_figure(found)


def _weights_figure(rows: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """A row of panels for each measure, a panel for each weight in names such as `kdgan: alpha = 0.1`."""
    found: dict[str, dict[str, dict[float, list[float]]]] = {}
    for what, values in rows.items():
        for method, measured in values:
            name, equals, value = method.removeprefix("kdgan: ").partition(" = ")
            if not equals:  # the game with its usual weights
                continue
            found.setdefault(what, {}).setdefault(name, {}).setdefault(float(value), []).append(measured)
    count = max((len(weights) for weights in found.values()), default=1)
    figure = Figure(figsize=(9.0, 0.4 + 2.8 * max(len(rows), 1)), layout="constrained")
    panels = figure.subplots(max(len(rows), 1), count, sharey="row", squeeze=False)
    for line, (what, weights) in zip(panels, found.items(), strict=False):
        for axes, (name, points) in zip(line, sorted(weights.items()), strict=False):
            _line(axes, "kdgan", {value: points[value] for value in sorted(points)}, "#d55e00")
            axes.set_xlabel({"alpha": "α", "beta": "β", "gamma": "γ"}.get(name, name))
            if name != "alpha":
                axes.set_xscale("log")
            _plain(axes)
        line[0].set_ylabel(what)
    return figure


def variance(folder: Path) -> Figure:
    """Figure 7: variance of C's gradients over training, ∇L_DS against ∇L_AD by each estimator; mean over seeds."""
    found: dict[str, dict[int, list[float]]] = {}
    for file in sorted(folder.glob("*.csv")):
        for row in read_table(file):
            by_step = found.setdefault(row["gradient"], {})
            by_step.setdefault(int(row["student_updates"]), []).append(float(row["variance"]))
    figure, axes = _single()
    for index, (name, by_step) in enumerate(found.items()):
        steps = sorted(by_step)
        values = [math.fsum(by_step[step]) / len(by_step[step]) for step in steps]
        label = "∇L_DS" if name == "distillation" else f"∇L_AD, {name}"
        axes.plot(steps, values, color=_COLOURS[index % len(_COLOURS)], label=label, linewidth=1.8)
    axes.set_yscale("log")
    axes.set_xlabel("student updates")
    axes.set_ylabel("trace of the covariance of C's gradient")
    _legend(figure, axes)
    return figure


def samples(folder: Path) -> Figure:
    """Error against the number of labels n, per method, one panel for each data set.

    Errors, on a logarithmic scale, as the methods that are close together differ in the last per cent; side by side, as
    their intervals overlap.
    """
    records = read_records(folder)
    data = sorted({record.data for record in records})
    figure = Figure(figsize=(4.2 * max(len(data), 1) + 1.4, 3.6), layout="constrained")
    panels = figure.subplots(1, max(len(data), 1), squeeze=False)[0]
    colours = method_colours(record.method for record in records)
    for axes, name in zip(panels, data, strict=False):
        runs = [record for record in records if record.data == name]
        methods = method_order(record.method for record in runs)
        for place, method in enumerate(methods):
            aside = 1.06 ** (place - (len(methods) - 1) / 2)
            points = {
                n * aside: [100 - accuracy for accuracy in found]
                for n, found in _grouped(runs, method, lambda run: run.labels).items()
            }
            _line(axes, method, points, colours[method])
        axes.set_xscale("log")
        axes.set_yscale("log")
        sizes = sorted({run.labels for run in runs})
        axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(f"labels, {name}")
        _plain(axes)
    panels[0].set_ylabel("test error, %")
    if records:
        _legend(figure, panels[0])
    return figure


def sizes(folder: Path) -> Figure:
    """Accuracy against the student's parameters, per method."""
    records = read_records(folder)
    figure, axes = _single()
    methods = method_order(record.method.partition(":")[0] for record in records)
    colours = method_colours(methods)
    for method in methods:
        runs = [record for record in records if record.method.partition(":")[0] == method]
        _line(axes, method, _grouped(runs, None, lambda run: run.student_parameters), colours[method])
    axes.set_xscale("log")
    axes.set_xlabel("parameters of the student")
    axes.set_ylabel("test accuracy, %")
    if records:
        _legend(figure, axes)
    return figure


FIGURES: Mapping[str, tuple[Callable[[Path], Figure], str]] = {
    "figure3a": (training_curves, "Training curves: NaGAN against KDGAN; band: lowest to highest seed."),
    "figure4": (weights, "Accuracy of KDGAN when one of its weights changes; bars: 95 % intervals."),
    "figure3b": (tag_curves, "Training curves on photos with tags, P@3; band: lowest to highest seed."),
    "figure5": (
        tag_weights,
        "P@3 of KDGAN on photos with tags when one of its weights changes; bars: 95 % intervals.",
    ),
    "figure7": (variance, "Variance of the student's gradients while the game is played."),
    "samples": (
        samples,
        "Error against the number of labels, both on logarithmic scales; bars: 95 % intervals.",
    ),
    "sizes": (sizes, "Accuracy against the size of the student; bars: 95 % intervals."),
}
"""By study: how it is drawn, and its caption."""

_COLOURS = ("#0072b2", "#d55e00", "#e69f00", "#f0b850", "#f7d794", "#009e73", "#44aa99")


def read_records(folder: Path) -> list[RunRecord]:
    """All runs in a folder of results."""
    files = sorted(file for file in folder.glob("*.csv") if not file.stem.endswith("-curves"))
    return [record for file in files for record in read_results(file)]


def _grouped(
    runs: Sequence[RunRecord], method: str | None, key: Callable[[RunRecord], float]
) -> dict[float, list[float]]:
    found: dict[float, list[float]] = {}
    for run in runs:
        if method in (None, run.method):
            found.setdefault(key(run), []).append(run.student_accuracy)
    return dict(sorted(found.items()))


def _line(axes: Axes, label: str, points: Mapping[float, Sequence[float]], colour: str) -> None:
    intervals = [mean_interval(values) for values in points.values()]
    means = [interval.mean for interval in intervals]
    bars = [interval.half_width or 0.0 for interval in intervals]
    axes.errorbar(
        list(points), means, yerr=bars, label=label, color=colour, marker="o", markersize=4, capsize=2
    )


def _single() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, labelcolor=INK)
