"""Trains small classifiers with more than they will have at inference: a bigger model, or more inputs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgan import data, losses, methods, nets, tagging
    from kdgan.data.batch import Batch
    from kdgan.distillation import Result, distill
    from kdgan.errors import KdganError, RunError, UsageError
    from kdgan.experiments.call import compare
    from kdgan.experiments.verdict import Verdict
    from kdgan.methods import Method
    from kdgan.ship.export import export
    from kdgan.ship.report import Report
    from kdgan.ship.student import Student, load
    from kdgan.tasks.teach import teach
    from kdgan.training.config import Training

    __version__: str

__all__ = [
    "Batch",
    "KdganError",
    "Method",
    "Report",
    "Result",
    "RunError",
    "Student",
    "Training",
    "UsageError",
    "Verdict",
    "compare",
    "data",
    "distill",
    "export",
    "load",
    "losses",
    "methods",
    "nets",
    "tagging",
    "teach",
]

_HOME = {
    "Batch": "kdgan.data.batch",
    "KdganError": "kdgan.errors",
    "Method": "kdgan.methods",
    "Report": "kdgan.ship.report",
    "Result": "kdgan.distillation",
    "RunError": "kdgan.errors",
    "Student": "kdgan.ship.student",
    "Training": "kdgan.training.config",
    "UsageError": "kdgan.errors",
    "Verdict": "kdgan.experiments.verdict",
    "compare": "kdgan.experiments.call",
    "distill": "kdgan.distillation",
    "export": "kdgan.ship.export",
    "load": "kdgan.ship.student",
    "teach": "kdgan.tasks.teach",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes seconds to import, and `kdgan --help` needs none of it.
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("kdgan")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in __all__:
        return importlib.import_module(f"kdgan.{name}")
    raise AttributeError(f"module 'kdgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
