"""Data sets in the IDX form of MNIST."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from data_files import IMAGES, LABELS, NAMES, idx_bytes, write_idx
from kdgan.data import idx
from kdgan.data.reading import load
from support import refused

GOOD = idx_bytes(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mark", ["-", "."])
def test_idx_files_are_found_under_their_usual_names(
    tmp_path: Path, below: str, packed: bool, mark: str
) -> None:
    write_idx(tmp_path / below, mark, packed)
    source = load("mnist", data_dir=tmp_path)
    assert (source.name, source.kind, source.classes) == ("mnist", "image", ("3", "7"))
    assert source.train.inputs.dtype == torch.uint8
    assert np.array_equal(source.train.inputs.numpy(), IMAGES[:, None])
    assert np.array_equal(source.test.inputs.numpy(), IMAGES[:2, None])
    assert source.train.targets.tolist() == [0, 1, 0, 1, 1, 0]
    assert source.test.targets.tolist() == [0, 1]


def test_a_folder_of_idx_files_is_read_by_its_path(tmp_path: Path) -> None:
    assert load(write_idx(tmp_path / "letters")).name == "letters"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=arrays(np.uint8, array_shapes(min_dims=3, max_dims=3)), packed=st.booleans())
def test_idx_files_give_back_what_was_written(tmp_path: Path, array: np.ndarray, packed: bool) -> None:
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
    assert np.array_equal(idx.read_idx(tmp_path / "file", 3), array)
    (tmp_path / "file").write_bytes(idx_bytes(array.reshape(-1)))
    assert np.array_equal(idx.read_idx(tmp_path / "file", 1), array.reshape(-1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file of images: it begins with nothing, not 00000803"),
        (b"<html>", "is not an IDX file of images: it begins with 3c68746d, not 00000803"),
        (idx_bytes(LABELS), "it begins with 00000801, not 00000803"),
        (GOOD[:10], "is truncated: it ends within its header"),
        (GOOD[:-1], "is truncated: 119 bytes of 120 follow its header"),
        (GOOD + b"x", "is longer than the 120 bytes that its header says"),
        (idx_bytes(IMAGES[:0]), "is empty: its header says 0x5x4"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "is truncated: 0 bytes of"),
        (PACKED[:-9], "is truncated: its gzip stream ends too early"),
        (PACKED[:-8] + bytes(8), "is corrupt: CRC check failed"),
        (PACKED[:10] + b"\xff" * 40, "is corrupt: "),
        (PACKED + b"trailing", "is corrupt: "),
        (idx_bytes(IMAGES[:4]), "holds 4 images but"),
        (idx_bytes(IMAGES[:, :3]), "holds images of 3x4 pixels but"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_idx_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (write_idx(tmp_path) / NAMES[0]).write_bytes(content)
    with refused(NAMES[0], message):
        load("mnist", data_dir=tmp_path)


def test_a_missing_idx_file_is_named_with_the_places_looked_at(tmp_path: Path) -> None:
    (write_idx(tmp_path) / NAMES[3]).unlink()
    with refused(f"{NAMES[3]} (or {NAMES[3]}.gz) is missing", f"'{tmp_path}'", "mnist/raw"):
        load("mnist", data_dir=tmp_path)
    with refused("cannot read", "No such file or directory"):
        load("mnist", data_dir=tmp_path / "none")
    with refused("is not a folder"):
        load("mnist", data_dir=tmp_path / NAMES[0])


def test_an_idx_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with refused(f"cannot read {tmp_path}: "):
        idx.read_idx(tmp_path, 3)


def test_reading_idx_takes_little_more_memory_than_the_images(tmp_path: Path) -> None:
    many = np.zeros((10000, 28, 28), np.uint8)
    (tmp_path / "file").write_bytes(gzip.compress(idx_bytes(many), 1))
    tracemalloc.start()
    try:
        idx.read_idx(tmp_path / "file", 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * many.nbytes


def test_mnist_is_read_from_the_original_files(real_data: Path) -> None:
    source = load("mnist", data_dir=real_data)
    assert source.classes == tuple("0123456789")
    assert source.train.inputs.shape == (60000, 1, 28, 28)
    assert source.test.inputs.shape == (10000, 1, 28, 28)
    assert source.train.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert source.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert source.train.targets.bincount().tolist() == counts
    assert (
        round(source.train.inputs.sum(dtype=torch.int64).item() / source.train.inputs.numel() / 255, 4)
        == 0.1307
    )
