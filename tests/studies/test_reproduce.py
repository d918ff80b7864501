"""Studies from frozen settings to pages, on images of MNIST's form made here."""

import json
import struct
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch

from kdgan.paper import table2
from kdgan.experiments.page import TEXTS, write_page
from kdgan.paper.paper_figures import read_table
from kdgan.paper.reproduce import ABLATIONS, JUDGES, STUDIES, WEIGHTS
from kdgan.experiments.statistics import RunRecord, read_results, write_results
from kdgan.paper.study_tables import TABLES
from kdgan.paper.table1 import CELLS, METHODS, PAPER, TUNED, base, beside_the_paper
from kdgan.experiments.tuned import read_tuned, settings
from support import refused

TINY = [
    *("--steps", "4", "--teacher-steps", "4", "--batch", "8", "--evaluations", "2"),
    *("--student", "mlp-4", "--teacher", "lenet-2-3-4", "--workers", "1", "--seeds", "1"),
]


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


@pytest.mark.parametrize("study", ["table1", "ablations", "judges", "figure3a", "figure7"])
def test_a_study_ends_in_files_and_a_page(typed, data_dir: Path, tmp_path: Path, study: str) -> None:
    command = ["reproduce", study, "--cells", "mnist-100", *TINY, "--data-dir", data_dir]
    command += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    code, _, errors = typed(*command)
    assert (code, errors) == (0, "")
    found = tmp_path / "results" / study
    described = json.loads((found / "mnist-100.json").read_text(encoding="utf-8"))
    assert described["command"].split()[0] == "kdgan"
    assert described["base"]["labels"] == 100
    assert described["seeds"] == [0]
    page = (tmp_path / "runs" / study / "report.html").read_text(encoding="utf-8")
    assert escape(TEXTS[study][0]) in page
    assert "<script" not in page
    if study == "figure7":
        rows = read_table(found / "mnist-100.csv")
        assert {row["gradient"] for row in rows} >= {"distillation", "exact", "reinforce"}
        assert all(float(row["variance"]) > 0 for row in rows)
        exact = [row for row in rows if row["gradient"] == "exact"]
        assert all(abs(float(row["bias"])) < 1e-12 for row in exact)
        return
    records = read_results(found / "mnist-100.csv")
    expected = {
        "table1": set(METHODS),
        "ablations": {"mimic", *ABLATIONS},
        "judges": set(JUDGES),
        "figure3a": {"nagan", "kdgan"},
    }[study]
    assert {record.method for record in records} == expected
    assert {record.labels for record in records} == {100}
    for name in expected:
        assert name in page
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("result.json")}
    assert typed(*command)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("result.json")} == before


def test_studies_share_runs(typed, data_dir: Path, tmp_path: Path) -> None:
    rest = ["--cells", "mnist-100", *TINY, "--data-dir", data_dir]
    rest += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    assert typed("reproduce", "table1", *rest)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("result.json")}
    assert typed("reproduce", "figure3a", *rest)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("result.json")} == before


def test_seeds_may_begin_anywhere(typed, data_dir: Path, tmp_path: Path) -> None:
    rest = ["--cells", "mnist-100", *TINY, "--data-dir", data_dir, "--first-seed", 7]
    rest += ["--out", tmp_path / "runs", "--results", tmp_path / "results"]
    assert typed("reproduce", "figure3a", *rest)[0] == 0
    records = read_results(tmp_path / "results" / "figure3a" / "mnist-100.csv")
    assert {record.seed for record in records} == {7}


