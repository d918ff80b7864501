"""CIFAR-10 in its binary form (A. Krizhevsky, Learning Multiple Layers of Features, 2009)."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from kdgan.data.download import fetch
from kdgan.data.files import children, find, missing, places
from kdgan.data.labels import Labels
from kdgan.data.source import Part, Source, assemble, unreadable
from kdgan.errors import wrong

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BELOW = ("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin")
RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane


def read_cifar10(folder: Path | None = None, *, name: str = "cifar10", progress: bool = True) -> Source:
    """The six batches as images uint8 `(N, 3, 32, 32)` with the test part that they give.

    Args:
        folder: where the batches, or the archive as published, are (or a folder `cifar10` or
            `cifar-10-batches-bin` in it). They are checked by their structure alone. None: the archive is
            downloaded once and checked against its published checksum.
        name: the name of the source.
        progress: show a bar while downloading.

    Raises:
        UsageError: for a missing, truncated or otherwise malformed file, or a download that fails.
    """
    if folder is None:
        batches = _from_archive(fetch(CIFAR10_URL + ARCHIVE, ARCHIVE_MD5, "cifar10", progress=progress))
    else:
        batches = _from_folder(folder)
    train, test = _join(batches, TRAIN_FILES), _join(batches, TEST_FILES)
    return assemble(name, "image", train, test, label_name=CLASSES.__getitem__)


def holds_cifar10(folder: Path) -> bool:
    """Whether at least one of the batches, or the archive, lies in `folder` itself."""
    return not children(folder).keys().isdisjoint((*TRAIN_FILES, *TEST_FILES, ARCHIVE))


def _from_folder(folder: Path) -> dict[str, bytes]:
    where = places(folder, BELOW)
    paths = {file: find(where, (file,)) for file in TRAIN_FILES + TEST_FILES}
    archive = find(where, (ARCHIVE,))
    if archive is not None and not any(paths.values()):
        return _from_archive(archive)
    batches = {}
    for file, path in paths.items():
        if path is None:
            raise missing(file, folder, BELOW)
        try:
            batches[file] = path.read_bytes()
        except OSError as error:
            raise unreadable(path, error) from error
    return batches


def _from_archive(archive: Path) -> dict[str, bytes]:
    # Read in place, in one pass: nothing is unpacked, so no half-unpacked batch can be taken for a whole one.
    batches = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                file = member.name.rsplit("/", 1)[-1]
                wanted = file in TRAIN_FILES + TEST_FILES and member.isfile()  # a link may lead anywhere
                content = tar.extractfile(member) if wanted else None
                if content is not None:
                    batches[file] = content.read()
    except Exception as error:  # of any kind: the file may hold anything
        raise wrong(f"{archive} cannot be read as a .tar.gz archive: {error}") from error
    for file in TRAIN_FILES + TEST_FILES:
        if file not in batches:
            raise wrong(f"{file} is missing in {archive}")
    return batches


def _join(batches: dict[str, bytes], files: tuple[str, ...]) -> Part:
    """The records of the files; each batch is let go once copied, so that there are never two full copies."""
    for file in files:
        if len(batches[file]) % RECORD or not batches[file]:
            raise wrong(f"{file} has {len(batches[file])} bytes, not a multiple of the {RECORD} of one image")
    count = sum(len(batches[file]) for file in files) // RECORD
    images, labels = np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.uint8)
    start = 0
    for file in files:
        records = np.frombuffer(batches.pop(file), np.uint8).reshape(-1, RECORD)
        beyond = np.flatnonzero(records[:, 0] >= len(CLASSES))
        if len(beyond):
            label = records[beyond[0], 0]
            raise wrong(f"{file}: image {beyond[0] + 1} has the label {label}, not one of 0 to 9")
        stop = start + len(records)
        images[start:stop] = records[:, 1:].reshape(-1, 3, 32, 32)
        labels[start:stop] = records[:, 0]
        start = stop
    return Part(images, Labels.of(labels))
