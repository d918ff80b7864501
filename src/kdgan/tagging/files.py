"""What is read and written by the commands of this room: looked at before any work is done."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from kdgan.errors import KdganError, wrong


@contextlib.contextmanager
def together(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Temporary files beside `paths` that take their places when the block ends well, and are gone otherwise.

    Those that were there are removed before the first new one appears: old and new are never side by side, whatever
    stops the process. The first of them goes first and comes last, so where it is, all are.
    """
    temporaries = tuple(map(_beside, paths))
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporaries
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        for path in paths:
            path.unlink(missing_ok=True)
        for path, temporary in reversed(tuple(zip(paths, temporaries, strict=True))):
            temporary.replace(path)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def check_regular(path: Path) -> None:
    """Checks that something can be read to its end: a device may have none, and a pipe waits for whoever writes to it.

    Raises:
        UsageError: if `path` is no regular file, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a ValueError where there is a null character in the name
        raise wrong(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        kind = os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "it is a device or a pipe"
        raise wrong(f"cannot read {path}: {kind}; expected a file")


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Checks, before long work, that a file can be written at `path`, and that it is none of the `inputs`.

    Raises:
        UsageError: if it cannot, or is.
    """
    for other in inputs:
        if _is_same(path, other):
            raise wrong(f"{path} is {other}, which is read: name another file to write")
    missing = [parent for parent in path.parents if not os.path.lexists(parent)]
    try:
        if path.is_symlink() and not path.exists():
            raise wrong(f"cannot write to {path}: it is a link to nothing")
        if path.exists() and not path.is_file():
            raise wrong(
                f"cannot write to {path}: it is {'a folder' if path.is_dir() else 'a device or a pipe'}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        _beside(path).touch()
        _beside(path).unlink()
    except FileExistsError:
        raise wrong(f"cannot write to {path}: {path.parent} is no folder") from None
    except (OSError, ValueError) as error:
        if isinstance(error, KdganError):
            raise
        raise wrong(f"cannot write to {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        for parent in missing:
            with contextlib.suppress(OSError, ValueError):
                parent.rmdir()


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or has no such name: whoever reads it will tell
        return False