def test_what_is_not_there_is_told(typed, tmp_path: Path) -> None:
    for command, part in (
        (["reproduce", "table9"], "table9"),
        (["reproduce", "table1", "--cells", "mnist-7"], "mnist-7"),
        (["reproduce", "table1", "--seeds", "0"], "--seeds"),
        (["reproduce", "table1", "--seeds", "2", "--first-seed", "99"], "99 to 100"),
        (["reproduce", "table1", "--first-seed", "-1"], "-1 to 8"),
        (["reproduce", "table1", "--interval", "0"], "interval must be a whole number of at least 1"),
        (["tune", "--cell", "mnist-7"], "mnist-7"),
        (["tune", "--cell", "popular"], "--table"),
        (["tune", "--cell", "random", "--table", "none.parquet"], "none.parquet"),
        (["tune", "--trials", "0"], "--trials"),
        (["tune", "--cell", "mnist-100", "--table", "none.parquet"], "--table"),
        (["tune", "--cell", "mnist-100", "--methods", "codis,nonesuch"], "nonesuch"),
        (["tune", "--cell", "mnist-100", "--methods", ","], "--methods"),
        (["reproduce", "table1", "--reader", "bag"], "--reader"),
        (["tune", "--student-pretraining", "1.5"], "student_pretraining"),
        (["compare", "--settings", tmp_path / "none.json"], "none.json"),
    ):
        out = [] if "--settings" in command else ["--out", tmp_path / "out"]
        code, _, errors = typed(*command, *out)
        assert code == 2, command
        assert len(errors.splitlines()) == 1
        assert part in errors
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_settings_for_every_method(cell: str) -> None:
    assert TUNED[cell] is None or set(settings(TUNED[cell])) == set(METHODS)
    config = base(cell)
    assert f"{config.data}-{config.labels}" == cell
    for name, study in STUDIES.items():
        if cell in study.cells:
            runs = study.comparison(cell, range(2), {}).runs()
            # The frozen value of a weight is a point of Figure 4, once for each weight.
            assert len({config.name for config in runs.values()}) >= len(runs) - 4, name
            assert all(config.seed in (0, 1) for config in runs.values())


def test_the_weights_of_figure_4_cover_the_ranges_of_the_paper() -> None:
    ends = {name: (values[0], values[-1]) for name, values in WEIGHTS.items()}
    assert ends == {"alpha": (0.0, 1.0), "beta": (0.001, 1000.0), "gamma": (0.0001, 100.0)}


def record(method: str, seed: int, accuracy: float, **changes: object) -> RunRecord:
    values = {
        "data": "mnist",
        "labels": 100,
        "teacher_accuracy": 96.0,
        "best_epoch_accuracy": accuracy + 0.25,
        "student_updates": 10,
        "seconds": 5.0,
        "pretraining_seconds": 7.0,
        "validation_accuracy": None,
        "student_parameters": 100,
        "teacher_parameters": 250,
    }
    return RunRecord(method=method, seed=seed, student_accuracy=accuracy, **{**values, **changes})


def test_table_1_stands_beside_the_paper() -> None:
    runs = [record("mimic", seed, 90.0 + seed) for seed in range(3)]
    runs += [record("kdgan", seed, 92.0 + seed) for seed in range(3)]
    mimic, kdgan = beside_the_paper(runs)
    assert mimic == [
        "mnist-100", "mimic", "3", "91.00 ± 2.48", "+2.00 ± 0.00", "+0.25", "96.00", "67.35", "5 + 7"
    ]  # fmt: skip
    assert kdgan[4] == "–"
    assert kdgan[7] == f"{PAPER['kdgan'][0]:.2f}"


