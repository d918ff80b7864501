"""The binary batches of CIFAR-10, and the archive they are published in."""

from pathlib import Path

import pytest

from data_files import check_cifar, write_archive, write_cifar
from kdgan.data import cifar10
from kdgan.data.reading import load
from support import refused


@pytest.mark.parametrize("below", ["", "cifar10", "CIFAR-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_cifar_batches_are_found_and_read(tmp_path: Path, below: str) -> None:
    write_cifar(tmp_path / below)
    check_cifar(load("cifar10", data_dir=tmp_path))


def test_cifar_is_read_by_the_path_of_a_folder_and_from_the_archive(tmp_path: Path) -> None:
    source = load(write_cifar(tmp_path / "mine"))
    assert source.name == "mine"
    check_cifar(source)
    (tmp_path / "packed").mkdir()
    write_archive(tmp_path / "packed" / cifar10.ARCHIVE)
    check_cifar(load("cifar10", data_dir=tmp_path / "packed"))
    assert [path.name for path in (tmp_path / "packed").iterdir()] == [cifar10.ARCHIVE]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_3.bin", b"", "data_batch_3.bin has 0 bytes, not a multiple of the 3073 of one image"),
        ("test_batch.bin", bytes(3072), "test_batch.bin has 3072 bytes, not a multiple"),
        ("data_batch_1.bin", bytes(3073) + b"\x0a" * 3073, "data_batch_1.bin: image 2 has the label 10"),
    ],
)
def test_malformed_cifar_batches_are_refused(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (write_cifar(tmp_path) / file).write_bytes(content)
    with refused(message):
        load("cifar10", data_dir=tmp_path)


def test_missing_cifar_files_are_named(tmp_path: Path) -> None:
    with refused("data_batch_1.bin is missing: looked in", "cifar-10-batches-bin"):
        load("cifar10", data_dir=tmp_path)
    (write_cifar(tmp_path) / "data_batch_4.bin").unlink()
    with refused("data_batch_4.bin is missing: looked in"):
        load("cifar10", data_dir=tmp_path)


def test_a_bad_archive_is_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / cifar10.ARCHIVE, leave_out="data_batch_2.bin")
    with refused("data_batch_2.bin is missing in"):
        load("cifar10", data_dir=tmp_path)
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:40] + bytes(40) + whole[80:], b"", b"<html>"):
        archive.write_bytes(content)
        with refused("cannot be read as a .tar.gz archive"):
            load("cifar10", data_dir=tmp_path)
