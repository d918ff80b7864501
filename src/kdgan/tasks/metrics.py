"""Ready-made metrics by name: numbers from logits and targets of each kind of task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from kdgan.data.batch import labelled
from kdgan.data.targets import Kind
from kdgan.errors import Diverged, UsageError, wrong
from kdgan.ship.forms import FORMS, form_of
from kdgan.tasks import scores

Metric: TypeAlias = Callable[[Tensor, Tensor], float]
"""Logits `(N, K)` and targets to a number, of examples that have a label. Of one's own more is better, unless its name
begins with "-"."""


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A ready-made metric.

    Attributes:
        functions: what computes it, see `kdgan.tasks.scores`, for each kind of task that it makes sense for.
        unit: `%`, `nats`; empty for a plain number.
        digits: behind the point, for people.
        less_is_better: whether the lower of two values is the better one.
        least: classes that it takes at least.
    """

    functions: Mapping[str, Metric]
    unit: str
    digits: int
    less_is_better: bool
    least: int = 1


def _as_two(of_classes: Metric) -> Metric:
    """The metric of one logit as that of two classes, no and yes, of which no has the logit 0."""

    def of_one(logits: Tensor, targets: Tensor) -> float:
        two = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return of_classes(two, torch.cat([1 - targets, targets], dim=1))

    return of_one


def _ready_made(
    name: str,
    classes: Metric,
    binary: Metric | None = None,
    multilabel: Metric | None = None,
    least: int = 1,
) -> ReadyMade:
    found = {"classes": classes, "binary": binary, "multilabel": multilabel}
    functions = {kind: function for kind, function in found.items() if function is not None}
    form = FORMS[name]
    return ReadyMade(MappingProxyType(functions), form.unit, form.digits, form.less_is_better, least)


_OF: Mapping[str, tuple[Metric, Metric] | tuple[Metric, Metric, Metric]] = {
    "accuracy": (scores.accuracy, scores.bits_accuracy, scores.bits_accuracy),
    "balanced_accuracy": (scores.balanced_accuracy, _as_two(scores.balanced_accuracy)),
    "f1_macro": (scores.f1_macro, _as_two(scores.f1_macro), scores.bits_f1_macro),
    "auroc": (scores.auroc, scores.bits_auroc, scores.bits_auroc),
    "average_precision": (
        scores.average_precision,
        scores.bits_average_precision,
        scores.bits_average_precision,
    ),
    "log_loss": (scores.log_loss, scores.bits_log_loss, scores.bits_log_loss),
    "brier": (scores.brier, scores.bits_brier, scores.bits_brier),
    "ece": (scores.ece, scores.bits_ece, scores.bits_ece),
}
METRICS: Mapping[str, ReadyMade] = MappingProxyType(
    {
        **{name: _ready_made(name, *functions) for name, functions in _OF.items()},
        "top5": _ready_made("top5", scores.top5, least=6),
    }
)
"""The ready-made metrics by name.

| name | what | of several labels |
|---|---|---|
| `accuracy` | % of examples whose likeliest class is true | % of labels that are right |
| `balanced_accuracy` | its mean over the classes that occur | – |
| `f1_macro` | F1 in %, mean over the classes that occur | over the labels that occur |
| `auroc` | area under the ROC curve in %, one class against the rest, mean over those with both | likewise |
| `average_precision` | in %, one class against the rest, mean over the classes that occur | likewise |
| `log_loss` | cross-entropy in nats, of a label at most 744.4 (`scores.MOST_LOSS`) | its mean over the labels |
| `brier` | squared error of the probabilities, summed over the classes (0 to 2) | mean over the labels (0 to 1) |
| `ece` | expected calibration error in %, 15 bins (Guo et al., 2017) | over all labels of all examples |
| `top5` | % of examples whose true class is among the five likeliest | – |

One logit stands for two classes, no and yes; its `auroc` and `average_precision` are those of yes, and its `brier` is
the mean of the squares (0 to 1).
"""
DEFAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "classes": ("accuracy", "log_loss", "ece"),
        "binary": ("accuracy", "auroc", "average_precision", "log_loss"),
        "multilabel": ("average_precision", "f1_macro", "log_loss"),
    }
)
"""Metrics that a report shows where none are named, by kind of task; the first is always shown."""


