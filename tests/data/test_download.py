"""Downloads, from a server on this machine."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pooch
import pytest

from data_files import IMAGES, NAMES, check_cifar, write_archive, write_idx
from kdgan.data import cifar10, download, idx
from kdgan.data.reading import load
from support import refused


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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
def archive(served: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_archive(served / cifar10.ARCHIVE)
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", md5(path))
    return path


def test_mnist_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_idx(served, packed=True)
    monkeypatch.setattr(idx, "MNIST_MD5", {name: md5(served / f"{name}.gz") for name in NAMES})
    assert np.array_equal(load("mnist").train.inputs.numpy(), IMAGES[:, None])
    assert kept(tmp_path) == sorted(f"{name}.gz" for name in NAMES)
    for path in served.iterdir():
        path.unlink()
    assert load("mnist", progress=False).classes == ("3", "7")
    assert capfd.readouterr() == ("", "")


def test_cifar_is_downloaded_and_read_without_unpacking(tmp_path: Path, archive: Path) -> None:
    check_cifar(load("cifar10"))
    assert kept(tmp_path) == [cifar10.ARCHIVE]


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path: Path, archive: Path) -> None:
    cache = tmp_path / "cache" / "kdgan" / "cifar10"
    cache.mkdir(parents=True)
    (cache / cifar10.ARCHIVE).write_bytes(b"half")
    check_cifar(load("cifar10"))


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path, served: Path) -> None:
    write_idx(served, packed=True)
    with refused(f"{NAMES[0]}.gz does not have the checksum f68b3c2d", "was not kept", "--data-dir"):
        load("mnist")
    assert kept(tmp_path) == []


def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Path
) -> None:
    with refused("cannot download http://127.0.0.1", "(HTTP status 404)", "name it with --data-dir"):
        load("cifar10")
    monkeypatch.setattr(cifar10, "CIFAR10_URL", "http://127.0.0.1:9/")
    with refused("cannot download http://127.0.0.1:9/", "(ConnectionError)", "name it with --data-dir"):
        load("cifar10")
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, served: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with refused("cannot store cifar-10-binary.tar.gz in the cache", "--data-dir"):
        load("cifar10")


def test_the_progress_bar_counts_what_comes(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    seen: list[dict[str, int]] = []
    monkeypatch.setattr(download.Progress, "update", lambda _, task, **values: seen.append(values))
    load("cifar10")
    size = archive.stat().st_size
    assert seen[-1] == {"total": size, "advance": size}
