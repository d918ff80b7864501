"""Ctrl-C, and what schedulers and closed terminals send in its place. Imports nothing heavy: it is there first."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What asks a process to end: Ctrl-C; `timeout`, systemd and schedulers; a terminal that is closed."""
STOPPED = "stopped at once; what was saved before is kept"
TOGETHER = 0.5
"""Seconds in which several signals are one wish: `timeout` sends its own twice, to the process and to its group."""


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turns the first of `SIGNALS` into a wish that training may ask about; a second one stops at once.

    Outside the main thread, where signals cannot be caught, it never asks to stop.
    """
    wished = threading.Event()
    first = 0.0

    def wish(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not wished.is_set():
            wished.set()
            first = time.monotonic()
        elif time.monotonic() - first >= TOGETHER:
            end = before[number]
            if not callable(end):
                raise KeyboardInterrupt
            end(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield wished.is_set
        return
    before: dict[int, Any] = _caught_by(wish)
    try:
        yield wished.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_on_signals() -> None:
    """From now on the first of `SIGNALS` ends this process: by a KeyboardInterrupt, so that all is put in order, or in
    one line and exit code 2 at once, where modules are imported, which need not bear an exception at any place."""
    first: list[float] = []

    def end(number: int, frame: FrameType | None) -> None:
        if first and time.monotonic() - first[0] < TOGETHER:
            return
        if first or _importing(frame):
            _end_at_once()
        first.append(time.monotonic())
        raise KeyboardInterrupt

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        if isinstance(found.exc_value, KeyboardInterrupt):  # it hit a finalizer, which would go on
            _end_at_once()
        sys.__unraisablehook__(found)

    sys.unraisablehook = unraisable
    _caught_by(end)


def ignore_signals() -> None:
    """From now on none of `SIGNALS` does anything to this process."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Holds `SIGNALS` back for the block, and for good from processes that are started in it, which inherit this."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _caught_by(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Gives the signals this handler, and returns those before; but `nohup` has said that a closed terminal is none."""
    caught = [
        number
        for number in SIGNALS
        if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) != signal.SIG_IGN
    ]
    return {number: signal.signal(number, handler) for number in caught}


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end_at_once() -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"kdgan: {STOPPED}\n".encode())
    os._exit(2)
