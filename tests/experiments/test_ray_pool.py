"""Jobs over a Ray cluster: what becomes of them, of machines that die, and of commands that are stopped or killed."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import patient_method
import pool_jobs
from commands import wait_until
from found_runs import found_in
from kdgan import Batch, Verdict, nets
from kdgan import compare as compare_own
from kdgan.errors import Interrupted, RunError
from kdgan.experiments import pool
from kdgan.experiments.comparison import compare
from kdgan.experiments.jobs import Job
from kdgan.experiments.pool import run_jobs
from kdgan.experiments.ray_pool import RayPool
from kdgan.experiments.variants import Comparison, Variant
from kdgan.experiments.work import Divisions
from kdgan.training.execution import Execution
from support import refused
from tiny import DIGITS, changed

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]


class Machines:
    """Two machines of one CPU each."""

    def __init__(self) -> None:
        script = Path(__file__).parents[1] / "ray_machines.py"
        self.process = subprocess.Popen(
            [sys.executable, script, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.address = self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        assert self.answer() == "done"


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.process.communicate(timeout=60)


def run(
    jobs: Sequence[Job],
    folder: Path,
    address: str | None,
    kind: Callable[..., RayPool] = RayPool,
    workers: int = 1024,
) -> tuple[dict[str, Any], list[str], str]:
    """Values by name in the order in which jobs ended, what failed, and what was printed."""
    values: dict[str, Any] = {}
    file = StringIO()
    failures = run_jobs(
        jobs,
        workers=workers,
        threads=1,
        console=Console(file=file, width=100),
        done=values.__setitem__,
        prepare=pool_jobs.prepare,
        executor=partial(kind, address=address, folder=folder, gpu=False),
    )
    return values, failures, file.getvalue()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Neither processes nor files of Ray are there afterwards that were not before."""
    before, files = bridges(), set(Path("/tmp").glob("kdgan-ray-*"))
    yield
    wait_until(lambda: bridges() <= before)
    wait_until(lambda: set(Path("/tmp").glob("kdgan-ray-*")) <= files)


