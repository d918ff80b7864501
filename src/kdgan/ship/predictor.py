"""What a server says of one request: a student's labels of an image, of rows or of numbers, beside its teacher's."""

from __future__ import annotations

import io
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdgan.data.images import ImageReader, opened
from kdgan.data.table_reader import TableReader
from kdgan.errors import UsageError, wrong
from kdgan.ship.prediction import Featurizer
from kdgan.ship.student import Student
from kdgan.stored import from_json

MOST_ROWS = 1_000
"""Instances of one request."""
MOST_FURTHER = 1_000
"""Columns of a row beside those of training."""
MOST_PIXELS = 50_000_000
"""Pixels of an uploaded image: 200 MB while it is decoded, with transparency."""
MOST_SIDE = 65_535
"""Pixels of its sides, as of a JPEG: each row takes memory of its own, however short it is."""
_SENT = "what was sent"
_LONGEST = 300
"""Characters of what is said about JSON."""


@dataclass(frozen=True, slots=True)
class _Table:
    """The JSON of rows of a table."""

    rows: list[dict[str, str | int | float | bool | None]]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The JSON of inputs as numbers."""

    inputs: list[Any]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A student, and its teacher where there is one, for answers to requests; one at a time.

    Attributes:
        student: says what it takes.
        teacher: of the same inputs, or None.
        title: the teacher in words.
        most_pixels: an image with more is refused by what its header says.
        pixels: of a student of features, what reads the bytes of a photo for the next.
        featurize: of such a student, what computes features.

    Raises:
        UsageError: for a student whose inputs no request can hold.
    """

    student: Student
    teacher: Student | None = None
    title: str = ""
    most_pixels: int = MOST_PIXELS
    pixels: Callable[[bytes], NDArray[np.uint8]] | None = None
    featurize: Featurizer | None = None

    def __post_init__(self) -> None:
        if self.student.shape is None:
            raise wrong("this student takes several tensors, or nobody knows what: it cannot be served")

    @property
    def takes(self) -> Literal["image", "table", "numbers"]:
        """What a request holds."""
        if self.featurize is not None or isinstance(self.student.reader, ImageReader):
            return "image"
        return "numbers" if self.student.reader is None else "table"

    def about(self) -> dict[str, Any]:
        """What is served, as values that JSON can hold."""
        reader, shape = self.student.reader, self.student.shape or ()
        about: dict[str, Any] = {"takes": self.takes}
        if self.takes == "image":
            about["most_pixels"] = self.most_pixels
        elif isinstance(reader, TableReader):
            used = [column for column in reader.columns if column.encoding.width]
            about["columns"] = [
                {
                    "name": column.name,
                    "kind": column.reading.kind,
                    "expected": column.reading.expected,
                    "categories": column.encoding.categories,
                }
                for column in used
            ]
        else:
            about["shape"] = shape
        teacher = None if self.teacher is None else self.title or "teacher"
        return {
            **about,
            "labels": self.student.labels,
            "kind": self.student.kind,
            "student": self.student.network,
            "teacher": teacher,
        }

    def warm(self) -> None:
        """Answers something, so that the first request is not the one for which everything is set up."""
        reader = self.student.reader
        if self.takes == "image":
            file = io.BytesIO()
            Image.new("RGB", (8, 8)).save(file, "PNG")
            self.of_image(file.getvalue(), 1)
        elif isinstance(reader, TableReader):
            row = {column.name: None for column in reader.columns}
            self.of_json(json.dumps({"rows": [row]}).encode(), 1)
        else:
            self._answer(torch.zeros(1, *(self.student.shape or ())), (), 0.0, 1)

    def of_image(self, content: bytes, most: int) -> dict[str, Any]:
        """Labels of the image of which this is the file's content.

        Raises:
            UsageError: for what is no image, is damaged or too large.
        """
        began = time.perf_counter()
        with opened(content, _SENT, most_pixels=self.most_pixels) as image:
            if max(image.size) > MOST_SIDE:
                raise wrong(
                    f"{_SENT} is {image.width}x{image.height} pixels: a side has at most {MOST_SIDE:,}"
                )
            if isinstance(self.student.reader, ImageReader):
                raw = torch.from_numpy(self.student.reader.pixels(image, _SENT)[None])
        if self.featurize is not None and self.pixels is not None:
            raw = torch.as_tensor(self.featurize([self.pixels(content)]))
        return self._answer(raw, (), time.perf_counter() - began, most)

    def of_json(self, content: bytes, most: int) -> dict[str, Any]:
        """Labels of rows, `{"rows": [{"age": 31, ...}]}`, or of inputs as numbers, `{"inputs": [[0.5, ...]]}`.

        Raises:
            UsageError: for anything else.
        """
        began = time.perf_counter()
        reader = self.student.reader
        if isinstance(reader, TableReader):
            rows = _read(content, _Table, '{"rows": [{"column": value, ...}, ...]}').rows
            _check_count(len(rows))
            columns, most_columns = max(map(len, rows)), len(reader.columns) + MOST_FURTHER
            if columns > most_columns:
                raise wrong(f"a row may have at most {most_columns:,} columns, not {columns:,}")
            found, notes = reader.read(rows)
            return self._answer(torch.from_numpy(found), notes, time.perf_counter() - began, most)
        raw = self._numbers(_read(content, _Numbers, '{"inputs": [[number, ...], ...]}').inputs)
        _check_count(len(raw))
        return self._answer(raw, (), time.perf_counter() - began, most)

    def _numbers(self, inputs: list[Any]) -> Tensor:
        """Inputs `(N, ...)`."""
        shape = self.student.shape or ()
        try:
            found = np.array(inputs)
        except (ValueError, OverflowError) as error:  # lists of several lengths
            raise wrong(f"inputs must be numbers of shape (N, {_listed(shape)})") from error
        if found.shape == shape:
            found = found[None]
        if found.shape[1:] != shape or found.dtype.kind not in "iufb":
            raise wrong(
                f"inputs must be numbers of shape (N, {_listed(shape)}), not {found.dtype} {found.shape}"
            )
        with np.errstate(all="ignore"):  # what float32 does not hold is infinite, which the student refuses
            return torch.from_numpy(found.astype(np.float32))

    def _answer(self, raw: Tensor, notes: tuple[str, ...], reading: float, most: int) -> dict[str, Any]:
        found = {**_predicted(self.student, raw, most), "reading_milliseconds": round(1e3 * reading, 3)}
        if self.teacher is not None:
            found["teacher"] = _predicted(self.teacher, raw, most)
        return {**found, "notes": notes}


def _predicted(student: Student, raw: Tensor, most: int) -> dict[str, Any]:
    """Predictions of one player, and how long they took."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a network of one's own, for each request
        found = student.predict(raw, most=most)
    took = time.perf_counter() - began
    predictions = [{"labels": each.labels, "probabilities": each.probabilities} for each in found]
    return {"predictions": predictions, "milliseconds": round(1e3 * took, 3)}


def _read(content: bytes, kind: type[Any], form: str) -> Any:
    try:
        return from_json(content, kind, "the request")
    except UsageError as error:
        said = str(error).partition("something else: ")[2] or str(error)
        raise wrong(f"the body must be JSON such as {form}: {said:.{_LONGEST}}") from error


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_ROWS:
        raise wrong(f"a request may have 1 to {MOST_ROWS:,} instances, not {count:,}")


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
