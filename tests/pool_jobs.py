"""What worker processes do in tests: they find it here, at the top of a module."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from kdgan.errors import Held, Interrupted, RunError, UsageError
from kdgan.experiments import work
from kdgan.experiments.jobs import Job
from kdgan.experiments.pool import run_jobs
from kdgan.tasks import run
from kdgan.tasks.config import Config
from kdgan.training.execution import Execution
from support import served

prepared: list[str] = []


def prepare() -> None:
    """Called in a worker before its first job."""
    prepared.append("prepared")


def add(a: int, b: int, report: Callable[[float], None], stop: Callable[[], bool]) -> int:
    report(0.5)
    return a + b


def process(report: Callable[[float], None], stop: Callable[[], bool]) -> tuple[int, list[str]]:
    """Which process this is, and how it was prepared."""
    return os.getpid(), prepared


def fail(kind: str, report: Callable[[float], None], stop: Callable[[], bool]) -> None:
    if kind == "killed":
        os._exit(9)
    errors = {
        "run": RunError("diverged"),
        "usage": UsageError("no"),
        "disk": OSError(28, "full"),
        "bug": KeyError(3),
    }
    raise errors[kind]


def killed(folder: Path, report: Callable[[float], None], stop: Callable[[], bool]) -> None:
    """Its process is killed at every attempt; the first two get further."""
    attempt = len([*folder.glob("attempt-*")])
    (folder / f"attempt-{attempt}").touch()
    if attempt < 2:
        report(0.2 + 0.2 * attempt)
        time.sleep(2.0)  # until that is heard
    os._exit(9)


def until_stopped(started: Path, report: Callable[[float], None], stop: Callable[[], bool]) -> None:
    """Goes on until it is asked to stop, and leaves a file then."""
    started.write_text(str(os.getpid()), encoding="utf-8")
    for _ in range(6000):
        if stop():
            started.with_suffix(".saved").touch()
            raise Interrupted("stopped")
        time.sleep(0.01)


def held_at_first(folder: Path, report: Callable[[float], None], stop: Callable[[], bool]) -> str:
    """Another command is at it the first two times."""
    tries = len(list(folder.iterdir()))
    (folder / str(tries)).touch()
    if tries < 2:
        raise Held("another command is at it")
    return "done"


def always_held(report: Callable[[float], None], stop: Callable[[], bool]) -> None:
    raise Held("another command is at it")


def two_processes(folder: Path) -> None:
    """Two workers, of which one has nothing to do."""
    context = served()
    multiprocessing.get_context = lambda method=None: context
    jobs = [Job("long", until_stopped, (folder / "job",)), Job("short", process, ())]

    def done(name: str, value: Any) -> None:
        (folder / "idle").write_text(str(value[0]), encoding="utf-8")

    run_jobs(jobs, workers=2, threads=1, console=Console(quiet=True), done=done)


def where_data_lie(report: Callable[[float], None], stop: Callable[[], bool]) -> str:
    """The name of the memory in which this process has what runs of a seed share, and how it begins there."""
    ((_, parts),) = run._DIVISIONS.values()
    tensor = parts.test.inputs
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        start, end = (int(place, 16) for place in line.split()[0].split("-"))
        if start <= tensor.data_ptr() < end:
            return f"{tensor.data_ptr() % 64} {line.split(maxsplit=5)[-1]}"
    return "nowhere"


def with_ray(folder: str) -> None:
    """A job on a Ray cluster of this machine."""
    from functools import partial

    from kdgan.experiments.ray_pool import RayPool

    executor = partial(RayPool, address=None, folder=Path(folder), gpu=False)
    jobs = [Job("long", until_stopped, (Path(folder, "job"),))]
    run_jobs(jobs, workers=1, threads=1, console=Console(quiet=True), done=lambda *_: None, executor=executor)


def modules_of_a_run(
    config: Config, execution: Execution, store: Path, report: Callable[[float], None], stop: Any
) -> list[str]:
    """What is imported in a process that has carried out a run, with the pretraining it needs."""
    work.carry_out(config, execution, store, report, stop)
    return sorted(sys.modules)
