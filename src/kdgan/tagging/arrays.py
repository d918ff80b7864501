"""Features, tags and scores as numpy arrays, checked once for every part of this room."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kdgan.errors import UsageError

Array: TypeAlias = NDArray[Any]
Part = TypeVar("Part")


def matrix(values: ArrayLike | torch.Tensor, what: str) -> Array:
    """`values` as an array of two dimensions, neither of them empty; torch tensors of any device will do.

    Raises:
        UsageError: naming `what`, for any other shape, or values that are neither numbers nor truth values.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise UsageError(f"{what} cannot be made an array: {error}") from error
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "biuf":
        raise UsageError(
            f"{what} must hold one row of numbers per image, at least one of each; "
            f"got shape {array.shape} of {array.dtype}"
        )
    return array


def as_features(values: ArrayLike | torch.Tensor, what: str = "features", width: int | None = None) -> Array:
    """`values` as float32 `(N, F)`.

    Raises:
        UsageError: for another shape, a width other than `width`, or numbers that float32 cannot hold.
    """
    array = matrix(values, what)
    if width is not None and array.shape[1] != width:
        raise UsageError(
            f"{what} have {array.shape[1]} columns; expected {width}, as those that were fitted have"
        )
    with np.errstate(over="ignore"):  # see below
        array = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(array).all(1)
    if bad.any():
        raise UsageError(f"{what} of image {bad.argmax()} hold NaN, infinite or too large numbers")
    return array


def as_tags(values: ArrayLike | torch.Tensor, rows: int, of: str = "features") -> Array:
    """`values` as bool `(N, K)`: which of K tags each of N images has; zeros and ones will do.

    Raises:
        UsageError: for another shape, other than `rows` rows, or other values.
    """
    array = matrix(values, "tags")
    if len(array) != rows:
        raise UsageError(f"tags are of {len(array)} images and {of} of {rows}: both need one row per image")
    if array.dtype != bool:
        bad = ((array != 0) & (array != 1)).any(1)
        if bad.any():
            raise UsageError(
                f"tags of image {bad.argmax()} hold other values than 0 and 1 (or False and True)"
            )
    return array.astype(bool)


def training(features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> tuple[Array, Array]:
    """Training data of a baseline: float32 `(N, F)` and bool `(N, K)` of the same N images, at least two.

    Raises:
        UsageError: for anything else, or where no image has a tag.
    """
    images = as_features(features)
    names = as_tags(tags, len(images))
    if len(images) < 2:
        raise UsageError("one image is too few to learn from: expected two at least")
    if not names.any():
        raise UsageError("no image has a tag: there is nothing to learn")
    return images, names


def at_least(name: str, value: float, least: float) -> None:
    """Refuse an option that is below what makes sense.

    Raises:
        UsageError: naming the option, its value and the least that is allowed.
    """
    if not value >= least:
        raise UsageError(f"{name} {value}: expected {least} or more")


def above(name: str, value: float, least: float) -> None:
    """As `at_least`, where the least itself makes no sense either."""
    if not value > least:
        raise UsageError(f"{name} {value}: expected a number above {least}")


def fitted(part: Part | None, owner: object) -> Part:
    """`part` of a baseline, which is None before `fit`.

    Raises:
        UsageError: where it is None.
    """
    if part is None:
        raise UsageError(f"{type(owner).__name__} has learned nothing yet: call fit(features, tags) first")
    return part
