"""Figures of a comparison, as matplotlib Figures that any study can show, and as SVG to put into a page.

Figures are built with matplotlib's objects, never with pyplot, so that nothing is shared between them.
A variant has the same colour in every figure that is given the same `colours`.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdgan.experiments.records import Points
from kdgan.experiments.statistics import Interval, mean_interval, ordered
from kdgan.experiments.tables import plus_minus
from kdgan.methods import CONTROL, METHODS
from kdgan.ship.forms import bare, form_of

INK, MUTED, GRID = "#24292f", "#667080", "#dce0e5"
"""Colours of text, of secondary text, of lines in the background; a page may restyle them, see `to_svg`."""

MOST_DOTS, MOST_POINTS = 100, 200
"""Seeds of a variant that are drawn, and points of a curve: a figure stays small however many there are."""

# For what has no colour of its own, apart from those of `kdgan.methods` and from each other.
_MORE = ("#66d9c5", "#882255", "#999933", "#6b4423", "#e878e0", "#101820")


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each variant: that of the method, and from a second palette, in turn, for others."""
    found = ordered(names)
    own = {name: METHODS[name].colour for name in found if name in METHODS}
    others = [name for name in found if own.get(name) is None]
    return {name: own.get(name) or _MORE[others.index(name) % len(_MORE)] for name in found}


def ladder_figure(
    metric: str,
    values: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
    *,
    gains: Mapping[str, Interval] | None = None,
    teacher: tuple[str, Sequence[float]] | None = None,
) -> Figure:
    """Per variant the metric of its seeds as dots, their mean and its 95 % interval; no variants, no rows.

    A dotted line marks the mean of the control, from which a thin line leads to each mean. Of more than `MOST_DOTS`
    seeds as many are drawn, evenly from the lowest to the highest.

    Args:
        metric: that it is about.
        values: one per seed, by variant, from the top down.
        colours: of the variants.
        gains: differences to the control, by variant, written beside; muted where they may be chance.
        teacher: what the lowest row is called, and T's values; its mark is open.
    """
    rows = {**values, **({} if teacher is None else {teacher[0]: teacher[1]})}
    figure, axes = _rows_figure(list(rows))
    form, start = form_of(metric), mean_interval(values[CONTROL]).mean if values.get(CONTROL) else None
    if start is not None:
        axes.axvline(start, color=MUTED, linestyle=":", linewidth=1, zorder=1)
    for row, (name, found) in enumerate(rows.items()):
        is_teacher = name not in values
        colour, interval = MUTED if is_teacher else colours[name], mean_interval(found)
        _draw_seeds(axes, row, found, interval, colour, filled=not is_teacher)
        gain = (gains or {}).get(name)
        if gain is None:
            _beside(axes, row, plus_minus(interval, form))
            continue
        assert start is not None
        axes.plot([start, interval.mean], [row - 0.1] * 2, color=colour, linewidth=1, zorder=2)
        _beside(axes, row - 0.19, plus_minus(interval, form))
        # Gains of few seeds, and those whose interval includes zero, may be chance.
        sure, text = gain.excludes_zero, plus_minus(gain, form, difference=True)
        _beside(axes, row + 0.21, text, color=INK if sure else MUTED, weight="bold" if sure else "normal")
    axes.set_xlabel(f"{bare(metric)} on test data after the last step{_unit(metric)}")
    return figure


def _draw_seeds(
    axes: Axes, row: int, values: Sequence[float], interval: Interval, colour: str, *, filled: bool
) -> None:
    """Draws values as dots, and above them their mean and its interval."""
    points = np.asarray(values, dtype=float)
    if len(points) > MOST_DOTS:
        points = np.quantile(points, np.linspace(0, 1, MOST_DOTS), method="nearest")
    # Seeds are fanned out vertically in their order, so that equal values stay visible.
    fan = row + 0.14 + 0.18 * (np.arange(len(points)) + 0.5) / len(points)
    axes.scatter(points, fan, s=14, color=colour, alpha=0.55, linewidths=0, zorder=2)
    if interval.low is not None and interval.high is not None:
        ends = [interval.low, interval.high]
        axes.plot(ends, [row - 0.1] * 2, color=colour, linewidth=3, solid_capstyle="round", zorder=3)
    axes.plot(
        interval.mean,
        row - 0.1,
        "D",
        color=colour,
        markersize=7,
        markeredgecolor=INK,
        markerfacecolor=colour if filled else "none",
        zorder=4,
    )


def best_epoch_figure(
    metric: str, last: Mapping[str, float], best: Mapping[str, float], colours: Mapping[str, str]
) -> Figure:
    """Per variant the mean of the metric after the last step (filled) and at the best epoch on test data (open).

    The number beside a row is the difference: how much picking the best epoch flatters the method.
    """
    methods = list(last)
    figure, axes = _rows_figure(methods, row_height=0.3)
    for row, method in enumerate(methods):
        colour = colours[method]
        axes.plot([last[method], best[method]], [row, row], color=colour, linewidth=2, zorder=2)
        axes.plot(best[method], row, "o", color=colour, markersize=8, markerfacecolor="none", zorder=3)
        axes.plot(last[method], row, "o", color=colour, markersize=8, zorder=4)
        _beside(axes, row, form_of(metric).signed(best[method] - last[method]))
    axes.set_xlabel(
        f"{bare(metric)}{_unit(metric)}: after the last step (filled), at the best epoch on test data (open)"
    )
    return figure