def bridges() -> set[int]:
    """Processes that speak with Ray, and those of clusters that such a process has started."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"ray_bridge" in line or b"kdgan-ray-" in line:
            found.add(int(entry.name))
    return found


def test_jobs_end_as_those_of_other_processes_do(tmp_path: Path, machines: Machines) -> None:
    (tmp_path / "held").mkdir()
    jobs = [
        Job("one", pool_jobs.add, (1, 2), after=("three",)),
        Job("three", pool_jobs.add, (5, 6)),
        Job("bad", pool_jobs.fail, ("run",)),
        Job("bug", pool_jobs.fail, ("bug",)),
        Job("lost", pool_jobs.add, (1, 2), after=("bad",)),
        Job("held", pool_jobs.held_at_first, (tmp_path / "held",)),
        Job("prepared", pool_jobs.process, ()),
        Job("data", pool_jobs.where_data_lie, (), brings=partial(Divisions(Execution()).bring, DIGITS)),
    ]
    with nothing_left():
        values, failures, printed = run(jobs, tmp_path, machines.address)
    assert values["prepared"] == (values["prepared"][0], ["prepared"])
    assert re.fullmatch(r"0 .*plasma.*", values["data"]), values["data"]
    assert {name: value for name, value in values.items() if name not in ("prepared", "data")} == {
        "three": 11,
        "one": 3,
        "held": "done",
    }
    assert sorted(failures) == ["bad: diverged", "bug: KeyError: 3, in pool_jobs.py line 49"]
    assert len(printed.splitlines()) == 7
    assert not [*tmp_path.glob(".*")]  # what machines must see


def test_what_no_other_job_can_help_ends_all(tmp_path: Path, machines: Machines) -> None:
    jobs = [Job("first", pool_jobs.fail, ("disk",)), Job("second", pool_jobs.add, (1, 2), after=("first",))]
    with pytest.raises(OSError, match="full"):
        run(jobs, tmp_path, machines.address)


def test_a_job_at_which_processes_are_killed_is_given_again_a_few_times(
    tmp_path: Path, machines: Machines
) -> None:
    with pytest.raises(RunError) as caught:
        run([Job("first", pool_jobs.killed, (tmp_path,))], tmp_path, machines.address, _Patient)
    assert str(caught.value).startswith("first: its process was killed 2 times, perhaps for lack of memory")
    # The second got further than the first, and the third no further.
    assert len([*tmp_path.glob("attempt-*")]) == 3


def test_ctrl_c_lets_running_jobs_save_their_state(tmp_path: Path, machines: Machines) -> None:
    def interrupt() -> None:
        while not (tmp_path / "job").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    jobs = [Job("long", pool_jobs.until_stopped, (tmp_path / "job",)), Job("other", pool_jobs.add, (1, 2))]
    with nothing_left(), pytest.raises(Interrupted, match="the same command goes on from there"):
        run(jobs, tmp_path, machines.address, workers=1)
    thread.join()
    assert (tmp_path / "job.saved").exists()


class _Patient(RayPool):
    attempts = 2


class _Unseen(RayPool):
    """The file that machines must see is not there."""

    def __enter__(self) -> RayPool:
        super().__enter__()
        self.token.unlink()
        return self


def test_a_folder_that_a_machine_does_not_see_is_refused(tmp_path: Path, machines: Machines) -> None:
    with refused("does not see", tmp_path, "all machines share"):
        run([Job("one", pool_jobs.add, (1, 2))], tmp_path, machines.address, _Unseen)


def test_a_study_of_which_a_machine_dies_ends_with_what_the_pool_finds(
    tmp_path: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lost, give_back = [], pool._Schedule.give_back

    def noted(schedule: Any, name: str, *given: Any) -> None:
        lost.append(name)
        give_back(schedule, name, *given)

    monkeypatch.setattr(pool._Schedule, "give_back", noted)
    variants = {"supervised": Variant("supervised"), "patient": Variant("patient_method:Patient")}
    comparison = Comparison(changed(DIGITS, steps=100), variants, range(2))

    def kill() -> None:
        # Both runs that wait are half-way, each on a machine of its own, and have saved their state.
        wait_until(lambda: len([*tmp_path.glob("waiting-*")]) == 2)
        machines.tell("kill")
        wait_until(lambda: lost)
        Path(patient_method.MET).touch()

    thread = threading.Thread(target=kill)
    thread.start()
    found = {}
    for name, execution in {
        "ray": Execution(workers=1024, executor="ray", address=machines.address, checkpoint_seconds=0),
        "pool": Execution(workers=0),
    }.items():
        out = tmp_path / name
        assert compare(comparison, execution, out, console=Console(quiet=True)).failures == []
        found[name] = found_in(out)
    thread.join()
    assert found["ray"] == found["pool"]
    assert len(found["pool"]) == 16
    assert len(lost) == 1
    assert lost[0].startswith("patient seed ")


def student() -> torch.nn.Module:
    return nets.mlp(6, [4], 3)


def test_players_and_data_of_ones_own_are_sent(tmp_path: Path, machines: Machines) -> None:
    x = torch.randn(130, 6, generator=torch.Generator().manual_seed(0))
    parts = (
        Batch(x[:60], x[:60, :3].argmax(1)),
        *(Batch(part, part[:, :3].argmax(1)) for part in x[60:].split([30, 40])),
    )
    torch.manual_seed(0)
    teacher = nets.mlp(6, [16], 3)
    found = []
    for options in ({"executor": "ray", "address": machines.address, "folder": tmp_path / "own"}, {}):
        given: dict[str, Any] = {"methods": ["mimic"], "seeds": 2, "steps": 20, "progress": False, **options}
        found.append(untimed(compare_own(student, teacher, *parts, **given)))
    assert found[0] == found[1]


def untimed(verdict: Verdict) -> list[Any]:
    return [
        (replace(record, seconds=0, pretraining_seconds=0), verdict.curves[record.method, record.seed])
        for record in verdict.records
    ]


def test_of_a_command_that_is_killed_jobs_save_and_nothing_is_left(tmp_path: Path) -> None:
    with nothing_left():
        parent = subprocess.Popen(
            [sys.executable, "-c", "import sys, pool_jobs; pool_jobs.with_ray(sys.argv[1])", tmp_path],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path / "home")},
        )
        wait_until(lambda: (tmp_path / "job").exists())
        parent.kill()
        parent.wait()
        wait_until(lambda: (tmp_path / "job.saved").exists())
        wait_until(lambda: not [*tmp_path.glob(".*.ray.tmp")])  # the file that machines look for
    assert not (
        tmp_path / "home" / ".ray"
    ).exists()  # a token of Ray's, with which other clusters would begin
