"""Jobs carried out by processes of this machine."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import wait

from kdgan.errors import RunError
from kdgan.experiments.jobs import Job, LostProcess
from kdgan.experiments.worker import Done, Killed, Worker


class Processes:
    """Processes that carry out jobs, see `kdgan.experiments.jobs.Executor`.

    Args:
        many: at a time.
        threads: of each.
        prepare: called in each when it begins.
    """

    attempts = 1
    """Where memory lacks on one machine, another attempt on it would lack it, too."""

    def __init__(self, many: int, threads: int, prepare: Callable[[], None]) -> None:
        self.many, self.threads, self.prepare = many, threads, prepare
        self.workers: list[Worker] = []
        self.stopping = False

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        for worker in self.workers:
            worker.end(kill=kind is KeyboardInterrupt)

    @property
    def _at_work(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.job is not None]

    @property
    def busy(self) -> bool:
        """Whether any is at a job."""
        return bool(self._at_work)

    @property
    def has_room(self) -> bool:
        """Whether another job may be given."""
        return len(self._at_work) < self.many

    def give(self, job: Job) -> None:
        """Has the job carried out by a process that is idle, or by a new one."""
        worker = next((worker for worker in self.workers if worker.job is None), None)
        if worker is None:
            worker = Worker(multiprocessing.get_context("spawn"), self.threads, self.prepare)
            self.workers.append(worker)
        before = None
        if job.brings is not None and (brought := job.brings()) is not None:
            call, block = brought
            before = partial(call, block)
        worker.give(job.name, job.work, job.arguments, before)

    def stop(self) -> None:
        """Asks all to stop: jobs save their state."""
        if not self.stopping:
            self.stopping = True
            for worker in self.workers:
                worker.stop()

    def hear(self, seconds: float) -> Iterator[tuple[str, float | Done | LostProcess]]:
        """What those that are at a job say of it within some seconds."""
        at_work = {worker.connection: worker for worker in self._at_work}
        if not at_work:
            time.sleep(seconds)
            return
        for connection in wait(list(at_work), seconds):
            worker = at_work[connection]  # type: ignore[index]
            name = worker.job
            assert name is not None
            try:
                yield name, worker.receive()
            except Killed:
                worker.job = None
                if not self.stopping:
                    why = "a worker process was killed, perhaps for lack of memory; fewer --workers need less"
                    yield name, LostProcess(RunError(why))
