"""Large files of lines: blocks, streams, threads, damage."""

import bz2
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kdgan.tagging import lines
from kdgan.tagging.lines import read_lines, size_of
from support import refused

LINES = [f"line {number} é".encode() for number in range(90)]


def read(path: Path) -> tuple[list[bytes], int]:
    """All lines, and how many were too long."""
    skipped = []
    blocks = list(read_lines(path, lambda place: None, lambda: skipped.append(1)))
    return [line for block in blocks for line in block.split(b"\n")], len(skipped)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("block", [1, 7, 64, 10**6])
@pytest.mark.parametrize("packed", [bytes, bz2.compress])
def test_the_borders_of_blocks_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, packed: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    monkeypatch.setattr(lines, "_COMPRESSED", block)
    path = written(tmp_path / "a", packed(b"\n".join(LINES) + b"\n"))
    assert read(path) == (LINES, 0)
    assert size_of(path) == path.stat().st_size


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a", b"one\ntwo")) == ([b"one", b"two"], 0)


def test_many_streams_are_read_as_one(tmp_path: Path) -> None:
    whole = b"\n".join(LINES) + b"\n"
    pieces = [whole[start : start + 99] for start in range(0, len(whole), 99)]
    path = written(tmp_path / "a.bz2", b"".join(bz2.compress(piece) for piece in [b"", *pieces, b""]))
    assert read(path) == (LINES, 0)


def test_a_line_that_never_ends_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 100)
    monkeypatch.setattr(lines, "LONGEST", 1000)
    assert read(written(tmp_path / "a", b"one\n" + b"x" * 5000 + b"\ntwo\n")) == ([b"one", b"two"], 1)


def test_it_is_told_how_far_the_reading_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 100)
    path = written(tmp_path / "a", b"\n".join(LINES) + b"\n")
    places: list[int] = []
    list(read_lines(path, places.append, lambda: None))
    assert places == sorted(places)
    assert (len(places) > 3, places[-1]) == (True, path.stat().st_size)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        with refused("cannot read", path, why):
            read(path)
        with refused("cannot read", path, why):
            size_of(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "ends in the middle"),
        (lambda data: data[:60] + bytes(20) + data[80:], "damaged"),
        (lambda data: data + b"and more", "damaged"),
    ],
)
def test_damaged_archives_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    path = written(tmp_path / "a.bz2", damage(bz2.compress(b"\n".join(LINES))))
    with refused(path, message, "download it again"):
        read(path)


def test_nothing_runs_on_after_the_reading_is_given_up(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bz2", bz2.compress(b"\n".join(LINES)))
    before = threading.active_count()
    blocks = read_lines(path, lambda place: None, lambda: None)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
