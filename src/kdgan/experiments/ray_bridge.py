"""A process between a command and a Ray cluster: what Ray prints, raises, does with signals and dies of stays in it.

It imports no torch, gets jobs through a pipe and has workers of the cluster carry them out. When the pipe ends, as when
the command was killed, jobs save their state, and a cluster that was started here ends.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kdgan.errors import KdganError
from kdgan.experiments.ray_cluster import Wishes, answers, check, joined, machines, shortened
from kdgan.experiments.ray_worker import Beginning, RayWorker, StoredCall
from kdgan.interrupt import SIGNALS

SAVING = 60.0
"""Seconds that jobs have to save their state."""
LOOKING = 2.0
"""Seconds after which machines are counted again: they come and go."""
HEADLESS = 30.0
"""Seconds for which the first machine of a cluster may be away."""
STARTS = 5
"""Processes in a row that may end before they begin."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker of the cluster.

    Attributes:
        actor: Ray's.
        heard: reference to what it will say next, or None where nothing is asked of it.
        job: that it is at, or None.
        ready: whether it can carry out jobs.
    """

    actor: Any
    heard: Any
    job: str | None = None
    ready: bool = False


@dataclass(slots=True)
class _Bridge:
    """Jobs between the pipe and the cluster."""

    ray: Any
    pipe: Connection[Any, Any]
    wishes: Wishes
    beginning: Beginning
    workers: list[_Worker] = field(default_factory=list)
    queue: deque[tuple[str, bytes, StoredCall | None]] = field(default_factory=deque)
    stored: dict[int, Any] = field(default_factory=dict)
    room: int = -1
    looked: float = -LOOKING
    head_seen: float = field(default_factory=time.monotonic)
    failed_starts: int = 0
    stop_by: float | None = None
    ended: bool = False

    def carry_out(self) -> None:
        """Carries out jobs until the pipe ends."""
        while not self.ended or any(worker.job for worker in self.workers):
            if self.stop_by is not None and time.monotonic() > self.stop_by:
                return
            self._look()
            while message := self._message(0.0):
                self._obey(*message)
            asked = {worker.heard: worker for worker in self.workers if worker.heard is not None}
            if not asked:
                if message := self._message(0.2):
                    self._obey(*message)
                continue
            self.ray.wait([*asked], num_returns=1, timeout=0.05)
            for heard in self.ray.wait([*asked], num_returns=len(asked), timeout=0)[0]:
                self._hear(asked[heard])
            self._assign()

    def _message(self, seconds: float) -> tuple[Any, ...] | None:
        """What the command says within some seconds; at its end jobs are to stop."""
        try:
            if not self.ended and self.pipe.poll(seconds):
                message: tuple[Any, ...] = self.pipe.recv()
                return message
        except (EOFError, OSError):
            self.ended = True
            self._stop()
        return None

    def _say(self, *said: object) -> None:
        with contextlib.suppress(OSError):  # the command has ended
            self.pipe.send(said)

    def _obey(self, what: str, *given: Any) -> None:
        if what == "give":
            name, job, number, function = given
            brought = None if number is None else StoredCall(function, [self.stored[number]])
            self.queue.append((name, job, brought))
            self._assign()
        elif what == "store":
            number, path, size = given
            self.stored[number] = self.ray.put(_bytes_of(path, size))
            self._say("stored", number)
        elif what == "forget":
            self.stored.pop(given[0], None)
        elif what == "stop":
            self._stop()
        elif what == "kill":
            self.ended, self.stop_by = True, 0.0

    def _look(self) -> None:
        """Counts the jobs that there is room for."""
        if time.monotonic() - self.looked < LOOKING:
            return
        self.looked = time.monotonic()
        if not self._has_head():
            return
        room = sum(places for _, places in machines(self.ray, self.wishes))
        if self.wishes.workers is not None:
            room = min(room, self.wishes.workers)
        if room != self.room:
            self.room = room
            self._say("room", room)

    def _has_head(self) -> bool:
        """Whether the machine answers that keeps the cluster together; without it Ray would wait where it is asked."""
        try:
            answers(self.ray.get_runtime_context().gcs_address)
        except OSError:
            if time.monotonic() - self.head_seen > HEADLESS:
                self._say(
                    "ended",
                    "the first machine of the Ray cluster is gone; the same command goes on in another",
                )
            return False
        self.head_seen = time.monotonic()
        return True

    def _assign(self) -> None:
        """Gives jobs to workers that are idle, and has new ones come for those that are left."""
        if self.stop_by is not None:
            return
        for worker in self.workers:
            if self.queue and worker.ready and worker.job is None:
                worker.job, job, brought = self.queue.popleft()
                worker.actor.give.remote(job, brought)
                worker.heard = worker.actor.hear.remote(1.0)
        coming = sum(not worker.ready for worker in self.workers)
        while coming < len(self.queue) and len(self.workers) < self.room:
            options = {"num_cpus": self.beginning.threads, "num_gpus": int(self.wishes.gpu)}
            kind = self.ray.remote(**options, max_restarts=0, max_concurrency=4)(RayWorker)
            actor = kind.remote(self.beginning)
            self.workers.append(_Worker(actor, actor.ready.remote()))
            coming += 1

    def _hear(self, worker: _Worker) -> None:
        errors = self.ray.exceptions
        try:
            said = self.ray.get(worker.heard)
        except errors.ActorUnavailableError:  # perhaps it comes back
            worker.heard = worker.actor.hear.remote(1.0) if worker.ready else worker.actor.ready.remote()
            return
        except errors.RayError as error:
            self._lose(worker, error)
            return
        worker.heard = None
        if not worker.ready:
            worker.ready, self.failed_starts = True, 0
            if said:
                self._say("failed", said)
        elif isinstance(said, bytes):
            self._say("done", worker.job, said)
            worker.job = None
        else:
            if said is not None:
                self._say("share", worker.job, said)
            worker.heard = worker.actor.hear.remote(1.0)

    def _lose(self, worker: _Worker, error: Exception) -> None:
        self.workers.remove(worker)
        self.looked = -LOOKING
        if worker.job is not None:
            self._say("lost", worker.job)
        elif not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= STARTS:
                self._say("ended", f"processes of the Ray cluster end before they begin: {shortened(error)}")

    def _stop(self) -> None:
        if self.stop_by is not None:
            return
        self.stop_by = time.monotonic() + SAVING
        for name, *_ in self.queue:
            self._say("back", name)
        self.queue.clear()
        for worker in self.workers:
            if worker.job is not None:
                worker.actor.stop.remote()


def _bytes_of(path: str, size: int) -> Any:
    """The bytes that lie in memory of the command's."""
    import numpy as np

    number = os.open(path, os.O_RDONLY)
    try:
        return np.frombuffer(mmap.mmap(number, size, prot=mmap.PROT_READ), dtype=np.uint8)
    finally:
        os.close(number)


