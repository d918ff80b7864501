"""YFCC100M's metadata as they are published, one line per photo or video, read as a stream in constant memory."""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kdgan.errors import UsageError
from kdgan.tagging.lines import LONGEST, read_lines, size_of

# Fields by their place in the release of 25. That of 2014 lacks those at 0 and 2, the line number and the hash.
_IDENTIFIER, _OWNER, _TITLE, _DESCRIPTION, _TAGS, _URL, _MARKER = 1, 3, 8, 9, 10, 16, 24
_FIELDS, _FIELDS_2014 = 25, 23
_IS_PHOTO = frozenset((b"0", b"0\r"))  # files that passed through Windows end their lines with "\r\n"
_IS_VIDEO = frozenset((b"1", b"1\r"))
_NOT_AN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(slots=True)
class Counts:
    """Counts of the lines in the files read so far.

    Attributes:
        lines: all lines; the sum of the following four.
        photos: photos with tags, which are those that were handed out.
        videos: videos.
        untagged: photos without tags.
        malformed: lines that could not be understood, by reason.
    """

    lines: int = 0
    photos: int = 0
    videos: int = 0
    untagged: int = 0
    malformed: Counter[str] = field(default_factory=Counter)


class Photo:
    """A photo with tags. A field is decoded when it is asked for, as most never are."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[bytes]) -> None:
        self._fields = fields

    @property
    def identifier(self) -> str:
        """The number of the photo, in digits."""
        return self._fields[_IDENTIFIER].decode()

    @property
    def owner(self) -> str:
        """The identifier of the user (NSID), such as "39019111@N00"."""
        return decoded(self._fields[_OWNER])

    @property
    def title(self) -> str:
        """The title, perhaps empty."""
        return decoded(self._fields[_TITLE])

    @property
    def description(self) -> str:
        """The description, perhaps empty, with its HTML."""
        return decoded(self._fields[_DESCRIPTION])

    @property
    def tags(self) -> list[str]:
        """The user's tags as they were typed."""
        raw = self._fields[_TAGS]
        if b"%" in raw:
            # Split first: "%2C" is a comma within a tag.
            return [decoded(tag) for tag in raw.split(b",") if tag]
        return [tag for tag in raw.decode().replace("+", " ").split(",") if tag]

    @property
    def url(self) -> str:
        """Address of the image."""
        return self._fields[_URL].decode()


def decoded(raw: bytes) -> str:
    """The result of `urllib.parse.unquote_plus` for the text `raw` in UTF-8."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        # Quoted-printable writes "=" for "%" and has a decoder in C: many times faster for text that is all escapes.
        is_sound = b"=" not in raw and not _NOT_AN_ESCAPE.search(raw)
        raw = a2b_qp(raw.replace(b"%", b"=")) if is_sound else unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def read_metadata(
    paths: Sequence[Path], counts: Counts | None = None, *, what: str = "reading", progress: bool = True
) -> Iterator[Photo]:
    """The photos with tags in YFCC100M's metadata, in the order of the files.

    Reads the release of 25 fields and that of 2014 with 23, as text or compressed with bz2, in one stream or
    many. Lines that are malformed are counted, never fatal. Memory does not grow with the files: a line longer
    than 4 MiB is skipped.

    Args:
        paths: the files, in any mixture of the kinds above.
        counts: is kept up to date while photos are taken, and complete after the last one.
        what: what the progress bar says.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        UsageError: for a file that cannot be read (at once), and for compressed data that are damaged or end
            too early (when the reading gets there).
    """
    if not paths:
        raise UsageError(
            "no files of metadata were named: expected YFCC100M's own, such as yfcc100m_dataset.bz2"
        )
    sizes = [size_of(path) for path in paths]
    return _photos(paths, sizes, Counts() if counts is None else counts, what, progress)


def _photos(
    paths: Sequence[Path], sizes: list[int], counts: Counts, what: str, progress: bool
) -> Iterator[Photo]:
    def too_long() -> None:
        counts.lines += 1
        counts.malformed[f"longer than {LONGEST >> 20} MiB"] += 1

    with _bar(what, sum(sizes), progress) as bar:
        for number, path in enumerate(paths):
            width = 0
            for lines in read_lines(path, partial(bar, sum(sizes[:number])), too_long):
                width = yield from _parse(lines, width, counts)


def _parse(lines: bytes, width: int, counts: Counts) -> Generator[Photo, None, int]:
    """The photos with tags among `lines`, and at the end the number of fields; `width` is 0 until it is known."""
    is_ascii = lines.isascii()
    malformed = counts.malformed
    for line in lines.split(b"\n"):
        counts.lines += 1
        fields = line.split(b"\t")
        if len(fields) != width:
            if width or not _is_sound(fields):
                malformed[f"not {width or _FIELDS} fields"] += 1
                continue
            width = len(fields)  # the first sound line tells which release this is
        if width == _FIELDS_2014:
            fields[:1] = (b"", fields[0], b"")
        marker = fields[_MARKER]
        if marker in _IS_VIDEO:
            counts.videos += 1
        elif marker not in _IS_PHOTO:
            malformed["the marker is neither 0 (photo) nor 1 (video)"] += 1
        elif not fields[_TAGS]:
            counts.untagged += 1
        elif not fields[_IDENTIFIER].isdigit():
            malformed["the identifier is not a number"] += 1
        elif not fields[_OWNER]:
            malformed["no owner"] += 1
        elif not fields[_URL].startswith(b"http"):
            malformed["no download address"] += 1
        elif not is_ascii and not _is_utf8(line):
            malformed["not UTF-8"] += 1
        else:
            counts.photos += 1
            yield Photo(fields)
    return width


def _is_sound(fields: list[bytes]) -> bool:
    """Whether a line can serve to tell the two releases apart."""
    if len(fields) == _FIELDS_2014:
        fields = [b"", fields[0], b"", *fields[1:]]
    return (
        len(fields) == _FIELDS
        and fields[_MARKER] in _IS_PHOTO | _IS_VIDEO
        and fields[_IDENTIFIER].isdigit()
        and fields[_URL].startswith(b"http")
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _bar(what: str, total: int, progress: bool) -> Iterator[Callable[[int, int], None]]:
    """A function that takes the bytes of the files that are done, and those read of the present one."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    off = not (progress and console.is_terminal)
    left = TimeRemainingColumn()
    with Progress(*columns, TextColumn("left"), left, console=console, disable=off, transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda before, done: bars.update(task, completed=before + done)
