"""The teacher that a run keeps is the one that taught."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from commands import Command, json_in
from kdgan import load
from kdgan.tasks.config import from_plain
from kdgan.tasks.kept import kept_teacher
from kdgan.tasks.run import task_of

SHORT = ["--steps", 20, "--teacher-steps", 60, "--teacher", "mlp-32", "--student", "mlp-8", "--labels", 200]


def trained(typed: Command, out: Path, *options: object) -> Path:
    code, _, errors = typed("train", *SHORT, "--out", out, *options)
    assert code == 0, errors
    return out


@pytest.mark.parametrize("rest", [False, True], ids=["labels", "itself"])
def test_the_teacher_of_a_run_is_as_good_as_its_outcome_says(
    typed: Command, tmp_path: Path, rest: bool
) -> None:
    """Whether it learned from labels alone or, after that, in rounds, from examples without."""
    own = ["--unlabelled", "rest", "--rounds", 2] if rest else []
    run = trained(typed, tmp_path / "run", "--method", "distn", *own)
    assert len([*run.glob("pretrained/teacher-*/self-training-*/checkpoint.safetensors")]) == 2 * rest
    student = load(run)
    teacher, title = kept_teacher(run, student)
    assert teacher is not None
    assert title == "mlp-32"
    task = task_of(from_plain(json_in(run / "config.json")), None)
    assert (
        task.measure(teacher.module, task.test, role="teacher")["accuracy"]
        == (json_in(run / "result.json")["metrics"]["teacher/accuracy"])
    )
    assert (teacher.labels, teacher.reader, teacher.scale) == (student.labels, student.reader, student.scale)
    # The file in the folder will do, and so will one of a comparison's runs, which share their teachers.
    assert kept_teacher(run / "student.safetensors", student)[1] == "mlp-32"
    (tmp_path / "out" / "runs").mkdir(parents=True)
    shutil.move(run / "pretrained", tmp_path / "out" / "pretrained")
    shutil.move(run, tmp_path / "out" / "runs" / "run")
    shared, _ = kept_teacher(tmp_path / "out" / "runs" / "run", student)
    assert shared is not None
    for mine, theirs in zip(shared.module.parameters(), teacher.module.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_teacher_that_learned_on_is_that_of_the_end(typed: Command, tmp_path: Path) -> None:
    run = trained(typed, tmp_path / "run", "--method", "kdgan", "--teacher-lr", 0.001)
    teacher, title = kept_teacher(run, load(run))
    assert teacher is not None
    assert title == "mlp-32"
    task = task_of(from_plain(json_in(run / "config.json")), None)
    found = task.measure(teacher.module, task.test, role="teacher")["accuracy"]
    assert found == json_in(run / "result.json")["metrics"]["teacher/accuracy"]
    # Of runs of earlier versions there is what it was before.
    (run / "teacher.safetensors").unlink()
    assert kept_teacher(run, load(run))[1] == "mlp-32, as it was before kdgan"


def test_where_there_is_none_it_says_why(typed: Command, tmp_path: Path) -> None:
    run = trained(typed, tmp_path / "run", "--method", "distn")
    student = load(run)
    (file,) = run.glob("pretrained/teacher-*/checkpoint.safetensors")
    content = file.read_bytes()
    student.save(tmp_path / "alone" / "s.safetensors")
    config = json_in(run / "config.json")

    def why(path: Path = run) -> str:
        teacher, reason = kept_teacher(path, student)
        assert teacher is None
        assert len(reason.splitlines()) == 1
        return reason

    assert "no run's folder" in why(tmp_path / "alone" / "s.safetensors")
    file.write_bytes(content[:-40])
    assert "is no file of kdgan, or is damaged" in why()
    shutil.copy(run / "student.safetensors", file)
    assert "not trained to its end" in why() or "damaged" in why()
    file.unlink()
    assert "keeps no teacher" in why()
    for changed, part in (
        ({"method": "supervised", "hyper": {}}, "supervised has no teacher"),
        ({"teacher": "nowhere:network"}, "--trust imports"),
        ({"method": "nowhere:Method", "hyper": {}}, "--trust imports"),
        ({"data": {**config["data"], "privileged": ["x"]}}, "sees what the student does not"),
        ({"seed": "x"}, "cannot be shown"),
    ):
        (run / "config.json").write_text(json.dumps({**config, **changed}))
        assert part in why()
    (run / "config.json").write_text("{")
    assert "cannot be shown" in why()
