"""Files that are written whole or not at all. Imports nothing heavy: reading metadata must not cost torch's memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdgan.errors import Held, Interrupted, one_line, wrong

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the operating system says when there is no room left to write."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and is gone otherwise.

    The folder must be there: one that was removed while a command is at work in it must not come back half empty.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Returns when a file, or what a folder says of its files, is on the disk and so outlives a power cut."""
    if os.name == "nt" and path.is_dir():  # which Windows does by itself
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_folder(folder: Path) -> None:
    """Makes a folder, if there is none, and finds before anything is computed that files can be written into it.

    Raises:
        UsageError: if they cannot.
        OSError: if there is no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unusable(folder, error) from error


def unusable(folder: Path, error: OSError) -> Exception:
    """What to raise for a folder that cannot be made or written into; no room on the disk is told as such elsewhere."""
    if error.errno in NO_ROOM:
        return error
    return wrong(f"{folder} cannot be written into ({error.strerror or error}): choose another folder")


@contextlib.contextmanager
def locked(folder: Path, stop: Callable[[], bool] = lambda: False, *, wait: bool = True) -> Iterator[None]:
    """Keeps other processes out of `folder` for the block, and first waits until they are out of it.

    So commands may share a folder: what one is at, the others wait for and then find. The operating system gives the
    folder free when a process ends, however it ends. Where a file system has no locks, nobody waits. Blocks of one
    thread may be within each other.

    Args:
        folder: exists.
        stop: asked every second while it waits.
        wait: whether to wait, which is told in a line.

    Raises:
        Held: if another process is at work there and `wait` is False.
        Interrupted: if `stop` said so.
    """
    lock = FileLock(folder / ".lock", is_singleton=True)
    told = False
    while True:
        try:
            lock.acquire(timeout=1 if wait else 0)
            break
        except Timeout:
            if not wait:
                raise Held(f"another command is at work in {folder}") from None
            if stop():
                raise Interrupted(f"stopped while another command was at work in {folder}") from None
            if not told:
                told = True
                print(  # noqa: T201
                    f"kdgan: {one_line(f'waiting for another command that is at work in {folder}')}",
                    file=sys.stderr,
                )
        except NotImplementedError:
            break
    try:
        yield
    finally:
        lock.release()


def sha256_of(path: Path) -> str | None:
    """SHA-256 of what is in a file; None for what is no file, or cannot be read."""
    try:
        if not path.is_file():
            return None  # a device never ends
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_json(path: Path, value: Any, *, new: bool = False) -> None:
    """Writes `value` as indented JSON, replacing `path` in one move.

    Raises:
        FileExistsError: with `new`, if another process has written it first.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        if new:
            _claim(temporary, path)


def save_json(path: Path | str, value: Any) -> None:
    """Writes `value` as `write_json` does, where a caller wants it.

    Raises:
        UsageError: if that is no path, or cannot be written.
    """
    if not isinstance(path, Path | str) or not str(path) or "\0" in str(path):
        raise wrong(f"path must be that of a file, not {path!r:.60}")
    try:
        write_json(Path(path), value)
    except OSError as error:
        raise wrong(f"{str(path)[:200]} cannot be written: {error.strerror or error}") from error


def _claim(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        return  # a file system without links


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on stderr for the block: of damage that polars does not expect it prints a trace of its own."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