def test_the_smallest_student_that_is_good_enough_is_marked(tmp_path: Path) -> None:
    sizes = {"kdgan: 10": (100, 90.0), "kdgan: 20": (200, 94.6), "kdgan: 40": (400, 95.0)}
    runs = [
        record(name, seed, accuracy, student_parameters=size)
        for name, (size, accuracy) in sizes.items()
        for seed in range(2)
    ]
    write_results(tmp_path / "mnist-100.csv", runs)
    rows = TABLES["sizes"](tmp_path).rows
    assert [(row[1], bool(row[-1])) for row in rows] == [("100", False), ("200", True), ("400", False)]
    assert [row[3] for row in rows] == ["2.5", "1.2", "0.6"]
    write_page("sizes", tmp_path, tmp_path / "page.html")
    once = (tmp_path / "page.html").read_bytes()
    write_page("sizes", tmp_path, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == once


def test_a_trial_run_does_not_take_the_place_of_committed_figures(typed, tmp_path: Path) -> None:
    command = [
        "reproduce",
        "figure3b",
        "--table",
        "world",
        "--cells",
        "popular",
        "--workers",
        1,
        "--steps",
        2,
    ]
    command += ["--student", "mlp-4", "--teacher", "mlp-4", "--reader", "bag", "--results", tmp_path / "r"]
    assert typed(*command, "--seeds", 2, "--out", tmp_path / "o")[0] == 0
    before = (tmp_path / "r" / "figure3b" / "popular.csv").read_bytes()
    for other, part in (
        (["--seeds", 1], "seeds 0 to 1 there and seeds 0 to 0 now"),
        (["--seeds", 2, "--first-seed", 2], "seeds 0 to 1 there and seeds 2 to 3 now"),
        (["--seeds", 2, "--batch", 4], "batch 128 there and 4"),
    ):
        code, _, errors = typed(*command, *other, "--out", tmp_path / "p")
        assert code == 2
        assert len(errors.splitlines()) == 1
        assert part in errors
        assert not (tmp_path / "p").exists()
    assert (tmp_path / "r" / "figure3b" / "popular.csv").read_bytes() == before
    assert typed(*command, "--seeds", 3, "--out", tmp_path / "o")[0] == 0
    described = tmp_path / "r" / "figure3b" / "popular.json"
    other = json.loads(described.read_text(encoding="utf-8"))
    other["variants"]["kdgan"]["hyper"]["beta"] = 7.0
    described.write_text(json.dumps(other), encoding="utf-8")
    code, _, errors = typed(*command, "--seeds", 3, "--out", tmp_path / "o")
    assert (code, "other settings of the methods" in errors) == (2, True)


ON_DIGITS = ["--student", "mlp-4", "--teacher", "mlp-6", "--steps", 6, "--workers", 1]
TUNE = ["tune", "--data", "digits", *ON_DIGITS]


def test_tuning_searches_every_method_alike_and_goes_on(typed, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    command = [*TUNE, "--batch", 8, "--methods", "supervised,kdgan", "--seeds", 2, "--out", tmp_path / "t"]
    code, _, errors = typed(*command, "--trials", 2)
    assert (code, errors) == (0, "")
    runs = list((tmp_path / "t").glob("runs/*/config.json"))
    assert len(runs) == 8
    assert {json.loads(run.read_text(encoding="utf-8"))["seed"] for run in runs} == {100, 101}
    # The teacher is pretrained at the study's own rate, whatever rate a trial takes: once for each seed.
    assert len(list((tmp_path / "t").glob("pretrained/teacher-*"))) == 2
    code, _, errors = typed(*command, "--trials", 3)
    assert (code, errors) == (0, "")
    rows = read_table(tmp_path / "t" / "trials.csv")
    assert [row["method"] for row in rows] == ["supervised"] * 3 + ["kdgan"] * 3
    first = json.loads(rows[3]["settings"])
    assert (first["alpha"], first["beta"], first["gamma"]) == (0.5, 1.0, 0.02)
    tuned = json.loads((tmp_path / "t" / "tuned.json").read_text(encoding="utf-8"))
    for method, found in tuned["methods"].items():
        values = [float(row["validation_accuracy"]) for row in rows if row["method"] == method]
        assert found["validation_accuracy"] == max(values)
    compare = ["compare", "--seeds", 1, *ON_DIGITS]
    compare += ["--methods", "kdgan", "--settings", tmp_path / "t" / "tuned.json", "--out", tmp_path / "c"]
    assert typed(*compare)[0] == 0
    (config,) = (tmp_path / "c").glob("runs/*/config.json")
    used = json.loads(config.read_text(encoding="utf-8"))
    best = tuned["methods"]["kdgan"]["settings"]
    assert used["lr"] == best["lr"]
    assert used["hyper"]["alpha"] == best["alpha"]


def test_tuning_without_anything_to_validate_on_is_refused_before_it_begins(typed, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y = np.arange(40) % 2
    np.savez(tmp_path / "d.npz", inputs=x, targets=y, test_inputs=x, test_targets=y)
    code, _, errors = typed("tune", "--data", tmp_path / "d.npz", "--labels", 40, "--out", tmp_path / "t")
    assert (code, "nothing is left to validate on" in errors) == (2, True)
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "t").exists()


def test_tuning_keeps_most_of_the_best_so_far_and_begins_with_what_is_known(typed, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    known = tmp_path / "known.json"
    known.write_text('{"methods": {"kdgan": {"settings": {"beta": 3.0, "alpha": 0.25}}}}', encoding="utf-8")
    command = [
        *TUNE,
        "--seeds",
        1,
        "--methods",
        "mimic,kdgan",
        "--known",
        known,
        "--trials",
        7,
        "--out",
        tmp_path / "t",
    ]
    code, _, errors = typed(*command)
    assert (code, errors) == (0, "")
    rows = read_table(tmp_path / "t" / "trials.csv")
    trials = [
        (float(row["validation_accuracy"]), json.loads(row["settings"]))
        for row in rows
        if row["method"] == "kdgan"
    ]
    assert len(trials) == 7
    (_, defaults), (_, second) = trials[:2]
    assert {name for name in defaults if second[name] != defaults[name]} == {"alpha", "beta"}
    # Rounds of two trials: each is near the best trial of the rounds before, and none is the same.
    for number in range(2, 7):
        _, best = max(trials[: number - number % 2], key=lambda trial: trial[0])
        changed = [name for name, value in trials[number][1].items() if value != best[name]]
        assert 1 <= len(changed) < len(best)
    known.write_text("{}", encoding="utf-8")
    code, _, errors = typed(*command)
    assert (code, "known.json" in errors) == (2, True)


def test_tuning_takes_the_cells_of_table_2(typed, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    command = ["tune", "--cell", "popular", "--table", "world", "--steps", 3, "--batch", 8]
    command += ["--student", "mlp-4", "--teacher", "mlp-6", "--trials", 2, "--seeds", 1, "--workers", 1]
    code, _, errors = typed(*command, "--out", tmp_path / "t")
    assert (code, errors) == (0, "")
    # Beside the defaults, the search begins with what an earlier one found.
    (_, second) = (row for row in read_table(tmp_path / "t" / "trials.csv") if row["method"] == "kdgan")
    # A study of three steps has no T that is pretrained for longer.
    frozen = settings(table2.TUNED["popular"])["kdgan"] | {"teacher_steps": 3}
    assert json.loads(second["settings"]).items() >= frozen.items()
    tuned = json.loads((tmp_path / "t" / "tuned.json").read_text(encoding="utf-8"))
    assert list(tuned["methods"]) == list(table2.METHODS)
    assert tuned["base"]["tags"] == "popular"
    # A T that reads is pretrained as long as suits the method; C alone, and against D alone, has none.
    lengths = {method: found["settings"].get("teacher_steps") for method, found in tuned["methods"].items()}
    assert {method for method, steps in lengths.items() if steps is None} == {"supervised", "nagan"}
    assert all(isinstance(steps, int) and 1 <= steps <= 3 for steps in lengths.values() if steps is not None)
    code, _, errors = typed(*command, "--methods", "mimic,supervised", "--out", tmp_path / "some")
    assert (code, errors) == (0, "")
    tuned = json.loads((tmp_path / "some" / "tuned.json").read_text(encoding="utf-8"))
    assert list(tuned["methods"]) == ["mimic", "supervised"]


def test_gradient_variance_by_hand() -> None:
    from kdgan.data.batch import Batch
    from kdgan.methods import KDGAN
    from kdgan.paper.variance import gradient_variances

    torch.manual_seed(0)
    game = KDGAN(*(torch.nn.Linear(3, 4, bias=False) for _ in range(3)))
    batches = [Batch(torch.randn(5, 3), torch.randint(4, (5,))) for _ in range(6)]
    measured = gradient_variances(game, batches.__getitem__, 6, torch.Generator().manual_seed(0))
    c, t = (game.players[role].module.weight for role in ("student", "teacher"))
    gradients = []
    for batch in batches:
        difference = batch.inputs @ (c - t).T  # L2 is its square, averaged over labels and examples
        gradients.append((2 * difference.T @ batch.inputs / 20).flatten())
    spread = torch.stack(gradients).var(0).sum().item()
    assert measured["variance/distillation"] == pytest.approx(spread, rel=1e-4)
    mean = torch.stack(gradients).mean(0).square().sum().item()
    assert measured["signal/distillation"] == pytest.approx(mean - spread / 6, rel=1e-3)
    assert measured["bias/exact"] == 0
    assert measured["variance/reinforce"] > measured["variance/exact"]


def test_settings_of_something_else_are_refused(tmp_path: Path) -> None:
    for text in ("{}", '{"methods": 3}', '{"methods": {"kdgan": 3}}', "no"):
        (tmp_path / "tuned.json").write_text(text, encoding="utf-8")
        with refused("tuned.json"):
            read_tuned(tmp_path / "tuned.json")