def metric(name: str, kind: Kind, classes: int | None = None) -> Metric:
    """The function of a ready-made metric, of logits and targets; rows without a label are left out.

    Args:
        name: one of `METRICS`.
        kind: of the task.
        classes: K, where it is known.

    Raises:
        UsageError: for an unknown name, and a metric that makes no sense for such a task; and by the function for what
            it is not defined for.
        Diverged: by the function, for logits that are NaN.

    Example:
        >>> import torch
        >>> log_loss = metric("log_loss", "binary")
        >>> round(log_loss(torch.zeros(4, 1), torch.tensor([0.0, 1.0, 1.0, 0.0])), 4)
        0.6931
    """
    fitting = [each for each, found in METRICS.items() if _fits(found, kind, classes)]
    if name not in METRICS:
        raise wrong(
            f"there is no metric {name!r:.60}: take {', '.join(fitting)}, or module:function of your own"
        )
    if name not in fitting:
        what = {"binary": "one logit", "multilabel": "several labels"}.get(kind, f"{classes} classes")
        raise wrong(f"metric {name} makes no sense for {what}: take {', '.join(fitting)}")
    return partial(_value, name, kind)


def _fits(found: ReadyMade, kind: Kind, classes: int | None) -> bool:
    return kind in found.functions and (classes is None or kind != "classes" or classes >= found.least)


def _value(name: str, kind: Kind, logits: Tensor, targets: Tensor) -> float:
    try:
        return METRICS[name].functions[kind](*_ready(kind, *with_label(logits, targets)))
    except UsageError as error:
        raise wrong(f"metric {name}: {error}") from error


def _ready(kind: Kind, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets as `kdgan.tasks.scores` takes them, of a form and within bounds."""
    if kind == "binary" and targets.ndim == 1:
        targets = targets.unsqueeze(1)
    indices = kind == "classes" and targets.ndim == 1
    if logits.ndim != 2 or (targets.shape != logits.shape[: 1 if indices else 2]):
        raise wrong(f"targets {tuple(targets.shape)} do not fit logits {tuple(logits.shape)}")
    if indices and targets.is_floating_point():
        raise wrong(f"class indices are whole numbers, not {targets.dtype}")
    most = logits.shape[1] - 1 if indices else 1
    if targets.min() < 0 or targets.max() > most:
        raise wrong(f"targets must be from 0 to {most}")
    if logits.isnan().any() or (kind == "classes" and logits.amax(1).min() == -math.inf):
        raise Diverged("a network gives logits that are no numbers (NaN)")
    return logits, targets if indices else targets.double()


def with_label(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that have a label, see `kdgan.data.batch.labelled`.

    Raises:
        UsageError: where there is none, or a row has some weights and lacks others.
    """
    there = labelled(targets)
    if there is None:
        kept = logits, targets
    elif there.any():
        kept = logits[there], targets[there]
    else:
        raise wrong("no example has a label, so there is nothing to measure")
    if targets.ndim > 1 and targets.is_floating_point() and bool(kept[1].isnan().any()):
        raise wrong("a row of targets is NaN in part: without a label is one that is NaN as a whole")
    return kept


def majority(targets: Tensor, kind: Kind = "classes") -> float:
    """The accuracy of always naming the label that is most often right: what any model must beat.

    Of bits, for each label whichever of yes and no is the more frequent.
    """
    targets = with_label(targets, targets)[1]
    if kind != "classes":
        share = (targets > 0.5).double().reshape(len(targets), -1).mean(0)
        return 100 * torch.maximum(share, 1 - share).mean().item()
    if targets.ndim == 1:
        return 100 * targets.bincount().amax().item() / len(targets)
    return 100 * (targets == targets.amax(1, keepdim=True)).double().mean(0).amax().item()


def less_is_better(name: str) -> bool:
    """Whether the lower of two values of a metric is the better one, by its name in results."""
    return form_of(name).less_is_better


def best(name: str, values: Iterable[float]) -> float:
    """The best of the values of a metric."""
    return min(values) if less_is_better(name) else max(values)
