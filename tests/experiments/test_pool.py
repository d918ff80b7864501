"""Many jobs over a few processes: their order, what they say, what happens to those that fail."""

import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import pool_jobs
from commands import wait_until
from kdgan.errors import Interrupted, RunError, UsageError
from kdgan.experiments.jobs import Job, LostProcess
from kdgan.experiments.pool import run_jobs
from kdgan.experiments.worker import Done, carried_out
from support import served

pytestmark = pytest.mark.usefixtures("typed")  # quick workers


def run(jobs: Sequence[Job], *, workers: int = 1, **more: Any) -> tuple[dict[str, Any], list[str], str]:
    """Values by name in the order in which jobs ended, what failed, and what was printed."""
    values: dict[str, Any] = {}
    file = StringIO()
    console = Console(file=file, width=100)
    failures = run_jobs(jobs, workers=workers, threads=1, console=console, done=values.__setitem__, **more)
    return values, failures, file.getvalue()


def test_jobs_give_their_values_and_wait_for_what_they_need() -> None:
    jobs = [
        Job("one", pool_jobs.add, (1, 2), after=("three",)),
        Job("two", pool_jobs.add, (3, 4)),
        Job("three", pool_jobs.add, (5, 6), after=("two",)),
    ]
    values, failures, printed = run(jobs, workers=2)
    assert list(values.items()) == [("two", 7), ("three", 11), ("one", 3)]
    assert failures == []
    assert printed.splitlines() == ["[1/3] two", "[2/3] three", "[3/3] one"]


def test_without_workers_jobs_are_carried_out_here() -> None:
    threads = torch.get_num_threads()
    jobs = [
        Job("one", pool_jobs.add, (1, 2), after=("three",)),
        Job("three", pool_jobs.process, ()),
        Job("bad", pool_jobs.fail, ("run",)),
        Job("lost", pool_jobs.add, (1, 2), after=("bad",)),
    ]
    values, failures, printed = run(jobs, workers=0)
    assert list(values) == ["three", "one"]
    assert values["three"][0] == os.getpid()
    assert values["one"] == 3
    assert failures == ["bad: diverged"]
    assert printed.splitlines() == ["[1/4] three", "[2/4] one", "[3/4] bad"]
    assert torch.get_num_threads() == threads


def test_a_terminal_has_bars_with_the_time_left() -> None:
    file = StringIO()
    console = Console(file=file, width=100, force_terminal=True)
    jobs = [Job("one", pool_jobs.add, (1, 2)), Job("two", pool_jobs.add, (3, 4), after=("one",))]
    assert run_jobs(jobs, workers=1, threads=1, console=console, done=lambda *_: None) == []
    shown = file.getvalue()
    assert "2 of 2 jobs" in shown
    assert "100 %" in shown
    assert "left" in shown


def test_every_process_is_prepared_once() -> None:
    jobs = [Job(str(number), pool_jobs.process, ()) for number in range(4)]
    values, _, _ = run(jobs, prepare=pool_jobs.prepare)
    assert len({process for process, _ in values.values()}) == 1
    assert os.getpid() not in {process for process, _ in values.values()}
    assert [prepared for _, prepared in values.values()] == [["prepared"]] * 4
    assert pool_jobs.prepared == []


def test_a_job_that_fails_takes_along_what_needs_it_and_nothing_else() -> None:
    jobs = [
        Job("teacher", pool_jobs.fail, ("run",)),
        Job("bug", pool_jobs.fail, ("bug",)),
        Job("needs it", pool_jobs.add, (1, 2), after=("teacher",)),
        Job("needs that", pool_jobs.add, (1, 2), after=("needs it",)),
        Job("needs nothing", pool_jobs.add, (1, 2)),
    ]
    values, failures, _ = run(jobs)
    assert values == {"needs nothing": 3}
    assert failures == ["teacher: diverged", "bug: KeyError: 3, in pool_jobs.py line 49"]


@pytest.mark.parametrize(
    ("kind", "error", "part"),
    [
        ("usage", UsageError, "no"),
        ("disk", OSError, "full"),
        ("killed", RunError, "a worker process was killed"),
    ],
)
def test_what_no_other_job_can_help_ends_all(kind: str, error: type[Exception], part: str) -> None:
    jobs = [Job("first", pool_jobs.fail, (kind,)), Job("second", pool_jobs.add, (1, 2), after=("first",))]
    with pytest.raises(error, match=part):
        run(jobs)


