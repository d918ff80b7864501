"""Jobs of runs: which there are, what they need, what they import."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from commands import PATIENCE
from kdgan.errors import Held
from kdgan.experiments.work import carry_out, jobs_for, pretrain, run_folder, run_name
from kdgan.methods import find
from kdgan.tasks.config import Config
from kdgan.tasks.division import Block
from kdgan.tasks.run import division_of, outcome_in, pretraining_folder
from kdgan.training.config import bind_folder
from kdgan.training.execution import Execution
from tiny import DIGITS, TAGS, changed


def never() -> bool:
    return False


def named(*configs: Config) -> dict[str, Config]:
    return {run_name(config.method, config.seed): config for config in configs}


def test_runs_that_agree_share_their_pretraining(tmp_path: Path) -> None:
    methods = ("supervised", "mimic", "nagan", "kdgan")
    configs = named(*(changed(DIGITS, method=method, student_pretraining=None) for method in methods))
    jobs = {job.name: job for job in jobs_for(configs, Execution(), tmp_path)}
    assert set(jobs) == {
        *("supervised seed 1", "mimic seed 1", "nagan seed 1", "kdgan seed 1"),
        *(
            "pretraining of teacher seed 1",
            "pretraining of discriminator seed 1",
            "pretraining of student seed 1",
        ),
    }
    assert jobs["supervised seed 1"].after == ()
    assert jobs["mimic seed 1"].after == ("pretraining of teacher seed 1",)
    assert set(jobs["nagan seed 1"].after) == {
        "pretraining of student seed 1",
        "pretraining of discriminator seed 1",
    }
    assert set(jobs["kdgan seed 1"].after) == {
        "pretraining of teacher seed 1",
        "pretraining of discriminator seed 1",
    }
    # A job comes after those that it needs.
    names = list(jobs)
    assert all(names.index(each) < names.index(job.name) for job in jobs.values() for each in job.after)


def test_other_settings_and_seeds_need_other_players(tmp_path: Path) -> None:
    configs = {
        "a seed 1": changed(DIGITS, method="mimic"),
        "b seed 1": changed(DIGITS, method="mimic", teacher_steps=7),
        "c seed 1": changed(DIGITS, method="mimic", teacher_lr=0.5),  # which T does not learn at before
        "a seed 2": changed(DIGITS, method="mimic", seed=2),
    }
    jobs = {job.name: job for job in jobs_for(configs, Execution(), tmp_path)}
    assert [jobs[name].after for name in configs] == [
        ("pretraining of teacher seed 1",),
        ("pretraining of teacher seed 1, no. 2",),
        ("pretraining of teacher seed 1",),
        ("pretraining of teacher seed 2",),
    ]


def test_jobs_cost_what_they_take(tmp_path: Path) -> None:
    every = changed(DIGITS, method="kdgan", student_pretraining=0.0)
    configs = {
        "control": changed(DIGITS, method="supervised"),
        "mimic": changed(DIGITS, method="mimic"),
        "seldom": changed(every, teacher_every=8),
        "every": every,
        "knn": replace(TAGS, method="knn", hyper={}),
    }
    costs = {job.name: job.cost for job in jobs_for(configs, Execution(), tmp_path)}
    assert costs["control"] < costs["mimic"] < costs["seldom"] < costs["every"]
    assert costs["pretraining of teacher seed 1"] == 2.0 * DIGITS.training.pretraining_steps(
        "teacher", find("mimic")
    )
    assert costs["knn"] > 0


def test_rounds_of_a_teacher_that_trains_itself_are_part_of_its_cost(tmp_path: Path) -> None:
    rest = changed(DIGITS, method="mimic", unlabelled="rest", teacher_steps=12, rounds=2, round_steps=5)
    for config, updates in (
        (rest, 12 + 2 * 5),
        (changed(rest, round_steps=None), 12 + 2 * 8),
        (changed(rest, self_training="none"), 12),
        (changed(rest, unlabelled="none"), 12),
    ):
        costs = {job.name: job.cost for job in jobs_for({"run": config}, Execution(), tmp_path)}
        assert costs["pretraining of teacher seed 1"] == 2.0 * updates


def test_a_run_is_carried_out_in_its_folder_and_says_how_far_it_is(tmp_path: Path) -> None:
    config = changed(DIGITS, method="mimic", steps=6, teacher_steps=5)
    shares: list[float] = []
    seconds = pretrain(config, Execution(), tmp_path, "teacher", shares.append, never)
    assert seconds > 0
    assert shares[-1] == 1
    assert not run_folder(tmp_path, config).exists()
    teacher = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(teacher) == 1
    shares.clear()
    outcome = carry_out(config, Execution(), tmp_path, shares.append, never)
    assert shares == sorted(shares)
    assert (0 < shares[0] <= 1, shares[-1]) == (True, 1)
    assert outcome_in(run_folder(tmp_path, config), config) == outcome
    assert (
        teacher.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}.items()
    )
    assert run_folder(tmp_path, config) == tmp_path / "runs" / config.name


def test_what_another_process_is_at_is_not_waited_for(tmp_path: Path) -> None:
    config = changed(DIGITS, method="mimic", steps=6, teacher_steps=5)
    teacher, _ = pretraining_folder(config, "teacher", tmp_path / "pretrained")
    for folder in (teacher, run_folder(tmp_path, config)):
        folder.mkdir(parents=True)
    bind_folder(teacher, "config.json", config.pretraining("teacher"))
    bind_folder(run_folder(tmp_path, config), "config.json", config.identity())
    with FileLock(teacher / ".lock"), pytest.raises(Held, match="teacher-seed1-"):
        pretrain(config, Execution(), tmp_path, "teacher", lambda share: None, never)
    with FileLock(run_folder(tmp_path, config) / ".lock"), pytest.raises(Held, match="mimic-seed1-"):
        carry_out(config, Execution(), tmp_path, lambda share: None, never)
    outcome = carry_out(config, Execution(), tmp_path, lambda share: None, never)
    assert outcome_in(run_folder(tmp_path, config), config) == outcome


@pytest.mark.parametrize("base", [DIGITS, TAGS])
def test_what_runs_of_a_seed_share_is_made_once_and_brought_to_each(
    base: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdgan.tasks.run._DIVISIONS", {})
    made: list[int] = []

    def counted(config: Config, data_dir: Path | None) -> Block | None:
        made.append(config.seed)
        return division_of(config, data_dir)

    monkeypatch.setattr("kdgan.experiments.work.division_of", counted)
    methods = ("supervised", "mimic")
    configs = named(*(changed(base, method=method, seed=seed) for seed in (1, 2, 3) for method in methods))
    jobs = jobs_for(configs, Execution(), Path("unused"))
    brought = []
    for job in jobs:
        assert job.brings is not None
        brought.append(job.brings())
    # Pretraining of T stands before the first run that needs it, so seeds come in their order.
    assert made == [1, 2, 3]
    assert jobs[0].brings is not None
    assert jobs[-1].brings is not None
    jobs[-1].brings()
    assert made == [1, 2, 3]
    jobs[0].brings()  # of a seed that is over, as where a run was held by another command
    assert made == [1, 2, 3, 1]
    assert brought[0] is not None


def test_data_for_which_there_is_no_room_are_read_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdgan.experiments.work.division_of", lambda config, data_dir: None)
    (job,) = jobs_for(named(changed(DIGITS, method="supervised")), Execution(), Path("unused"))
    assert job.brings is not None
    assert job.brings() is None


IMPORTS = """
import sys

