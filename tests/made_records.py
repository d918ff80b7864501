"""Records made up for tests of statistics, tables, figures and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdgan.experiments.records import Record

METRICS = {
    "accuracy": 91.25,
    "teacher/accuracy": 95.5,
    "validation/accuracy": 90.0,
    "best_epoch/accuracy": 92.0,
}
RECORD = Record("digits", 50, "kdgan", 0, METRICS, 1000, 3.5, 1.25, 5000, 80000)


def record(method: str, seed: int, accuracy: float, **changes: Any) -> Record:
    """A run of digits with this accuracy; the controls and NaGAN have no teacher."""
    taught = method.partition(":")[0] not in ("supervised", "selftrain", "nagan")
    metrics = {name: value for name, value in METRICS.items() if taught or not name.startswith("teacher/")}
    metrics |= {"accuracy": accuracy, **changes.pop("metrics", {})}
    made = replace(RECORD, method=method, seed=seed, metrics=metrics)
    return replace(made, **{"teacher_parameters": 80000 if taught else None, **changes})


def runs(accuracies: Mapping[str, Sequence[float]], **changes: Any) -> list[Record]:
    """Runs of methods with seeds from 0."""
    return [
        record(method, seed, accuracy, **changes)
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
