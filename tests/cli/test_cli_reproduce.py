"""`kdgan reproduce` as a user types it: from frozen settings to files and pages, on data of MNIST's form made here."""

import json
import shlex
import struct
from html import escape
from pathlib import Path

import numpy as np
import pytest

from commands import Command, is_one_line, json_in, refuses, rows, written_at
from kdgan.experiments.records import read_curves, read_records
from kdgan.experiments.study import read_results
from kdgan.paper.cells import cell
from kdgan.paper.studies import ABLATIONS, GAME, ORACLE, PLAYED, STUDIES, TABLE_1, TABLE_2
from kdgan.paper.variance import MEASURED
from kdgan.training import devices

TINY = [
    *("--steps", "4", "--teacher-steps", "4", "--batch", "8", "--evaluations", "2"),
    *("--student", "mlp-4", "--teacher", "lenet-2-3-4", "--workers", "1", "--seeds", "1"),
]
PHOTOS = [
    *("--table", "scenes", "--steps", "6", "--teacher-steps", "4", "--batch", "8", "--evaluations", "3"),
    *(
        "--student",
        "normed-4",
        "--teacher",
        "mlp-6",
        "--text-encoder",
        "bag",
        "--workers",
        "1",
        "--seeds",
        "1",
    ),
]
RANKING = ("MAP", "P@3", "P@5", "F@3", "F@5", "MRR")


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    chance = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 40)):
        write_idx(
            folder / f"{part}-images-idx3-ubyte", chance.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        )
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return folder


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("table1", TABLE_1),
        ("samples", TABLE_1),
        ("ablations", ("mimic", *ABLATIONS)),
        ("oracle", ORACLE),
        ("figure3a", ("nagan", "kdgan")),
        ("figure7", ("kdgan",)),
    ],
)
def test_a_study_ends_in_files_and_a_page(
    typed: Command, data_dir: Path, tmp_path: Path, study: str, expected: tuple[str, ...]
) -> None:
    command = ["reproduce", study, "--cells", "mnist-100", *TINY, "--data-dir", data_dir]
    command += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert printed.splitlines()[-1] == (
        f"reports: {tmp_path / 'runs' / study}   results: {tmp_path / 'results' / study}"
    )
    found = tmp_path / "results" / study
    assert {path.name for path in found.iterdir()} == {
        f"mnist-100{end}" for end in (".csv", ".json", "-curves.csv")
    }
    described = json_in(found / "mnist-100.json")
    assert shlex.split(described["command"])[0] == "kdgan"
    assert described["base"]["data"]["labels"] == 100
    assert described["seeds"] == [0]
    assert set(described["variants"]) == set(expected)
    page = (tmp_path / "runs" / study / "report.html").read_text(encoding="utf-8")
    for text in (STUDIES[study].question, GAME, STUDIES[study].caption, STUDIES[study].text):
        assert escape(text) in page.replace("&nbsp;%", " %")
    assert "<script" not in page
    assert page.count("<svg") == (STUDIES[study].figure is not None)
    records = read_records(found / "mnist-100.csv")
    assert {record.method for record in records} == set(expected)
    assert {(record.data, record.labels, record.seed) for record in records} == {("mnist", 100, 0)}
    curves = read_curves(found / "mnist-100-curves.csv")
    assert set(curves) == {(name, 0) for name in expected}
    assert {name for found in curves.values() for name in found} == set(STUDIES[study].curves)
    assert (tmp_path / "runs" / study / "mnist-100" / "report.html").exists()
    if study == "figure7":
        _check_variances(curves["kdgan", 0], page)
    else:
        for record in records:
            last = curves[record.method, 0]["accuracy"][-1]
            assert last == (record.student_updates, record.metrics["accuracy"])
            assert escape(record.method) in page
    before = written_at(tmp_path / "runs")
    assert len(before) >= len(expected) - (study == "ablations")
    assert typed(*command)[0] == 0
    assert written_at(tmp_path / "runs") == before


