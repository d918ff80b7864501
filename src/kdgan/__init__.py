"""Trains small classifiers with more than they will have at inference: a bigger model, or more inputs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgan import data, losses, methods, nets
    from kdgan.data.batch import Batch
    from kdgan.distillation import Report, Result, distill
    from kdgan.errors import KdganError, RunError, UsageError

__all__ = [
    "Batch",
    "KdganError",
    "Report",
    "Result",
    "RunError",
    "UsageError",
    "data",
    "distill",
    "losses",
    "methods",
    "nets",
]

_HOME = {
    "Batch": "kdgan.data.batch",
    "KdganError": "kdgan.errors",
    "Report": "kdgan.distillation",
    "Result": "kdgan.distillation",
    "RunError": "kdgan.errors",
    "UsageError": "kdgan.errors",
    "distill": "kdgan.distillation",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes seconds to import, and `kdgan --help` needs none of it.
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in __all__:
        return importlib.import_module(f"kdgan.{name}")
    raise AttributeError(f"module 'kdgan' has no attribute {name!r}")
