"""What all runs of a seed share, in one block of memory that processes have together."""

from __future__ import annotations

import io
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALIGNED = 64
"""Bytes at whose multiples numbers begin, as torch has it everywhere."""
_SHARED = Path("/dev/shm")
"""Where Linux has shared memory, of which a container may have little."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where numbers lie in the block."""

    start: int
    size: int
    shape: tuple[int, ...]
    kind: Any
    is_array: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A value that other processes get without a copy of its numbers: those lie in memory that all of them see.

    The memory has no name, so that nothing of it is left when all processes have ended, however they end. Nobody may
    write into it.

    Attributes:
        rest: the value without its numbers, pickled.
        places: of its tensors and arrays.
        memory: bytes of all of them; shared with a process that is sent this.
    """

    rest: bytes
    places: tuple[_Place, ...]
    memory: Tensor

    @staticmethod
    def of(value: Any) -> Block | None:
        """The value; None where the machine has no room for shared memory of that size."""
        stored = _Storing(file := io.BytesIO())
        stored.dump(value)
        size = max(1, stored.size)
        if _SHARED.is_dir() and shutil.disk_usage(_SHARED).free < 2 * size:
            return None
        try:
            memory: Tensor = torch.empty(size, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError:  # another process took the room meanwhile
            return None
        for place, numbers in zip(stored.places, stored.numbers, strict=True):
            memory[place.start : place.start + place.size] = numbers
        return Block(file.getvalue(), tuple(stored.places), memory)

    def value(self) -> Any:
        """The value, with tensors and arrays that lie in the block."""
        return _Loading(io.BytesIO(self.rest), self).load()

    def numbers(self, place: _Place) -> Any:
        """The tensor or array at a place."""
        part = self.memory[place.start : place.start + place.size]
        if place.is_array:
            return part.numpy().view(place.kind).reshape(place.shape)
        return part.view(place.kind).view(place.shape)


class _Storing(pickle.Pickler):
    """Pickles all but numbers, of which it takes note, each tensor or array once."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.places: list[_Place] = []
        self.numbers: list[Tensor] = []
        self.size = 0
        self._known: dict[int, tuple[int, Any]] = {}

    def persistent_id(self, value: Any) -> int | None:
        """The place of a tensor or array; None for anything else, and for what lies in memory in another order."""
        if type(value) is Tensor:
            if value.device.type != "cpu" or value.requires_grad or not value.is_contiguous():
                return None
            numbers, kind = value, value.dtype
        elif type(value) is np.ndarray and value.dtype.kind in "biuf" and value.flags.c_contiguous:
            written = value if value.flags.writeable else value.copy()  # torch takes no other
            numbers, kind = torch.from_numpy(written.reshape(-1).view(np.uint8)), value.dtype
        else:
            return None
        if not numbers.numel():
            return None
        if id(value) not in self._known:
            self._known[id(value)] = len(self.places), value
            flat = numbers.reshape(-1).view(torch.uint8)
            is_array = isinstance(value, np.ndarray)
            self.places.append(_Place(self.size, len(flat), tuple(value.shape), kind, is_array))
            self.numbers.append(flat)
            self.size += -(-len(flat) // ALIGNED) * ALIGNED
        return self._known[id(value)][0]


class _Loading(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, block: Block) -> None:
        super().__init__(file)
        self._block = block
        self._known: dict[int, Any] = {}

    def persistent_load(self, place: int) -> Any:
        """What is there, the same object wherever it was the same."""
        if place not in self._known:
            self._known[place] = self._block.numbers(self._block.places[place])
        return self._known[place]