unused = {"matplotlib", "scipy.stats", "optuna", "kdgan.experiments.report", "kdgan.experiments.statistics"}
only_for_tags = {"polars", "kdgan.tagging", "kdgan.tasks.tags", "kdgan.tasks.baseline"}


def main(out):
    # Not at the top, which processes that are started anew go through, too.
    from functools import partial
    from rich.console import Console
    import pool_jobs
    from kdgan.experiments.comparison import compare
    from kdgan.experiments.variants import Comparison, Variant
    from kdgan.experiments.jobs import Job
    from kdgan.experiments.pool import run_jobs
    from kdgan.experiments.work import Divisions
    from kdgan.training.execution import Execution
    from tiny import DIGITS, TAGS, changed

    for base in (DIGITS, TAGS):
        config, found, console = changed(base, steps=3, teacher_steps=3), {}, Console(stderr=True, quiet=True)
        brings = partial(Divisions(Execution()).bring, config)
        job = Job("run", pool_jobs.modules_of_a_run, (config, Execution(), out / "run"), brings=brings)
        done = found.__setitem__
        failures = run_jobs([job], workers=1, threads=1, console=console, done=done)
        assert not failures, failures
        modules = set(found["run"])
        assert "torch" in modules and "kdgan.methods.kdgan" in modules
        print(*sorted(modules & unused))
        if base is DIGITS:
            print(*sorted(modules & only_for_tags))
            comparison = Comparison(config, {"mimic": Variant("mimic")}, range(1))
            compare(comparison, Execution(), out / "compared", console=console)
            print(*sorted(only_for_tags.intersection(sys.modules)))


if __name__ == "__main__":
    from pathlib import Path

    main(Path(sys.argv[1]))
"""


def test_workers_import_what_a_run_needs_and_no_more(tmp_path: Path) -> None:
    """In real processes, as each takes the time of its imports."""
    script = tmp_path / "script.py"
    script.write_text(IMPORTS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(script), str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    of_worker, of_classes, of_comparison, of_tags = done.stdout.splitlines()
    assert of_worker == ""
    assert of_classes == ""
    assert of_comparison == ""
    assert of_tags == ""