def test_probabilities_are_measured_where_labels_are_wrong(
    typed: Command, data_dir: Path, tmp_path: Path
) -> None:
    command = ["reproduce", "distribution", "--cells", "mnist-100-wrong-20", *TINY, "--data-dir", data_dir]
    code, _, errors = typed(*command, "--out", tmp_path / "runs", "--results", tmp_path / "results")
    assert (code, errors) == (0, "")
    found = tmp_path / "results" / "distribution"
    assert {path.name for path in found.iterdir()} == {"mnist-100-wrong-20.csv", "mnist-100-wrong-20.json"}
    assert json_in(found / "mnist-100-wrong-20.json")["base"]["data"]["wrong_labels"] == 0.2
    records = read_records(found / "mnist-100-wrong-20.csv")
    assert {record.method for record in records} == {*TABLE_1, *PLAYED}
    assert {(record.data, record.labels) for record in records} == {("mnist, 20 % wrong labels", 100)}
    for record in records:
        assert {"log_loss", "brier", "ece"} <= set(record.metrics)
        # All or none: so few examples may tell no temperature.
        scaled = {name for name in record.metrics if name.endswith("_scaled")}
        assert scaled in ({"log_loss_scaled", "brier_scaled", "ece_scaled"}, set())
    (table,) = [each.rows for each in read_results(found)]
    assert len(table) == 10


def _check_variances(found: dict[str, list[tuple[int, float]]], page: str) -> None:
    assert set(found) == set(MEASURED)
    assert all(
        value > 0 for name, points in found.items() if name.startswith("variance/") for _, value in points
    )
    assert all(abs(value) < 1e-12 for _, value in found["bias/exact"])
    for gradient in ("∇L_DS", "∇L_AD, exact", "∇L_AD, concrete, τ = 0.1", "∇L_AD, reinforce"):
        assert gradient in page


def test_studies_share_runs(typed: Command, data_dir: Path, tmp_path: Path) -> None:
    rest = ["--cells", "mnist-100", *TINY, "--data-dir", data_dir]
    rest += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    assert typed("reproduce", "table1", *rest)[0] == 0
    before = written_at(tmp_path / "runs")
    assert len(before) == len(TABLE_1)
    for study in ("figure3a", "samples"):
        assert typed("reproduce", study, *rest)[0] == 0
        assert written_at(tmp_path / "runs") == before


def test_seeds_may_begin_anywhere(typed: Command, data_dir: Path, tmp_path: Path) -> None:
    rest = ["--cells", "mnist-100", *TINY, "--data-dir", data_dir, "--first-seed", 7]
    rest += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    assert typed("reproduce", "figure3a", *rest)[0] == 0
    records = read_records(tmp_path / "results" / "figure3a" / "mnist-100.csv")
    assert {record.seed for record in records} == {7}


@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_a_processor_without_bfloat16_takes_float32_and_says_so(
    typed: Command, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: False)
    rest = [
        "--cells",
        "mnist-100",
        "--variants",
        "nagan",
        *TINY,
        "--data-dir",
        data_dir,
        "--precision",
        asked,
    ]
    code, _, errors = typed(
        "reproduce", "figure3a", *rest, "--out", tmp_path / "o", "--results", tmp_path / "r"
    )
    assert code == 0
    described = json_in(tmp_path / "r" / "figure3a" / "mnist-100.json")
    assert described["base"]["training"]["precision"] == {"auto": "float32"}.get(asked, asked)
    parts = ("mnist-100", "float32") if asked == "auto" else ("tens of times", "float32")
    assert is_one_line(errors, "no instructions", *parts)


def test_what_failed_is_told_and_the_rest_is_kept(typed: Command, data_dir: Path, tmp_path: Path) -> None:
    # The methods have rates of their own, so that the players that are pretrained diverge, and take others with them.
    rest = [*TINY, "--cells", "mnist-100", "--lr", 1e30, "--augment", "none", "--data-dir", data_dir]
    rest += ["--out", tmp_path / "o", "--results", tmp_path / "r"]
    code, _, errors = typed("reproduce", "table1", *rest)
    assert code == 1, errors
    assert is_one_line(errors, "runs failed", "seed 0", "diverged")
    records = read_records(tmp_path / "r" / "table1" / "mnist-100.csv")
    assert [record.method for record in records] == ["supervised"]
    code, _, errors = typed("reproduce", "figure3a", *rest)
    assert code == 1, errors
    assert is_one_line(errors, "runs failed", "seed 0", "diverged")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def options(folder: Path) -> list[object]:
    return [*PHOTOS, "--out", folder / "runs", "--results", folder / "results"]


