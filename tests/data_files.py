"""Files of known data sets in small, and what they should be read as."""

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import torch

from kdgan.data import Source, cifar10, idx

NAMES = tuple(idx.MNIST_MD5)
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (6, 5, 4), np.uint8), np.array([3, 7, 3, 7, 7, 3], np.uint8)
CIFAR_FILES = (*cifar10.TRAIN_FILES, *cifar10.TEST_FILES)


def both(source: Source) -> np.ndarray:
    """The inputs of both parts."""
    return torch.cat([source.train.inputs, source.test.inputs]).numpy()


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, mark: str = "-", packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, (IMAGES, LABELS, IMAGES[:2], LABELS[:2]), strict=True):
        content = idx_bytes(array)
        file = name.replace("-idx", f"{mark}idx") + (".gz" if packed else "")
        (folder / file).write_bytes(gzip.compress(content) if packed else content)
    return folder


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


def check_cifar(source: Source) -> None:
    assert source.classes == cifar10.CLASSES
    assert source.train.inputs.shape == (100, 3, 32, 32)
    assert source.test.inputs.shape == (20, 3, 32, 32)
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.targets.tolist() == [*range(10)] * 10
    assert source.train.inputs[:, 0, 5, 7].tolist() == [number for number in range(5) for _ in range(20)]
    assert torch.equal(source.train.inputs[:, 1, 31, 0].long(), source.train.targets)
    assert (source.test.inputs[:, 0] == 5).all()
    assert (source.test.inputs[:, 2] == 255).all()
