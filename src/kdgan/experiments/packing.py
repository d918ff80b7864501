"""A function that is sent to other processes with its tensors beside it, which they have in one memory."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kdgan.tasks.division import Block, Shared


@dataclass(frozen=True, slots=True)
class Packed:
    """A function to send, and the block that its tensors lie in, which is there as long as this.

    Attributes:
        sent: the function, pickled; with the place of the block where there is one.
    """

    sent: bytes | tuple[bytes, str, int]
    block: Block | None


class _Packing(pickle.Pickler):
    """Pickles all but tensors, which are put together."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: dict[int, tuple[int, Tensor]] = {}

    def persistent_id(self, value: Any) -> int | None:
        """What stands for a tensor."""
        if type(value) is not Tensor or value.requires_grad:
            return None
        return self.tensors.setdefault(id(value), (len(self.tensors), value))[0]


class _Unpacking(pickle.Unpickler):
    """Puts the tensors back."""

    def __init__(self, file: io.BytesIO, tensors: list[Tensor]) -> None:
        super().__init__(file)
        self.tensors = tensors

    def persistent_load(self, number: int) -> Tensor:
        """The tensor of that number."""
        return self.tensors[number]


def packed(function: Callable[[], None]) -> Packed:
    """The function, and its tensors; nobody may write into those that other processes get."""
    file = io.BytesIO()
    packing = _Packing(file)
    packing.dump(function)
    block = Block.of((file.getvalue(), [tensor for _, tensor in packing.tensors.values()]))
    if block is None:
        return Packed(pickle.dumps(function), None)
    return Packed((pickle.dumps((call_packed, block)), block.path, block.identity[2]), block)


def call_packed(shared: Shared) -> None:
    """Calls a function that `packed` has packed, in a process that has been sent it."""
    function, tensors = shared.value()
    _Unpacking(io.BytesIO(function), tensors).load()()
