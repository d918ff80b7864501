"""IDX files, CIFAR-10 batches, and their download from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kdgan.data import cifar10, download, idx
from kdgan.data.reading import load

NAMES = tuple(idx.MNIST_MD5)
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (6, 5, 4), np.uint8), np.array([3, 7, 3, 7, 7, 3], np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, mark: str = "-", packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, (IMAGES, LABELS, IMAGES[:2], LABELS[:2]), strict=True):
        content = idx_bytes(array)
        file = name.replace("-idx", f"{mark}idx") + (".gz" if packed else "")
        (folder / file).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("mark", ["-", "."])
def test_idx_files_are_found_under_their_usual_names(tmp_path, below, packed, mark):
    write_idx(tmp_path / below, mark, packed)
    source = load("mnist", data_dir=tmp_path)
    assert (source.name, source.kind, source.classes) == ("mnist", "image", ("3", "7"))
    assert source.train.inputs.dtype == torch.uint8
    assert np.array_equal(source.train.inputs.numpy(), IMAGES[:, None])
    assert np.array_equal(source.test.inputs.numpy(), IMAGES[:2, None])
    assert source.train.targets.tolist() == [0, 1, 0, 1, 1, 0]
    assert source.test.targets.tolist() == [0, 1]


def test_a_folder_of_idx_files_is_read_by_its_path(tmp_path):
    assert load(write_idx(tmp_path / "letters")).name == "letters"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=arrays(np.uint8, array_shapes(min_dims=3, max_dims=3)), packed=st.booleans())
def test_idx_files_give_back_what_was_written(tmp_path, array, packed):
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
    assert np.array_equal(idx.read_idx(tmp_path / "file", 3), array)
    (tmp_path / "file").write_bytes(idx_bytes(array.reshape(-1)))
    assert np.array_equal(idx.read_idx(tmp_path / "file", 1), array.reshape(-1))


GOOD = idx_bytes(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)


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
def test_malformed_idx_files_are_refused(refused, tmp_path, content, message):
    (write_idx(tmp_path) / NAMES[0]).write_bytes(content)
    with refused(NAMES[0], message):
        load("mnist", data_dir=tmp_path)


def test_a_missing_idx_file_is_named_with_the_places_looked_at(refused, tmp_path):
    (write_idx(tmp_path) / NAMES[3]).unlink()
    with refused(f"{NAMES[3]} (or {NAMES[3]}.gz) is missing", f"'{tmp_path}'", "mnist/raw"):
        load("mnist", data_dir=tmp_path)
    with refused("cannot read", "No such file or directory"):
        load("mnist", data_dir=tmp_path / "none")
    with refused("is not a folder"):
        load("mnist", data_dir=tmp_path / NAMES[0])


def test_an_idx_file_that_cannot_be_opened_is_refused(refused, tmp_path):
    with refused(f"cannot read {tmp_path}: "):
        idx.read_idx(tmp_path, 3)


def test_reading_idx_takes_little_more_memory_than_the_images(tmp_path):
    many = np.zeros((10000, 28, 28), np.uint8)
    (tmp_path / "file").write_bytes(gzip.compress(idx_bytes(many), 1))
    tracemalloc.start()
    try:
        idx.read_idx(tmp_path / "file", 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * many.nbytes


CIFAR_FILES = (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES)


def cifar_batch(number: int) -> bytes:
    """Two images of every class: red all `number`, green all the class, blue all 255."""
    plane = 1024
    return b"".join(
        bytes([label]) + bytes([number]) * plane + bytes([label]) * plane + b"\xff" * plane
        for label in [*range(10)] * 2
    )


def write_cifar(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(CIFAR_FILES):
        (folder / file).write_bytes(cifar_batch(number))
    return folder


def write_archive(path: Path, leave_out: str = "") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for number, file in enumerate(CIFAR_FILES):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{file}")
            info.size = len(cifar_batch(number))
            if file != leave_out:
                tar.addfile(info, io.BytesIO(cifar_batch(number)))
    return path


def check_cifar(source) -> None:
    assert source.classes == cifar10.CLASSES
    assert source.train.inputs.shape == (100, 3, 32, 32)
    assert source.test.inputs.shape == (20, 3, 32, 32)
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.targets.tolist() == [*range(10)] * 10
    assert source.train.inputs[:, 0, 5, 7].tolist() == [number for number in range(5) for _ in range(20)]
    assert torch.equal(source.train.inputs[:, 1, 31, 0].long(), source.train.targets)
    assert (source.test.inputs[:, 0] == 5).all()
    assert (source.test.inputs[:, 2] == 255).all()


@pytest.mark.parametrize("below", ["", "cifar10", "CIFAR-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_cifar_batches_are_found_and_read(tmp_path, below):
    write_cifar(tmp_path / below)
    check_cifar(load("cifar10", data_dir=tmp_path))


def test_cifar_is_read_by_the_path_of_a_folder_and_from_the_archive(tmp_path):
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
def test_malformed_cifar_batches_are_refused(refused, tmp_path, file, content, message):
    (write_cifar(tmp_path) / file).write_bytes(content)
    with refused(message):
        load("cifar10", data_dir=tmp_path)


def test_missing_cifar_files_are_named(refused, tmp_path):
    with refused("data_batch_1.bin is missing: looked in", "cifar-10-batches-bin"):
        load("cifar10", data_dir=tmp_path)
    (write_cifar(tmp_path) / "data_batch_4.bin").unlink()
    with refused("data_batch_4.bin is missing: looked in"):
        load("cifar10", data_dir=tmp_path)


def test_a_bad_archive_is_refused(refused, tmp_path):
    archive = write_archive(tmp_path / cifar10.ARCHIVE, leave_out="data_batch_2.bin")
    with refused("data_batch_2.bin is missing in"):
        load("cifar10", data_dir=tmp_path)
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:40] + bytes(40) + whole[80:], b"", b"<html>"):
        archive.write_bytes(content)
        with refused("cannot be read as a .tar.gz archive"):
            load("cifar10", data_dir=tmp_path)


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The folder that a server on this machine hands out in place of the public ones; the cache is `cache`."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(idx, "MNIST_URL", url)
        monkeypatch.setattr(cifar10, "CIFAR10_URL", url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def archive(served, monkeypatch) -> Path:
    path = write_archive(served / cifar10.ARCHIVE)
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(path))
    return path


def test_mnist_is_downloaded_once(tmp_path, monkeypatch, served, capfd):
    write_idx(served, packed=True)
    monkeypatch.setattr(idx, "MNIST_MD5", {name: md5(served / f"{name}.gz") for name in NAMES})
    assert np.array_equal(load("mnist").train.inputs.numpy(), IMAGES[:, None])
    assert kept(tmp_path) == sorted(f"{name}.gz" for name in NAMES)
    for path in served.iterdir():
        path.unlink()
    assert load("mnist", progress=False).classes == ("3", "7")
    assert capfd.readouterr() == ("", "")


def test_cifar_is_downloaded_and_read_without_unpacking(tmp_path, archive):
    check_cifar(load("cifar10"))
    assert kept(tmp_path) == [cifar10.ARCHIVE]


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path, archive):
    cache = tmp_path / "cache" / "kdgan" / "cifar10"
    cache.mkdir(parents=True)
    (cache / cifar10.ARCHIVE).write_bytes(b"half")
    check_cifar(load("cifar10"))


def test_a_download_with_another_checksum_is_not_kept(refused, tmp_path, served):
    write_idx(served, packed=True)
    with refused(f"{NAMES[0]}.gz does not have the checksum f68b3c2d", "was not kept", "--data-dir"):
        load("mnist")
    assert kept(tmp_path) == []


def test_a_download_that_fails_says_what_to_do(refused, tmp_path, monkeypatch, served):
    with refused("cannot download http://127.0.0.1", "(HTTP status 404)", "name it with --data-dir"):
        load("cifar10")
    monkeypatch.setattr(cifar10, "CIFAR10_URL", "http://127.0.0.1:9/")
    with refused("cannot download http://127.0.0.1:9/", "(ConnectionError)", "name it with --data-dir"):
        load("cifar10")
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_refused(refused, tmp_path, served):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with refused("cannot store cifar-10-binary.tar.gz in the cache", "--data-dir"):
        load("cifar10")


def test_the_progress_bar_counts_what_comes(monkeypatch, archive):
    seen = []
    monkeypatch.setattr(download.Progress, "update", lambda _, task, **values: seen.append(values))
    load("cifar10")
    size = archive.stat().st_size
    assert seen[-1] == {"total": size, "advance": size}
