"""Jobs carried out by the machines of a Ray cluster."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from kdgan.errors import RunError, UsageError, wrong
from kdgan.experiments.jobs import Job, LostProcess
from kdgan.experiments.packing import packed
from kdgan.experiments.ray_bridge import SAVING
from kdgan.experiments.ray_cluster import EVERYTHING, Wishes
from kdgan.experiments.ray_worker import Beginning, versions
from kdgan.experiments.worker import Done
from kdgan.files import make_folder
from kdgan.tasks.division import Block

JOINING, STARTING = 60.0, 180.0
"""Seconds within which a cluster must answer, and one of this machine must have started."""
WAITING = 300.0
"""Seconds in which machines may come where there is none."""
ENDING = 30.0
"""Seconds that a cluster of this machine has to end."""


class RayPool:
    """Processes of a Ray cluster that carry out jobs, see `kdgan.experiments.jobs.Executor`.

    Another process speaks with Ray, see `kdgan.experiments.ray_bridge`.

    Args:
        many: at a time, `EVERYTHING` for as many as the cluster's CPUs allow.
        threads: of each, as many CPUs as are taken for it.
        prepare: called in each when it begins.
        address: of the cluster, see `Wishes`; None starts one of this machine, which ends with the block.
        folder: that all machines see.
        gpu: whether each job needs a GPU of its own.
    """

    attempts = 4

    def __init__(
        self,
        many: int,
        threads: int,
        prepare: Callable[[], None],
        *,
        address: str | None,
        folder: Path,
        gpu: bool,
    ) -> None:
        self.prepare, self.address, self.stopping = prepare, address, False
        self.room, self.joined, self.empty_since = 0, False, time.monotonic()
        self.jobs: set[str] = set()
        self.blocks: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()
        self.forgotten: list[int] = []
        self.numbers = itertools.count(1)
        self.token = folder / f".{os.urandom(6).hex()}.ray.tmp"
        path = [place or str(Path.cwd()) for place in sys.path]
        beginning = Beginning(
            threads=threads,
            path=path,
            here=str(Path.cwd()),
            folder=str(folder),
            name=self.token.name,
            token=os.urandom(16).hex(),
            versions=versions(),
            prepare=None,
        )
        self.wishes = Wishes(address, None if many >= EVERYTHING else many, gpu, beginning)

    def __enter__(self) -> RayPool:
        self.prepared = packed(self.prepare)
        make_folder(self.token.parent)
        self.token.write_text(self.wishes.beginning.token, encoding="utf-8")
        self.pipe, theirs = multiprocessing.Pipe()
        # In a session of its own, which signals of a terminal and `timeout` do not reach.
        self.bridge = subprocess.Popen(
            [sys.executable, "-m", "kdgan.experiments.ray_bridge", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(self.wishes.beginning.path)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._say(self.wishes, self.prepared.sent)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        at_once = kind is KeyboardInterrupt
        self._say("kill" if at_once else "stop")
        self.pipe.close()
        try:
            self.bridge.wait(ENDING if at_once else SAVING + ENDING)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.bridge.kill()
            self.bridge.wait()
        self.token.unlink(missing_ok=True)

    @property
    def busy(self) -> bool:
        """Whether a job is carried out."""
        return bool(self.jobs)

    @property
    def has_room(self) -> bool:
        """Whether another job may be given."""
        return len(self.jobs) < self.room

    def give(self, job: Job) -> None:
        """Has the job carried out by a process that is idle, or by a new one."""
        function = number = None
        brought = job.brings() if job.brings else None
        if brought is not None:
            number, function = self._stored(brought[1]), pickle.dumps(brought)
        while self.forgotten:
            self._say("forget", self.forgotten.pop())
        self.jobs.add(job.name)
        self._say("give", job.name, pickle.dumps((job.work, job.arguments)), number, function)

    def stop(self) -> None:
        """Asks all to stop: jobs save their state."""
        if not self.stopping:
            self.stopping = True
            self._say("stop")

    def hear(self, seconds: float) -> Iterator[tuple[str, float | Done | LostProcess]]:
        """What those that are at a job say of it within some seconds.

        Raises:
            UsageError: if the cluster cannot be worked with.
            RunError: if it is lost.
        """
        self._check_time()
        try:
            while self.pipe.poll(seconds):
                seconds = 0.0
                what, *said = self.pipe.recv()
                if what in ("share", "done", "lost"):
                    yield self._of_job(what, *said)
                else:
                    self._of_cluster(what, *said)
        except (EOFError, OSError) as error:
            self.jobs.clear()
            if not self.stopping:
                raise RunError(
                    "the connection to the Ray cluster is lost; the same command goes on from there"
                ) from error

    def _of_job(self, what: str, name: str, said: Any = None) -> tuple[str, float | Done | LostProcess]:
        if what == "share":
            return name, float(said)
        self.jobs.discard(name)
        if what == "lost":
            why = f"its process was killed {self.attempts} times, perhaps for lack of memory"
            return name, LostProcess(RunError(f"{name}: {why}; fewer --workers need less"))
        done: Done = ForkingPickler.loads(said)
        return name, done

    def _of_cluster(self, what: str, said: Any = None) -> None:
        if what == "joined":
            self.joined = True
        elif what == "room":
            self.room = said
        elif what == "stored":  # where Ray's memory has it, there is no need of ours
            block = self.prepared.block if said == 0 else self.blocks.get(said)
            if block is not None:
                block.release()
        elif what == "back":
            self.jobs.discard(said)
        elif what == "refused":
            raise UsageError(said)
        elif what == "failed":
            raise ForkingPickler.loads(said)
        elif what == "ended":
            raise RunError(said)

    def _check_time(self) -> None:
        """Raises an error where nothing has come of the cluster for too long."""
        if self.room or self.stopping:
            self.empty_since = time.monotonic()
            return
        waited = time.monotonic() - self.empty_since
        if not self.joined and waited > (STARTING if self.address is None else JOINING):
            self.bridge.kill()
            place = "starts on this machine" if self.address is None else f"answers at {self.address}"
            raise wrong(
                f"no Ray cluster {place} within {waited:.0f} s: begin this command on one of its machines"
            )
        if self.joined and waited > WAITING:
            raise RunError(
                "no machine of the Ray cluster is left; join one (ray start --address), and the same command goes on"
            )

    def _stored(self, block: Block) -> int:
        """The number of a block, which is put into the cluster's memory."""
        for number, known in self.blocks.items():
            if known is block:
                return number
        number = next(self.numbers)
        self._say("store", number, block.path, block.identity[2])
        self.blocks[number] = block
        weakref.finalize(block, self.forgotten.append, number)
        return number

    def _say(self, *said: object) -> None:
        with suppress(OSError):  # the bridge has ended: `hear` will say so
            self.pipe.send(said)
