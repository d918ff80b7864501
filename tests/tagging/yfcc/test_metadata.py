"""The reader of YFCC100M's metadata."""

import bz2
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.tagging import lines as lines_module
from kdgan.tagging.yfcc.metadata import Counts, Photo, decoded, read_metadata
from support import refused


def line(
    number: int = 0,
    owner: str = "39019111@N00",
    title: str = "A title",
    description: str = "",
    tags: Sequence[str] = ("sea", "sky"),
    marker: str = "0",
    url: str = "http://farm6.staticflickr.com/1/2_3.jpg",
) -> str:
    """A line of the release of 25 fields."""
    fields = [""] * 25
    fields[0], fields[1], fields[2], fields[3] = str(number), str(1000 + number), "4e2f", owner
    fields[8], fields[9] = quote_plus(title), quote_plus(description)
    fields[10], fields[16], fields[24] = ",".join(map(quote_plus, tags)), url, marker
    return "\t".join(fields)


def written(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((each.encode() if isinstance(each, str) else each) + b"\n" for each in lines))
    return path


def read(*paths: Path) -> tuple[list[Photo], Counts]:
    counts = Counts()
    return list(read_metadata(paths, counts)), counts


def values(photo: Photo) -> tuple[object, ...]:
    return photo.identifier, photo.owner, photo.title, photo.description, photo.tags, photo.url


def test_a_photo_has_what_its_line_says(tmp_path):
    text = 'Été à la plage\n<a href="http://x.org/?a=b">100% + more</a>\t東京'
    tags = ["new york", "plage,été", "50%", "a+b", "c=d"]
    (photo,), _ = read(written(tmp_path / "a", line(7, "1@N0", "Café & co", text, tags)))
    assert values(photo) == (
        "1007", "1@N0", "Café & co", text, tags, "http://farm6.staticflickr.com/1/2_3.jpg",
    )  # fmt: skip


@given(st.one_of(st.text().map(quote_plus), st.text("%+=0aAfF3éあ _-", max_size=30)))
def test_percent_encoding_is_decoded_as_urllib_does(raw):
    assert decoded(raw.encode()) == unquote_plus(raw)


@given(st.binary(max_size=40))
def test_any_bytes_can_be_decoded(raw):
    assert isinstance(decoded(raw), str)


def test_only_photos_with_tags_are_handed_out_and_everything_is_counted(tmp_path):
    path = written(
        tmp_path / "a",
        line(0),
        line(1, marker="1"),
        line(2, tags=()),
        line(3).rsplit("\t", 3)[0],
        line(4) + "\tmore",
        "",
        line(5, marker="2"),
        line(6, owner=""),
        line(7, url=""),
        line(8).replace("1008", "10o8"),
        line(9).encode().replace(b"title", b"t\xffitle"),
        line(10, title="é").replace(quote_plus("é"), "é"),
    )
    photos, counts = read(path)
    assert [photo.identifier for photo in photos] == ["1000", "1010"]
    assert photos[1].title == "é"
    assert (counts.lines, counts.photos, counts.videos, counts.untagged) == (12, 2, 1, 1)
    assert counts.malformed == {
        "not 25 fields": 3,
        "the marker is neither 0 (photo) nor 1 (video)": 1,
        "no owner": 1,
        "no download address": 1,
        "the identifier is not a number": 1,
        "not UTF-8": 1,
    }


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_no_line_is_fatal(tmp_path_factory, lines):
    path = written(tmp_path_factory.mktemp("any") / "a", *lines, b"\t" * 24, line())
    photos, counts = read(path)
    assert len(photos) >= 1
    assert counts.lines == (counts.photos + counts.videos + counts.untagged + sum(counts.malformed.values()))


MIXED = [
    *(line(n, title="日本é", description="x" * n, marker="01"[n % 5 == 4]) for n in range(20)),
    "broken",
    line(99, title="é").replace(quote_plus("é"), "é"),
]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 1000, 10**6])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_borders_of_blocks_do_not_matter(tmp_path, monkeypatch, block, compressed):
    plain = written(tmp_path / "a", *MIXED)
    expected, counted = read(plain)
    path = plain
    if compressed:
        path = tmp_path / "b"
        path.write_bytes(bz2.compress(plain.read_bytes()))
    monkeypatch.setattr(lines_module, "BLOCK", block)
    monkeypatch.setattr(lines_module, "_COMPRESSED", block)
    photos, counts = read(path)
    assert [values(photo) for photo in photos] == [values(photo) for photo in expected]
    assert counts == counted
    assert counts.lines == len(MIXED)


def test_several_files_are_read_in_their_order(tmp_path):
    first = written(tmp_path / "a", line(1))
    second = tmp_path / "b.bz2"
    second.write_bytes(bz2.compress(f"{line(2)}\n".encode()))
    photos, counts = read(second, first, second)
    assert [photo.identifier for photo in photos] == ["1002", "1001", "1002"]
    assert counts.lines == 3


def in_2014(text: str) -> str:
    fields = text.split("\t")
    return "\t".join([fields[1], *fields[3:]])


def test_the_release_of_2014_is_read(tmp_path):
    lines = [line(0), line(1, marker="1"), line(2)]
    new = read(written(tmp_path / "new", *lines))
    old = read(written(tmp_path / "old", "broken", *map(in_2014, lines), line(3)))
    assert [values(photo) for photo in old[0]] == [values(photo) for photo in new[0]]
    assert old[1].malformed == {"not 25 fields": 1, "not 23 fields": 1}


def test_lines_may_end_as_on_windows(tmp_path):
    path = written(tmp_path / "a", line(0) + "\r", line(1, marker="1") + "\r")
    _, counts = read(path)
    assert (counts.photos, counts.videos, counts.malformed) == (1, 1, {})


def test_a_line_that_never_ends_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "BLOCK", 100)
    monkeypatch.setattr(lines_module, "LONGEST", 1000)
    photos, counts = read(written(tmp_path / "a", line(0), line(1, title="x" * 5000), line(2)))
    assert [photo.identifier for photo in photos] == ["1000", "1002"]
    assert counts.lines == 3
    assert sum(counts.malformed.values()) == 1


def test_files_that_cannot_be_read_are_refused_at_once(tmp_path):
    with refused("no files"):
        read_metadata([])
    with refused("cannot read", "none.tsv", "No such file"):
        read_metadata([tmp_path / "none.tsv"])
    with refused("cannot read", tmp_path, "directory"):
        read_metadata([tmp_path])


def test_nothing_is_printed_where_there_is_no_terminal(tmp_path, capsys):
    read(written(tmp_path / "a", line()))
    assert capsys.readouterr() == ("", "")
