"""Files that are written whole or not at all. Imports nothing heavy: reading metadata must not cost torch's memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdgan.errors import Interrupted


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and is gone otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Keeps other processes out of `folder` for the block, and first waits until they are out of it.

    So commands may share a folder: what one is at, the others wait for and then find. The operating system gives the
    folder free when a process ends, however it ends. Where a file system has no locks, nobody waits.

    Args:
        folder: exists.
        stop: asked every second while it waits.

    Raises:
        Interrupted: if `stop` said so.
    """
    lock = FileLock(folder / ".lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if stop():
                raise Interrupted(f"stopped while another command was at work in {folder}") from None
        except NotImplementedError:
            break
    try:
        yield
    finally:
        lock.release()


def sha256_of(path: Path) -> str | None:
    """SHA-256 of what is in a file; None for a folder, and for what cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, replacing `path` in one move."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
