"""The paper's figures, and those its reviewers asked for, from the raw figures of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from kdgan.experiments.figures import GRID, INK, MUTED, colours_of, curves_figure, draw_curves
from kdgan.experiments.records import Record
from kdgan.experiments.statistics import mean_interval, ordered
from kdgan.experiments.study import Results
from kdgan.methods import KDGAN
from kdgan.paper.cells import CLASSES, WRONG
from kdgan.paper.variance import DISTILLATION, ESTIMATES
from kdgan.ship.forms import SCALED

Draw = Callable[[Sequence[Results]], Figure]

GRADIENTS: Mapping[str, str] = MappingProxyType(
    {DISTILLATION: "∇L_DS"} | {name: f"∇L_AD, {name}" for name in ESTIMATES}
)
"""Labels of the gradients of Figure 7, by name."""
_GRADIENT_COLOURS = ("#0072b2", "#d55e00", "#e69f00", "#f0b850", "#f7d794", "#009e73", "#44aa99")


def training_curves(metric: str) -> Draw:
    """Figures 3a and 3b: the metric of C on test data against its updates, all seeds, a panel for each cell."""

    def draw(results: Sequence[Results]) -> Figure:
        cells = [each for each in results if each.curves]
        names = ordered(name for each in cells for name, _ in each.curves)
        colours = colours_of(names)
        if len(cells) == 1:
            return curves_figure(metric, _of(cells[0], metric), colours)
        figure = Figure(figsize=(4.2 * max(len(cells), 1) + 1.4, 3.6), layout="constrained")
        panels = figure.subplots(1, max(len(cells), 1), squeeze=False)[0]
        shown: tuple[list[Artist], list[str]] = [], []
        for axes, each in zip(panels, cells, strict=False):
            handles, labels = draw_curves(axes, _of(each, metric), colours)
            axes.set_title(each.cell, color=INK)
            shown = shown if shown[0] else (handles, labels)
        panels[0].set_ylabel(f"{metric} on test data, %")
        if shown[0]:
            figure.legend(*shown, loc="outside right center", frameon=False, labelcolor=INK, markerscale=1.8)
        return figure

    return draw


def weights(metric: str) -> Draw:
    """Figures 4 and 5: KDGAN against α, β and γ, each alone, a row for each cell; bars are 95 % intervals over seeds.

    The weights are in the names of variants, such as `kdgan: alpha = 0.1`.
    """

    def draw(results: Sequence[Results]) -> Figure:
        found: dict[str, dict[str, dict[float, list[float]]]] = {}
        for each in results:
            for run in _runs([each]):
                name, equals, value = run.method.removeprefix("kdgan: ").partition(" = ")
                if equals:  # not the game with its usual weights
                    by_value = found.setdefault(each.cell, {}).setdefault(name, {})
                    by_value.setdefault(float(value), []).append(run.metrics[metric])
        count = max((len(by_name) for by_name in found.values()), default=1)
        figure = Figure(figsize=(9.0, 0.4 + 2.8 * max(len(found), 1)), layout="constrained")
        panels = figure.subplots(max(len(found), 1), count, sharey="row", squeeze=False)
        for line, (cell, by_name) in zip(panels, found.items(), strict=False):
            for axes, (name, points) in zip(line, sorted(by_name.items()), strict=False):
                _line(axes, "kdgan", {value: points[value] for value in sorted(points)}, str(KDGAN.colour))
                axes.set_xlabel({"alpha": "α", "beta": "β", "gamma": "γ"}.get(name, name))
                if name != "alpha":
                    axes.set_xscale("log")
                _plain(axes)
            line[0].set_ylabel(f"{metric} on test data, %" + (f"\n{cell}" if len(found) > 1 else ""))
        return figure

    return draw


def variance(results: Sequence[Results]) -> Figure:
    """Figure 7: variance of C's gradients over training, ∇L_DS against ∇L_AD by each estimator; mean over seeds."""
    figure, axes = _single()
    for (name, label), colour in zip(GRADIENTS.items(), _GRADIENT_COLOURS, strict=True):
        by_step: dict[int, list[float]] = {}
        for each in results:
            for curves in each.curves.values():
                for step, value in curves.get(f"variance/{name}", ()):
                    by_step.setdefault(step, []).append(value)
        steps = sorted(by_step)
        values = [math.fsum(by_step[step]) / len(by_step[step]) for step in steps]
        axes.plot(steps, values, color=colour, label=label, linewidth=1.8)
    axes.set_yscale("log")
    axes.set_xlabel("student updates")
    axes.set_ylabel("trace of the covariance of C's gradient")
    _legend(figure, axes)
    return figure