class Losing:
    """Loses what it does not finish: of each job it hears these shares, one attempt after another."""

    attempts = 3

    def __init__(self, heard: dict[str, list[list[float]]]) -> None:
        self.heard, self.given, self.busy, self.has_room = heard, [], False, True

    def __enter__(self) -> "Losing":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        pass

    def give(self, job: Job) -> None:
        self.given.append(job.name)
        self.busy, self.has_room = True, False

    def hear(self, seconds: float) -> Iterator[tuple[str, float | Done | LostProcess]]:
        if not self.busy:
            return
        name = self.given[-1]
        shares = self.heard[name].pop(0)
        yield from ((name, share) for share in shares)
        self.busy, self.has_room = False, True
        yield name, Done(name) if 1.0 in shares else LostProcess(RunError(f"{name} is lost"))


def test_a_job_that_is_lost_is_given_again_before_others() -> None:
    losing = Losing({"one": [[0.1, 0.2], [0.2], [0.3], [0.3], [1.0]], "two": [[1.0]]})
    jobs = [Job(name, pool_jobs.add, ()) for name in losing.heard]
    values, failures, printed = run(jobs, executor=lambda *_: losing)
    assert losing.given == ["one"] * 5 + ["two"]
    assert list(values) == ["one", "two"]
    assert failures == []
    assert printed.splitlines() == ["[1/2] one", "[2/2] two"]


def test_a_job_that_is_lost_again_and_again_without_getting_further_ends_all() -> None:
    losing = Losing({"one": [[0.1], [0.2], [0.1], [], [1.0]], "two": [[1.0]]})
    jobs = [Job(name, pool_jobs.add, ()) for name in losing.heard]
    with pytest.raises(RunError, match="one is lost"):
        run(jobs, executor=lambda *_: losing)
    assert losing.given == ["one"] * 4


def test_ctrl_c_lets_running_jobs_save_their_state(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "job").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    jobs = [Job("long", pool_jobs.until_stopped, (tmp_path / "job",)), Job("other", pool_jobs.add, (1, 2))]
    with pytest.raises(Interrupted, match="the same command goes on from there"):
        run(jobs)
    thread.join()
    assert (tmp_path / "job.saved").exists()


def test_a_job_that_another_command_is_at_is_looked_at_again_after_the_others(tmp_path: Path) -> None:
    jobs = [
        Job("held", pool_jobs.held_at_first, (tmp_path,)),
        Job("needs it", pool_jobs.add, (1, 2), after=("held",)),
        Job("free", pool_jobs.add, (3, 4)),
    ]
    values, failures, printed = run(jobs)
    assert list(values.items()) == [("free", 7), ("held", "done"), ("needs it", 3)]
    assert failures == []
    assert printed.splitlines() == ["[1/3] free", "[2/3] held", "[3/3] needs it"]


def test_ctrl_c_ends_it_where_all_jobs_are_held_by_others() -> None:
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(Interrupted, match="the same command goes on from there"):
        run([Job("held", pool_jobs.always_held, ())], workers=2)


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it needs /proc")
def test_workers_of_a_process_that_is_killed_save_and_end(tmp_path: Path) -> None:
    parent = served().Process(target=pool_jobs.two_processes, args=(tmp_path,))
    parent.start()
    files = [tmp_path / name for name in ("job", "idle")]
    wait_until(lambda: all(file.exists() and file.stat().st_size for file in files), parent)
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    pids = [int(file.read_text(encoding="utf-8")) for file in files]
    wait_until(lambda: all(map(ended, pids)))
    assert (tmp_path / "job.saved").exists()
    parent.join()


class Circle:
    """Refers to itself, as players and data of a run do."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_of_a_job_stays_when_it_has_ended() -> None:
    left: list[weakref.ref[Circle]] = []

    def work(report: Callable[[float], None], stop: Callable[[], bool]) -> None:
        left.append(weakref.ref(Circle()))

    gc.disable()
    try:
        for _ in range(2):
            assert carried_out(work, (), lambda share: None, lambda: False).error is None
    finally:
        gc.enable()
    assert [each() for each in left] == [None, None]
