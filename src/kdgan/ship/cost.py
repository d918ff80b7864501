"""Cost of a network at inference."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdgan.data.batch import Batch
from kdgan.methods.player import evaluating, forward

_REPEATS = 30


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one network.

    Attributes:
        parameters: numbers that were learned.
        bytes: of parameters and buffers as they are kept in memory.
        flops: floating-point operations of the matrix products and convolutions for one example.
        milliseconds: median time for one example, alone in its batch, on the device the network is on.
    """

    parameters: int
    bytes: int
    flops: int
    milliseconds: float


def cost(module: nn.Module, data: Batch, *, role: str = "student") -> Cost:
    """Measures a network on the first example of `data`, in `eval()` mode; its mode is put back.

    Args:
        module: the network.
        data: at least one example, on the network's device.
        role: privileged information goes to all but the student.
    """
    one = data[:1]
    with evaluating(module):
        with FlopCounterMode(display=False) as counter:
            forward(role, module, one)
        times = [_seconds(module, one, role) for _ in range(_REPEATS)]
    tensors = itertools.chain(module.parameters(), module.buffers())
    return Cost(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        bytes=sum(tensor.nbytes for tensor in tensors),
        flops=counter.get_total_flops(),
        milliseconds=1000 * statistics.median(times),
    )


def _seconds(module: nn.Module, one: Batch, role: str) -> float:
    start = time.perf_counter()
    # Reading the result waits for a device that works in the background.
    forward(role, module, one).sum().item()
    return time.perf_counter() - start
