"""Many jobs in an order that their needs allow, with one picture of how far they are, whoever carries them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kdgan.errors import Held, Interrupted, RunError
from kdgan.experiments.jobs import Executor, Job, LostProcess
from kdgan.experiments.processes import Processes
from kdgan.experiments.worker import Done, carried_out
from kdgan.interrupt import stop_on_signal

Makes: TypeAlias = Callable[[int, int, Callable[[], None]], Executor]
"""Makes an executor of so many processes at a time, with so many threads, that call something when they begin."""
STOPPED = "stopped; the same command goes on from there"
HELD_SECONDS = 0.5
"""Time after which a job that another command is at is looked at again."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    threads: int,
    console: Console,
    done: Callable[[str, Any], None],
    prepare: Callable[[], None] | None = None,
    executor: Makes = Processes,
) -> list[str]:
    """Carries out the jobs and calls `done` with the name and value of each that ends well, in other processes or here.

    A job that fails with `RunError` takes those that need it with it, and lets the others go on. One that raises
    `Held`, as another command is at it, is looked at again later, after the others.

    Args:
        jobs: each after those that it needs.
        workers: processes at a time; 0 for none, but this one, with the same bits.
        threads: of each process.
        console: where progress is shown.
        done: called in this process, in the order in which jobs end.
        prepare: called in each process when it begins.
        executor: makes what carries jobs out where there are `workers`: processes of this machine, or of many.

    Returns:
        What each failed job said.

    Raises:
        Interrupted: on Ctrl-C and the like, when all running jobs have saved their state.
        RunError: if a worker process is killed, as often as the executor bears it.
        OSError: if a job could not write.
    """
    schedule = _Schedule(jobs)
    if not workers:
        from kdgan.training.devices import (
            computing_alike,
        )  # with torch, which whoever works here has imported

        with stop_on_signal() as stopping, _Picture(jobs, console) as picture, computing_alike(threads):
            (prepare or _nothing)()
            _carry_out_here(schedule, picture, stopping, done)
        return schedule.failures
    with (
        stop_on_signal() as stopping,
        _Picture(jobs, console) as picture,
        executor(workers, threads, prepare or _nothing) as crew,
    ):
        while schedule.unfinished:
            if stopping():
                picture.say("stopping: running jobs save their state ...")
                crew.stop()
                if not crew.busy:
                    raise Interrupted(STOPPED)
            while not stopping() and crew.has_room and (job := schedule.next()) is not None:
                crew.give(job)
            for name, said in crew.hear(0.2):
                if isinstance(said, LostProcess):
                    schedule.give_back(name, said, crew.attempts)
                elif not isinstance(said, Done):
                    schedule.gets_to(name, said)
                    picture.update(name, said)
                elif schedule.is_over(name, said.error):
                    picture.finish(name)
                    if said.error is None:
                        done(name, said.value)
    return schedule.failures


def _carry_out_here(
    schedule: _Schedule,
    picture: _Picture,
    stopping: Callable[[], bool],
    done: Callable[[str, Any], None],
) -> None:
    """Carries out the jobs in this process, one after another."""
    while schedule.unfinished:
        if stopping():
            raise Interrupted(STOPPED)
        job = schedule.next()
        if job is None:
            time.sleep(0.2)
            continue
        ended = carried_out(job.work, job.arguments, partial(picture.update, job.name), stopping)
        if schedule.is_over(job.name, ended.error):
            picture.finish(job.name)
            if ended.error is None:
                done(job.name, ended.value)


class _Schedule:
    """Jobs that wait, run and are done."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.waiting = list(jobs)
        self.running: dict[str, Job] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.failures: list[str] = []
        self.held_until: dict[str, float] = {}
        self.shares: dict[str, float] = {}
        self.lost: dict[str, int] = {}

    @property
    def unfinished(self) -> bool:
        return bool(self.waiting or self.running)

    def next(self) -> Job | None:
        """A job that can start, which is taken to run from now on; None if there is none now."""
        ready = [job for job in self.waiting if self.done.issuperset(job.after)]
        if self.waiting and not self.running and not ready:
            raise RunError(
                f"{self.waiting[0].name} waits for what there is not: {', '.join(self.waiting[0].after)}"
            )
        for job in ready:
            if self.held_until.get(job.name, 0.0) <= time.monotonic():
                self.waiting.remove(job)
                self.running[job.name] = job
                return job
        return None

    def gets_to(self, name: str, share: float) -> None:
        """Takes note of how far a job is."""
        if share > self.shares.get(name, 0.0):
            self.shares[name] = share
            self.lost.pop(name, None)

    def give_back(self, name: str, lost: LostProcess, attempts: int) -> None:
        """A job is to be given again, before all others: it goes on from its last checkpoint.

        Raises:
            RunError: if so many processes were lost at it, and none since the first has got further.
        """
        self.lost[name] = self.lost.get(name, 0) + 1
        if self.lost[name] >= attempts:
            raise lost.error
        self.waiting.insert(0, self.running.pop(name))

    def is_over(self, name: str, error: BaseException | None) -> bool:
        """Takes note of what became of a job; False if another command is at it."""
        job = self.running.pop(name)
        if isinstance(error, Held):
            self.waiting.append(job)
            self.held_until[name] = time.monotonic() + HELD_SECONDS
            return False
        if isinstance(error, RunError):
            self.failed.add(name)
            self.failures.append(f"{name}: {error}")
            self.failed.update(job.name for job in self.waiting if self.failed.intersection(job.after))
            self.waiting = [job for job in self.waiting if job.name not in self.failed]
        elif isinstance(error, Interrupted):
            raise Interrupted(STOPPED) from error
        elif error is not None:
            raise error
        else:
            self.done.add(name)
        return True


class _Picture:
    """Progress for people: bars in a terminal, a line for every finished job elsewhere."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.console = console
        self.costs = {job.name: job.cost for job in jobs}
        self.shares: dict[str, float] = {}
        self.finished = 0
        self.message = ""
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=120,
        )
        self.all = self.bars.add_task(f"{len(jobs)} jobs", total=sum(self.costs.values()))
        self.each: dict[str, Any] = {}

    def __enter__(self) -> _Picture:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def update(self, name: str, share: float) -> None:
        if self.shares.get(name) == 1.0:
            return
        if name not in self.each:
            self.each[name] = self.bars.add_task(f"  {name}", total=1.0)
        self.shares[name] = share
        self.bars.update(self.each[name], completed=share)
        self.bars.update(self.all, completed=sum(self.costs[n] * s for n, s in self.shares.items()))

    def finish(self, name: str) -> None:
        self.update(name, 1.0)
        self.bars.remove_task(self.each[name])
        self.finished += 1
        self.bars.update(self.all, description=f"{self.finished} of {len(self.costs)} jobs")
        if not self.console.is_terminal:
            self.console.print(f"[{self.finished}/{len(self.costs)}] {name}", markup=False, highlight=False)

    def say(self, text: str) -> None:
        if text != self.message:
            self.message = text
            self.console.print(text)


def _nothing() -> None:
    """What a process is prepared by where there is nothing to prepare."""
