"""Figures of a comparison: what is drawn, in which colours, and as SVG for a page."""

import re
from operator import sub

import matplotlib as mpl
import pytest

from kdgan.experiments import figures
from kdgan.experiments.statistics import mean_interval
from kdgan.methods import METHODS
from kdgan.tasks.config import BASELINES


def test_colours_are_distinct_and_fixed() -> None:
    colours = figures.colours_of([*METHODS, "another", "more"])
    assert len(set(colours.values())) == len(METHODS) + 2
    assert figures.colours_of(["kdgan"]) == {"kdgan": colours["kdgan"]}
    assert colours["kdgan"] == METHODS["kdgan"].colour
    assert len(set(figures.colours_of([*BASELINES, *METHODS]).values())) == len(BASELINES) + len(METHODS)
    # What has no colour of its own takes those of a second palette in turn.
    many = figures.colours_of([f"m{number}" for number in range(20)])
    assert len(many) == 20
    assert not set(many.values()) & {METHODS[name].colour for name in METHODS}


def test_seeds_are_dots_beside_their_mean_and_interval() -> None:
    values = {"supervised": [80.0, 82.0], "kdgan": [90.0, 90.0], "alone": [85.0]}
    (axes,) = figures.ladder_figure("accuracy", values, figures.colours_of(values)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(values)
    dots = [sorted(points.get_offsets()[:, 0].tolist()) for points in axes.collections]
    assert dots == [[80, 82], [90, 90], [85]]
    # Equal values of two seeds are both seen.
    assert len(set(axes.collections[1].get_offsets()[:, 1].tolist())) == 2
    assert [text.get_text() for text in axes.texts] == ["81.00 ± 12.71", "90.00 ± 0.00", "85.00"]
    assert axes.get_xlabel() == "accuracy on test data after the last step, %"
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == [[81.0, 81.0]]


def test_gains_are_written_below_and_the_teacher_is_the_lowest_rung() -> None:
    values = {"supervised": [80.0, 82.0, 84.0], "selftrain": [80.0, 83.0, 83.0], "mimic": [84.0, 87.0, 90.0]}
    gains = {
        name: mean_interval(map(sub, values[name], values["supervised"])) for name in ("selftrain", "mimic")
    }
    teacher = ("teacher of mimic", [95.0, 95.0, 96.5])
    colours = figures.colours_of(values)
    (axes,) = figures.ladder_figure("accuracy", values, colours, gains=gains, teacher=teacher).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [*values, "teacher of mimic"]
    beside = {text.get_text(): text for text in axes.texts}
    assert list(beside) == [
        *("82.00 ± 4.97", "82.00 ± 4.30", "0.00 ± 2.48"),
        *("87.00 ± 7.45", "+5.00 ± 2.48", "95.50 ± 2.15"),
    ]
    assert beside["+5.00 ± 2.48"].get_weight() == "bold"
    assert beside["0.00 ± 2.48"].get_color() == figures.MUTED
    # A line leads from the control's mean to that of the method.
    assert [82.0, 87.0] in [list(line.get_xdata()) for line in axes.lines]
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    assert [mark.get_markerfacecolor() == "none" for mark in marks] == [False, False, False, True]


def test_no_variants_no_rows() -> None:
    for figure in (
        figures.ladder_figure("accuracy", {}, {}),
        figures.best_epoch_figure("accuracy", {}, {}, {}),
    ):
        (axes,) = figure.axes
        assert (list(axes.lines), list(axes.get_yticklabels())) == ([], [])
        assert figures.to_svg(figure, "one").startswith("<svg")


def test_the_best_epoch_is_shown_beside_the_last() -> None:
    last, best = {"mimic": 90.0, "kdgan": 91.0}, {"mimic": 92.5, "kdgan": 91.0}
    (axes,) = figures.best_epoch_figure("MAP", last, best, figures.colours_of(last)).axes
    assert [text.get_text() for text in axes.texts] == ["+2.50", "0.00"]
    assert axes.get_xlabel().startswith("MAP, %")


def test_curves_average_over_the_range_that_seeds_share() -> None:
    curves = {
        ("a", 0): [(0, 10.0), (10, 20.0)],
        ("a", 1): [(5, 25.0), (20, 40.0)],
        ("b", 0): [(1, 3.0)],
        ("b", 1): [(2, 3.0)],
    }
    (axes,) = figures.curves_figure("P@3", curves, figures.colours_of(["a", "b"])).axes
    line = axes.lines[0]
    assert list(line.get_xdata()) == [5, 10]
    assert list(line.get_ydata()) == [20.0, 25.0]
    assert [item.get_label() for item in axes.lines[1:]] == ["a"]
    assert axes.get_ylabel() == "P@3 on test data, %"


def test_a_legend_reads_like_the_picture() -> None:
    curves = {
        (name, 0): [(0, 0.0), (10, end)] for name, end in (("low", 1.0), ("high", 9.0), ("middle", 5.0))
    }
    figure = figures.curves_figure("accuracy", curves, figures.colours_of(name for name, _ in curves))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["high", "middle", "low"]
    assert not figures.curves_figure("accuracy", {}, {}).legends


@pytest.mark.parametrize("name", ["one", "two"])
def test_svg_is_the_same_each_time_and_follows_the_page(name: str) -> None:
    def drawn() -> str:
        values = {"kdgan": [90.0, 91.0]}
        return figures.to_svg(figures.ladder_figure("accuracy", values, figures.colours_of(values)), name)

    before = dict(mpl.rcParams)
    svg = drawn()
    assert drawn() == svg
    assert dict(mpl.rcParams) == before
    assert svg.startswith("<svg")
    assert "<text" not in svg  # outlines, which need no fonts
    for variable in ("--ink", "--muted", "--grid"):
        assert f"var({variable}, #" in svg
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert all(each.startswith(f"{name}-") for each in ids)
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)
    assert {a or b for a, b in used} <= set(ids)


def test_of_many_seeds_and_updates_some_are_drawn_the_ends_among_them() -> None:
    values = {"kdgan": [float(seed) for seed in range(1000)]}
    axes = figures.ladder_figure("accuracy", values, figures.colours_of(values)).axes[0]
    (dots,) = axes.collections
    drawn = [float(x) for x, _ in dots.get_offsets()]  # type: ignore[union-attr]
    assert len(drawn) == 100
    assert (drawn[0], drawn[-1]) == (0.0, 999.0)
    assert set(drawn) <= set(values["kdgan"])
    points = [(step, step / 10) for step in range(1, 1001)]
    axes = figures.curves_figure("accuracy", {("kdgan", 0): points}, figures.colours_of(values)).axes[0]
    updates = axes.lines[0].get_xdata()
    assert len(updates) == 200
    assert (updates[0], updates[-1]) == (1, 1000)
    assert list(axes.lines[0].get_ydata()) == pytest.approx([step / 10 for step in updates])