@pytest.fixture
def table2(typed: Command, folder: Path, options: list[object]) -> Path:
    """The results of Table 2, popular tags: made by the first test that asks."""
    if not (folder / "results" / "table2").exists():
        code, _, errors = typed("reproduce", "table2", "--cells", "popular", *options)
        assert (code, errors) == (0, "")
    return folder / "results" / "table2" / "popular.csv"


def test_table_2_has_every_method_and_every_metric(folder: Path, table2: Path) -> None:
    records = {record.method: record for record in read_records(table2)}
    assert set(records) == set(TABLE_2)
    assert {path.name for path in table2.parent.iterdir()} == {"popular.csv", "popular.json"}
    for name, record in records.items():
        assert record.data == "scenes, popular tags"
        assert set(RANKING) <= set(record.metrics)
        assert all(0 <= record.metrics[metric] <= 100 for metric in RANKING)
        assert ("teacher/MAP" in record.metrics) == (record.teacher_parameters is not None)
        assert (record.student_parameters is None) == (name in ("knn", "tprop", "tfeat", "rexmp"))
    page = (folder / "runs" / "table2" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in TABLE_2)
    of_cell = (folder / "runs" / "table2" / "popular" / "report.html").read_text(encoding="utf-8")
    assert of_cell.count("<img") == 6


def test_training_curves_hold_precision_and_share_runs(
    typed: Command, folder: Path, options: list[object], table2: Path
) -> None:
    before = written_at(folder)
    code, _, errors = typed("reproduce", "figure3b", "--cells", "popular", *options)
    assert (code, errors) == (0, "")
    assert written_at(folder) == before
    found = folder / "results" / "figure3b"
    code, _, errors = typed("reproduce", "figure3b", "--cells", "random", *options)
    assert (code, errors) == (0, "")
    assert len(written_at(folder)) == len(before) + 2
    for tags in ("popular", "random"):
        records = {record.method: record for record in read_records(found / f"{tags}.csv")}
        assert set(records) == {"nagan", "kdgan"}
        curves = read_curves(found / f"{tags}-curves.csv")
        assert set(curves) == {("nagan", 0), ("kdgan", 0)}
        for (method, _), by_metric in curves.items():
            assert set(by_metric) == {"P@3"}
            points = by_metric["P@3"]
            assert [updates for updates, _ in points] == sorted({updates for updates, _ in points})
            assert len(points) >= 3
            assert points[-1] == (6, records[method].metrics["P@3"])
            assert all(0 <= value <= 100 for _, value in points)
        described = json_in(found / f"{tags}.json")
        assert described["base"]["data"]["choice"] == tags
        assert set(described["variants"]) == {"nagan", "kdgan"}
    of_table2 = {record.method: record for record in read_records(table2)}
    popular = {record.method: record for record in read_records(found / "popular.csv")}
    assert popular["kdgan"] == of_table2["kdgan"]
    page = (folder / "runs" / "figure3b" / "report.html").read_text(encoding="utf-8")
    assert escape(STUDIES["figure3b"].question) in page
    assert "<svg" in page
    assert "<script" not in page


def test_runs_keep_the_curves_of_every_metric(folder: Path, table2: Path) -> None:
    networks = 0
    for path in written_at(folder / "runs" / "runs"):
        outcome = json_in(path)
        if outcome["student_parameters"] is None:
            assert outcome["curves"] == {}
            continue
        networks += 1
        assert set(RANKING) <= set(outcome["curves"])
        for name in RANKING:
            points = outcome["curves"][name]
            assert [updates for updates, _ in points] == [updates for updates, _ in outcome["curves"]["MAP"]]
            assert points[-1][1] == outcome["metrics"][name]
    assert networks >= 7


