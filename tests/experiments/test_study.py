"""A study from its cells to files and a page; a study is data."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from commands import json_in, written_at
from html_pages import Page
from kdgan.experiments import tables
from kdgan.experiments.records import read_curves, read_records, write_curves, write_records
from kdgan.experiments.study import (
    Cell,
    Places,
    Results,
    Study,
    carry_out,
    read_results,
    write_study_page,
)
from kdgan.experiments.variants import Variant
from kdgan.tasks.config import ClassesData
from kdgan.training.execution import Execution
from made_records import runs
from support import refused
from tiny import DIGITS, changed

COMMAND = ["kdgan", "reproduce", "own", "--out", "a b"]


def drawn(results: Sequence[Results]) -> Figure:
    figure = Figure()
    axes = figure.add_subplot()
    for each in results:
        axes.plot([len(each.rows), len(each.curves)], label=each.cell)
    return figure


STUDY = Study(
    question="Is it worth it?",
    text="Two methods.",
    cells=("small", "large"),
    variants=lambda cell: {name: cell.variant(name) for name in ("supervised", "mimic")},
    columns=[tables.cell(), tables.name(), tables.seeds(), tables.mean("accuracy")],
    note="In %.",
    figure=drawn,
    caption="What was found.",
)


def cell(name: str, **changes: Any) -> Cell:
    return Cell(name, changed(DIGITS, steps=4, teacher_steps=4, **changes), {"mimic": {"lr": 0.001}})


def carried_out(
    tmp_path: Path,
    cells: Sequence[Cell],
    seeds: Sequence[int] = (0,),
    *,
    study: Study = STUDY,
    out: str = "out",
) -> list[str]:
    places, console = Places(tmp_path / out, tmp_path / "results"), Console(file=StringIO())
    lead = ["First of all."]
    return carry_out(
        "own", study, cells, seeds, Execution(), places, console=console, command=COMMAND, lead=lead
    )


def test_a_cell_gives_a_method_its_frozen_settings() -> None:
    found = Cell("x", DIGITS, {"mimic": {"lr": 0.001}, "kdgan": {"alpha": 0.25, "teacher_steps": 9}})
    assert found.variant("mimic") == Variant("mimic", {}, {"lr": 0.001})
    assert found.variant("kdgan") == Variant("kdgan", {"alpha": 0.25}, {"teacher_steps": 9})
    assert found.variant("codis") == Variant("codis")


@pytest.mark.usefixtures("typed")
def test_a_study_ends_in_figures_and_pages(tmp_path: Path) -> None:
    cells = [cell("small"), cell("large", labels=60)]
    assert carried_out(tmp_path, cells, (3, 4)) == []
    results, out = tmp_path / "results" / "own", tmp_path / "out"
    names = {f"{each}{end}" for each in STUDY.cells for end in (".csv", ".json", "-curves.csv")}
    assert {path.name for path in results.iterdir()} == names
    records = read_records(results / "small.csv")
    assert [(each.method, each.seed, each.labels) for each in records] == [
        (method, seed, 40) for seed in (3, 4) for method in ("supervised", "mimic")
    ]
    assert {each.labels for each in read_records(results / "large.csv")} == {60}
    curves = read_curves(results / "small-curves.csv")
    assert set(curves) == {(each.method, each.seed) for each in records}
    for each in records:
        assert set(curves[each.method, each.seed]) == {"accuracy"}
        assert curves[each.method, each.seed]["accuracy"][-1] == (4, each.metrics["accuracy"])
    described = json_in(results / "small.json")
    assert described["command"] == shlex.join(COMMAND)
    assert described["seeds"] == [3, 4]
    assert described["variants"]["mimic"] == {
        "method": "mimic",
        "hyper": {},
        "training": {"lr": 0.001},
        "config": {},
    }
    assert described["base"]["data"]["labels"] == 40
    page = Page((out / "own" / "report.html").read_text(encoding="utf-8"))
    for part in (
        "Is it worth it?",
        "First of all.",
        "Two methods.",
        "What was found.",
        "small",
        "large",
        "In %.",
    ):
        assert part in page.text.replace("\xa0", " ")
    assert page.tags["svg"] == 1
    for name in STUDY.cells:
        assert "which method trains" in (out / "own" / name / "report.html").read_text(encoding="utf-8")
    # Again it carries out nothing, and the files are the same.
    before, files = written_at(out), {path: path.read_bytes() for path in results.iterdir()}
    assert len(before) == 8
    assert carried_out(tmp_path, cells, (3, 4)) == []
    assert written_at(out) == before
    assert {path: path.read_bytes() for path in results.iterdir()} == files
    # One cell more seeds: the other stays as it is.
    assert carried_out(tmp_path, cells[:1], (3, 4, 5)) == []
    assert (results / "large.csv").read_bytes() == files[results / "large.csv"]
    assert len(read_records(results / "small.csv")) == 6


@pytest.mark.usefixtures("typed")
def test_results_of_other_runs_are_not_overwritten(tmp_path: Path) -> None:
    assert carried_out(tmp_path, [cell("small")], (0, 1)) == []
    file = tmp_path / "results" / "own" / "small.json"
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    for cells, seeds, parts in (
        ([cell("small", batch=4)], (0, 1), ("training.batch 8 there and 4 now",)),
        ([cell("small")], (0,), ("seeds 0 to 1 there and seeds 0 to 0 now", "--seeds")),
        ([cell("small")], (2, 3), ("seeds 0 to 1 there and seeds 2 to 3 now",)),
        ([replace(cell("small"), settings={})], (0, 1), ("other settings of the methods",)),
        ([cell("large"), cell("small", batch=4)], (0, 1), ("training.batch",)),
    ):
        with refused(file, "choose another --results", *parts):
            carried_out(tmp_path, cells, seeds, out="other")
        assert not (tmp_path / "other").exists()
        assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


@pytest.mark.usefixtures("typed")
def test_what_is_wrong_is_found_before_anything_is_written(tmp_path: Path) -> None:
    with refused("mlp-0"):
        carried_out(tmp_path, [cell("small"), cell("large", student="mlp-0")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("typed")
def test_runs_that_fail_are_told_and_are_in_no_figure(tmp_path: Path) -> None:
    diverges = replace(cell("small", augment="none"), settings={"mimic": {"lr": 1e30}})
    (failure,) = carried_out(tmp_path, [diverges])
    assert failure.startswith("mimic seed 0: training diverged")
    assert [each.method for each in read_records(tmp_path / "results" / "own" / "small.csv")] == [
        "supervised"
    ]


@pytest.mark.usefixtures("typed")
def test_a_cell_in_which_every_run_fails_has_no_figures(tmp_path: Path) -> None:
    settings = {name: {"lr": 1e30} for name in ("supervised", "mimic")}
    failures = carried_out(tmp_path, [replace(cell("small", augment="none"), settings=settings)])
    assert len(failures) == 2
    assert all("diverged" in failure for failure in failures)
    assert [row for each in read_results(tmp_path / "results" / "own") for row in each.rows] == []


@pytest.mark.usefixtures("typed")
def test_what_a_probe_finds_is_a_curve(tmp_path: Path) -> None:
    study = replace(STUDY, probe="tiny:look", curves=("probe/first", "probe/seed"), figure=None)
    assert carried_out(tmp_path, [cell("small")], study=study) == []
    curves = read_curves(tmp_path / "results" / "own" / "small-curves.csv")
    assert {name for found in curves.values() for name in found} == {"probe/first", "probe/seed"}
    assert json_in(tmp_path / "results" / "own" / "small.json")["base"]["probe"] == "tiny:look"


@pytest.mark.usefixtures("typed")
def test_folders_of_one_machine_are_in_no_result(tmp_path: Path) -> None:
    lines = "a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(80))
    (tmp_path / "t.csv").write_text(lines, encoding="utf-8")
    data = ClassesData(str(tmp_path / "t.csv"), labels=40, target="y")
    base = replace(changed(DIGITS, steps=2, teacher_steps=2, augment="none", teacher="mlp-4"), data=data)
    assert carried_out(tmp_path, [Cell("small", base, {})]) == []
    text = (tmp_path / "results" / "own" / "small.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert json_in(tmp_path / "results" / "own" / "small.json")["base"]["data"]["source"] == "t.csv"


def test_results_are_read_from_their_folder(tmp_path: Path) -> None:
    assert read_results(tmp_path / "none") == []
    made = runs({"mimic": [90.0, 91.0], "supervised": [80.0, 81.0]})
    write_records(tmp_path / "small.csv", made)
    write_records(tmp_path / "large.csv", made[:2])
    write_curves(tmp_path / "small-curves.csv", {("mimic", 0): {"accuracy": [(1, 2.0)]}}, ["accuracy"])
    large, small = read_results(tmp_path)
    assert [(row.cell, row.name, row.seeds) for row in (*large.rows, *small.rows)] == [
        *(("large", "mimic", (0, 1)), ("small", "supervised", (0, 1)), ("small", "mimic", (0, 1))),
    ]
    assert (large.curves, small.curves) == ({}, {("mimic", 0): {"accuracy": [(1, 2.0)]}})
    # Cells of a table come in the order of the study.
    assert [row[:2] for row in STUDY.table([large, small]).cells] == [
        *(["small", "supervised"], ["small", "mimic"], ["large", "mimic"]),
    ]


def test_a_table_may_be_of_something_else(tmp_path: Path) -> None:
    write_records(tmp_path / "small.csv", runs({"mimic": [90.0]}))
    study = replace(STUDY, tabulate=lambda results: [["cells", str(len(results)), "", ""]])
    assert study.table(read_results(tmp_path)).cells == [["cells", "1", "", ""]]


def test_a_page_is_the_same_each_time_and_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for name in ("a.html", "b.html"):
        write_study_page(STUDY, tmp_path / "results", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert "Is it worth it?" in (tmp_path / "a.html").read_text(encoding="utf-8")
    write_records(tmp_path / "results" / "small.csv", runs({"mimic": [90.0]}))
    write_study_page(STUDY, tmp_path / "results", tmp_path / "c.html")
    assert (tmp_path / "c.html").read_bytes() != (tmp_path / "a.html").read_bytes()
