"""The paper's Figures 3b and 5 on generated scenes: from a command to files and a page, sharing runs with Table 2."""

import json
from html import escape
from pathlib import Path

import pytest

from kdgan.methods import hyperparameters
from kdgan.experiments.page import TEXTS
from kdgan.paper.paper_figures import FIGURES, read_curves
from kdgan.paper.reproduce import WEIGHTS
from kdgan.paper.study_tables import TABLES
from kdgan.paper.table2 import table2 as table2_of
from kdgan.paper.tag_comparison import MEASURES, TagRecord, read_records, write_records
from kdgan.paper.tag_studies import TAG_STUDIES
from kdgan.training.config import Config, digest
from kdgan.tasks.run import outcome_in
from support import refused

TINY = [
    *("--table", "world", "--steps", "6", "--teacher-steps", "4", "--batch", "8", "--evaluations", "3"),
    *("--student", "mlp-4", "--teacher", "mlp-6", "--reader", "bag", "--workers", "1", "--seeds", "1"),
]
P3, MAP = MEASURES.index("P@3"), MEASURES.index("MAP")


def results_in(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def options(folder: Path) -> list[object]:
    return [*TINY, "--out", folder / "runs", "--results", folder / "results"]


@pytest.fixture
def table2(typed, folder: Path, options: list[object], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of Table 2, popular tags: made by the first test that asks, with the quickest baseline."""
    monkeypatch.setattr("kdgan.paper.table2.BASELINES", ("knn",))
    if not (folder / "results" / "table2").exists():
        assert typed("reproduce", "table2", "--cells", "popular", *options)[::2] == (0, "")
    return folder / "results" / "table2" / "popular.csv"


def test_training_curves_hold_precision_and_share_runs(
    typed, folder: Path, options: list[object], table2: Path
) -> None:
    before = results_in(folder)
    code, _, errors = typed("reproduce", "figure3b", "--cells", "popular", *options)
    assert (code, errors) == (0, "")
    assert results_in(folder) == before
    found = folder / "results" / "figure3b"
    code, _, errors = typed("reproduce", "figure3b", "--cells", "random", *options)
    assert (code, errors) == (0, "")
    assert len(results_in(folder)) == len(before) + 2
    for cell in ("popular", "random"):
        records = {record.method: record for record in read_records(found / f"{cell}.csv")}
        assert set(records) == {"nagan", "kdgan"}
        curves = read_curves(found / f"{cell}-curves.csv", "P@3")
        assert set(curves) == {("nagan", 0), ("kdgan", 0)}
        for (method, _), points in curves.items():
            assert [updates for updates, _ in points] == sorted({updates for updates, _ in points})
            assert len(points) >= 3
            assert points[-1] == (6, pytest.approx(records[method].values[P3]))
            assert all(0 <= value <= 1 for _, value in points)
        described = json.loads((found / f"{cell}.json").read_text(encoding="utf-8"))
        assert described["base"]["tags"] == cell
        assert set(described["variants"]) == {"nagan", "kdgan"}
    of_table2 = {record.method: record for record in read_records(table2)}
    popular = {record.method: record for record in read_records(found / "popular.csv")}
    assert popular["kdgan"] == of_table2["kdgan"]
    page = (folder / "runs" / "figure3b" / "report.html").read_text(encoding="utf-8")
    assert escape(TEXTS["figure3b"][0]) in page
    assert "<svg" in page
    assert "<script" not in page
    assert [axes.get_title() for axes in FIGURES["figure3b"][0](found).axes] == [
        "popular tags",
        "random tags",
    ]


def test_curves_are_of_every_measure(folder: Path, table2: Path) -> None:
    for path in results_in(folder / "runs" / "runs"):
        config = Config(**json.loads((path.parent / "config.json").read_text(encoding="utf-8")))
        outcome = outcome_in(path.parent, config)
        assert outcome is not None
        assert set(outcome.curves) == set(MEASURES) - {"MAP"}
        for name, points in outcome.curves.items():
            assert [updates for updates, _ in points] == [updates for updates, _ in outcome.curve]
            assert points[-1][1] == outcome.measures[name]


def test_a_run_from_before_curves_of_precision_is_named(
    typed, folder: Path, options: list[object], table2: Path
) -> None:
    path = next((folder / "runs" / "runs").glob("nagan-seed0-*/result.json"))
    whole = path.read_text(encoding="utf-8")
    older = json.loads(whole)
    del older["curves"]
    path.write_text(json.dumps(older), encoding="utf-8")
    try:
        cell = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))["tags"]
        code, _, errors = typed("reproduce", "figure3b", "--cells", cell, *options)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert path.parent.name in errors


def test_weights_are_changed_one_at_a_time_and_share_runs(
    typed, folder: Path, options: list[object], table2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = table2_of(Path("world"), "popular", [0], {}).variants["kdgan"].hyper["alpha"]
    few = {"alpha": (usual, 1.0), "beta": (10.0,), "gamma": (100.0,)}
    monkeypatch.setattr("kdgan.paper.tag_studies.WEIGHTS", few)
    before = results_in(folder)
    code, _, errors = typed("reproduce", "figure5", "--cells", "popular", *options)
    assert (code, errors) == (0, "")
    assert len(results_in(folder)) - len(before) == 3
    found = folder / "results" / "figure5"
    records = {record.method: record for record in read_records(found / "popular.csv")}
    assert len(records) == 5
    assert records[f"kdgan: alpha = {usual:g}"].values == records["kdgan"].values
    assert [axes.get_xlabel() for axes in FIGURES["figure5"][0](found).axes] == ["α", "β", "γ"]
    page = (folder / "runs" / "figure5" / "report.html").read_text(encoding="utf-8")
    assert escape(TEXTS["figure5"][0]) in page
    assert "kdgan: gamma = 100" in page


def test_the_ranges_are_those_of_figure_4_around_the_game_of_table_2() -> None:
    comparison = TAG_STUDIES["figure5"](Path("world"), "random", range(2), {"steps": 9})
    names = {f"kdgan: {name} = {value:g}" for name, values in WEIGHTS.items() for value in values}
    assert set(comparison.variants) == {"kdgan", *names}
    game = table2_of(Path("world"), "random", range(2), {"steps": 9})
    runs = comparison.runs()
    for seed in range(2):
        assert runs["kdgan", seed] == game.runs()["kdgan", seed]
    for name, values in WEIGHTS.items():
        for value in values:
            run = runs[f"kdgan: {name} = {value:g}", 1]
            assert {**hyperparameters("kdgan"), **run.hyper}[name] == value
            assert set(run.hyper) - set(game.variants["kdgan"].hyper) <= {name}


def test_figures_and_tables_show_what_is_in_the_files(tmp_path: Path) -> None:
    names = {"kdgan": 0.5, "kdgan: gamma = 0.1": 0.5, "kdgan: gamma = 100": 0.3, "kdgan: alpha = 1": 0.4}
    for tags, more in (("popular", 0.0), ("random", 0.1)):
        records = []
        for name, value in names.items():
            for seed in range(2):
                measured = [0.9] * len(MEASURES)
                measured[P3], measured[MAP] = value + more + 0.02 * seed, 0.6
                records.append(TagRecord(tags, name, seed, tuple(measured)))
        write_records(tmp_path / f"{tags}.csv", records)
    figure = FIGURES["figure5"][0](tmp_path)
    assert [axes.get_ylabel() for axes in figure.axes][::2] == ["P@3, popular tags", "P@3, random tags"]
    drawn = figure.axes[1].lines[0].get_xydata()
    assert drawn.tolist() == [[0.1, pytest.approx(0.51)], [100, pytest.approx(0.31)]]
    rows = [list(row) for row in TABLES["figure5"](tmp_path).rows]
    assert len(rows) == 8
    assert rows[0][:3] == ["popular", "kdgan", "2"]
    worst = next(row for row in rows if row[:2] == ["random", "kdgan: gamma = 100"])
    assert worst[3].startswith("41.00")
    assert worst[4].startswith("−20.00")
    assert worst[6].replace("+", "").startswith("0.00")


def test_a_folder_without_results_gives_empty_pictures(tmp_path: Path) -> None:
    for name in TAG_STUDIES:
        FIGURES[name][0](tmp_path).savefig(tmp_path / f"{name}.svg")
        assert TABLES[name](tmp_path).rows == []


def test_wrong_calls_are_told_in_a_line(typed, tmp_path: Path) -> None:
    for command, part in (
        (["figure3b"], "--table"),
        (["figure5", "--table", "none.parquet"], "none.parquet"),
        (["figure5", "--table", "world", "--cells", "mnist-100"], "mnist-100"),
        (["figure6"], "figure5"),
    ):
        code, _, errors = typed("reproduce", *command, "--out", tmp_path / "o", "--results", tmp_path / "r")
        assert code == 2, command
        assert len(errors.splitlines()) == 1
        assert part in errors
        assert list(tmp_path.iterdir()) == []


def test_figure_3b_needs_the_measure_it_shows(tmp_path: Path) -> None:
    (tmp_path / "x-curves.csv").write_text("method,seed,student_updates,other\nkdgan,0,1,2\n")
    with refused("x-curves.csv", "P@3"):
        read_curves(tmp_path / "x-curves.csv", "P@3")


def test_new_fields_of_an_outcome_do_not_rename_runs() -> None:
    assert digest({"data": "world", "embeddings": None, "embeddings_sha256": None}) == digest(
        {"data": "world"}
    )
