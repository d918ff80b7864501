"""Instances in their raw form to what a student takes, and its probabilities to ranked labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kdgan.data.forms import Form, as_form, leaves
from kdgan.data.images import ImageReader, Picture
from kdgan.data.table_reader import TableReader
from kdgan.errors import wrong

READ_AT_ONCE = 256
"""Photos whose pixels are in memory together."""
Featurizer: TypeAlias = "Callable[[Sequence[Picture]], Any]"
"""Photos to their features `(N, F)`."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Labels of one instance, the likeliest first.

    Attributes:
        labels: their names.
        probabilities: how likely each is, in the same order; they sum to 1 where an instance has one class.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        """The likeliest."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """How likely that is."""
        return self.probabilities[0]

    def __str__(self) -> str:
        """Such as `cat 93 %  dog 7 %`."""
        pairs = zip(self.labels, self.probabilities, strict=True)
        return "  ".join(f"{label} {100 * chance:.0f} %" for label, chance in pairs)


def raw_inputs(
    inputs: Any,
    *,
    reader: ImageReader | TableReader | None,
    shape: tuple[int, ...] | None,
    featurize: Featurizer | None,
) -> Iterator[Form]:
    """Raw inputs of instances, some at a time.

    Args:
        inputs: the instances in any form, see `kdgan.Student.predict`.
        reader: brings photos, or rows of a table, to raw inputs, or None.
        shape: of one raw input, where it is a single tensor.
        featurize: computes features of photos, or None.
    """
    is_images = isinstance(reader, ImageReader) or featurize is not None
    is_array = isinstance(inputs, np.ndarray | Tensor)
    if inputs is None:
        raise wrong("there is nothing to predict: inputs is None")
    is_grey = isinstance(reader, ImageReader) and reader.mode == "L"
    if is_grey and is_array and inputs.ndim == 3 and tuple(inputs.shape[1:]) == (shape or ())[1:]:
        inputs = inputs[
            :, None
        ]  # grey images (N, H, W) of the student's size, no photo of three or four colours
    if isinstance(reader, TableReader) and not is_array:
        found, notes = reader.read(inputs)
        for note in notes:
            warnings.warn(note, stacklevel=4)
        yield torch.from_numpy(found)
        return
    if is_images and not (is_array and inputs.ndim == 4):
        one = is_array or isinstance(inputs, str | Path | bytes | Image.Image)
        pictures = [inputs] if one else list(inputs)
        for start in range(0, len(pictures), READ_AT_ONCE):
            some = pictures[start : start + READ_AT_ONCE]
            if featurize is not None:
                yield torch.as_tensor(featurize(some))
            else:
                assert isinstance(reader, ImageReader)
                yield reader.read(some)
        return
    form = as_form(inputs, "inputs", _tensor)
    if any(leaf.is_complex() for leaf in leaves(form)):
        raise wrong("this student takes real numbers, not complex ones")
    if shape is not None and isinstance(form, Tensor) and tuple(form.shape) == shape:
        form = form.unsqueeze(0)
    yield form


def _tensor(part: Any) -> Tensor:
    try:
        return torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise wrong(
            f"this student takes arrays (N, ...) as it was trained with, and {type(part).__name__} is none"
        ) from error


def ranked(labels: Sequence[str], chances: Tensor, most: int | None) -> list[Prediction]:
    """The labels of each instance by their probabilities `(N, K)`; equal ones in their own order."""
    values, places = chances.cpu().sort(dim=1, descending=True, stable=True)
    return [
        Prediction(tuple(labels[place] for place in row[:most]), tuple(likely[:most]))
        for row, likely in zip(places.tolist(), values.tolist(), strict=True)
    ]
