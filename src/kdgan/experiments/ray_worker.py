"""One process of a Ray cluster that carries out jobs. Imports nothing heavy: Ray imports it wherever it asks."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import queue
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from kdgan.errors import KdganError, RunError, failed, wrong
from kdgan.experiments.worker import Done, carried_out, sendable
from kdgan.extras import needed

EXTRA = "scale", "--executor ray"
"""Where Ray comes from, and what needs it."""
LAG = 5.0
"""Seconds after which a new file must be seen by all machines that share a folder."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A function, and a block of bytes that it is called with, as they are sent through Ray.

    Attributes:
        function: pickled together with the `Block` whose bytes are meant.
        stored: reference to the bytes in Ray's memory, which all processes of a machine share. It is in a list, so that
            Ray leaves it to whoever asks for the bytes.
    """

    function: bytes
    stored: list[Any]

    def __call__(self) -> None:
        """Calls the function in the process that has been sent this."""
        call, block = ForkingPickler.loads(self.function)
        call(_Placed(block, self.stored))


@dataclass(frozen=True, slots=True)
class _Placed:
    """A `Block` whose bytes are in Ray's memory."""

    block: Any
    stored: list[Any]

    def value(self) -> Any:
        """The value, whose tensors lie in that memory: nobody may write into them.

        Raises:
            OSError: if the bytes are lost.
        """
        import torch

        ray = needed("ray", *EXTRA)
        try:
            (found,) = ray.get(self.stored)
        except ray.exceptions.RayError as error:
            raise OSError("what runs share is lost") from error
        with warnings.catch_warnings():  # it is read-only, for which torch has no word
            warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
            return self.block.value_in(torch.from_numpy(found))


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a process needs before its first job.

    Attributes:
        threads: of the process.
        path: where modules are found.
        here: the folder in which the command was typed.
        folder: that all machines see.
        token: what is in its file `name`.
        name: of that file.
        versions: that the machine must have, see `versions`.
        prepare: what to call, or None.
    """

    threads: int
    path: list[str]
    here: str
    folder: str
    name: str
    token: str
    versions: Mapping[str, str]
    prepare: StoredCall | bytes | None

    def begin(self) -> None:
        """Makes the process ready.

        Raises:
            UsageError: if its machine does not see the folder.
        """
        sys.path[:] = [*self.path, *(place for place in sys.path if place not in self.path)]
        with contextlib.suppress(OSError):  # all that is read there has been sent, but for code of one's own
            os.chdir(self.here)
        check_machine(self.machine(), self.versions)
        from kdgan.training.devices import deterministic

        deterministic(self.threads)
        if isinstance(self.prepare, StoredCall):
            self.prepare()
        elif self.prepare is not None:
            ForkingPickler.loads(self.prepare)()

    def machine(self) -> dict[str, str]:
        """What there is to know of the machine: its name, the versions that it has, and what it does not see."""
        file, end = Path(self.folder, self.name), time.monotonic() + LAG
        sees = False
        while not sees and time.monotonic() < end:
            with contextlib.suppress(OSError):
                sees = file.read_text(encoding="utf-8") == self.token
            if not sees:
                time.sleep(0.2)
        return {"name": platform.node(), "misses": "" if sees else self.folder, **versions()}


def versions() -> dict[str, str]:
    """Of what computes."""
    found = {}
    for package in ("kdgan", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def check_machine(found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises a UsageError if a machine does not see the folder, or has other versions, which give other bits."""
    if found["misses"]:
        raise wrong(
            f"machine {found['name']} of the Ray cluster does not see {found['misses']}: results must lie in a folder "
            "that all machines share (--out, folder=)"
        )
    for name, there in expected.items():
        if found[name] != there:
            raise wrong(
                f"machine {found['name']} of the Ray cluster has {name} {found[name]} and this one {there}: "
                "install the same on all"
            )


class RayWorker:
    """A process of a Ray cluster, as an actor; its methods are called by threads of Ray, jobs carried out by one.

    Args:
        beginning: what it needs.
    """

    def __init__(self, beginning: Beginning) -> None:
        self.beginning, self.failure = beginning, b""
        self.begun, self.stopped = threading.Event(), False
        self.jobs: queue.SimpleQueue[tuple[bytes, StoredCall | None]] = queue.SimpleQueue()
        self.news = threading.Condition()
        self.share: float | None = None
        self.done: bytes | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def ready(self) -> bytes:
        """Returns when it can carry out jobs, with nothing, or with what went wrong, pickled."""
        self.begun.wait()
        return self.failure

    def give(self, job: bytes, brought: StoredCall | None) -> None:
        """Gives it a job: its function and arguments, pickled; and what to call before."""
        self.jobs.put((job, brought))

    def hear(self, seconds: float) -> float | bytes | None:
        """How far the job is, or what became of it, a pickled `Done`; None where there is no news within the time."""
        with self.news:
            self.news.wait_for(lambda: self.share is not None or self.done is not None, seconds)
            share, done = self.share, self.done
            self.share = self.done = None
        return share if done is None else done

    def stop(self) -> None:
        """Asks the job to stop: it saves its state."""
        self.stopped = True

    def _work(self) -> None:
        try:
            self.beginning.begin()
        except KdganError as error:
            self.failure = pickle.dumps(error)
        except (Exception, SystemExit) as error:
            self.failure = pickle.dumps(RunError(f"a process of Ray could not begin: {failed(error)}"))
        self.begun.set()
        while True:
            job, brought = self.jobs.get()
            done = pickle.dumps(self._carried_out(job, brought))
            with self.news:
                self.done = done
                self.news.notify_all()

    def _carried_out(self, job: bytes, brought: StoredCall | None) -> Done:
        try:
            work, arguments = ForkingPickler.loads(job)
            if brought is not None:
                brought()
        except (Exception, SystemExit) as error:
            return Done(error=failed(error, "a process of Ray"))
        done = carried_out(work, arguments, self._report, lambda: self.stopped)
        return done if done.error is not None else sendable(done)

    def _report(self, share: float) -> None:
        with self.news:
            self.share = share
            self.news.notify_all()
