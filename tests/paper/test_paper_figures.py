"""Figures of the paper show what is in the files of a study."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from kdgan.experiments.records import write_curves, write_records
from kdgan.experiments.study import Results, read_results
from kdgan.paper.figures import GRADIENTS, distribution, samples, sizes, training_curves, variance, weights
from kdgan.paper.studies import STUDIES
from kdgan.paper.variance import ESTIMATES, MEASURED
from made_records import record, runs


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_training_curves_have_a_panel_for_each_cell(tmp_path: Path) -> None:
    for cell, more in (("popular", 0.0), ("random", 10.0)):
        write_records(tmp_path / f"{cell}.csv", runs({"nagan": [1.0], "kdgan": [2.0]}))
        curves = {
            (name, seed): {
                "P@3": [(5, value + more + seed), (10, value + more + seed + 2)],
                "MAP": [(5, 99.0)],
            }
            for name, value in (("nagan", 20.0), ("kdgan", 30.0))
            for seed in range(2)
        }
        write_curves(tmp_path / f"{cell}-curves.csv", curves, ["P@3", "MAP"])
    figure = training_curves("P@3")(read_results(tmp_path))
    assert [axes.get_title() for axes in figure.axes] == ["popular", "random"]
    assert figure.axes[0].get_ylabel() == "P@3 on test data, %"
    assert legend_of(figure) == ["kdgan", "nagan"]
    drawn = {line.get_xydata()[0].tolist()[1] for line in figure.axes[1].lines if len(line.get_xydata()) == 2}
    assert drawn == {30.5, 40.5}  # means over seeds
    # A single cell has the figure of any comparison.
    (axes,) = training_curves("P@3")(read_results(tmp_path)[:1]).axes
    assert axes.get_title() == ""


def test_weights_have_a_row_for_each_cell_and_a_panel_for_each_weight(tmp_path: Path) -> None:
    names = {"kdgan": 50.0, "kdgan: gamma = 0.1": 50.0, "kdgan: gamma = 100": 30.0, "kdgan: alpha = 1": 40.0}
    for tags, more in (("popular", 0.0), ("random", 10.0)):
        made = [
            record(name, seed, 0.0, metrics={"P@3": value + more + 2 * seed})
            for name, value in names.items()
            for seed in range(2)
        ]
        write_records(tmp_path / f"{tags}.csv", made)
    figure = weights("P@3")(read_results(tmp_path))
    assert [axes.get_ylabel() for axes in figure.axes][::2] == [
        *("P@3 on test data, %\npopular", "P@3 on test data, %\nrandom"),
    ]
    assert [axes.get_xlabel() for axes in figure.axes] == ["α", "γ", "α", "γ"]
    drawn = np.asarray(figure.axes[1].lines[0].get_xydata())
    assert drawn.tolist() == [[0.1, pytest.approx(51)], [100, pytest.approx(31)]]
    assert figure.axes[0].get_xscale() == "linear"
    assert figure.axes[1].get_xscale() == "log"


def test_variances_are_means_over_seeds(tmp_path: Path) -> None:
    curves = {
        ("kdgan", seed): {name: [(5, 1.0 + seed), (10, 2.0 + seed)] for name in MEASURED} for seed in range(2)
    }
    write_curves(tmp_path / "mnist-100-curves.csv", curves, MEASURED)
    figure = variance(read_results(tmp_path))
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert legend_of(figure) == list(GRADIENTS.values())
    assert len(axes.lines) == 1 + len(ESTIMATES)
    for line in axes.lines:
        assert np.asarray(line.get_xydata()).tolist() == [[5, 1.5], [10, 2.5]]


def test_samples_are_errors_against_labels(tmp_path: Path) -> None:
    for labels, accuracy in ((100, 90.0), (1000, 96.0)):
        write_records(
            tmp_path / f"mnist-{labels}.csv", runs({"kdgan": [accuracy, accuracy + 2]}, labels=labels)
        )
    figure = samples(read_results(tmp_path))
    (axes,) = figure.axes
    assert axes.get_xlabel() == "labels, digits"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "1,000"]
    drawn = np.asarray(axes.lines[0].get_xydata())
    assert drawn[:, 0].tolist() == pytest.approx([100, 1000])
    assert drawn[:, 1].tolist() == pytest.approx([9, 3])
    assert legend_of(figure) == ["kdgan"]


def test_log_loss_against_wrong_labels(tmp_path: Path) -> None:
    for cell, more in (
        ("mnist-100", 0.0),
        ("mnist-100-wrong-40", 1.0),
        ("mnist-1000", 2.0),
        ("popular", 9.0),
    ):
        made = [
            record(
                name, seed, 90.0, metrics={"log_loss": value + more, "log_loss_scaled": value + more - 0.1}
            )
            for name, value in (("mimic", 0.5), ("kdgan", 0.3), ("kdgan: no game", 0.4))
            for seed in range(2)
        ]
        write_records(tmp_path / f"{cell}.csv", made)
    figure = distribution(read_results(tmp_path))
    assert [axes.get_title() for axes in figure.axes] == ["mnist-100", "mnist-1000", "", ""]
    assert legend_of(figure) == ["mimic", "kdgan", "kdgan: no game"]
    plain, _, scaled, other = figure.axes
    drawn = np.asarray(plain.lines[0].get_xydata())
    assert drawn == pytest.approx(np.array([[-0.5, 0.5], [39.5, 1.5]]))  # side by side
    values = [
        np.asarray(line.get_xydata())[:, 1].tolist() for line in scaled.lines if line.get_marker() == "o"
    ]
    assert values == [pytest.approx([0.4, 1.4]), pytest.approx([0.2, 1.2]), pytest.approx([0.3, 1.3])]
    assert np.asarray(other.lines[0].get_xydata())[:, 1].tolist() == pytest.approx([2.4])


def test_a_run_without_validation_data_is_not_drawn_scaled(tmp_path: Path) -> None:
    write_records(tmp_path / "mnist-100.csv", [record("kdgan", 0, 90.0, metrics={"log_loss": 0.5})])
    plain, scaled = distribution(read_results(tmp_path)).axes
    assert len(np.asarray(plain.lines[0].get_xydata())) == 1
    assert len(np.asarray(scaled.lines[0].get_xydata())) == 0


def test_sizes_are_accuracies_against_parameters(tmp_path: Path) -> None:
    made = [
        record(f"{method}: {width}", 0, accuracy + width, student_parameters=100 * width)
        for method, accuracy in (("kdgan", 50.0), ("supervised", 40.0))
        for width in (20, 10)
    ]
    write_records(tmp_path / "mnist-1000.csv", made)
    figure = sizes(read_results(tmp_path))
    (axes,) = figure.axes
    assert legend_of(figure) == ["supervised", "kdgan"]
    curves = [np.asarray(line.get_xydata()).tolist() for line in axes.lines if line.get_marker() == "o"]
    assert [[1000, 60], [2000, 70]] in curves


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.figure is not None])
@pytest.mark.parametrize("results", [[], [Results("popular", [], {})]], ids=["nothing", "an empty cell"])
def test_nothing_gives_an_empty_picture(tmp_path: Path, name: str, results: list[Results]) -> None:
    draw = STUDIES[name].figure
    assert draw is not None
    draw(results).savefig(tmp_path / f"{name}.svg")
