"""`kdgan train` as a user types it."""

import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import (
    COMPARE,
    TRAIN,
    WRONG_FOR_BOTH,
    Command,
    Forked,
    is_one_line,
    json_in,
    refuses,
    result,
    wait_until,
)
from kdgan.methods import METHODS, hyperparameters


def test_train_writes_a_run_and_says_what_it_found(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [*TRAIN, "--seed", 3, "--set", "alpha=0.3", "estimator=concrete", "--out", out]
    code, printed, errors = typed(*command)
    assert (code, errors) == (0, "")
    outcome = result(out)
    accuracy, teacher = (outcome["metrics"][name] for name in ("accuracy", "teacher/accuracy"))
    assert printed.startswith(
        f"kdgan: student {accuracy:.2f} % on test data, teacher {teacher:.2f} %; always naming the largest class gives "
        "10.28 %; 610 parameters, "
    )
    assert printed.endswith(f"student: {out / 'student.safetensors'}\n")
    config = json_in(out / "config.json")
    training = config["training"]
    assert (config["seed"], config["data"]["labels"], training["steps"], training["batch"]) == (3, 40, 20, 8)
    assert config["hyper"] == {**hyperparameters("kdgan"), "alpha": 0.3, "estimator": "concrete"}
    assert outcome["student_updates"] == 20
    assert typed(*command)[1] == printed


def test_a_student_without_a_teacher_has_none_to_speak_of(typed: Command, tmp_path: Path) -> None:
    code, printed, _ = typed(*TRAIN, "--method", "supervised", "--steps", 2, "--out", tmp_path / "run")
    assert code == 0
    assert "teacher" not in printed.splitlines()[0]
    assert printed.startswith("supervised: student ")


def test_help_names_every_method(typed: Command) -> None:
    code, printed, errors = typed("train", "--help")
    assert (code, errors) == (0, "")
    names = re.split(r"[^\w]+", printed[printed.index("--method") : printed.index("--seed")])
    assert METHODS.keys() <= {*names}


def test_options_of_training_are_in_the_configuration(typed: Command, tmp_path: Path) -> None:
    options = {"teacher-lr": 1e-3, "weight-decay": 0.5, "epsilon": 0.05, "teacher-every": 4, "evaluations": 3}
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    assert typed(*TRAIN, *given, "--augment", "none", "--out", tmp_path / "run")[0] == 0
    config = json_in(tmp_path / "run" / "config.json")
    assert {name: config["training"][name.replace("-", "_")] for name in options} == options
    assert config["augment"] == "none"
    assert len(result(tmp_path / "run")["curves"]["accuracy"]) == 4  # once before the game


def test_a_table_with_privileged_columns(typed: Command, tmp_path: Path) -> None:
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
    code, printed, errors = typed("train", "--method", "kdgan", *common, *sizes, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    outcome = result(tmp_path / "run")
    assert outcome["metrics"]["teacher/accuracy"] > 90  # it was told the answer
    assert outcome["student_parameters"] == 3 * 4 + 4 + 4 * 2 + 2  # which the student never sees
    assert outcome["teacher_parameters"] == 5 * 16 + 16 + 16 * 2 + 2
    accuracy = outcome["metrics"]["accuracy"]
    code, measured, _ = typed("evaluate", tmp_path / "run")
    assert measured.startswith(f"accuracy {accuracy:.2f} %, log_loss ")
    assert code == 0
    assert f"{accuracy:.2f} %" in printed


def test_a_folder_of_images(typed: Command, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.normal(level, 20, (12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    command = ["train", "--method", "mimic", "--data", tmp_path / "pictures", "--image-size", 8]
    command += ["--student", "lenet-2-2-4", "--teacher", "lenet-4-4-8", "--steps", 60, "--lr", 0.01]
    code, _, errors = typed(*command, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    assert result(tmp_path / "run")["metrics"]["teacher/accuracy"] > 80
    code, measured, _ = typed("evaluate", tmp_path / "run")
    assert code == 0
    assert "of 8 test examples" in measured


def test_ctrl_c_stops_training_and_it_goes_on(typed: Command, tmp_path: Path) -> None:
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
    assert refuses(typed, "evaluate", tmp_path / "stopped", parts=("finished",))
    for name in ("stopped", "whole"):
        assert typed(*long, "--out", tmp_path / name)[0] == 0
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")
    students = [(tmp_path / name / "student.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert students[0] == students[1]


@pytest.mark.parametrize("file_size", [100, 7000])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    typed: Command, tmp_path: Path, file_size: int
) -> None:
    full = Forked(tmp_path / "said", *TRAIN, "--out", tmp_path / "full", file_size=file_size)
    code, _, errors = full.end()
    assert code == 2, errors
    assert is_one_line(errors, "no room left")
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "full" / "result.json").exists()
    for name in ("full", "whole"):
        assert typed(*TRAIN, "--out", tmp_path / name)[0] == 0
    assert result(tmp_path / "full") == result(tmp_path / "whole")


def test_a_diverging_run_says_where(typed: Command, tmp_path: Path) -> None:
    command = [*TRAIN, "--augment", "none", "--lr", "1e30", "--out", tmp_path / "run"]
    code, printed, errors = typed(*command)
    assert (code, printed) == (1, "")
    assert is_one_line(errors, "training diverged: at step 1 the student gives logits", "try a lower")
    assert not (tmp_path / "run" / "result.json").exists()


def test_further_steps_of_the_student_are_counted_as_its_updates(typed: Command, tmp_path: Path) -> None:
    assert typed(*TRAIN, "--set", "c_steps=3", "--out", tmp_path / "run")[0] == 0
    assert result(tmp_path / "run")["student_updates"] == 2 + 18 * 3  # a tenth of the 20 before the game


# --- what cannot be carried out ----------------------------------------------------------------------------------


def own_data(folder: Path) -> None:
    """Data with something wrong, by name."""
    good = "a,b,y\n" + "".join(f"{n % 30},{n % 7},{n % 2}\n" for n in range(40))
    texts = {
        "good.csv": good,
        "nan.csv": good.replace("\n5,5,1\n", "\nNaN,5,1\n"),
        "hole.csv": good.replace("\n5,5,1\n", "\n,5,1\n"),
        "inf.csv": good.replace("\n5,5,1\n", "\ninf,5,1\n"),
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


WRONG_DATA = [
    ("gone.csv", "does not exist"),
    ("good.csv", "--target"),
    ("good.csv --target z", "'z'"),
    ("good.csv --target y --privileged q", "'q'"),
    ("good.csv --target y --privileged y", "'y'"),
    ("good.csv --target y --augment crop-flip", "crop-flip"),
    ("good.csv --target y --student lenet-2-2-4", "lenet-2-2-4"),
    ("good.csv --target y --labels 33", "33 labels"),
    ("nan.csv --target y --missing refuse", "no value"),
    ("hole.csv --target y --missing refuse", "no value"),
    ("good.csv --target y --exclude z", "'z'"),
    ("inf.csv --target y", "inf"),
    ("ragged.csv --target y", "ragged.csv"),
    ("empty.csv --target y", "empty.csv"),
    ("header.csv --target y", "no rows"),
    ("picture.png", "picture.png"),
    ("truncated.npz", "truncated.npz"),
    ("corrupt.npz", "corrupt.npz"),
    ("nothing", "nothing"),
    ("words", "cats"),
    ("damaged", "one.png"),
]


@pytest.mark.parametrize(("options", "part"), WRONG_DATA, ids=[options for options, _ in WRONG_DATA])
def test_wrong_data(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    (tmp_path / "data").mkdir()
    own_data(tmp_path / "data")
    name, *rest = options.split()
    command = ["train", "--steps", 4, "--data", tmp_path / "data" / name, *rest]
    assert refuses(typed, *command, "--out", tmp_path / "out" / "run", parts=(part,))
    assert not (tmp_path / "out").exists()


WRONG = [
    *WRONG_FOR_BOTH,
    ("--teacher foo-3", "foo-3"),
    ("--teacher-lr 0", "lr"),
    ("--student-pretraining 1", "student_pretraining"),
    ("--method gan", "gan"),
    ("--method knn", "knn"),
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
    ("--set distillation=nowhere:loss", "nowhere:loss"),
    ("--set temperature=0", "temperature"),
    ("--set temperature=cold", "cold"),
    ("--method supervised --set smoothing=2", "smoothing"),
    ("--method distn --set temperature=null", "temperature"),
    ("--method noisy --set sigma=-1", "sigma"),
    ("--method nagan --set d_steps=0", "d_steps"),
]


@pytest.mark.parametrize(("options", "part"), WRONG, ids=[options for options, _ in WRONG])
def test_wrong_options(typed: Command, tmp_path: Path, options: str, part: str) -> None:
    assert refuses(typed, *TRAIN, *options.split(), "--out", tmp_path / "out" / "run", parts=(part,))
    assert not (tmp_path / "out").exists()


def test_folders_of_something_else(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    short = [*TRAIN, "--method", "supervised", "--steps", 2]
    assert typed(*short, "--out", out)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert refuses(typed, *short, "--seed", 1, "--out", out, parts=(out, "seed 0 there and 1 now", "--out"))
    assert refuses(typed, *COMPARE, "--out", out, parts=(out, "--out"))
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (tmp_path / "thesis.tex").write_text("work", encoding="utf-8")
    for place in (tmp_path / "thesis.tex", tmp_path):
        assert refuses(typed, *short, "--out", place, parts=(place, "--out"))
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "work"


def test_a_file_of_data_that_was_replaced_is_other_data(typed: Command, tmp_path: Path) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "run"
    lines = [f"{n % 5},{n % 7},{'yes' if n % 2 else 'no'}" for n in range(80)]
    path.write_text("\n".join(["a,b,y", *lines]) + "\n", encoding="utf-8")
    command = ["train", "--data", path, "--target", "y", "--method", "supervised", "--steps", 3, "--out", out]
    assert typed(*command)[0] == 0
    assert typed("evaluate", out)[0] == 0
    path.write_text("\n".join(["a,b,y", *lines[::-1]]) + "\n", encoding="utf-8")
    assert refuses(typed, "evaluate", out, parts=("t.csv", "no longer what it was"))
    assert refuses(typed, *command, parts=("another configuration (data.sha256",))


def test_a_damaged_checkpoint_is_named(typed: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert typed(*TRAIN, "--out", tmp_path / "whole")[0] == 0
    (student,) = (tmp_path / "whole").glob("pretrained/student-seed0-*")
    pretraining = student.relative_to(tmp_path / "whole")
    (out / pretraining).mkdir(parents=True)
    for name in ("config.json", pretraining / "config.json"):
        (out / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    damaged = out / pretraining / "checkpoint.safetensors"
    damaged.write_bytes(b"half")
    assert refuses(typed, *TRAIN, "--out", out, parts=(damaged, "delete it"))
    damaged.unlink()
    assert typed(*TRAIN, "--out", out)[0] == 0
    assert result(out) == result(tmp_path / "whole")


def test_a_file_with_rows_that_have_no_label(typed: Command, tmp_path: Path) -> None:
    lines = [f"{i % 7},{(i * 5) % 11},{'' if i % 4 == 3 else i % 4 % 2}" for i in range(80)]
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["a,b,kind", *lines]) + "\n", encoding="utf-8")
    short = ["train", "--method", "mimic", "--data", file, "--target", "kind", "--steps", 6, "--batch", 8]
    code, printed, errors = typed(*short, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    assert "20 of 68 training examples have no label" in printed
    assert result(tmp_path / "run")["unlabelled"] == 20
    assert typed(*short, "--unlabelled", "none", "--out", tmp_path / "none")[0] == 0
    assert result(tmp_path / "none")["unlabelled"] == 0
