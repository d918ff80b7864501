"""MNIST, and any other data set in its IDX form (Y. LeCun, C. Cortes, C. Burges, The MNIST database)."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from kdgan.data.download import fetch
from kdgan.data.files import children, find, missing, places
from kdgan.data.labels import Labels
from kdgan.data.source import Array, Part, Source, assemble, unreadable
from kdgan.errors import wrong

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST_SHA256 = "7793c373db34395fe91e0e9542d9952e57d9a6545eda710b326a6f1a4492b98d"
"""Hash of the published data as they are read, see `kdgan.data.Source.sha256`."""
BELOW = ("mnist", "mnist/raw", "raw")
_CHUNK = 1 << 20


def read_mnist(folder: Path | None = None, *, name: str = "mnist", progress: bool = True) -> Source:
    """The four IDX files as images uint8 `(N, 1, H, W)` with the test part that they give.

    Args:
        folder: where the files are (or a folder `mnist`, `MNIST/raw` or `raw` in it), packed or not. They are
            checked by their structure alone, so any data set in this form will do. None: the MNIST files are
            downloaded once and checked against their published checksums.
        name: the name of the source.
        progress: show a bar while downloading.

    Raises:
        UsageError: for a missing, truncated or otherwise malformed file, or a download that fails.
    """
    if folder is None:
        paths = [fetch(f"{MNIST_URL}{f}.gz", md5, "mnist", progress=progress) for f, md5 in MNIST_MD5.items()]
    else:
        where = places(folder, BELOW)
        paths = [_find(where, file, folder) for file in MNIST_MD5]
    train, test = _read_part(*paths[:2]), _read_part(*paths[2:])
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        sizes = ["x".join(map(str, part.inputs.shape[2:])) for part in (train, test)]
        raise wrong(f"{paths[0]} holds images of {sizes[0]} pixels but {paths[2]} of {sizes[1]}")
    return assemble(name, "image", train, test)


def holds_idx(folder: Path) -> bool:
    """Whether at least one of the four files lies in `folder` itself."""
    return any(name in children(folder) for file in MNIST_MD5 for name in _variants(file))


def read_idx(path: Path, ndim: int) -> Array:
    """The array of unsigned bytes in one IDX file, plain or gzipped (told by its first bytes, not its name).

    Args:
        path: the file.
        ndim: how many dimensions it must have: 3 for images `(N, H, W)`, 1 for labels `(N,)`.

    Raises:
        UsageError: if the file cannot be read, is of another kind, is empty, or is shorter or longer than its
            header says.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _read_content(gzip.GzipFile(fileobj=raw) if packed else raw, path, ndim)
    except EOFError as error:
        raise wrong(f"{path} is truncated: its gzip stream ends too early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise wrong(f"{path} is corrupt: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _read_content(file: io.BufferedIOBase, path: Path, ndim: int) -> Array:
    magic, expected = file.read(4), bytes([0, 0, 8, ndim])
    if magic != expected:
        kind = "images" if ndim == 3 else "labels"
        begin = magic.hex() or "nothing"
        raise wrong(f"{path} is not an IDX file of {kind}: it begins with {begin}, not {expected.hex()}")
    header = file.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise wrong(f"{path} is truncated: it ends within its header")
    shape = struct.unpack(f">{ndim}I", header)
    if 0 in shape:
        raise wrong(f"{path} is empty: its header says {'x'.join(map(str, shape))}")
    size = math.prod(shape)
    # The header may lie about the size: memory grows with what is there, not with what it promises.
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(_CHUNK, size - len(content)))):
        content += chunk
    if len(content) < size:
        raise wrong(f"{path} is truncated: {len(content)} bytes of {size} follow its header")
    if file.read(1):
        raise wrong(f"{path} is longer than the {size} bytes that its header says")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _read_part(images_path: Path, labels_path: Path) -> Part:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise wrong(f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels")
    return Part(images[:, None], Labels.of(labels))


def _variants(file: str) -> tuple[str, ...]:
    dotted = file.replace("-idx", ".idx")
    return file, dotted, f"{file}.gz", f"{dotted}.gz"


def _find(where: list[Path], file: str, folder: Path) -> Path:
    path = find(where, _variants(file))
    if path is None:
        raise missing(f"{file} (or {file}.gz)", folder, BELOW)
    return path
