"""The command line as a user types it."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdgan.cli import main
from kdgan.methods import hyperparameters
from support import served

COLUMNS = (
    "data,labels,method,seed,student_accuracy,teacher_accuracy,best_epoch_accuracy,student_updates,seconds,"
    "pretraining_seconds,validation_accuracy,student_parameters,teacher_parameters"
)
METHODS = ("supervised", "distn", "kdgan")
SMALL = ["--data", "digits", "--student", "mlp-8", "--teacher", "lenet-2-4-8"]
COMPARE = [
    *("compare", "--methods", ",".join(METHODS), "--seeds", "2", *SMALL),
    *("--steps", "40", "--teacher-steps", "40", "--checkpoint-seconds", "0"),
]
TRAIN = [
    *("train", "--labels", "40", *SMALL),
    *("--batch", "8", "--steps", "20", "--teacher-steps", "10", "--student-pretraining", "0.1"),
]
PATIENCE = 300.0
"""Seconds after which something hangs."""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kdgan(capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Carries out a command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code: Any = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        output = capfd.readouterr()
        return code, output.out, output.err

    yield run
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    context = served()
    monkeypatch.setattr("kdgan.experiments.pool.multiprocessing.get_context", lambda method: context)


class Forked:
    """A command in a process of its own."""

    def __init__(self, folder: Path, *arguments: object, file_size: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        texts = [str(argument) for argument in arguments]
        self.process = served().Process(target=_forked, args=(str(folder), texts, file_size), daemon=True)
        self.process.start()

    def end(self) -> tuple[int, str, str]:
        """Waits; exit code, stdout, stderr."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "it hangs"
        out, err = ((self.folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return self.process.exitcode, out, err


def _forked(folder: str, arguments: list[str], file_size: int | None) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # The server may have been started with Ctrl-C blocked, as workers are.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    main(arguments)


def is_one_line(text: str, *parts: object) -> bool:
    """Whether stderr holds just one line of kdgan's, with all `parts` in it."""
    assert text.startswith("kdgan: "), text
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    for part in parts:
        assert str(part) in text
    return True


def wait_until(true: Callable[[], object], process: Any = None) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, "it hangs"
        if process is not None:
            assert process.is_alive(), "it ended too soon"
        time.sleep(0.005)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def accuracies(out: Path) -> list[list[str]]:
    kept = [name for name in COLUMNS.split(",") if "seconds" not in name]
    return [[row[name] for name in kept] for row in rows(out)]


def untimed(table: str) -> list[str]:
    """The printed table without counts of finished tasks."""
    return [line for line in table.splitlines() if not line.startswith("[")]


def result(out: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return {name: value for name, value in values.items() if "seconds" not in name}


# --- compare -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A comparison in a real process with two real workers."""
    out = tmp_path_factory.mktemp("study") / "digits"
    command = [sys.executable, "-m", "kdgan", *COMPARE, "--workers", "2", "--out", str(out)]
    return out, subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_compare_prints_a_table_and_writes_results(
    study: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = study
    assert (done.returncode, done.stderr) == (0, "")
    for method in METHODS:
        assert f"\n {method} " in done.stdout
    assert "digits, 100 labels" in done.stdout
    assert "2 seeds" in done.stdout
    assert str(out / "report.html") in done.stdout.replace("\n", "")
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 100
    assert (out / "results.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS
    found = rows(out)
    assert [(row["method"], row["seed"]) for row in found] == [(m, s) for s in "01" for m in METHODS]
    for row in found:
        assert (row["data"], row["labels"], row["student_updates"]) == ("digits", "100", "40")
        assert row["student_parameters"] == str(64 * 8 + 8 + 8 * 10 + 10)
        for name in ("student_accuracy", "best_epoch_accuracy", "validation_accuracy"):
            assert 0 <= float(row[name]) <= 100
        assert float(row["best_epoch_accuracy"]) >= float(row["student_accuracy"])
        assert float(row["seconds"]) > 0
        alone = row["method"] == "supervised"
        assert (row["teacher_accuracy"] == "") == (row["teacher_parameters"] == "") == alone
        assert (float(row["pretraining_seconds"]) > 0) == (not alone)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(method in report for method in METHODS)
    assert "kdgan compare --methods supervised,distn,kdgan" in report


@pytest.mark.usefixtures("quick_workers")
def test_the_same_comparison_again_runs_nothing(
    kdgan: Command, study: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    out, done = study
    kept = [*out.glob("runs/*/*"), *out.glob("pretrained/*/*.safetensors")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert len(before) > 20
    results = (out / "results.csv").read_bytes()
    code, printed, errors = kdgan(*COMPARE, "--workers", 2, "--out", out)
    assert (code, errors) == (0, "")
    assert untimed(printed) == untimed(done.stdout)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert (out / "results.csv").read_bytes() == results


@pytest.mark.usefixtures("quick_workers")
def test_the_number_of_workers_changes_no_accuracy(
    kdgan: Command, study: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert kdgan(*COMPARE, "--workers", 1, "--out", tmp_path / "one")[0] == 0
    assert accuracies(tmp_path / "one") == accuracies(study[0])


@pytest.mark.usefixtures("quick_workers")
def test_ctrl_c_stops_a_comparison_cleanly_and_it_goes_on(
    kdgan: Command, study: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
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
    assert kdgan(*COMPARE, "--workers", 2, "--out", out)[0] == 0
    assert accuracies(out) == accuracies(study[0])


# --- train and evaluate ------------------------------------------------------------------------------------------


def test_train_and_evaluate_agree(kdgan: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, errors = kdgan(
        *TRAIN, "--seed", 3, "--set", "alpha=0.3", "estimator=concrete", "--out", out
    )
    assert (code, errors) == (0, "")
    accuracy = json.loads((out / "result.json").read_text(encoding="utf-8"))["student_accuracy"]
    assert printed.startswith(f"kdgan: student {accuracy:.2f} % on test data, teacher ")
    assert printed.endswith(f"student: {out / 'student.safetensors'}\n")
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert (config["seed"], config["labels"], config["steps"], config["batch"]) == (3, 40, 20, 8)
    assert config["hyper"] == {**hyperparameters("kdgan"), "alpha": 0.3, "estimator": "concrete"}
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["student_updates"] == 20
    code, measured, errors = kdgan("evaluate", out)
    assert (code, errors) == (0, "")
    assert measured == f"{accuracy:.2f} % of 360 test examples right (610 parameters, digits, kdgan)\n"
    assert kdgan(*TRAIN, "--seed", 3, "--set", "alpha=0.3", "estimator=concrete", "--out", out)[1] == printed


def test_a_table_with_privileged_columns(kdgan: Command, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 3))
    label = np.where(x[:, 0] + 0.3 * generator.normal(size=120) > 0, "good", "bad")
    lines = ["age,city,late,verdict,answer"]
    for row, verdict in zip(x, label, strict=True):
        city = "Oslo" if row[1] > 0 else "Bergen"
        lines.append(f"{row[0]:.4f},{city},{row[2]:.4f},{verdict},{int(verdict == 'good')}")
    table = tmp_path / "people.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    common = ["--data", table, "--target", "verdict", "--privileged", "answer", "late"]
    sizes = [
        *("--labels", 60, "--student", "mlp-4", "--teacher", "mlp-16"),
        *("--steps", 60, "--teacher-steps", 60, "--lr", 0.05),
    ]
    code, printed, errors = kdgan("train", "--method", "kdgan", *common, *sizes, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    outcome = result(tmp_path / "run")
    assert outcome["teacher_accuracy"] > 90  # it was told the answer
    assert outcome["student_parameters"] == 3 * 4 + 4 + 4 * 2 + 2  # which the student never sees
    assert outcome["teacher_parameters"] == 5 * 16 + 16 + 16 * 2 + 2
    code, measured, _ = kdgan("evaluate", tmp_path / "run")
    assert measured.startswith(f"{outcome['student_accuracy']:.2f} % of 24 ")
    assert code == 0
    assert f"{outcome['student_accuracy']:.2f} %" in printed


def test_a_folder_of_images(kdgan: Command, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.normal(level, 20, (12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    sizes = [
        *("--student", "lenet-2-2-4", "--teacher", "lenet-4-4-8"),
        *("--steps", 60, "--lr", 0.01, "--image-size", 8),
    ]
    command = [
        "train",
        "--method",
        "mimic",
        "--data",
        tmp_path / "pictures",
        *sizes,
        "--out",
        tmp_path / "run",
    ]
    code, _, errors = kdgan(*command)
    assert (code, errors) == (0, "")
    assert result(tmp_path / "run")["teacher_accuracy"] > 80
    code, measured, _ = kdgan("evaluate", tmp_path / "run")
    assert code == 0
    assert " of 8 test examples right" in measured


def test_ctrl_c_stops_training_and_it_goes_on(kdgan: Command, tmp_path: Path) -> None:
    long = [*TRAIN, "--steps", 300, "--teacher-steps", 20]
    stopped = Forked(tmp_path / "said", *long, "--out", tmp_path / "stopped")
    pretraining = tmp_path / "stopped" / "pretrained"
    wait_until(lambda: list(pretraining.glob("student-seed0-*/metrics.jsonl")), stopped.process)
    os.kill(stopped.process.pid, signal.SIGINT)
    code, _, errors = stopped.end()
    assert code == 2, errors
    assert is_one_line(errors, "stopped")
    assert list((tmp_path / "stopped").rglob("checkpoint.safetensors"))
    assert not (tmp_path / "stopped" / "result.json").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    code, _, errors = kdgan("evaluate", tmp_path / "stopped")
    assert code == 2
    assert is_one_line(errors, "finished")
    for name in ("stopped", "whole"):
        assert kdgan(*long, "--out", tmp_path / name)[0] == 0
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")
    students = [(tmp_path / name / "student.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert students[0] == students[1]


@pytest.mark.parametrize("file_size", [100, 7000])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    kdgan: Command, tmp_path: Path, file_size: int
) -> None:
    full = Forked(tmp_path / "said", *TRAIN, "--out", tmp_path / "full", file_size=file_size)
    code, _, errors = full.end()
    assert code == 2, errors
    assert is_one_line(errors, "no room left")
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "full" / "result.json").exists()
    for name in ("full", "whole"):
        assert kdgan(*TRAIN, "--out", tmp_path / name)[0] == 0
    assert result(tmp_path / "full") == result(tmp_path / "whole")


def test_a_diverging_run_says_where(kdgan: Command, tmp_path: Path) -> None:
    command = [*TRAIN, "--augment", "none", "--lr", "1e30", "--out", tmp_path / "run"]
    code, printed, errors = kdgan(*command)
    assert (code, printed) == (1, "")
    assert is_one_line(errors, "training diverged: at step ", "the loss term 'label' was ")
    assert not (tmp_path / "run" / "result.json").exists()


# --- what cannot be carried out ----------------------------------------------------------------------------------


def own_data(folder: Path) -> dict[str, Path]:
    """Data with something wrong, by name."""
    good = "a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(40))
    texts = {
        "good.csv": good,
        "nan.csv": good.replace("\n5,5,1\n", "\nNaN,5,1\n"),
        "hole.csv": good.replace("\n5,5,1\n", "\n,5,1\n"),
        "ragged.csv": good.replace("\n5,5,1\n", "\n5,5,1,9,9\n"),
        "empty.csv": "",
        "header.csv": "a,b,y\n",
        "picture.png": "not a data set",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    np.savez(folder / "whole.npz", x_train=np.zeros((30, 2), np.float32), y_train=np.arange(30) % 2)
    whole = (folder / "whole.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "corrupt.npz").write_bytes(b"\x93NUMPY" + bytes(range(256)))
    (folder / "nothing").mkdir()
    (folder / "words" / "cats").mkdir(parents=True)
    (folder / "words" / "cats" / "poem.txt").write_text("miaow", encoding="utf-8")
    (folder / "damaged" / "cats").mkdir(parents=True)
    (folder / "damaged" / "cats" / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return {path.name: path for path in folder.iterdir()}


WRONG_DATA = [
    (["gone.csv"], "does not exist"),
    (["good.csv"], "--target"),
    (["good.csv", "--target", "z"], "'z'"),
    (["good.csv", "--target", "y", "--privileged", "q"], "'q'"),
    (["good.csv", "--target", "y", "--privileged", "y"], "'y'"),
    (["good.csv", "--target", "y", "--augment", "crop-flip"], "crop-flip"),
    (["good.csv", "--target", "y", "--student", "lenet-2-2-4"], "lenet-2-2-4"),
    (["good.csv", "--target", "y", "--labels", "33"], "33 labels"),
    (["nan.csv", "--target", "y"], "NaN"),
    (["hole.csv", "--target", "y"], "no value"),
    (["ragged.csv", "--target", "y"], "ragged.csv"),
    (["empty.csv", "--target", "y"], "empty.csv"),
    (["header.csv", "--target", "y"], "no rows"),
    (["picture.png"], "picture.png"),
    (["truncated.npz"], "truncated.npz"),
    (["corrupt.npz"], "corrupt.npz"),
    (["nothing"], "nothing"),
    (["words"], "cats"),
    (["damaged"], "one.png"),
]


@pytest.mark.parametrize(
    ("options", "part"), WRONG_DATA, ids=[" ".join(options) for options, _ in WRONG_DATA]
)
def test_wrong_data(kdgan: Command, tmp_path: Path, options: list[str], part: str) -> None:
    (tmp_path / "data").mkdir()
    own_data(tmp_path / "data")
    out = tmp_path / "out" / "run"
    code, printed, errors = kdgan(
        "train", "--steps", 4, "--data", tmp_path / "data" / options[0], *options[1:], "--out", out
    )
    assert (code, printed) == (2, ""), errors
    assert is_one_line(errors, part)
    assert not (tmp_path / "out").exists()


WRONG_FOR_BOTH = [
    ("--data nope", "nope"),
    ("--data-dir /nowhere", "data_dir"),
    ("--data mnist --data-dir /nowhere/at/all", "/nowhere/at/all"),
    ("--target y", "target"),
    ("--image-size 16", "image_size"),
    ("--labels 1438", "1438 labels"),
    ("--labels 9", "9 labels"),
    ("--labels 0", "0 labels"),
    ("--labels -3", "-3 labels"),
    ("--steps 0", "steps"),
    ("--steps -5", "steps"),
    ("--teacher-steps 0", "teacher_steps"),
    ("--batch 0", "batch"),
    ("--lr 0", "lr"),
    ("--lr -1", "lr"),
    ("--lr nan", "lr"),
    ("--student perceptron", "perceptron"),
    ("--student mlp-0", "mlp-0"),
    ("--student lenet-4", "lenet-4"),
    ("--student resnet-9", "9"),
    ("--augment mirror", "mirror"),
    ("--device tpu", "tpu"),
    ("--device cuda:99", "cuda:99"),
    ("--precision float16", "float16"),
    ("--threads 0", "threads"),
    ("--threads -2", "threads"),
]
WRONG_FOR_TRAIN = [
    *WRONG_FOR_BOTH,
    ("--teacher foo-3", "foo-3"),
    ("--method gan", "gan"),
    ("--set delta=1", "delta"),
    ("--set alpha", "NAME=VALUE"),
    ("--set =1", "NAME=VALUE"),
    ("--set alpha=two", "alpha"),
    ("--set alpha=null", "alpha"),
    ("--set alpha=2", "alpha"),
    ("--set beta=-1", "beta"),
    ("--set d_steps=0", "d_steps"),
    ("--set c_steps=1.5", "c_steps"),
    ("--set t_steps=-1", "t_steps"),
    ("--set tau_start=x", "tau"),
    ("--set tau_end=0", "tau"),
    ("--set estimator=guess", "guess"),
    ("--set estimator=3", "3"),
    ("--set distillation=l3", "l3"),
    ("--set temperature=0", "temperature"),
    ("--set temperature=cold", "cold"),
    ("--method supervised --set smoothing=2", "smoothing"),
    ("--method distn --set temperature=null", "temperature"),
    ("--method noisy --set sigma=-1", "sigma"),
    ("--method nagan --set d_steps=0", "d_steps"),
]
WRONG_FOR_COMPARE = [
    *WRONG_FOR_BOTH,
    ("--methods supervised,gan", "gan"),
    ("--methods ,", "at least one"),
    ("--seeds 0", "seed"),
    ("--seeds -1", "seed"),
    ("--workers 0", "workers"),
    ("--workers -1", "workers"),
    ("--set supervised.delta=1", "delta"),
    ("--set smoothing=0.1", "METHOD.NAME=VALUE"),
    ("--set kdgan.alpha=0.1", "kdgan.alpha"),
    ("--set supervised.smoothing=2", "smoothing"),
]


@pytest.mark.parametrize(
    ("options", "part"), WRONG_FOR_TRAIN, ids=[options for options, _ in WRONG_FOR_TRAIN]
)
def test_wrong_options_of_train(kdgan: Command, tmp_path: Path, options: str, part: str) -> None:
    code, printed, errors = kdgan(*TRAIN, *options.split(), "--out", tmp_path / "out" / "run")
    assert (code, printed) == (2, ""), errors
    assert is_one_line(errors, part)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "part"), WRONG_FOR_COMPARE, ids=[options for options, _ in WRONG_FOR_COMPARE]
)
@pytest.mark.usefixtures("quick_workers")
def test_wrong_options_of_compare(kdgan: Command, tmp_path: Path, options: str, part: str) -> None:
    short = ["compare", "--methods", "supervised", "--seeds", 1, "--steps", 2, "--student", "mlp-4"]
    code, printed, errors = kdgan(*short, *options.split(), "--out", tmp_path / "out" / "study")
    assert (code, printed) == (2, ""), errors
    assert is_one_line(errors, part)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("train --nope 1 --out o", "unknown: --nope"),
        ("compare --labls 5", "(perhaps --labels)"),
        ("compare --seeds many", "--seeds"),
        ("train --steps 1.5 --out o", "'1.5' is no INT"),
        ("train", "--out"),
        ("compare --data-dir", "--data-dir"),
        ("nope", "choose from compare, train, evaluate, tune, reproduce, tags"),
        ("", "compare"),
        ("tags recomend", "choose from prepare, features, compare, recommend"),
    ],
)
@pytest.mark.parametrize("columns", ["30", "200"])
def test_what_cannot_be_parsed(
    kdgan: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, part: str, columns: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    code, printed, errors = kdgan(*command.split())
    assert (code, printed) == (2, ""), errors
    assert is_one_line(errors, part)
    assert not list(tmp_path.iterdir())


def test_folders_of_something_else(kdgan: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    short = [*TRAIN, "--method", "supervised", "--steps", 2]
    assert kdgan(*short, "--out", out)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    code, _, errors = kdgan(*short, "--seed", 1, "--out", out)
    assert code == 2
    assert is_one_line(errors, out, "seed 0 there and 1 now", "--out")
    code, _, errors = kdgan(*COMPARE, "--out", out)
    assert code == 2
    assert is_one_line(errors, out, "--out")
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / "thesis.tex").write_text("work", encoding="utf-8")
    for place in (tmp_path / "thesis.tex", tmp_path):
        code, _, errors = kdgan(*short, "--out", place)
        assert code == 2
        assert is_one_line(errors, place, "--out")
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "work"


def test_a_file_of_data_that_was_replaced_is_other_data(kdgan: Command, tmp_path: Path) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "run"
    rows = [f"{n % 5},{n % 7},{'yes' if n % 2 else 'no'}" for n in range(80)]
    path.write_text("\n".join(["a,b,y", *rows]) + "\n", encoding="utf-8")
    command = ["train", "--data", path, "--target", "y", "--method", "supervised", "--steps", 3, "--out", out]
    assert kdgan(*command)[0] == 0
    assert kdgan("evaluate", out)[0] == 0
    path.write_text("\n".join(["a,b,y", *rows[::-1]]) + "\n", encoding="utf-8")
    code, _, errors = kdgan("evaluate", out)
    assert code == 2
    assert is_one_line(errors, "t.csv", "no longer what it was")
    code, _, errors = kdgan(*command)
    assert code == 2
    assert is_one_line(errors, "another configuration (data_sha256")


def test_further_steps_of_the_student_are_counted_as_its_updates(kdgan: Command, tmp_path: Path) -> None:
    command = [*TRAIN, "--set", "c_steps=3", "--out", tmp_path / "run"]
    assert kdgan(*command)[0] == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["student_updates"] == 2 + 18 * 3  # a tenth of the 20 before the game


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("kdgan.lr=abc", "lr must be a number"),
        ("kdgan.lr=true", "lr must be a number"),
        ("kdgan.student_pretraining=x", "student_pretraining must be a number"),
        ("kdgan.teacher_steps=30.5", "teacher_steps must be a whole number"),
    ],
)
def test_settings_of_a_method_have_the_kind_they_should(
    kdgan: Command, tmp_path: Path, setting: str, part: str
) -> None:
    code, _, errors = kdgan("compare", "--methods", "kdgan", "--set", setting, "--out", tmp_path / "o")
    assert code == 2
    assert is_one_line(errors, part)
    assert not (tmp_path / "o").exists()


def test_runs_that_failed_are_named_in_the_report(kdgan: Command, tmp_path: Path) -> None:
    command = [
        "compare",
        "--methods",
        "supervised,mimic",
        "--set",
        "mimic.lr=1e30",
        "--steps",
        6,
        "--seeds",
        1,
    ]
    code, _, errors = kdgan(*command, "--workers", 1, "--out", tmp_path / "o")
    assert code == 1
    assert "diverged" in errors
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "Runs that failed and are in no figure or mean (1): mimic seed 0" in page


def test_evaluate_of_no_finished_run(kdgan: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, _, errors = kdgan("evaluate", tmp_path / "gone")
    assert code == 2
    assert is_one_line(errors, tmp_path / "gone")
    assert kdgan(*TRAIN, "--method", "supervised", "--steps", 2, "--out", out)[0] == 0
    whole = (out / "student.safetensors").read_bytes()
    for damaged in (b"", whole[:-9], b"\0" * 500):
        (out / "student.safetensors").write_bytes(damaged)
        code, _, errors = kdgan("evaluate", out)
        assert code == 2
        assert is_one_line(errors, out / "student.safetensors", "damaged")
    (out / "student.safetensors").write_bytes(whole)
    (out / "config.json").write_text("{}", encoding="utf-8")
    code, _, errors = kdgan("evaluate", out)
    assert code == 2
    assert is_one_line(errors, "configuration")
    code, _, errors = kdgan("evaluate", out, "--device", "tpu")
    assert code == 2
    assert is_one_line(errors, "tpu")


def test_a_damaged_checkpoint_is_named(kdgan: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert kdgan(*TRAIN, "--out", tmp_path / "whole")[0] == 0
    (student,) = (tmp_path / "whole").glob("pretrained/student-seed0-*")
    pretraining = student.relative_to(tmp_path / "whole")
    (out / pretraining).mkdir(parents=True)
    for name in ("config.json", pretraining / "config.json"):
        (out / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    damaged = out / pretraining / "checkpoint.safetensors"
    damaged.write_bytes(b"half")
    code, _, errors = kdgan(*TRAIN, "--out", out)
    assert code == 2
    assert is_one_line(errors, damaged, "delete it")
    damaged.unlink()
    assert kdgan(*TRAIN, "--out", out)[0] == 0
    assert result(out) == result(tmp_path / "whole")


def test_help_is_quick_and_needs_no_torch() -> None:
    code = "import sys, kdgan.cli\ntry: kdgan.cli.main(['train', '--help'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--checkpoint-seconds" in done.stdout
