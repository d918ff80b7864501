"""Arrays of one's own in `.npz` files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from data_files import both
from kdgan.data.arrays import read_npy
from kdgan.data.reading import load
from support import refused

VECTORS = np.arange(20, dtype=np.float64).reshape(10, 2)
LABELS = np.array([0, 1] * 5)


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path / "mine.npz", **arrays)
    return path / "mine.npz"


def test_vectors_are_read_from_npz(tmp_path: Path) -> None:
    source = load(npz(tmp_path, inputs=VECTORS, targets=LABELS, privileged=VECTORS.astype(np.int16) * 2))
    assert (source.name, source.kind, source.classes) == ("mine.npz", "vector", ("0", "1"))
    assert source.train.inputs.dtype == source.train.privileged.dtype == torch.float64
    assert sorted(both(source)[:, 0].tolist()) == VECTORS[:, 0].tolist()
    assert torch.equal(source.train.privileged, source.train.inputs * 2)
    assert torch.equal(source.test.privileged, source.test.inputs * 2)
    assert torch.equal(source.train.targets, source.train.inputs[:, 0].long() // 2 % 2)


def test_npz_may_give_its_own_test_part_and_text_labels(tmp_path: Path) -> None:
    file = npz(
        tmp_path, x=VECTORS, y=np.array(["no", "yes"] * 5), test_x=VECTORS[:3] + 1, test_y=["no", "yes", "no"]
    )
    with np.load(file) as archive:
        held = dict(archive)
    names = {"test_x": "test_inputs", "test_y": "test_targets"}
    source = load(npz(tmp_path, **{names.get(key, key): array for key, array in held.items()}))
    assert source.classes == ("no", "yes")
    assert np.array_equal(source.train.inputs.numpy(), VECTORS)
    assert np.array_equal(source.test.inputs.numpy(), VECTORS[:3] + 1)
    assert source.test.targets.tolist() == [0, 1, 0]
    assert source.train.privileged is None


@pytest.mark.parametrize("order", ["big-endian", "fortran", "bool"])
def test_unusual_layouts_of_vectors_are_read(tmp_path: Path, order: str) -> None:
    inputs = {
        "big-endian": VECTORS.astype(">f4"),
        "fortran": np.asfortranarray(VECTORS),
        "bool": VECTORS > 3,
    }[order]
    source = load(
        npz(tmp_path, inputs=inputs, targets=LABELS.astype(">i2"), test_inputs=inputs, test_targets=LABELS)
    )
    assert np.array_equal(source.train.inputs.numpy(), inputs.astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7, 6), (1, 7, 6)),
        ((7, 6, 1), (1, 7, 6)),
        ((7, 6, 3), (3, 7, 6)),
        ((1, 7, 6), (1, 7, 6)),
        ((3, 7, 6),) * 2,
    ],
)
@pytest.mark.parametrize("floating", [True, False])
def test_images_are_read_from_npz(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...], floating: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, *shape), np.uint8)
    stored = (images / 255).astype(np.float32) if floating else images
    source = load(
        npz(tmp_path, inputs=stored, targets=LABELS, test_inputs=stored[:2], test_targets=LABELS[:2])
    )
    assert source.kind == "image"
    assert source.train.inputs.dtype == torch.uint8
    planes = images.transpose(0, 3, 1, 2) if shape[-1] in (1, 3) else images
    assert np.array_equal(source.train.inputs.numpy(), planes.reshape(10, *expected))
    assert source.test.inputs.shape == (2, *expected)


NAN, HUGE = VECTORS.copy(), VECTORS.copy()


NAN[3, 1] = np.nan


HUGE[4, 0] = 1e300


IMAGES = np.zeros((10, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"targets": LABELS}, "mine.npz holds no array 'inputs': what it holds is 'targets'"),
        ({"inputs": VECTORS}, "mine.npz holds no array 'targets'"),
        ({"inputs": VECTORS, "x": VECTORS, "y": LABELS}, "mine.npz holds both 'inputs' and 'x'"),
        ({"x": VECTORS, "y": LABELS, "z": LABELS}, "mine.npz: unknown array 'z': the known names are"),
        ({"x": VECTORS, "y": LABELS[:9]}, "x has shape (10, 2) but y (9,): unequal lengths"),
        ({"x": VECTORS, "y": LABELS, "privileged": VECTORS[:9]}, "but privileged (9, 2): unequal lengths"),
        (
            {"x": VECTORS, "y": np.eye(10)},
            "mine.npz: y must be numbers or text of shape (N,), not float64 (10, 10)",
        ),
        ({"x": VECTORS, "y": LABELS * np.nan}, "mine.npz: no example has a label"),
        ({"x": VECTORS, "y": np.arange(10) * 0.5}, "10 of 10 labels ('0.0', '0.5', '1.0' and 7 more) have"),
        ({"x": (VECTORS + 2**53 + 1).astype(np.uint64) + 1, "y": LABELS}, "whole numbers above 2^53"),
        (
            {"x": VECTORS, "y": LABELS, "validation_inputs": VECTORS},
            "holds validation_inputs and no test_inputs",
        ),
        (
            {"x": VECTORS[:, 0], "y": LABELS},
            "x must be numbers of shape (N, F), or images, not float64 (10,)",
        ),
        ({"x": VECTORS * 1j, "y": LABELS}, "not complex128 (10, 2)"),
        ({"x": VECTORS[:, :0], "y": LABELS}, "not float64 (10, 0)"),
        ({"x": np.array(5), "y": LABELS}, "unequal lengths"),
        ({"x": NAN, "y": LABELS}, "mine.npz: x holds NaN in row 4, column 2 (counted from 1)"),
        ({"x": HUGE, "y": LABELS}, "x must hold numbers up to 1e+100, and holds 1e+300"),
        ({"x": VECTORS, "y": LABELS, "privileged": NAN}, "privileged holds NaN in row 4, column 2"),
        ({"x": VECTORS[:0], "y": LABELS[:0]}, "mine.npz: the training part has no examples"),
        ({"x": IMAGES.astype(int), "y": LABELS}, "neither uint8 nor numbers from 0 to 1, but int64"),
        ({"x": IMAGES + 1.5, "y": LABELS}, "neither uint8 nor numbers from 0 to 1, but float64"),
        ({"x": IMAGES * np.nan, "y": LABELS}, "neither uint8 nor numbers from 0 to 1"),
        (
            {"x": np.zeros((10, 4, 4, 2), np.uint8), "y": LABELS},
            "none of the axes is the one of 1 or 3 colours",
        ),
        ({"x": np.zeros((10, 3, 4, 3), np.uint8), "y": LABELS}, "it is not clear which axis is the one of"),
        ({"x": IMAGES[:, :0], "y": LABELS}, "holds images without pixels: (10, 1, 0, 4)"),
        ({"x": VECTORS, "y": LABELS, "test_inputs": VECTORS}, "holds no array 'test_targets'"),
        ({"x": VECTORS, "y": LABELS, "test_privileged": VECTORS}, "holds no array 'test_inputs'"),
        (
            {"x": VECTORS, "y": LABELS, "test_inputs": IMAGES, "test_targets": LABELS},
            "mine.npz: test_inputs holds images of shape (1, 4, 4), but inputs vectors of shape (2,)",
        ),
        (
            {
                "x": VECTORS,
                "y": LABELS,
                "privileged": VECTORS,
                "test_inputs": VECTORS,
                "test_targets": LABELS,
            },
            "privileged has 2 columns but test_privileged has no array",
        ),
        (
            {"x": VECTORS, "y": LABELS, "test_inputs": VECTORS, "test_targets": LABELS.astype(str)},
            "of targets and test_targets one holds text and the other numbers",
        ),
    ],
)
def test_npz_files_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    with refused(message):
        load(npz(tmp_path, **arrays))


def test_damaged_npz_files_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path, x=VECTORS, y=LABELS)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:100]):
        path.write_bytes(content)
        with refused("mine.npz is not an .npz file: it is damaged, or something else under that name"):
            load(path)
    path.write_bytes(whole[:150] + b"\xff" * 20 + whole[170:])
    with refused("mine.npz is damaged: "):
        load(path)
    huge = whole.replace(b"(10, 2)", b"(9**9,2)"[:7])
    path.write_bytes(huge)
    with refused("mine.npz is damaged: "):
        load(path)


class Boom:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.abort, ()


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path) -> None:
    path = npz(tmp_path, x=VECTORS, y=np.array([Boom()] * 10, dtype=object))
    with refused("mine.npz holds pickled objects, which are never read: save numbers or text"):
        load(path)


@pytest.mark.parametrize("shape", [(10**12, 4), (10**30, 4), (-3, 4)])
def test_a_header_that_promises_more_than_the_file_holds_is_refused_without_memory_for_it(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with refused("x.npy", "cannot be read as an array"):
        read_npy(path)


def test_an_array_is_read_from_npy_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, VECTORS)
    assert np.array_equal(read_npy(path), VECTORS)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with refused("x.npy", "cannot be read as an array"):
        read_npy(path)
    with path.open("wb") as file:
        np.savez(file, inputs=VECTORS)
    with refused("x.npy", "several arrays"):
        read_npy(path)
