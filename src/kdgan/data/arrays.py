"""Arrays of one's own in a NumPy `.npz` file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from kdgan.data.cells import LARGEST
from kdgan.data.labels import Labels
from kdgan.data.source import Array, Part, Source, assemble, check_finite, listing, unreadable
from kdgan.errors import wrong

# The name of an array, and the short name that is understood as well.
INPUTS, TARGETS = ("inputs", "x"), ("targets", "y")
PARTS = ("", "test_", "validation_")
"""What the names of a part's arrays begin with."""
NAMES = (
    *(*INPUTS, *TARGETS, "privileged"),
    *(prefix + array for prefix in PARTS[1:] for array in ("inputs", "targets", "privileged")),
)


def read_npz(path: Path, *, name: str) -> Source:
    """The arrays of an `.npz` file.

    The file holds `inputs` (or `x`) and `targets` (or `y`), and may hold `privileged`. With `test_inputs`,
    `test_targets` and perhaps `test_privileged` it gives its own test part, and then perhaps a validation part
    likewise; otherwise a fixed stratified fifth becomes the test part.

    - Images are uint8 `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)` with C 1 or 3; a floating type with
      values in 0..1 is scaled to 0..255.
    - Vectors are numbers `(N, F)`; privileged values are numbers `(N, P)`.
    - Targets are numbers or text `(N,)`. Classes are what occurs, in ascending order. What stands for no label, such
      as -1, see `kdgan.data.labels.have_labels`.

    Raises:
        UsageError: for a file that is damaged, is not an `.npz` file or holds pickled objects, a missing or
            unknown array, a shape or type other than those above, and NaN or infinite numbers.
    """
    arrays = _load(path, name)
    unknown = [key for key in arrays if key not in NAMES]
    if unknown:
        raise wrong(f"{name}: unknown array {listing(unknown)}: the known names are {listing(NAMES)}")
    given = [prefix for prefix in PARTS if not prefix or any(key.startswith(prefix) for key in arrays)]
    if "validation_" in given and "test_" not in given:
        raise wrong(
            f"{name} holds validation_inputs and no test_inputs: name the part that is measured test_"
        )
    parts = {prefix: _part(arrays, name, prefix) for prefix in given}
    train, kind = parts[""]
    for prefix, (part, part_kind) in parts.items():
        if part_kind != kind or part.inputs.shape[1:] != train.inputs.shape[1:]:
            raise wrong(
                f"{name}: {prefix}inputs holds {part_kind}s of shape {part.inputs.shape[1:]}, "
                f"but inputs {kind}s of shape {train.inputs.shape[1:]}"
            )
        widths = [None if p.privileged is None else p.privileged.shape[1] for p in (train, part)]
        if widths[0] != widths[1]:
            found = ["no array" if width is None else f"{width} columns" for width in widths]
            raise wrong(f"{name}: privileged has {found[0]} but {prefix}privileged has {found[1]}")
        if _is_text(train.labels) != _is_text(part.labels):
            raise wrong(f"{name}: of targets and {prefix}targets one holds text and the other numbers")
    return assemble(name, kind, *(part for part, _ in parts.values()))


def read_inputs(path: Path, *, name: str) -> tuple[Part, Literal["image", "vector"]]:
    """`inputs` and, if there is, `privileged` of an `.npz` file as examples without labels, and what kind they are.

    Raises:
        UsageError: as `read_npz` does for these arrays.
    """
    arrays = _load(path, name)
    key, inputs = _pick(arrays, list(INPUTS), name)
    return _examples(arrays, name, "", key, Labels.of(np.full(inputs.shape[:1], None, dtype=object)))


def read_npy(path: Path) -> Array:
    """The array in a `.npy` file, mapped into memory: nothing is allocated for what its header promises.

    Raises:
        UsageError: for a file that is damaged, holds pickled objects, or is none.
    """
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # of any kind: the file may hold anything
        raise wrong(f"{path} cannot be read as an array ({error or type(error).__name__})") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise wrong(f"{path} holds several arrays, as an .npz file does, and one was expected")
    return found


def _load(path: Path, name: str) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            packed = zipfile.is_zipfile(file)
            file.seek(0)
            arrays = _arrays(file) if packed else {}
    except OSError as error:
        raise unreadable(name, error) from error
    except Exception as error:  # of any kind: the file may hold anything
        if "allow_pickle" in str(error):
            raise wrong(
                f"{name} holds pickled objects, which are never read: save numbers or text"
            ) from error
        raise wrong(f"{name} is damaged: {error or type(error).__name__}") from error
    if not packed:
        raise wrong(f"{name} is not an .npz file: it is damaged, or something else under that name")
    return arrays


