"""`kdgan compare` as a user types it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import (
    COMPARE,
    METHODS,
    PATIENCE,
    WRONG_FOR_BOTH,
    Command,
    is_one_line,
    json_in,
    refuses,
    rows,
    wait_until,
    written_at,
)

RECORDED = (
    "accuracy",
    "log_loss",
    "ece",
    "teacher/log_loss",
    "teacher/ece",
    "validation/accuracy",
    "best_epoch/accuracy",
    "teacher/accuracy",
    "majority/accuracy",
    "brier",
    "log_loss_scaled",
    "brier_scaled",
    "ece_scaled",
)
BEFORE = ["data", "labels", "method", "seed"]
AFTER = ["student_updates", "seconds", "pretraining_seconds", "student_parameters", "teacher_parameters"]
Study = tuple[Path, subprocess.CompletedProcess[str]]


def untimed(table: str) -> list[str]:
    """The printed table without counts of finished jobs."""
    return [line for line in table.splitlines() if not line.startswith("[")]


def found(out: Path) -> list[dict[str, str]]:
    """The results without times."""
    return [
        {name: value for name, value in row.items() if "seconds" not in name}
        for row in rows(out / "results.csv")
    ]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A comparison in a real process with two real workers."""
    out = tmp_path_factory.mktemp("study") / "digits"
    command = [
        sys.executable,
        "-m",
        "kdgan",
        *COMPARE,
        "--workers",
        "2",
        "--out",
        str(out),
    ]
    return out, subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_compare_prints_a_table_and_writes_results(study: Study) -> None:
    out, done = study
    assert (done.returncode, done.stderr) == (0, "")
    for method in METHODS:
        assert f"\n {method} " in done.stdout
    assert "digits, 100 labels" in done.stdout
    assert "2 seeds" in done.stdout
    assert str(out / "report.html") in done.stdout.replace("\n", "")
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 100
    results = rows(out / "results.csv")
    columns = list(results[0])
    assert (columns[:4], columns[-5:]) == (BEFORE, AFTER)
    assert columns[4] == "accuracy"
    assert set(columns[4:-5]) == set(RECORDED)
    assert [(row["method"], row["seed"]) for row in results] == [(m, s) for s in "01" for m in METHODS]
    for row in results:
        assert (row["data"], row["labels"], row["student_updates"]) == ("digits", "100", "40")
        assert row["student_parameters"] == str(64 * 8 + 8 + 8 * 10 + 10)
        for name in RECORDED[:3]:
            assert 0 <= float(row[name]) <= 100
        assert float(row["best_epoch/accuracy"]) >= float(row["accuracy"])
        assert float(row["seconds"]) > 0
        alone = row["method"] == "supervised"
        assert (row["teacher/accuracy"] == "") == (row["teacher_parameters"] == "") == alone
        assert (float(row["pretraining_seconds"]) > 0) == (not alone)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(method in report for method in METHODS)
    assert "kdgan compare --methods supervised,distn,kdgan" in report


def test_the_same_comparison_again_runs_nothing(typed: Command, study: Study) -> None:
    out, done = study
    before = written_at(out, "runs/*/*") | written_at(out, "pretrained/*/*.safetensors")
    assert len(before) > 20
    results = (out / "results.csv").read_bytes()
    code, printed, errors = typed(*COMPARE, "--workers", 2, "--out", out)
    assert (code, errors) == (0, "")
    assert untimed(printed) == untimed(done.stdout)
    assert written_at(out, "runs/*/*") | written_at(out, "pretrained/*/*.safetensors") == before
    assert (out / "results.csv").read_bytes() == results


def test_the_number_of_workers_changes_no_accuracy(typed: Command, study: Study, tmp_path: Path) -> None:
    assert typed(*COMPARE, "--workers", 1, "--out", tmp_path / "one")[0] == 0
    assert found(tmp_path / "one") == found(study[0])


