"""Terminal output: the console, and the progress of a single run: bars, or lines where nobody can see bars."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kdgan.training.callbacks import Evaluation

FIRST_AFTER, THEN_EVERY = 5.0, 10.0
"""Seconds from the beginning to the first line, and between two lines."""


def console() -> Console:
    """Console for progress and tables: as wide as the terminal, or 100 characters where there is none."""
    return Console(width=None if sys.stdout.isatty() else 100)


class Shown:
    """What shows how far training is, and what evaluations found."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of all updates of what is trained are done."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """An evaluation was made."""


class _Bars(Shown):
    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.tasks:
            self.tasks[what] = self.bars.add_task(what, total=total)
        self.bars.update(self.tasks[what], completed=done)


@dataclass
class Lines(Shown):
    """Lines for a log: none in the first five seconds, then one about every ten, with the time left.

    Attributes:
        file: where they go.
    """

    file: TextIO
    _last: float = field(default_factory=lambda: time.monotonic(), init=False)
    _due: float = field(default=FIRST_AFTER, init=False)
    _what: str = field(default="", init=False)
    _began: tuple[float, int] = field(default=(0.0, 0), init=False)
    _found: str = field(default="", init=False)

    def __call__(self, what: str, done: int, total: int) -> None:
        """A line if it is time for one."""
        now = time.monotonic()
        if what != self._what:
            # What was done before, as in a run that goes on, tells nothing about the pace.
            self._what, self._began, self._found = what, (now, done), ""
        if now - self._last < self._due:
            return
        self._last, self._due = now, THEN_EVERY
        since, before = self._began
        left = ""
        if done > before and done < total:
            left = f", {_clock((now - since) / (done - before) * (total - done))} left"
        print(f"{what}: {done:,} of {total:,} updates{left}{self._found}", file=self.file, flush=True)

    def evaluated(self, evaluation: Evaluation) -> None:
        """Found for the next line."""
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in evaluation.metrics.items())
        self._found = metrics and f"; {evaluation.role} after {evaluation.step:,}: {metrics}"


@contextmanager
def training_bars() -> Iterator[Shown]:
    """On stderr, a bar for each thing that is trained with the time left, in a terminal or a notebook; else lines."""
    console = Console(stderr=True)
    # In a notebook rich draws in a widget.
    can_draw = console.is_terminal or (
        console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    )
    if not can_draw:
        yield Lines(sys.stderr)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as bars:
        yield _Bars(bars)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
