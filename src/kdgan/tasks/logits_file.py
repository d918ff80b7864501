"""A file of the logits of a teacher: plain safetensors, mapped into memory, which says of which examples it is.

It holds `logits` (N, K'), what the teacher gave, and `examples` (N, 2), a number for the inputs of each example and one
for what is privileged of it, 0 where nothing is. A file that is being written, `.NAME.part`, has its full size, and 0
for the inputs of those examples that are still to come.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kdgan.data.batch import Batch
from kdgan.data.forms import Form, Pieces, leaves
from kdgan.errors import wrong
from kdgan.stored import from_json
from kdgan.training.answers import Gives, Reading
from kdgan.training.class_map import ClassMap
from kdgan.training.faces import Places

_NOTE = "kdgan.teach"
_PLACE = 64
"""Numbers begin at a multiple of it."""


class Part(TypedDict):
    """What one of several teachers gave: in how many columns, of which classes."""

    gives: Gives
    names: list[int | float | str | bool] | None
    width: int


class Note(TypedDict):
    """What a file says of itself: which teacher was asked, and how its numbers are read."""

    teacher: str
    parts: list[Part]


def numbers_of(form: Form | None, count: int) -> NDArray[np.int64]:
    """A number from 1 to 2⁴⁸ for each example, from all that is in it; 0 for nothing."""
    if form is None:
        return np.zeros(count, np.int64)
    if isinstance(form, Pieces):
        return np.concatenate([numbers_of(piece, len(leaves(piece)[0])) for piece in form])
    if isinstance(form, dict):
        form = dict(sorted(form.items()))  # in whatever order they are given
    names = list(form) if isinstance(form, dict) else []
    tensors = [leaf.detach().cpu().contiguous() for leaf in leaves(form)]
    about = json.dumps([names, [[str(leaf.dtype), *leaf.shape[1:]] for leaf in tensors]]).encode()
    rows = [leaf.view(len(leaf), -1).view(torch.uint8).numpy() if leaf.numel() else None for leaf in tensors]
    found = np.empty(count, np.int64)
    for place in range(count):
        one = hashlib.blake2b(about, digest_size=6)
        for each in rows:
            if each is not None:
                one.update(each[place])
        found[place] = int.from_bytes(one.digest(), "little") or 1
    return found


def numbers(batch: Batch) -> NDArray[np.int64]:
    """The two numbers of each example, `(B, 2)`."""
    return np.stack([numbers_of(batch.inputs, len(batch)), numbers_of(batch.privileged, len(batch))], axis=1)


def same(file: NDArray[np.int64], mine: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which examples, by their numbers `(B, 2)`, are those of a file; what is privileged only where both have some."""
    either_none = (file[:, 1] == 0) | (mine[:, 1] == 0)
    found: NDArray[np.bool_] = (file[:, 0] == mine[:, 0]) & (either_none | (file[:, 1] == mine[:, 1]))
    return found


class LogitsFile:
    """A file, mapped into memory.

    Args:
        path: of the file.

    Attributes:
        note: what it says of itself.
        logits: what the teacher gave, `(N, K')`, where they lie in the file.
        examples: numbers of the examples, `(N, 2)`.

    Raises:
        UsageError: if there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        none = (
            f"{self.path} holds no logits that kdgan.teach wrote, or is damaged: an array of your own is read from a "
            ".npy file (numpy.save)"
        )
        try:
            with safe_open(
                self.path, framework="np"
            ) as file:  # which holds the header against the file's size
                notes = file.metadata() or {}
                if {*file.keys()} != {"logits", "examples"} or _NOTE not in notes:
                    raise wrong(none)
                slices = {name: file.get_slice(name) for name in ("logits", "examples")}
                shapes = {name: tuple(each.get_shape()) for name, each in slices.items()}
                kinds = [str(each.get_dtype()) for each in slices.values()]
        except (SafetensorError, OSError) as error:
            missing = isinstance(error, FileNotFoundError)
            raise wrong(f"there is no file {self.path}" if missing else none) from error
        self.note = from_json(notes[_NOTE], Note, str(self.path))
        width = sum(each["width"] for each in self.note["parts"])
        count = shapes["logits"][0] if shapes["logits"] else 0
        if kinds != ["F32", "I64"] or [*shapes.values()] != [(count, width), (count, 2)] or not count * width:
            raise wrong(none)
        with self.path.open("rb") as raw:
            start = 8 + int.from_bytes(raw.read(8), "little")
        # The numbers first: with them begins what follows the header, since their type is the wider.
        self.examples = np.memmap(self.path, np.int64, "r", start, (count, 2))
        self.logits = np.memmap(self.path, np.float32, "r", start + 16 * count, (count, width))

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        # Workers of a DataLoader look into the file themselves.
        self.path = path
        self._open()

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, row: Any) -> NDArray[np.float32]:
        """The numbers that the teacher gave, in memory of their own: a file's rows cannot be written to."""
        return np.array(self.logits[row])

    def readings(self, classes: ClassMap | None) -> list[tuple[Reading, int]]:
        """How the columns of each part are read."""
        return [
            (
                Reading(part["gives"], None if part["names"] is None else tuple(part["names"]), classes),
                part["width"],
            )
            for part in self.note["parts"]
        ]

    def check(self, places: Places, batch: Batch) -> None:
        """Raises a UsageError unless the rows at these places are of these examples."""
        if not same(self.examples[places], numbers(batch)).all():
            raise wrong(
                f"{self.path} holds the logits of other training data, or of these in another order: ask the teacher "
                "about these (kdgan.teach), or give those that it was asked about"
            )

    @property
    def done(self) -> int:
        """How many examples the teacher was asked about, from the first."""
        return int(np.count_nonzero(np.minimum.accumulate(self.examples[:, 0] != 0)))

    def close(self) -> None:
        """Lets go of the file, which some systems do not rename before."""
        del self.logits, self.examples

    def put(self, start: int, logits: NDArray[np.float32], examples: NDArray[np.int64]) -> None:
        """Writes rows so that, wherever it is stopped, none counts as done that is not on the disk."""
        with self.path.open("r+b") as file:
            for there, rows in ((self.logits, logits), (self.examples, examples)):
                file.seek(there.offset + start * there.strides[0])
                file.write(np.ascontiguousarray(rows, there.dtype).tobytes())
                file.flush()
                os.fsync(file.fileno())


def create(path: Path, count: int, note: Note) -> None:
    """Makes a file of its full size in which no example is done.

    Raises:
        OSError: if there is no room.
    """
    width = sum(part["width"] for part in note["parts"])
    ends = [16 * count, 16 * count + 4 * count * width]
    header = json.dumps(
        {
            "__metadata__": {_NOTE: json.dumps(note)},
            "examples": {"dtype": "I64", "shape": [count, 2], "data_offsets": [0, ends[0]]},
            "logits": {"dtype": "F32", "shape": [count, width], "data_offsets": ends},
        }
    ).encode()
    header += b" " * (-(8 + len(header)) % _PLACE)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.flush()
        size = file.tell() + ends[1]
        if hasattr(os, "posix_fallocate"):
            # A full disk is found now, and not when answers are there.
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def plain_names(names: Sequence[Any] | None) -> list[Any] | None:
    """The classes of an estimator as JSON holds them."""
    if names is None:
        return None
    return [each if isinstance(each, int | float | str | bool) else str(each) for each in names]
