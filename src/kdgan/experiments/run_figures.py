"""Figures of a report on runs: calibration, confusions, and how well each label is found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdgan.experiments.figures import GRID, INK, MUTED, plain_axes
from kdgan.ship.forms import PERCENT
from kdgan.tasks.diagnosis import Reliability

ACROSS = 3
"""Panels beside each other."""
MOST_COUNTS = 12
"""Classes up to which the cells of a confusion matrix have room for a number."""
MOST_LABELS = 30
"""Labels that a figure shows."""


def reliability_figure(found: Mapping[str, Reliability], colours: Mapping[str, str]) -> Figure:
    """Per player the share of right examples against confidence, a dot for each bin, as large as the bin is full; on
    the line the player is as often right as it is sure."""
    figure, panels = _panels(found, side=2.5)
    for axes, (name, each) in zip(panels, found.items(), strict=True):
        plain_axes(axes)
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=":", zorder=1)
        full = each.count > 0
        x, y = 100 * each.confidence[full], 100 * each.accuracy[full]
        axes.plot(x, y, color=colours[name], linewidth=1, alpha=0.5, zorder=2)
        sizes = 12 + 150 * each.count[full] / each.count.sum()
        axes.scatter(x, y, s=sizes, color=colours[name], linewidths=0, zorder=3)
        axes.set(xlim=(-4, 104), ylim=(-4, 104), aspect="equal")
        axes.set_title(f"{name}: ECE {PERCENT.text(each.ece)} %", color=INK, fontsize=10)
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("right, %")
    return figure


def confusion_figure(found: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> Figure:
    """Per player how often examples of each true class (rows) are named as each class (columns), as a share of the row;
    with counts where there is room."""
    count = len(classes)
    short = [name if len(name) <= 12 else f"{name[:11]}…" for name in classes]
    figure, panels = _panels(found, side=2.5 if count <= MOST_COUNTS else 3.2)
    for place, (axes, (name, counts)) in enumerate(zip(panels, found.items(), strict=True)):
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        # The id would be a hash of the picture, and two players may confuse alike.
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1).set_gid(f"matrix{place}")
        plain_axes(axes, numbers=False)
        axes.set_xticks(range(count), short, rotation=90, fontsize=7)
        axes.set_yticks(range(count), short, fontsize=7)
        axes.set_title(name, color=INK, fontsize=10)
        axes.set_xlabel("named")
        axes.set_ylabel("true")
        if count <= MOST_COUNTS:
            for row, column in zip(*np.nonzero(counts), strict=True):
                shade = "#ffffff" if shares[row, column] > 0.5 else "#0b2545"
                text = str(counts[row, column])
                axes.text(column, row, text, ha="center", va="center", fontsize=6, color=shade)
    return figure


def labels_figure(
    found: Mapping[str, NDArray[np.float64]], labels: Sequence[str], colours: Mapping[str, str]
) -> Figure:
    """Per label the average precision of each player, in the order given, at most `MOST_LABELS`."""
    labels = labels[:MOST_LABELS]
    figure = Figure(figsize=(7.2, 1.0 + 0.24 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    plain_axes(axes)
    for name, values in found.items():
        axes.plot(
            values[: len(labels)], range(len(labels)), "o", color=colours[name], markersize=5, label=name
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_xlabel("average precision on test data, %")
    figure.legend(loc="outside upper left", frameon=False, labelcolor=INK, ncols=max(1, len(found)))
    return figure


def _panels(found: Mapping[str, object], side: float) -> tuple[Figure, list[Axes]]:
    across = min(ACROSS, len(found))
    down = math.ceil(len(found) / across)
    figure = Figure(figsize=(side * across, (side + 0.25) * down), layout="constrained")
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(len(found))]