def _arrays(file: IO[bytes]) -> dict[str, Array]:
    # Never pickle: an array of objects could run any code while it is read.
    with np.load(file, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    odd = [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]
    if odd:
        raise ValueError(f"{odd[0]} is no array")
    return arrays


def _part(arrays: dict[str, Array], name: str, prefix: str) -> tuple[Part, Literal["image", "vector"]]:
    both = [_pick(arrays, [prefix + key for key in keys], name) for keys in (INPUTS, TARGETS)]
    (inputs_key, inputs), (targets_key, labels) = both
    _check_length(name, inputs_key, inputs, targets_key, labels)
    return _examples(arrays, name, prefix, inputs_key, Labels.of(_labels(labels, f"{name}: {targets_key}")))


def _examples(
    arrays: dict[str, Array], name: str, prefix: str, inputs_key: str, labels: Labels
) -> tuple[Part, Literal["image", "vector"]]:
    inputs, key = arrays[inputs_key], f"{prefix}privileged"
    privileged = arrays.get(key)
    if privileged is not None:
        _check_length(name, inputs_key, inputs, key, privileged)
        privileged = _vectors(privileged, f"{name}: {key}")
    if inputs.ndim in (3, 4):
        return Part(_images(inputs, f"{name}: {inputs_key}"), labels, privileged), "image"
    return Part(_vectors(inputs, f"{name}: {inputs_key}"), labels, privileged), "vector"


def _check_length(name: str, key: str, inputs: Array, other: str, array: Array) -> None:
    if array.shape[:1] != inputs.shape[:1]:
        raise wrong(f"{name}: {key} has shape {inputs.shape} but {other} {array.shape}: unequal lengths")


def _pick(arrays: dict[str, Array], keys: list[str], name: str) -> tuple[str, Array]:
    found = [key for key in keys if key in arrays]
    if len(found) != 1:
        problem = f"both {keys[0]!r} and {keys[1]!r}" if found else f"no array {keys[0]!r}"
        raise wrong(f"{name} holds {problem}: what it holds is {listing(arrays)}")
    return found[0], arrays[found[0]]


def _labels(labels: Array, where: str) -> Array:
    if labels.ndim != 1 or labels.dtype.kind not in "iubfU":
        raise wrong(f"{where} must be numbers or text of shape (N,), not {labels.dtype} {labels.shape}")
    if labels.dtype.kind not in "iu":
        return labels
    # One type for all parts, in which labels stay apart: NumPy would join int64 and uint64 to floating numbers.
    return labels.astype(object if labels.size and labels.max() > np.iinfo(np.int64).max else np.int64)


def _is_text(labels: Labels) -> bool:
    return labels.values.dtype.kind == "U"


def _vectors(values: Array, where: str) -> Array:
    if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "iubf":
        raise wrong(f"{where} must be numbers of shape (N, F), or images, not {values.dtype} {values.shape}")
    numbers = values.astype(np.float64)
    check_finite(where, numbers)
    if (np.abs(numbers) > LARGEST).any():
        raise wrong(f"{where} must hold numbers up to {LARGEST:g}, and holds {np.abs(numbers).max():g}")
    if values.dtype.kind in "iu" and (numbers.astype(values.dtype) != values).any():
        raise wrong(
            f"{where} holds whole numbers above 2^53, which double precision cannot tell apart: take something from all"
        )
    return numbers


def _images(values: Array, where: str) -> Array:
    if values.ndim == 3:
        values = values[:, None]
    else:
        first, last = values.shape[1] in (1, 3), values.shape[3] in (1, 3)
        if first == last:
            problem = "it is not clear which axis is" if first else "none of the axes is"
            raise wrong(f"{where} has the shape {values.shape}: {problem} the one of 1 or 3 colours")
        values = np.moveaxis(values, 3, 1) if last else values
    if 0 in values.shape[1:]:
        raise wrong(f"{where} holds images without pixels: {values.shape}")
    if values.dtype == np.uint8:
        return values
    # A comparison with NaN is false, so NaN is refused here as well.
    if values.dtype.kind != "f" or not bool(np.all((values >= 0) & (values <= 1))):
        raise wrong(
            f"{where} holds images that are neither uint8 nor numbers from 0 to 1, but {values.dtype}"
        )
    pixels: Array = np.rint(values * 255).astype(np.uint8)
    return pixels
