"""Files that are written whole or not at all. Imports nothing heavy: reading metadata must not cost torch's memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
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
    """SHA-256 of what is in a file, or in a folder's files with their names, down to `train/CLASS/FILE`; hidden files
    left out. None for what cannot be read."""
    try:
        if path.is_dir():
            return _sha256_of_folder(path)
        if not path.is_file():
            return None  # a device never ends
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sha256_of_folder(folder: Path) -> str:
    files = []
    for pattern in ("*", "*/*", "*/*/*"):
        for path in folder.glob(pattern):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                status = path.stat()
                files.append((name, status.st_size, status.st_mtime_ns))
    return _sha256_of_files(folder, tuple(sorted(files)))


@lru_cache(maxsize=8)
def _sha256_of_files(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    """The same of these files, read anew only if their size or time has changed."""
    found = hashlib.sha256()
    for name, _, _ in files:
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        found.update(json.dumps([name, content]).encode())
    return found.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, replacing `path` in one move."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