def test_ctrl_c_stops_a_comparison_cleanly_and_it_goes_on(
    typed: Command, study: Study, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "kdgan", *COMPARE, "--out", str(out), "--workers"]

    def workers_start() -> bool:
        return (out / "comparison.json").exists()

    def training() -> bool:
        return any(out.glob("*/*/metrics.jsonl"))

    # A terminal sends Ctrl-C to workers too: while they import torch, and while they train.
    for moment, later, workers in ((workers_start, 1.0, "1"), (training, 0.0, "2")):
        with subprocess.Popen(
            [*command, workers],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            wait_until(lambda: moment() or process.poll() is not None)  # noqa: B023
            time.sleep(later)
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2, errors
        assert is_one_line(errors, "stopped")
        assert not list(out.rglob("*.tmp"))
    assert len(list(out.glob("runs/*/result.json"))) < 6
    assert typed(*COMPARE, "--workers", 2, "--out", out)[0] == 0
    assert found(out) == found(study[0])


WRONG = [
    *WRONG_FOR_BOTH,
    ("--methods supervised,gan", "gan"),
    ("--methods ,", "at least one"),
    ("--methods knn", "knn"),
    ("--methods nowhere:Own", "nowhere:Own"),
    ("--methods json:JSONDecoder", "no method"),
    ("--seeds 0", "seed"),
    ("--seeds -1", "seed"),
    ("--workers 0", "workers"),
    ("--workers -1", "workers"),
    ("--set supervised.delta=1", "delta"),
    ("--set smoothing=0.1", "METHOD.NAME=VALUE"),
    ("--set kdgan.alpha=0.1", "kdgan.alpha"),
    ("--set supervised.smoothing=2", "smoothing"),
    ("--methods kdgan --set kdgan.lr=abc", "lr must be a number"),
    ("--methods kdgan --set kdgan.lr=true", "lr must be a number"),
    ("--methods kdgan --set kdgan.student_pretraining=x", "student_pretraining must be a number"),
    ("--methods kdgan --set kdgan.teacher_steps=30.5", "teacher_steps must be a whole number"),
    ("--settings none.json", "none.json"),
]


@pytest.mark.parametrize(("options", "part"), WRONG, ids=[options for options, _ in WRONG])
def test_wrong_options(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    short = ["compare", "--methods", "supervised", "--seeds", 1, "--steps", 2, "--student", "mlp-4"]
    assert refuses(typed, *short, *options.split(), "--out", tmp_path / "out" / "study", parts=(part,))
    assert not (tmp_path / "out").exists()


def test_folders_of_another_comparison(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "o"
    short = ["compare", "--methods", "supervised", "--seeds", 1, "--student", "mlp-4", "--workers", 1]
    assert typed(*short, "--steps", 2, "--batch", 16, "--out", out)[0] == 0
    results = (out / "results.csv").read_bytes()
    parts = (out, "training.batch 16 there and 4 now", "--out")
    assert refuses(typed, *short, "--steps", 2, "--batch", 4, "--out", out, parts=parts)
    assert (out / "results.csv").read_bytes() == results
    # More methods and more seeds are the same comparison.
    more = ["--methods", "supervised,mimic", "--seeds", 2, "--batch", 16]
    assert typed(*short, "--steps", 2, *more, "--out", out)[0] == 0
    assert len(rows(out / "results.csv")) == 4


def test_runs_that_failed_are_named_in_the_report(typed: Command, tmp_path: Path) -> None:
    command = ["compare", "--methods", "supervised,mimic", "--set", "mimic.lr=1e30", "--steps", 6]
    code, _, errors = typed(*command, "--seeds", 1, "--workers", 1, "--out", tmp_path / "o")
    assert code == 1
    assert is_one_line(errors, "1 run failed", "mimic seed 0", "diverged")
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "Runs that failed and are in no figure or mean (1): mimic seed 0" in page
    assert [row["method"] for row in rows(tmp_path / "o" / "results.csv")] == ["supervised"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\xc2\xa0b", r"a\xa0b"),
        (b"caf\xe9", r"caf\udce9"),
        (b"a\nb", r"a\nb"),
        *((sign + b"1", f"./{sign.decode()}1") for sign in (b"=", b"+", b"-", b"@")),
    ],
)
def test_data_of_an_odd_name_are_found_and_shown(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = os.fsdecode(name + b".csv")
    lines = ["a,b,y", *(f"{n},{n % 7},{n % 2}" for n in range(80))]
    Path(source).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = ["compare", f"--data={source}", "--target", "y", "--methods", "supervised", "--seeds", 1]
    command += ["--labels", 40, "--steps", 2, "--student", "mlp-4", "--workers", 1, "--out", "o"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    for _ in range(2):
        code, _, errors = typed(*command)
        assert (code, errors) == (0, "")
    assert [row["data"] for row in rows(tmp_path / "o" / "results.csv")] == [f"{shown}.csv"]
    assert (tmp_path / "o" / "report.html").read_text(encoding="utf-8").count(shown) > 0
    (run,) = Path("o", "runs").iterdir()
    assert typed("evaluate", run)[0] == 0


def test_settings_of_a_search_are_used_and_others_come_on_top(typed: Command, tmp_path: Path) -> None:
    settings = '{"methods": {"kdgan": {"settings": {"beta": 3.0, "alpha": 0.25, "lr": 0.001}}}}'
    (tmp_path / "tuned.json").write_text(settings, encoding="utf-8")
    command = ["compare", "--methods", "kdgan", "--settings", tmp_path / "tuned.json", "--steps", 2]
    command += ["--unlabelled", "none"]
    command += ["--set", "kdgan.alpha=0.125", "--student", "mlp-4", "--teacher", "mlp-4", "--seeds", 1]
    assert typed(*command, "--workers", 1, "--out", tmp_path / "o")[0] == 0
    (config,) = (tmp_path / "o").glob("runs/*/config.json")
    used = json_in(config)
    assert (used["hyper"]["beta"], used["hyper"]["alpha"], used["training"]["lr"]) == (3.0, 0.125, 0.001)
    # A method's own rate does not change the teacher that all share.
    assert used["training"]["pretraining_lr"] == 0.002


def test_the_rest_is_learned_from_without_labels(typed: Command, tmp_path: Path) -> None:
    short = ["compare", "--methods", "supervised,mimic", "--seeds", 1, "--steps", 8, "--batch", 8]
    short += ["--workers", 1, "--student", "mlp-8", "--teacher", "lenet-2-4-8"]
    command = [*short, "--unlabelled", "rest", "--labelled-share", 0.5, "--rounds", 2]
    command += ["--out", tmp_path / "rest"]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    assert "digits, 100 labels, 1,194 unlabelled" in printed
    assert [(row["method"], row["unlabelled"]) for row in found(tmp_path / "rest")] == [
        ("supervised", "1194"),
        ("mimic", "1194"),
    ]
    page = (tmp_path / "rest" / "report.html").read_text(encoding="utf-8")
    assert "digits, 100 labels, 1,194 unlabelled" in page
    assert "50% of each batch are labelled" in page
    assert "propagation of labels over its features, rounds: 2, updates in each: 5" in page
    before = written_at(tmp_path / "rest")
    assert typed(*command)[0] == 0
    assert written_at(tmp_path / "rest") == before
    run = next((tmp_path / "rest" / "runs").glob("mimic-*"))
    assert typed("evaluate", run)[0] == 0
    # Nothing of that is to be seen where nothing is unlabelled.
    assert typed(*short, "--unlabelled", "none", "--out", tmp_path / "none")[0] == 0
    assert list(found(tmp_path / "none")[0])[:4] == BEFORE
    # The bundled data are learned from with all that they have, unless something else is said.
    assert typed(*short, "--labelled-share", 0.5, "--rounds", 2, "--out", tmp_path / "usual")[0] == 0
    assert found(tmp_path / "rest") == found(tmp_path / "usual")
    names = [sorted(path.name for path in (tmp_path / out / "runs").iterdir()) for out in ("rest", "usual")]
    assert names[0] == names[1]
    assert refuses(
        typed, *command[:-1], tmp_path / "none", parts=("data.unlabelled None there and 'rest' now",)
    )