def _serve(pipe: Connection[Any, Any], wishes: Wishes, prepare: Any) -> None:
    """Joins the cluster, and has it carry out jobs until the pipe ends."""
    with joined(wishes) as ray:
        pipe.send(("joined",))
        check(ray, wishes)
        if isinstance(prepare, tuple):
            function, path, size = prepare
            prepare = StoredCall(function, [ray.put(_bytes_of(path, size))])
            pipe.send(("stored", 0))
        bridge = _Bridge(ray, pipe, wishes, replace(wishes.beginning, prepare=prepare))
        bridge.carry_out()
        for worker in bridge.workers:
            ray.kill(worker.actor)


def main() -> None:
    """The process: `python -m kdgan.experiments.ray_bridge NUMBER`, the number of its end of the pipe."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    pipe: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        wishes, prepare = pipe.recv()
        try:
            _serve(pipe, wishes, prepare)
        finally:  # the command does so, too, but where it was killed
            Path(wishes.beginning.folder, wishes.beginning.name).unlink(missing_ok=True)
    except KdganError as error:
        with contextlib.suppress(OSError):
            pipe.send(("refused", str(error)))
    except (EOFError, OSError):
        pass  # the command has ended
    except Exception as error:  # whatever Ray raises where it is at an end
        with contextlib.suppress(OSError):
            pipe.send(("ended", f"the Ray cluster fails: {shortened(error)}"))


if __name__ == "__main__":
    main()
