"""Large files of lines, plain or compressed with bz2, as blocks of whole lines in constant memory."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kdgan.errors import wrong
from kdgan.tagging.files import check_regular

BLOCK = 1 << 20  # bytes that are handled at a time
LONGEST = 4 << 20  # bytes of the longest line that is kept
_COMPRESSED = 256 << 10  # bytes given to the decompressor at a time


def read_lines(path: Path, seen: Callable[[int], None], too_long: Callable[[], None]) -> Iterator[bytes]:
    r"""The contents of a file in blocks that end where a line ends, each without its last "\n".

    Args:
        path: the file. It is decompressed if it begins as bz2 does, be it one stream or many.
        seen: is called with the number of bytes of the file that were read.
        too_long: is called for each line of more than 4 MiB, which is left out.

    Raises:
        UsageError: if the file cannot be read, or its compressed data are damaged or end too early.
    """
    with _opened(path) as file:
        blocks = _ahead(_decompressed(file)) if _is_bz2(file) else _plain(file)
        for lines in _whole_lines(blocks, too_long):
            seen(file.tell())
            yield lines


def size_of(path: Path) -> int:
    """The bytes of the file.

    Raises:
        UsageError: if the file cannot be read.
    """
    with _opened(path) as file:
        return file.seek(0, 2)


def _whole_lines(blocks: Iterator[bytes], too_long: Callable[[], None]) -> Iterator[bytes]:
    rest = b""
    skipping = False
    for block in blocks:
        start = 0
        if skipping:
            start = block.find(b"\n") + 1
            if not start:
                continue
            skipping = False
        end = block.rfind(b"\n")
        if end >= start:
            yield rest + block[start:end]
            rest = block[end + 1 :]
        else:
            rest += block[start:]
            if len(rest) > LONGEST:
                rest, skipping = b"", True
                too_long()
    if rest:
        yield rest


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _decompressed(file: BinaryIO) -> Iterator[bytes]:
    """The contents of one stream after the other, at most a block at a time."""
    decompressor = bz2.BZ2Decompressor()
    data = b""
    while True:
        if decompressor.eof:
            data = decompressor.unused_data or file.read(_COMPRESSED)
            if not data:
                return
            decompressor = bz2.BZ2Decompressor()
        elif decompressor.needs_input:
            data = file.read(_COMPRESSED)
            if not data:
                raise EOFError
        piece = decompressor.decompress(data, BLOCK)
        data = b""  # the decompressor keeps what it has not used yet
        if piece:
            yield piece


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each made in a thread of its own while the one before it is used."""
    # bz2 leaves Python's lock to others while it decompresses, so a second core is put to use.
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, blocks, b"")
        while block := following.result():
            following = pool.submit(next, blocks, b"")
            yield block


def _is_bz2(file: BinaryIO) -> bool:
    magic = file.read(4)
    file.seek(0)
    return magic[:3] == b"BZh" and magic[3:].isdigit()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    check_regular(path)
    try:
        with path.open("rb", buffering=0) as file:
            yield file
    except EOFError:
        raise wrong(f"{path} ends in the middle of its compressed data: download it again") from None
    except OSError as error:
        if error.errno is None:  # what the decompressor raises
            raise wrong(f"{path} holds damaged bz2 data: download it again") from error
        raise wrong(f"cannot read {path}: {error.strerror}") from error
