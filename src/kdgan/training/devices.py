"""Device, precision and threads of training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from kdgan.errors import wrong

Precision = Literal["float32", "bfloat16"]


def find_device(name: str) -> torch.device:
    """The device of that name: `cpu`, `cuda`, `cuda:1`, or `auto` for a GPU where there is one.

    Raises:
        UsageError: if there is no such device.
    """
    if isinstance(name, str) and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        device = torch.device("meta")
    if device.type == "cuda" and (device.index or 0) < torch.cuda.device_count():
        return device
    if device.type == "cpu":
        return device
    have = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    raise wrong(f"no device {name!r:.60} here: there is {', '.join(have)}")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16: a processor without them takes tens of times as long in it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(False))
    # What torch itself asks before it hands a product to oneDNN; its own is made of single operations.
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return asked is not None and bool(asked())


def precision_on(device: torch.device) -> Precision:
    """bfloat16 on a GPU that has instructions for it, else float32."""
    return "bfloat16" if device.type == "cuda" and has_bfloat16(device) else "float32"


def slow_in(precision: str, device: torch.device) -> str | None:
    """What to tell a user who asks for a precision in which the device is slow, or None."""
    if precision != "bfloat16" or has_bfloat16(device):
        return None
    what = "processor" if device.type == "cpu" else "GPU"
    return (
        f"this {what} has no instructions for bfloat16 and may take tens of times as long in it: take float32"
    )


def deterministic(threads: int) -> None:
    """Makes this process compute the same bits in every run on this machine with this many threads."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)


@contextmanager
def computing_alike(threads: int) -> Iterator[None]:
    """`deterministic` for the block; afterwards the process computes as before."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark, many = torch.backends.cudnn.benchmark, torch.get_num_threads()
    deterministic(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
        torch.set_num_threads(many)
