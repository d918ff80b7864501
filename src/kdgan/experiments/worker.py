"""One process that carries out jobs for another. Imports nothing heavy: it must notice from its first moment that it is
to stop, or that the process that it works for has ended."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from typing import Any

from kdgan.errors import KdganError, failed
from kdgan.interrupt import SIGNALS, signals_held

PATIENCE = 3.0
"""Seconds that a job has to save its state when the process that it works for was killed."""


_Given = tuple[Callable[..., Any], tuple[Any, ...], Callable[[], None] | None]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job: its value, or what it raised.

    Attributes:
        value: what it returned, if it ended well.
        error: what it raised: `KdganError` or `OSError`.
    """

    value: Any = None
    error: BaseException | None = None


class Killed(Exception):  # noqa: N818 - whoever catches it says what is wrong
    """The process ended without a word."""


class Worker:
    """A process, seen from the one that it works for; it starts at once.

    Args:
        context: how processes are started.
        threads: of the process.
        prepare: called in the process before its first job.

    Attributes:
        job: name of the job that it is at, or None.
    """

    def __init__(self, context: BaseContext, threads: int, prepare: Callable[[], None]) -> None:
        self.job: str | None = None
        with signals_held():
            self.connection, theirs = context.Pipe()
            target: Any = context.Process  # type: ignore[attr-defined]
            self.process = target(target=_begin, args=(theirs, threads, _Later(prepare)))
            self.process.start()
        theirs.close()

    def give(
        self,
        name: str,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        before: Callable[[], None] | None = None,
    ) -> None:
        """Gives it a job, see `Job`, and what it is to call before."""
        self.job = name
        with contextlib.suppress(OSError):  # it was killed: `receive` will say so
            self.connection.send_bytes(ForkingPickler.dumps((work, arguments, before)))

    def receive(self) -> float | Done:
        """What it has to say: how far the job is, or what became of it; to be asked when `connection` is ready.

        Raises:
            Killed: if it has ended.
        """
        try:
            said: float | Done = self.connection.recv()
        except (EOFError, OSError) as error:
            raise Killed from error
        if isinstance(said, Done):
            self.job = None
        return said

    def stop(self) -> None:
        """Asks it to stop: a job that it is at saves its state."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(b"")

    def end(self, *, kill: bool = False) -> None:
        """Waits until it has ended after `stop`."""
        if kill:
            self.process.kill()
        self.process.join()
        self.connection.close()


class _Later:
    """What is sent to a process that starts, and unpickled, with all imports, when that process asks for it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getstate__(self) -> bytes:
        # While a process starts, so that tensors are shared with it.
        return bytes(ForkingPickler.dumps(self.value))

    def __setstate__(self, state: bytes) -> None:
        self.state = state

    def get(self) -> Any:
        return ForkingPickler.loads(self.state)


class _Inbox:
    """Jobs from the other process, read by a thread, which notices at any time that it says stop or has ended."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.connection, self.jobs = connection, queue.SimpleQueue[bytes]()
        self.stopped, self.prepared = False, False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while message := self.connection.recv_bytes():
                self.jobs.put(message)
            self._stop()
            self.connection.recv_bytes()  # waits for the end of the other process
        self._stop()
        time.sleep(PATIENCE)
        os._exit(1)

    def _stop(self) -> None:
        self.stopped = True
        self.jobs.put(b"")
        if not self.prepared:  # it is importing, and there is nothing to save
            os._exit(1)

    def next(self) -> _Given | None:
        """The next job, or None where there will be none."""
        message = self.jobs.get()
        if self.stopped:
            return None
        job: _Given = ForkingPickler.loads(message)
        self.prepared = True
        return job

    def stop(self) -> bool:
        """Whether to stop."""
        return self.stopped

    def report(self, share: float) -> None:
        """Says how far the job is."""
        with contextlib.suppress(OSError):  # the other process has ended: that is noticed elsewhere
            self.connection.send(share)


def _begin(connection: Connection[Any, Any], threads: int, prepare: _Later) -> None:
    """What the process does: signals reach it through the other process alone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    inbox = _Inbox(connection)
    try:
        from kdgan.training.devices import deterministic

        deterministic(threads)
        prepare.get()()
        while (job := inbox.next()) is not None:
            work, arguments, before = job
            if before is not None:
                before()
            done = carried_out(work, arguments, inbox.report, inbox.stop)
            done = done if done.error is not None else sendable(done)
            sys.stdout.flush()
            with contextlib.suppress(OSError):  # the other process has ended
                connection.send(done)
    except Exception as error:
        with contextlib.suppress(OSError):
            connection.send(Done(error=KdganError(f"a worker process could not begin: {failed(error)}")))


def carried_out(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    report: Callable[[float], None],
    stop: Callable[[], bool],
) -> Done:
    """Does a job: what becomes of it, errors of code of one's own as one line."""
    try:
        with _as_run_error_only():
            return Done(work(*arguments, report, stop))
    except (KdganError, OSError) as error:
        return Done(error=error)
    finally:
        # Players and data of a run refer to each other in circles, and would stay for as many runs as there are.
        gc.collect()


def sendable(done: Done) -> Done:
    """The same, or what its value raises when it is sent."""
    try:
        with _as_run_error_only():
            ForkingPickler.dumps(done.value)
    except (KdganError, OSError) as error:
        return Done(error=error)
    return done


@contextlib.contextmanager
def _as_run_error_only() -> Iterator[None]:
    """Keeps what is sent to the other process to errors that survive being sent."""
    try:
        yield
    except (KdganError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise failed(error) from error