def test_weights_are_changed_one_at_a_time_and_share_runs(
    typed: Command, folder: Path, options: list[object], table2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = cell("popular", {"source": "scenes", "count": 12}).variant("kdgan").hyper["alpha"]
    few = {"alpha": (usual, 1.0), "beta": (10.0,), "gamma": (100.0,)}
    monkeypatch.setattr("kdgan.paper.studies.WEIGHTS", few)
    before = written_at(folder)
    code, _, errors = typed("reproduce", "figure5", "--cells", "popular", *options)
    assert (code, errors) == (0, "")
    assert len(written_at(folder)) - len(before) == 3
    found = folder / "results" / "figure5"
    assert {path.name for path in found.iterdir()} == {"popular.csv", "popular.json"}
    records = {record.method: record for record in read_records(found / "popular.csv")}
    assert len(records) == 5
    assert records[f"kdgan: alpha = {usual:g}"].metrics == records["kdgan"].metrics
    draw = STUDIES["figure5"].figure
    assert draw is not None
    assert [axes.get_xlabel() for axes in draw(read_results(found)).axes] == ["α", "β", "γ"]
    page = (folder / "runs" / "figure5" / "report.html").read_text(encoding="utf-8")
    assert escape(STUDIES["figure5"].question) in page
    assert "kdgan: gamma = 100" in page


WRONG = [
    ("table9", "table9"),
    ("figure6", "figure5"),
    ("table1 --cells mnist-7", "mnist-7"),
    ("table1 --seeds 0", "--seeds"),
    ("table1 --seeds 2 --first-seed 99", "99 to 100"),
    ("table1 --first-seed -1", "-1 to 8"),
    ("table1 --teacher-every 0", "teacher_every must be a whole number of at least 1"),
    ("table1 --text-encoder bag", "--text-encoder"),
    ("table1 --table none.parquet", "--table"),
    ("table1 --workers 0", "--workers"),
    ("table1 --cells mnist-100 --variants mimic,nobody", "nobody"),
    ("table2", "--table"),
    ("table2 --table x.parquet --cells many", "many"),
    ("figure3b", "--table"),
    ("distribution --cells popular", "--table"),
    ("figure5 --table none.parquet", "none.parquet"),
    ("figure5 --table scenes --cells mnist-100", "mnist-100"),
    ("table2 --table scenes --student mlp-4", "mlp-4"),
]


@pytest.mark.parametrize(("options", "part"), WRONG, ids=[options for options, _ in WRONG])
def test_wrong_options(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    out = ["--out", tmp_path / "o", "--results", tmp_path / "r"]
    assert refuses(typed, "reproduce", *options.split(), *out, parts=(part,))
    assert list(tmp_path.iterdir()) == []


def test_a_trial_run_does_not_take_the_place_of_committed_figures(typed: Command, tmp_path: Path) -> None:
    command = ["reproduce", "figure3b", "--table", "scenes", "--cells", "popular", "--workers", 1]
    command += ["--steps", 2, "--student", "normed-4", "--teacher", "mlp-4", "--text-encoder", "bag"]
    command += ["--results", tmp_path / "r"]
    assert typed(*command, "--seeds", 2, "--out", tmp_path / "o")[0] == 0
    before = (tmp_path / "r" / "figure3b" / "popular.csv").read_bytes()
    for other, part in (
        (["--seeds", 1], "seeds 0 to 1 there and seeds 0 to 0 now"),
        (["--seeds", 2, "--first-seed", 2], "seeds 0 to 1 there and seeds 2 to 3 now"),
        (["--seeds", 2, "--batch", 4], "training.batch 128 there and 4 now"),
    ):
        assert refuses(typed, *command, *other, "--out", tmp_path / "p", parts=(part,))
        assert not (tmp_path / "p").exists()
    assert (tmp_path / "r" / "figure3b" / "popular.csv").read_bytes() == before
    assert typed(*command, "--seeds", 3, "--out", tmp_path / "o")[0] == 0
    assert {row["seed"] for row in rows(tmp_path / "r" / "figure3b" / "popular.csv")} == set("012")
    described = tmp_path / "r" / "figure3b" / "popular.json"
    other = json_in(described)
    other["variants"]["kdgan"]["hyper"]["beta"] = 7.0
    described.write_text(json.dumps(other), encoding="utf-8")
    parts = ("other settings of the methods",)
    assert refuses(typed, *command, "--seeds", 3, "--out", tmp_path / "o", parts=parts)
