"""`kdgan tune` as a user types it; the search itself is tested in `tests/experiments/test_tuning.py`."""

from pathlib import Path

import numpy as np
import pytest

from commands import Command, json_in, refuses, rows
from kdgan.paper.cells import SETTINGS, settings
from kdgan.paper.studies import TABLE_2
from kdgan.tasks.config import BASELINES

pytest.importorskip("optuna")

SMALL = ["--student", "mlp-4", "--teacher", "mlp-6", "--steps", 6, "--workers", 1]
# Torch has no LSTM in bfloat16 for a processor without instructions for it.
PHOTOS = [
    *(
        "--table",
        "scenes",
        "--student",
        "normed-4",
        "--teacher",
        "mlp-6",
        "--workers",
        1,
        "--precision",
        "float32",
    )
]


def test_tuned_settings_are_for_a_comparison(typed: Command, tmp_path: Path) -> None:
    command = ["tune", "--data", "digits", *SMALL, "--batch", 8, "--methods", "supervised,kdgan"]
    code, printed, errors = typed(*command, "--trials", 2, "--seeds", 1, "--out", tmp_path / "t")
    assert (code, errors) == (0, "")
    assert printed.splitlines()[-1] == f"settings: {tmp_path / 't' / 'tuned.json'}"
    compare = ["compare", "--seeds", 1, *SMALL, "--methods", "kdgan"]
    assert typed(*compare, "--settings", tmp_path / "t" / "tuned.json", "--out", tmp_path / "c")[0] == 0
    (config,) = (tmp_path / "c").glob("runs/*/config.json")
    used = json_in(config)
    best = json_in(tmp_path / "t" / "tuned.json")["methods"]["kdgan"]["settings"]
    assert used["training"]["lr"] == best["lr"]
    assert used["hyper"]["alpha"] == best["alpha"]


def test_nothing_to_validate_on_is_told_before_it_begins(typed: Command, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y = np.arange(40) % 2
    np.savez(tmp_path / "d.npz", inputs=x, targets=y, test_inputs=x, test_targets=y)
    command = ["tune", "--data", tmp_path / "d.npz", "--labels", 40, "--out", tmp_path / "t"]
    assert refuses(typed, *command, parts=("nothing is left to validate on",))
    assert not (tmp_path / "t").exists()


def test_the_cells_of_table_2_are_searched(typed: Command, tmp_path: Path) -> None:
    command = ["tune", "--cell", "popular", *PHOTOS, "--steps", 3, "--batch", 8, "--trials", 2, "--seeds", 1]
    code, _, errors = typed(*command, "--out", tmp_path / "t")
    assert (code, errors) == (0, "")
    # Beside the defaults, the search begins with what an earlier one found.
    (_, second) = (row for row in rows(tmp_path / "t" / "trials.csv") if row["method"] == "kdgan")
    # T of a study of three steps is pretrained for two fifths of them.
    frozen = settings(SETTINGS["popular"])["kdgan"] | {"teacher_steps": 1}
    (tmp_path / "s.json").write_text(second["settings"], encoding="utf-8")
    assert json_in(tmp_path / "s.json").items() >= frozen.items()
    tuned = json_in(tmp_path / "t" / "tuned.json")
    assert list(tuned["methods"]) == [method for method in TABLE_2 if method not in BASELINES]
    assert tuned["base"]["data"]["choice"] == "popular"
    # A T that reads is pretrained as long as suits the method; C alone, and against D alone, has none.
    lengths = {method: found["settings"].get("teacher_steps") for method, found in tuned["methods"].items()}
    assert {method for method, steps in lengths.items() if steps is None} == {"supervised", "nagan"}
    assert all(isinstance(steps, int) and 1 <= steps <= 3 for steps in lengths.values() if steps is not None)
    code, _, errors = typed(*command, "--methods", "mimic,supervised", "--out", tmp_path / "some")
    assert (code, errors) == (0, "")
    assert list(json_in(tmp_path / "some" / "tuned.json")["methods"]) == ["mimic", "supervised"]


WRONG = [
    ("--cell mnist-7", "mnist-7"),
    ("--cell popular", "--table"),
    ("--cell random --table none.parquet", "none.parquet"),
    ("--cell popular --table scenes --methods knn", "knn"),
    ("--trials 0", "--trials"),
    ("--seeds 0", "--seeds"),
    ("--cell mnist-100 --table none.parquet", "--table"),
    ("--cell mnist-100 --methods codis,nonesuch", "nonesuch"),
    ("--cell mnist-100 --methods ,", "--methods"),
    ("--methods gan", "gan"),
    ("--methods knn", "knn"),
    ("--table scenes", "--table"),
    ("--text-encoder bag", "--text-encoder"),
    ("--student-pretraining 1.5", "student_pretraining"),
    ("--known none.json", "none.json"),
]


@pytest.mark.parametrize(("options", "part"), WRONG, ids=[options for options, _ in WRONG])
def test_wrong_options(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    assert refuses(typed, "tune", *options.split(), "--out", tmp_path / "out", parts=(part,))
    assert not (tmp_path / "out").exists()


def test_known_settings_are_those_of_a_search(typed: Command, tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    known.write_text("{}", encoding="utf-8")
    command = ["tune", "--data", "digits", *SMALL, "--methods", "mimic", "--known", known]
    assert refuses(typed, *command, "--out", tmp_path / "t", parts=("known.json",))
    assert not (tmp_path / "t").exists()
