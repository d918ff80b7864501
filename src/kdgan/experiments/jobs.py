"""Jobs, and what it takes to carry them out: `kdgan.experiments.pool` says when, an executor says where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from kdgan.errors import RunError
from kdgan.experiments.worker import Done
from kdgan.tasks.division import Block

Reporter = Callable[[float], None]
"""Called with the share of the job that is done, from 0 to 1."""
Brought: TypeAlias = tuple[Callable[[Any], None], Block]
"""What another process calls before a job, and the value that it calls it with, or what has the same `value`."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do in another process.

    Attributes:
        name: unique, for people.
        work: a function at module level, called with `arguments`, a `Reporter` and a question whether to stop.
        arguments: anything that can be sent to a process.
        after: names of jobs that must be finished before.
        cost: expected time, in any unit that all jobs share; only the time left is guessed from it.
        brings: gives what another process calls before it begins, or None; asked for when the job is given to one.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()
    cost: float = 1.0
    brings: Callable[[], Brought | None] | None = None


@dataclass(frozen=True, slots=True)
class LostProcess:
    """The process that was at a job ended without a word.

    Attributes:
        error: what to raise, if the job is not to be given again.
    """

    error: RunError


class Executor(Protocol):
    """Carries out jobs elsewhere, as a context: however the block ends, jobs that are carried out save their state.

    Attributes:
        attempts: processes that may be lost at a job, one after another, without getting further; then all ends.
    """

    attempts: int

    def __enter__(self) -> Executor:
        """Begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends, at once after a KeyboardInterrupt."""

    @property
    def busy(self) -> bool:
        """Whether a job is carried out."""

    @property
    def has_room(self) -> bool:
        """Whether another job may be given."""

    def give(self, job: Job) -> None:
        """Has a job carried out."""

    def stop(self) -> None:
        """Asks those that carry out a job to stop: it saves its state."""

    def hear(self, seconds: float) -> Iterator[tuple[str, float | Done | LostProcess]]:
        """What there is to say of jobs by their names within some seconds: how far they are, or what became of them."""