def curves_figure(
    metric: str, curves: Mapping[tuple[str, int], Points], colours: Mapping[str, str], *, part: str = "test"
) -> Figure:
    """A metric on a part of the data against student updates: per variant the mean over seeds, in a band from lowest to
    highest.

    `curves` maps (variant, seed) to (student updates, value) points. Seeds whose points lie at other
    updates are interpolated, over the range that all seeds of the variant have; one without such a range
    is left out. A curve of more than `MOST_POINTS` updates is drawn at as many. The axis starts where the
    slowest is after a quarter of the training, because what matters happens at the end.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    handles, labels = draw_curves(axes, curves, colours)
    if labels:
        figure.legend(
            handles, labels, loc="outside right center", frameon=False, labelcolor=INK, markerscale=1.8
        )
    axes.set_ylabel(f"{bare(metric)} on {part} data{_unit(metric)}")
    return figure


def draw_curves(
    axes: Axes,
    curves: Mapping[tuple[str, int], Points],
    colours: Mapping[str, str],
) -> tuple[list[Artist], list[str]]:
    """Draws what `curves_figure` shows.

    Args:
        axes: where.
        curves: as there.
        colours: as there.

    Returns:
        Handles and labels of a legend, ordered as the curves end, top down, so that it reads like the picture.
    """
    plain_axes(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xlabel("student updates")
    by_method: dict[str, list[Points]] = {}
    for (method, _), points in curves.items():
        if points:
            by_method.setdefault(method, []).append(points)
    lines = {method: line for method in colours if (line := _band(by_method.get(method, ()))) is not None}
    for method, (updates, low, mean, high) in lines.items():
        front = method == "kdgan"
        axes.fill_between(updates, low, high, color=colours[method], alpha=0.12, linewidth=0, zorder=2)
        axes.plot(
            updates, mean, color=colours[method], linewidth=2.4 if front else 1.6, zorder=4 if front else 3
        )
        axes.plot(updates[-1], mean[-1], "o", color=colours[method], markersize=4, label=method, zorder=4)
    if not lines:
        return [], []
    late = [low[updates >= 0.25 * updates[-1]].min() for updates, low, _, _ in lines.values()]
    top = max(high.max() for _, _, _, high in lines.values())
    room = 0.04 * max(top - min(late), 1.0)
    axes.set_ylim(min(late) - room, top + room)
    handles, labels = axes.get_legend_handles_labels()
    ends = sorted(range(len(labels)), key=lambda index: -lines[labels[index]][2][-1])
    return [handles[i] for i in ends], [labels[i] for i in ends]


def _band(seeds: Sequence[Points]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    runs = [np.asarray(sorted(points), dtype=float) for points in seeds]
    if not runs:
        return None
    start, end = max(run[0, 0] for run in runs), min(run[-1, 0] for run in runs)
    updates = np.unique(np.concatenate([run[:, 0] for run in runs]))
    updates = updates[(updates >= start) & (updates <= end)]
    if not updates.size:
        return None
    if updates.size > MOST_POINTS:
        updates = updates[np.linspace(0, updates.size - 1, MOST_POINTS).round().astype(int)]
    values = np.stack([np.interp(updates, run[:, 0], run[:, 1]) for run in runs])
    return updates, values.min(axis=0), values.mean(axis=0), values.max(axis=0)


def _unit(metric: str) -> str:
    unit = form_of(metric).unit
    return f", {unit}" if unit else ""


def _rows_figure(methods: Sequence[str], row_height: float = 0.46) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 0.75 + row_height * max(len(methods), 1)), layout="constrained")
    axes = figure.add_subplot()
    plain_axes(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(max(len(methods), 1) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.margins(x=0.04)
    return figure, axes


def plain_axes(axes: Axes, *, numbers: bool = True) -> None:
    """Axes in the look that all figures share; with `numbers` written in full."""
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    if numbers:
        axes.ticklabel_format(useOffset=False, style="plain")


def _beside(axes: Axes, row: float, text: str, *, color: str = INK, weight: str = "normal") -> None:
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center", color=color, weight=weight)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element, the same bytes each time, with text as outlines that need no fonts.

    `name` (letters, digits) comes before every id, so that figures with different names can share a page. The
    colours of text and grid become the CSS variables --ink, --muted and --grid, and the background is clear,
    so that the page's light and dark colours apply.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in ((INK, "--ink"), (MUTED, "--muted"), (GRID, "--grid")):
        svg = svg.replace(colour, f"var({variable}, {colour})")
    return svg
