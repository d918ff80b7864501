"""The raw form of a student's inputs, as tensors that a file of another format takes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.errors import wrong
from kdgan.ship.student import Student

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Raw inputs by name, `(N, ...)` each."""
ABSENT = -1
"""Code of a category that training did not hold, and of none."""


@dataclass(frozen=True, slots=True)
class RawInput:
    """One of the tensors in which a student's raw inputs lie.

    Attributes:
        name: `pixels`, `numbers`, `categories`, `features` or `inputs`.
        dtype: as NumPy calls it; `str` for texts.
        shape: of one instance.
        about: what it holds, for people.
        columns: of a table, in their order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    about: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawForm:
    """How instances of a student look before anything is done to them.

    Images are pixels in bytes. Of a table, numbers are one tensor with NaN for what is missing, and categories another:
    texts or, where a format has no texts, their places in `codes`. All others are the numbers that the student takes.

    Args:
        student: whose inputs are a single tensor.

    Raises:
        UsageError: if they are not, or nobody knows their shape.
    """

    student: Student

    def __post_init__(self) -> None:
        if self.student.shape is None:
            raise wrong(
                "this student takes no single tensor of a known shape, and only such can be exported: "
                "give it a shape, Student(..., shape=(F,))"
            )

    @cached_property
    def inputs(self) -> tuple[RawInput, ...]:
        """The tensors, in their order."""
        shape, reader = self.student.shape or (), self.student.reader
        if isinstance(reader, ImageReader):
            about = f"pixels 0 to 255, {reader.mode}, upright, transparency on white"
            return (RawInput("pixels", "uint8", shape, about),)
        if not isinstance(reader, TableReader):
            name = "features" if len(shape) == 1 else "inputs"
            dtype = "float32" if self.student.scale is None else str(self.student.scale.mean.numpy().dtype)
            return (RawInput(name, dtype, shape, "as in training, before they are scaled"),)
        found = []
        numbers, texts = (tuple(each.name for each in some) for some in (self.numbers, self.categories))
        if numbers:
            about = "numbers, true as 1, dates as days since 1970-01-01; NaN where there is none"
            found.append(RawInput("numbers", "float64", (len(numbers),), about, numbers))
        if texts:
            about = "texts without spaces around them; any that training did not hold where there is none"
            found.append(RawInput("categories", "str", (len(texts),), about, texts))
        return tuple(found)

    @cached_property
    def numbers(self) -> list[TableColumn]:
        """The columns of numbers."""
        return self._columns("numbers")

    @cached_property
    def categories(self) -> list[TableColumn]:
        """The columns of categories."""
        return self._columns("categories")

    def _columns(self, kind: str) -> list[TableColumn]:
        reader = self.student.reader
        known = reader.columns if isinstance(reader, TableReader) else ()
        return [column for column in known if column.encoding.kind == kind]

    @cached_property
    def codes(self) -> dict[str, int]:
        """Each category of any column and its code."""
        texts = dict.fromkeys(text for column in self.categories for text in column.encoding.categories)
        return {text: code for code, text in enumerate(texts)}

    def of(self, inputs: Tensor) -> Arrays:
        """Raw inputs that become `inputs` `(N, ...)`, what the student is called with."""
        first = self.inputs[0]
        if isinstance(self.student.reader, ImageReader):
            pixels = inputs if inputs.dtype == torch.uint8 else (inputs * 255).round().clamp(0, 255).byte()
            return {first.name: pixels.numpy()}
        if not isinstance(self.student.reader, TableReader):
            return {first.name: inputs.numpy().astype(first.dtype)}
        return self._of_rows(inputs.numpy())

    def _of_rows(self, inputs: NDArray[Any]) -> Arrays:
        assert isinstance(self.student.reader, TableReader)
        found: dict[str, list[Any]] = {each.name: [] for each in self.inputs}
        start = 0
        for column in self.student.reader.columns:
            encoding = column.encoding
            block = inputs[:, start : start + encoding.width]
            start += encoding.width
            if encoding.kind == "numbers":
                absent = block[:, -1] > 0.5 if encoding.marks_missing else np.zeros(len(block), bool)
                found["numbers"].append(np.where(absent, np.nan, block[:, 0]))
            elif encoding.kind == "categories":
                texts = np.array([*encoding.categories, self._unknown()], dtype=object)
                places = np.where(block.max(1) > 0.5, block.argmax(1), len(texts) - 1)
                found["categories"].append(texts[places])
        return {name: np.stack(columns, 1) for name, columns in found.items()}

    def _unknown(self) -> str:
        """A text that is no category."""
        text = ""
        while text in self.codes:
            text += "?"
        return text

    def coded(self, raw: Mapping[str, NDArray[Any]]) -> tuple[Tensor, ...]:
        """Raw inputs as tensors: categories as their codes."""
        found = dict(raw)
        if "categories" in found:
            codes = [[self.codes.get(text, ABSENT) for text in row] for row in found["categories"]]
            found["categories"] = np.array(codes, np.int64).reshape(found["categories"].shape)
        return tuple(torch.from_numpy(np.ascontiguousarray(found[each.name])) for each in self.inputs)

    def plausible(self, count: int, seed: int = 0) -> Tensor:
        """Inputs `(count, ...)` of the range of those of training, where these are not at hand."""
        draw = np.random.default_rng(seed)
        shape = (count, *(self.student.shape or ()))
        scale = self.student.scale or Scale(torch.zeros(()), torch.ones(()))
        if isinstance(self.student.reader, ImageReader):
            return torch.from_numpy(draw.integers(0, 256, shape, np.uint8))
        spread = torch.from_numpy(draw.standard_normal(shape)).to(scale.mean.dtype)
        inputs = scale.mean + scale.std * spread
        if not isinstance(self.student.reader, TableReader):
            return inputs
        blocks, start = [], 0
        for column in self.student.reader.columns:
            encoding = column.encoding
            if encoding.kind == "numbers":
                numbers = inputs[:, start].double().numpy()
                values = np.where(draw.random(count) < 0.1, np.nan, numbers)
            else:
                texts = np.array([*encoding.categories, None], dtype=object)
                values = texts[draw.integers(0, len(texts), count)]
            blocks.append(encoding.inputs(values))
            start += encoding.width
        return torch.from_numpy(np.concatenate(blocks, 1))


def on_cpu(student: Student) -> Student:
    """The student with a copy of its module on the CPU; itself where that is where it is."""
    if all(each.device.type == "cpu" for each in (*student.module.parameters(), *student.module.buffers())):
        return student
    return replace(student, module=copy.deepcopy(student.module).to("cpu"))
