"""`kdgan tags prepare` as a user types it; the data set itself is tested in `tests/tagging/yfcc/test_prepare.py`."""

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from commands import PATIENCE, Command, refuses

SIZES = ["--minimum", "5", "--train", "200", "--validation", "40", "--test", "50"]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 photos of 100 owners with 26 tags, one line of something else."""
    chance = random.Random(0)
    lines = ["malformed"]
    for number in range(1000):
        fields = [""] * 25
        fields[0], fields[1], fields[3] = str(number), str(10**6 + number), f"{chance.randrange(100)}@N00"
        fields[8] = "A+walk"
        fields[10] = ",".join({f"tag+{chr(97 + int(26 * chance.random() ** 2))}" for _ in range(4)})
        fields[16], fields[24] = f"http://images.org/{number}.jpg", "0"
        lines.append("\t".join(fields))
    path = tmp_path_factory.mktemp("metadata") / "dump"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_it_makes_a_data_set_and_says_what_is_in_it(typed: Command, metadata: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    code, printed, errors = typed("tags", "prepare", metadata, "--out", out, "--count", 10, *SIZES)
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == "1,001 lines; malformed: 1 not 25 fields"
    assert lines[1] == "photos: 200 train, 40 validation, 50 test; 10 tags"
    assert str(out / "photos.parquet") in lines[2]
    assert str(out / "urls.parquet") in lines[2]
    assert lines[3].startswith("img2dataset ")
    assert len(pl.read_parquet(out / "photos.parquet")) == 290


@pytest.mark.parametrize(("count", "code"), [(10, 0), (1000, 2)])
def test_the_command_needs_no_torch(tmp_path: Path, metadata: Path, count: int, code: int) -> None:
    # torch alone takes 200 MB, more than all that reading and sampling metadata need.
    program = (
        "import sys, kdgan.cli\ntry: kdgan.cli.main(sys.argv[1:])\nfinally: assert 'torch' not in sys.modules"
    )
    command = ["tags", "prepare", str(metadata), "--out", str(tmp_path / "o"), "--count", str(count), *SIZES]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (code != 0)


def test_wrong_options(typed: Command, metadata: Path, tmp_path: Path) -> None:
    for options, part in (
        ([tmp_path / "none.bz2"], "none.bz2"),
        ([], "no files of metadata"),
        ([metadata, "--count", 0], "at least 1"),
        ([metadata, "--tags", "best"], "best"),
        ([metadata, "--stop-file", tmp_path / "none"], "none"),
    ):
        assert refuses(typed, "tags", "prepare", *options, "--out", tmp_path / "o", parts=(part,))
        assert not (tmp_path / "o").exists()


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file grows beyond `room` bytes in the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_data_set_that_was_there(
    typed: Command, metadata: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    command = ["tags", "prepare", metadata, "--count", 10, *SIZES, "--out", out]
    with full_disk(2000):
        assert refuses(typed, *command, parts=("cannot write to", out, "File too large"))
    assert list(out.iterdir()) == []
    assert typed(*command)[0] == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert len(before) == 3
    for room in (1000, 2000, max(map(len, before.values())) // 2):
        with full_disk(room):
            assert refuses(typed, *command, "--seed", 1, parts=("cannot write to", out))
        assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("name", ["file/x", "link", "n" * 300, "/dev/full", "/proc/none"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(
    typed: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    command = ["tags", "prepare", tmp_path / "never read", "--out", tmp_path / name]
    assert refuses(typed, *command, parts=("cannot write to", name))


def test_what_is_printed_is_printable(typed: Command, metadata: Path, tmp_path: Path) -> None:
    out = tmp_path / "\x1b[31m \udcff\n"
    code, printed, errors = typed("tags", "prepare", metadata, "--out", out, "--count", 10, *SIZES)
    assert (code, errors) == (0, "")
    assert all(line.isprintable() for line in printed.splitlines())
    assert len(printed.splitlines()) == 4
    assert len(list(out.iterdir())) == 3
