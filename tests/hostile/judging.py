"""What hostile tests share: a case, and what is wrong with how it ends."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from commands import Command
from kdgan.errors import RunError, UsageError

PATIENCE = 60
"""Seconds after which something hangs."""


def asked(seed: int, count: int) -> tuple[int, int]:
    """Seed and number of cases: those of the test, or of KDGAN_HOSTILE=SEED,COUNT for a hunt of one's own."""
    first, _, many = os.environ.get("KDGAN_HOSTILE", f"{seed},{count}").partition(",")
    return int(first), int(many)


@dataclass(frozen=True)
class Case:
    """Something that is called, or a command line.

    Attributes:
        name: says what it is.
        call: raises an error of kdgan's, or is well.
        arguments: of the command `kdgan`.
        folder: where it would write.
    """

    name: str
    call: Callable[[], object] | None = None
    arguments: tuple[str, ...] = ()
    folder: Path | None = None


@contextmanager
def patience() -> Iterator[None]:
    """The time that a case may take."""

    def hangs(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fault(
    case: Case, typed: Command, capfd: pytest.CaptureFixture[str], codes: tuple[int, ...] = (0, 1, 2)
) -> str:
    """What is wrong with the end of a case; nothing where it ends as it should."""
    before = written(case.folder)
    try:
        with patience():
            if case.call is None:
                code, printed, errors = typed(*case.arguments)
            else:
                case.call()
                code, (printed, errors) = 0, capfd.readouterr()
    except (UsageError, RunError) as error:
        left = capfd.readouterr()
        code, printed, errors = error.exit_code, left.out, f"{left.err}kdgan: {error}\n"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if code not in codes:
        return f"exit code {code}: {printed}{errors}"
    if not is_printable(printed):
        return f"prints {printed!r}"
    if code == 0:
        return errors
    if not (errors.startswith("kdgan: ") and errors.count("\n") == 1 and is_printable(errors)):
        return f"{code}: {errors}"
    if "fault of kdgan" in errors or len(errors) > 6000:
        return f"{code}: {errors}"
    return "" if written(case.folder) == before else f"{code}: it left {written(case.folder) ^ before}"


def is_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.removesuffix("\n").split("\n"))


def written(folder: Path | None) -> set[tuple[str, bytes]]:
    """Files below a folder with what is in them."""
    if folder is None:
        return set()
    return {(str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