def samples(results: Sequence[Results]) -> Figure:
    """Error against the number of labels n, per method, one panel for each data set.

    Errors, on a logarithmic scale, as the methods that are close together differ in the last per cent; side by side, as
    their intervals overlap.
    """
    records = _runs(results)
    data = sorted({record.data for record in records})
    figure = Figure(figsize=(4.2 * max(len(data), 1) + 1.4, 3.6), layout="constrained")
    panels = figure.subplots(1, max(len(data), 1), squeeze=False)[0]
    colours = colours_of(record.method for record in records)
    for axes, name in zip(panels, data, strict=False):
        runs = [record for record in records if record.data == name]
        methods = ordered(record.method for record in runs)
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


def distribution(results: Sequence[Results]) -> Figure:
    """Log loss of C against the share of wrong labels, as it is and after temperature scaling.

    A column for each cell of MNIST; bars are 95 % intervals over seeds.
    """
    shares: dict[str, dict[float, Results]] = {}
    for each in results:
        cell, share = WRONG.get(each.cell, (each.cell, 0.0))
        if cell in CLASSES:
            shares.setdefault(cell, {})[100 * share] = each
    names = ordered(run.method for run in _runs(results))
    colours, cells = colours_of(names), [cell for cell in CLASSES if cell in shares]
    count = max(len(cells), 1)
    figure = Figure(figsize=(3.2 * count + 2.6, 6.4), layout="constrained")
    panels = figure.subplots(2, count, squeeze=False, sharex=True)
    for column, cell in enumerate(cells):
        for axes, metric in zip(panels[:, column], ("log_loss", f"log_loss{SCALED}"), strict=True):
            for place, name in enumerate(names):
                aside = 0.5 * (place - (len(names) - 1) / 2)
                points = {
                    share + aside: [
                        run.metrics[metric]
                        for run in _runs([each])
                        if run.method == name and metric in run.metrics
                    ]
                    for share, each in sorted(shares[cell].items())
                }
                _line(axes, name, {at: values for at, values in points.items() if values}, colours[name])
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
            _plain(axes)
        panels[0, column].set_title(cell, color=INK)
        panels[1, column].set_xticks(sorted(shares[cell]))
        panels[1, column].set_xlabel("wrong training labels, %")
    panels[0, 0].set_ylabel("log loss, nats")
    panels[1, 0].set_ylabel("after temperature scaling, nats")
    if cells:
        _legend(figure, panels[0, 0])
    return figure


def sizes(results: Sequence[Results]) -> Figure:
    """Accuracy against the student's parameters, per method."""
    records = _runs(results)
    figure, axes = _single()
    methods = ordered(record.method.partition(":")[0] for record in records)
    colours = colours_of(methods)
    for method in methods:
        runs = [record for record in records if record.method.partition(":")[0] == method]
        _line(axes, method, _grouped(runs, None, lambda run: run.student_parameters or 0), colours[method])
    axes.set_xscale("log")
    axes.set_xlabel("parameters of the student")
    axes.set_ylabel("test accuracy, %")
    if records:
        _legend(figure, axes)
    return figure


def _runs(results: Iterable[Results]) -> list[Record]:
    return [run for each in results for row in each.rows for run in row.runs]


def _of(results: Results, metric: str) -> dict[tuple[str, int], Sequence[tuple[int, float]]]:
    return {key: curves[metric] for key, curves in results.curves.items() if metric in curves}


def _grouped(
    runs: Sequence[Record], method: str | None, key: Callable[[Record], float]
) -> dict[float, list[float]]:
    found: dict[float, list[float]] = {}
    for run in runs:
        if method in (None, run.method):
            found.setdefault(key(run), []).append(run.metrics["accuracy"])
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
