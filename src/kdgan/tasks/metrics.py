"""Metrics: numbers from logits and targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from torch import Tensor

from kdgan.errors import wrong
from kdgan.references import find_callable
from kdgan.training.loop import BOOKKEEPING

Metric: TypeAlias = Callable[[Tensor, Tensor], float]
"""Logits `(N, K)` and targets, class indices `(N,)` or label weights `(N, K)`, to a number; more is better."""


RESERVED = (
    *BOOKKEEPING,
    *("data", "labels", "unlabelled", "method", "seed", "student_updates"),
    *("pretraining_seconds", "student_parameters", "teacher_parameters"),
)
"""Names in histories and results that are of no metric."""


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Per cent of examples whose highest-scored label is true; for label weights: one of those with the largest."""
    best = logits.argmax(-1)
    if targets.ndim == 1:
        return 100 * (best == targets).double().mean().item()
    right = targets.gather(1, best.unsqueeze(1)).squeeze(1) == targets.amax(1)
    return 100 * right.double().mean().item()


def majority(targets: Tensor) -> float:
    """The accuracy of always naming the label that is most often right: what any model must beat."""
    if targets.ndim == 1:
        return 100 * targets.bincount().amax().item() / len(targets)
    return 100 * (targets == targets.amax(1, keepdim=True)).double().mean(0).amax().item()


def balanced_accuracy(logits: Tensor, targets: Tensor) -> float:
    """Mean over the classes of the per cent of their examples that are named so; of classes that occur.

    Args:
        logits: `(N, K)`.
        targets: class indices `(N,)`.
    """
    each = [
        accuracy(logits[targets == label], targets[targets == label])
        for label in targets.bincount().nonzero()
    ]
    return sum(each) / len(each)


def own_metrics(given: Iterable[str] | Mapping[str, Metric], taken: Iterable[str] = ()) -> dict[str, Metric]:
    """Metrics of one's own by name: of references `module:function`, the function's name.

    Args:
        given: references, or functions by name.
        taken: names that are those of other metrics.

    Raises:
        UsageError: for a reference that leads to nothing that can be called, or a name that another metric has.
    """
    functions: list[tuple[str, Metric]]
    if not isinstance(given, Mapping) and (
        not isinstance(given, Iterable)
        or isinstance(given, str)
        or not all(isinstance(each, str) for each in given)
    ):
        raise wrong("metrics must be functions by name, {name: function}, or a list of module:function")
    if isinstance(given, Mapping):
        functions = list(given.items())
    else:
        functions = [(reference.rpartition(":")[2], find_callable(reference)) for reference in given]
    found: dict[str, Metric] = {}
    for name, metric in functions:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise wrong(f"the name of a metric must be a word, not {name!r:.60}")
        if not callable(metric):
            raise wrong(f"metric {name} is no function of logits and targets, but {type(metric).__name__}")
        if name in RESERVED or "/" in name:
            raise wrong(
                f"metric {name} has the name of something that results hold anyway: call it otherwise"
            )
        if name in (*found, *taken):
            raise wrong(f"metric {name} has the name of another one: call it otherwise")
        found[name] = metric
    return found


def evaluated(metrics: Mapping[str, Metric], logits: Tensor, targets: Tensor) -> dict[str, float]:
    """The numbers that metrics of one's own give.

    Raises:
        UsageError: for one that is no finite number.
    """
    found = {}
    for name, metric in metrics.items():
        try:
            # A metric that writes into what it is given must not change what the others see.
            found[name] = float(metric(logits.clone(), targets.clone()))
        except (Exception, SystemExit) as error:  # of any kind: it is the user's code
            raise wrong(f"metric {name} fails ({type(error).__name__}: {error})") from error
        if not math.isfinite(found[name]):
            raise wrong(f"metric {name} gives {found[name]}, which is no finite number")
    return found
