"""What all runs of a seed share, in one block of memory that processes have together."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

ALIGNED = 64
"""Bytes at whose multiples numbers begin, as torch has it everywhere."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where numbers lie in the block, in the place of a tensor or array."""

    start: int
    size: int
    shape: tuple[int, ...]
    kind: Any
    is_array: bool


class Shared(Protocol):
    """A value that processes have together."""

    def value(self) -> Any:
        """The value.

        Raises:
            OSError: if it is not there any more.
        """


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Block:
    """A value that other processes get without a copy of its numbers: those lie in memory that all of them see.

    The memory has no name in a file system, so that nothing of it is left when all processes have ended, however they
    end; it is there as long as this value is, in the process that made it. Nobody may write into it. It is opened, and
    not sent: sending takes a thread that answers, and says so if the other process ends meanwhile.

    Attributes:
        rest: the value, with a place for each tensor or array.
        path: of the memory, for processes of the same user.
        identity: of the file that is meant: device, inode and bytes.
    """

    rest: Any
    path: str
    identity: tuple[int, int, int]

    @staticmethod
    def of(value: Any) -> Block | None:
        """The value, whose parts are dataclasses, tuples, lists and mappings; None where the machine has no such
        memory, or no room for it."""
        stored = _Storing()
        rest = _mapped(value, stored.place, {})
        size = max(1, stored.size)
        try:
            number = os.memfd_create("kdgan")
        except (AttributeError, OSError):  # Linux alone has it
            return None
        try:
            os.posix_fallocate(number, 0, size)  # now, and not when a page is first written
            memory = _opened(number, size)
        except (OSError, RuntimeError):
            os.close(number)
            return None
        for start, numbers in stored.numbers:
            memory[start : start + len(numbers)] = numbers
        block = Block(rest, f"/proc/{os.getpid()}/fd/{number}", _identity(number))
        weakref.finalize(block, os.close, number)
        return block

    def value(self) -> Any:
        """The value, with tensors and arrays that lie in the block.

        Raises:
            OSError: if the process that made it has ended, or needs it no longer.
        """
        number = os.open(self.path, os.O_RDWR)
        try:
            if _identity(number) != self.identity:
                raise FileNotFoundError(self.path)
            memory = _opened(number, self.identity[2])
        finally:
            os.close(number)
        return self.value_in(memory)

    def value_in(self, memory: Tensor) -> Any:
        """The value, with tensors and arrays that lie in a copy of the block's bytes `(N,)`."""

        def numbers(part: Any) -> Any:
            return _numbers(memory, part) if isinstance(part, _Place) else None

        return _mapped(self.rest, numbers, {})

    def release(self) -> None:
        """Gives the memory back to the machine: from now on `value` raises an OSError, except where it was asked for
        before, of which nothing may be read any more."""
        os.truncate(self.path, 0)


def _opened(number: int, size: int) -> Tensor:
    return torch.from_file(f"/proc/self/fd/{number}", shared=True, size=size, dtype=torch.uint8)


def _identity(number: int) -> tuple[int, int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino, found.st_size


def _numbers(memory: Tensor, place: _Place) -> Any:
    part = memory[place.start : place.start + place.size]
    if place.is_array:
        return part.numpy().view(place.kind).reshape(place.shape)
    return part.view(place.kind).view(place.shape)


class _Storing:
    """Takes note of tensors and arrays, and of where they shall lie."""

    def __init__(self) -> None:
        self.numbers: list[tuple[int, Tensor]] = []
        self.size = 0

    def place(self, value: Any) -> _Place | None:
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
        flat = numbers.reshape(-1).view(torch.uint8)
        place = _Place(self.size, len(flat), tuple(value.shape), kind, isinstance(value, np.ndarray))
        self.numbers.append((place.start, flat))
        self.size += -(-len(flat) // ALIGNED) * ALIGNED
        return place


def _mapped(value: Any, change: Callable[[Any], Any], known: dict[int, tuple[Any, Any]]) -> Any:
    """The value with what `change` puts in the place of its parts, once for each; None leaves a part as it is."""
    if id(value) in known:
        return known[id(value)][0]
    found = change(value)
    if found is None:
        found = _parts_mapped(value, lambda part: _mapped(part, change, known))
    known[id(value)] = found, value  # which must live as long as its number stands for it
    return found


def _parts_mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(change, value))
    if type(value) is dict:
        return {name: change(part) for name, part in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    made = object.__new__(type(value))
    for each in fields(value):
        # Places are no tensors: nothing is checked until they are.
        object.__setattr__(made, each.name, change(getattr(value, each.name)))
    return made
