"""Cost of a network at inference."""

from __future__ import annotations

import itertools
import math
import re
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from kdgan.data.batch import Batch
from kdgan.methods.player import evaluating, forward

_REPEATS = 30
_CHEAP = re.compile(
    r"(native_|_native_|cudnn_|miopen_|_fused_)?(batch|layer|group|rms|weight)_norm|_weight_norm|cat$|stack$|copy"
    r"|_?(unsafe_)?index|gather|scatter|_?embedding|masked|(fractional_)?max_(un)?pool|grid_sampler|_thnn_fused"
    r"|bucketize|searchsorted|_prelu_kernel|take|fill_|nested"
    r"|\w+_scatter$|lift|_?linalg_vector_norm|_?linalg_check_errors"
)
"""Operators on several tensors that multiply no matrices, beside those that work number by number."""
_COSTLY = re.compile(r"_?(fft|linalg|sparse|pdist|inverse|cholesky|lu_|svd|matrix|histogramdd)")
"""Operators on one tensor whose work grows faster than its size."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one network.

    Attributes:
        parameters: numbers that were learned.
        bytes: of parameters and buffers as they are kept in memory.
        flops: floating-point operations of the matrix products and convolutions for one example; None where the
            network has work of that kind that cannot be counted, such as an operator of its own.
        milliseconds: median time for one example, alone in its batch, on the device the network is on.
    """

    parameters: int
    bytes: int
    flops: int | None
    milliseconds: float


def cost(module: nn.Module, data: Batch, *, role: str = "student") -> Cost:
    """Measures a network on the first example of `data`, in `eval()` mode; its mode is put back.

    Args:
        module: the network.
        data: at least one example, on the network's device.
        role: privileged information goes to all but the student.
    """
    one = data[:1].copy()
    with evaluating(module):
        flops = _flops(lambda: forward(role, module, one))
        times = [_seconds(module, one, role) for _ in range(_REPEATS)]
    tensors = itertools.chain(module.parameters(), module.buffers())
    return Cost(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        bytes=sum(tensor.nbytes for tensor in tensors),
        flops=flops,
        milliseconds=1000 * statistics.median(times),
    )


def _flops(call: Callable[[], Tensor]) -> int | None:
    """Of a call; None if work was seen that nobody has a formula for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with (
                _taken_apart(),
                _Uncounted() as uncounted,
                FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter,
            ):
                call()
        except Exception:  # what works by itself need not work under a counter
            return None
    return None if uncounted.found else counter.get_total_flops()


@contextmanager
def _taken_apart() -> Iterator[None]:
    """Recurrent layers and attention as the matrix products that they are made of, rather than as one operator."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.backends.mkldnn.flags(enabled=False),
            torch.backends.cudnn.flags(enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Uncounted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes whether an operator is called that may multiply matrices and has no formula."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls the operator."""
        counted = func.overloadpacket in flop_registry or func.overloadpacket in _FORMULAS
        dense = all(part.layout == torch.strided for part in _tensors(args, kwargs))
        if not (counted and dense) and not _is_cheap(func, args, kwargs or {}):
            self.found = True
        return func(*args, **(kwargs or {}))


def _is_cheap(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the work of an operator is about as much as there are numbers."""
    if func.namespace not in ("aten", "prim", "prims"):
        return False
    name = func.overloadpacket.__name__
    if func.is_view or {torch.Tag.pointwise, torch.Tag.reduction} & {*func.tags} or _CHEAP.match(name):
        return True
    return len(_tensors(args, kwargs)) < 2 and not _COSTLY.match(name)


def _tensors(*values: Any) -> list[Tensor]:
    return [part for part in tree_leaves(values) if isinstance(part, Tensor)]


def _product(a: torch.Size, b: torch.Size, *_: Any, **__: Any) -> int:
    """Of a matrix or a vector and a vector."""
    return 2 * math.prod(a)


_FORMULAS = {torch.ops.aten.mv: _product, torch.ops.aten.dot: _product, torch.ops.aten.vdot: _product}
"""What the counter has none for, though spectral normalisation is made of them."""


def _seconds(module: nn.Module, one: Batch, role: str) -> float:
    start = time.perf_counter()
    # Reading the result waits for a device that works in the background.
    forward(role, module, one).sum().item()
    return time.perf_counter() - start
