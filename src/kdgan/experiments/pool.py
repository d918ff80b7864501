"""Many jobs over a few processes, in an order that their needs allow, with one picture of how far they are."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kdgan.errors import Interrupted, KdganError, RunError, failed
from kdgan.training.devices import deterministic
from kdgan.training.interrupt import stop_on_signal

Reporter = Callable[[float], None]
"""Called with the share of the job that is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do in a worker process.

    Attributes:
        name: unique, for people.
        work: a function at module level, called with `arguments`, a `Reporter` and a question whether to stop.
        arguments: anything that can be sent to a process.
        after: names of jobs that must be finished before.
        cost: expected time, in any unit that all jobs share; only the time left is guessed from it.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()
    cost: float = 1.0


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    threads: int,
    console: Console,
    done: Callable[[str, Any], None],
    prepare: Callable[[], None] | None = None,
) -> list[str]:
    """Carries out the jobs and calls `done` with the name and value of each that ends well.

    A job that fails with `RunError` takes those that need it with it, and lets the others go on.

    Args:
        jobs: each after those that it needs.
        workers: processes at a time.
        threads: of each process.
        console: where progress is shown.
        done: called in this process, in the order in which jobs end.
        prepare: called in each process when it begins.

    Returns:
        What each failed job said.

    Raises:
        Interrupted: on Ctrl-C, when all running jobs have saved their state.
        RunError: if a worker process is killed.
        OSError: if a job could not write.
    """
    context = multiprocessing.get_context("spawn")
    with _interrupts_held():
        reports, stop = context.SimpleQueue(), context.Event()
    pool = ProcessPoolExecutor(workers, context, _prepare, (reports, stop, threads, prepare))
    with stop_on_signal() as stopping, _Picture(jobs, console) as picture, pool:
        schedule = _Schedule(jobs, pool, workers)
        try:
            while schedule.submit():
                finished, _ = wait(schedule.running, timeout=0.2, return_when=FIRST_COMPLETED)
                while not reports.empty():
                    picture.update(*reports.get())
                if stopping():
                    stop.set()
                    picture.say("stopping: running jobs save their state ...")
                for future in finished:
                    name, value = schedule.collect(future)
                    picture.finish(name)
                    if value is not None:
                        done(name, value)
        except Interrupted as error:
            raise Interrupted("stopped; the same command goes on from there") from error
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process was killed, perhaps for lack of memory; fewer --workers need less"
            ) from error
        finally:
            # However this ends, workers that still run save their state rather than being waited for.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return schedule.failures


class _Schedule:
    """Jobs that wait, run and are done."""

    def __init__(self, jobs: Sequence[Job], pool: ProcessPoolExecutor, workers: int) -> None:
        self.waiting, self.pool, self.workers = list(jobs), pool, workers
        self.running: dict[Future[Any], str] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.failures: list[str] = []

    def submit(self) -> bool:
        """Starts what can start; False when nothing runs any more."""
        self.failed.update(job.name for job in self.waiting if self.failed.intersection(job.after))
        self.waiting = [job for job in self.waiting if job.name not in self.failed]
        for job in list(self.waiting):
            if len(self.running) < self.workers and self.done.issuperset(job.after):
                self.waiting.remove(job)
                with _interrupts_held():
                    self.running[self.pool.submit(_work, job)] = job.name
        if self.waiting and not self.running:
            raise RunError(
                f"{self.waiting[0].name} waits for what there is not: {', '.join(self.waiting[0].after)}"
            )
        return bool(self.running)

    def collect(self, future: Future[Any]) -> tuple[str, Any]:
        """The name and value of a finished job; the value is None if it failed."""
        name = self.running.pop(future)
        try:
            value = future.result()
        except RunError as error:
            self.failed.add(name)
            self.failures.append(f"{name}: {error}")
            return name, None
        self.done.add(name)
        return name, value


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


_reports: SimpleQueue[tuple[str, float]]
_stop: Event


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Holds Ctrl-C back for the block, and for good from processes that are started in it, which inherit this.

    Otherwise it would reach a worker that is still importing, and break the pool.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(
    reports: SimpleQueue[tuple[str, float]],
    stop: Event,
    threads: int,
    prepare: Callable[[], None] | None,
) -> None:
    """Makes this process a worker: Ctrl-C reaches it through the parent alone."""
    global _reports, _stop  # a pool hands things to its processes in no other way
    _reports, _stop = reports, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deterministic(threads)
    if prepare is not None:
        prepare()


def _work(job: Job) -> Any:
    parent = multiprocessing.parent_process()

    def report(share: float) -> None:
        _reports.put((job.name, share))
        if parent is not None and not parent.is_alive():
            # Nobody waits for the result; a new comparison may already be at work in the same folder.
            _stop.set()

    with _as_run_error_only():
        return job.work(*job.arguments, report, _stop.is_set)


@contextlib.contextmanager
def _as_run_error_only() -> Iterator[None]:
    """Keeps what is sent back to the parent to errors that survive being sent."""
    try:
        yield
    except (KdganError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise failed(error) from error
