"""The errors that a user is meant to read: one clear line each, with the exit code the command ends with."""

import traceback
from pathlib import Path


class KdganError(Exception):
    """Base of the errors that `kdgan` prints as one line instead of a traceback."""

    exit_code = 1


class UsageError(KdganError, ValueError):
    """The call cannot be carried out as it stands: the message names the value, what was expected, what to do."""

    exit_code = 2


class Interrupted(KdganError):  # noqa: N818 - nothing went wrong
    """Training was asked to stop; its state is saved where it has a folder, and the same call goes on from there."""

    exit_code = 2


class Held(KdganError):  # noqa: N818 - nothing went wrong
    """Another process is at work in a folder: what it is at will be there later."""

    exit_code = 2


class RunError(KdganError, RuntimeError):
    """A run that was called correctly and failed on its way, such as a loss that diverged."""


class Diverged(RunError):  # noqa: N818 - says what happened
    """Numbers of a network that are no longer finite."""


class Lost(RunError):  # noqa: N818 - says what happened
    """A run over several processes of which another has ended."""


class NoMemory(RunError):  # noqa: N818 - says what there is not
    """A run that needs more memory than there is: the same call may go on with less."""

    exit_code = 2


NO_MEMORY = "not enough memory: a smaller --batch, fewer --workers or smaller networks need less"


def is_of_memory(error: BaseException) -> bool:
    """Whether an error, torch's own ones too, says that memory is exhausted."""
    said = str(error)
    return isinstance(error, MemoryError) or any(
        each in said for each in ("alloc_cpu.cpp", "can't allocate memory", "out of memory")
    )


def wrong(message: str) -> UsageError:
    """A UsageError whose message is one printable line, whatever file names or foreign texts went into it."""
    return UsageError(one_line(message))


def failed(error: BaseException, what: str = "") -> RunError:
    """A RunError that says in one printable line what code that is not the project's own raised, and where."""
    if is_of_memory(error):
        return NoMemory(NO_MEMORY)
    place = ""
    if error.__traceback__ is not None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f", in {Path(last.filename).name} line {last.lineno}"
    # What a worker process raised is the last line of what its parent is told.
    said = (
        (str(error).strip().splitlines() or ["no message"])[-1]
        if "Original Traceback" in str(error)
        else str(error)
    )
    said = said or "no message"
    return RunError(one_line(f"{what}{' fails with ' if what else ''}{type(error).__name__}: {said}{place}"))


def printable(text: str) -> str:
    """The text with what cannot be printed, such as a line break, as Python writes it (`\\n`), in one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(message: str) -> str:
    """The message as one printable line."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    return "".join(character if character.isprintable() else "?" for character in line)
