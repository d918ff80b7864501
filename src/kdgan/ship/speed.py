"""Time and memory that networks take when they are used: on the processor, one thread, everything warm."""

from __future__ import annotations

import importlib
import itertools
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdgan.data.batch import Batch
from kdgan.errors import failed
from kdgan.methods.player import arguments, called_with, evaluating, forward

BATCHES = (1, 64)
"""Examples in a forward pass that is measured."""
ROUNDS, WARMING = 4, 3
"""Turns that calls have, so that a machine that gets busy slows all of them; and calls at the beginning of each that
are not measured, as they bring weights into the cache."""
LEAST, MOST, SECONDS = 5, 50, 0.25
"""Bounds of the calls that are measured in a turn, and the time that it may take."""
_ZEROS = {
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}
"""NumPy's types by those of ONNX Runtime."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a call: the median, and what 95 of 100 calls do not exceed."""

    median: float
    p95: float


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch for the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def latencies(calls: Mapping[str, Callable[[], object]]) -> dict[str, Latency]:
    """Latency of each call, taken in turns in this thread; 20 to 200 times each, the fewer the longer one takes."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            first = min(_seconds(call) for _ in range(WARMING))
            count = max(LEAST, min(MOST, int(SECONDS / max(first, 1e-9))))
            seconds[name] += [_seconds(call) for _ in range(count)]
    return {
        name: Latency(1000 * float(np.median(found)), 1000 * float(np.percentile(found, 95)))
        for name, found in seconds.items()
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def repeated(data: Batch, count: int) -> Batch:
    """So many examples, the first ones of `data`, which come again where it has fewer."""
    return data[torch.arange(count) % len(data)].standardised()


def eager(module: nn.Module, data: Batch, role: str = "student") -> Callable[[], object]:
    """A forward pass of a network in PyTorch, of exactly these examples.

    Args:
        module: on the CPU, in `eval()` mode.
        data: in standard units.
        role: privileged information goes to all but the student.
    """
    positional, named = arguments(role, data, called_with(module))

    def call() -> object:
        with torch.inference_mode():
            return module(*positional, **named)

    return call


def runtime(path: Path, count: int) -> Callable[[], object] | str:
    """A forward pass of an ONNX file in ONNX Runtime, of so many instances of zeros and empty texts.

    Returns:
        The call; or, where it cannot be made, why.
    """
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return "ONNX Runtime is not there: pip install 'kdgan[export]'"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = {each.name: _zeros(each, count) for each in session.get_inputs()}
        session.run(None, given)
    except Exception as error:  # one class for each kind of fault, without a common base
        return str(failed(error, f"ONNX Runtime, which should take {path.name},"))
    return lambda: session.run(None, given)


def _zeros(given: Any, count: int) -> Any:
    shape = (count, *given.shape[1:])
    if not all(isinstance(size, int) for size in shape):
        raise ValueError(f"its input {given.name} has sizes that nobody knows")
    return np.full(shape, "") if given.type == "tensor(string)" else np.zeros(shape, _ZEROS[given.type])


def peak_bytes(module: nn.Module, data: Batch, role: str = "student") -> int:
    """Most bytes that tensors take at once in a forward pass: weights, buffers, inputs, and what is computed.

    Counted from the tensors that operators give and when each is freed, so it is the same on every machine. What an
    operator takes within itself and gives back before it ends is not among them.
    """
    living = _Living()
    with evaluating(module), living:
        forward(role, module, data)
    parts = [part for part in (data.inputs, data.privileged) if part is not None]
    held = itertools.chain(module.parameters(), module.buffers(), _tensors([*tree_leaves(parts)]))
    kept: int = sum({each.data_ptr(): each.nbytes for each in held}.values())
    return living.most + kept


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the storages that operators gave and that are not freed yet."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.most: int = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls the operator."""
        before = {each.untyped_storage().data_ptr() for each in _tensors(tree_leaves((args, kwargs)))}
        found = func(*args, **(kwargs or {}))
        for each in _tensors(tree_leaves(found)):
            storage = each.untyped_storage()
            place, size = storage.data_ptr(), storage.nbytes()
            # A view, or what was changed in place, is no memory of its own.
            if place in before or place in self.known or not size:
                continue
            self.known.add(place)
            self.now += size
            weakref.finalize(storage, self._freed, place, size).atexit = False
        self.most = max(self.most, self.now)
        return found

    def _freed(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    return [each for each in values if isinstance(each, Tensor)]
