"""Runs that have finished, as their folders keep them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from finished_runs import finish, result_of
from kdgan.tasks.finished import Finished, control_of, read_run, runs_in, teacher_of
from kdgan.tasks.run import task_of
from support import refused


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    for method in ("supervised", "distn", "kdgan"):
        finish(folder, method)
    return folder


def run_in(out: Path, method: str) -> Finished:
    (folder,) = (out / "runs").glob(f"{method}-*")
    return read_run(folder)


@pytest.mark.parametrize("method", ["distn", "kdgan"])
def test_the_teacher_is_the_one_that_the_outcome_is_of(out: Path, method: str) -> None:
    run = run_in(out, method)
    task = task_of(run.config, None)
    teacher, why = teacher_of(run, task)
    assert teacher is not None
    assert why == ""
    found = task.measure(teacher, task.test, role="teacher")
    assert found == {name: run.outcome.metrics[f"teacher/{name}"] for name in found}
    assert (run.folder / "teacher.safetensors").is_file() == (method == "kdgan")


def test_where_there_is_no_teacher_it_says_why(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    task = task_of(run_in(out, "distn").config, None)
    assert teacher_of(run_in(tmp_path / "out", "supervised"), task) == (None, "")
    kdgan = run_in(tmp_path / "out", "kdgan")
    (kdgan.folder / "teacher.safetensors").write_bytes(b"none")
    with refused("teacher.safetensors", "damaged"):
        teacher_of(kdgan, task)
    (kdgan.folder / "teacher.safetensors").unlink()
    teacher, why = teacher_of(kdgan, task)
    assert teacher is None
    assert "earlier versions" in why
    shutil.rmtree(tmp_path / "out" / "pretrained")
    teacher, why = teacher_of(run_in(tmp_path / "out", "distn"), task)
    assert teacher is None
    assert "pretrained" in why


def test_the_control_is_of_the_same_seed_and_settings(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    control = run_in(tmp_path / "out", "supervised")
    for method in ("distn", "kdgan"):
        found = control_of(run_in(tmp_path / "out", method))
        assert found is not None
        assert found.folder == control.folder
    assert control_of(control) is None
    other_rate = read_run(finish(tmp_path / "out", "distn", lr=0.01, pretraining_lr=0.02))
    assert control_of(other_rate) is not None  # as a method may have a rate of its own
    for change in ({"seed": 2}, {"labels": 50}, {"student": "mlp-9"}, {"steps": 24}):
        assert control_of(read_run(finish(tmp_path / "out", "distn", **change))) is None
    config = json.loads((control.folder / "config.json").read_text())
    config["hyper"]["smoothing"] = 0.1
    (control.folder / "config.json").write_text(json.dumps(config))
    assert control_of(run_in(tmp_path / "out", "kdgan")) is None


def test_runs_of_folders_and_of_comparisons(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    runs, notes = runs_in([tmp_path / "out"])
    assert sorted(run.config.method for run in runs) == ["distn", "kdgan", "supervised"]
    assert notes == []
    assert runs[0].outcome.metrics == result_of(runs[0].folder)["metrics"]
    one = runs[0].folder
    with refused(one, "given twice"):
        runs_in([tmp_path / "out", one])
    (one / "result.json").unlink()
    runs, notes = runs_in([tmp_path / "out"])
    assert len(runs) == 2
    assert "1 runs" in notes[0]
    with refused(one, "has not finished"):
        runs_in([one])


def test_what_is_no_finished_run_is_one_line(out: Path, tmp_path: Path) -> None:
    with refused(tmp_path, "no folder of a run"):
        read_run(tmp_path)
    (tmp_path / "distill.json").write_text("{}")
    with refused(tmp_path, "distill"):
        read_run(tmp_path)
    (tmp_path / "distill.json").unlink()
    config = json.loads((run_in(out, "distn").folder / "config.json").read_text())
    for values, part in (
        ({}, "no folder of a run that the command line began"),
        ({**config, "method": "knn", "hyper": {}}, "for photos with tags alone"),
        ({**config, "seed": "x"}, "seed"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(values))
        with refused(tmp_path, part):
            read_run(tmp_path)
    (tmp_path / "comparison.json").write_text("{}")
    with refused(tmp_path, "without a finished run"):
        runs_in([tmp_path])


def test_a_teacher_of_another_network_is_refused(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    run = run_in(tmp_path / "out", "kdgan")
    from kdgan.training import checkpoint

    checkpoint.save(run.folder / "teacher.safetensors", {"weights": {"0.weight": torch.zeros(3)}})
    with refused("teacher.safetensors", "belongs to another network"):
        teacher_of(run, task_of(run.config, None))
