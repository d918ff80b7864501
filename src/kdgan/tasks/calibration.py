"""How good the probabilities of a student are as a distribution, as they are and after temperature scaling."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from kdgan.data.targets import Kind
from kdgan.ship.forms import SCALED
from kdgan.tasks.metrics import metric, with_label
from kdgan.tasks.scores import log_softmax

MOST_TEMPERATURE = 100.0
"""Highest temperature that is looked for; the lowest is its inverse, for logits that are right of all examples."""
_INFINITE = 1e12


def temperature(logits: Tensor, targets: Tensor) -> float | None:
    """The temperature by which to divide logits of a softmax for the least log loss (Guo et al., 2017).

    Computed in float64; from 1 / `MOST_TEMPERATURE` to `MOST_TEMPERATURE`. None where the least is at one of the two:
    logits that are right of all examples, as of a few, would be ever surer, and those that know nothing ever less so.

    Args:
        logits: `(N, K)`, of examples that were not learned from.
        targets: class indices `(N,)` or label weights `(N, K)`.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 0.0]] * 4)  # 88 % sure, and right in three of four
        >>> round(temperature(logits, torch.tensor([0, 0, 0, 1])), 3)  # 2 / log 3
        1.82
    """
    from scipy.optimize import minimize_scalar

    logits, targets = with_label(logits, targets)
    exact, bound = logits.double(), math.log(MOST_TEMPERATURE)
    # The log loss is convex in the inverse temperature, and so has one minimum over its logarithm, too.
    found = minimize_scalar(
        lambda log: _loss(exact * math.exp(-log), targets),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return None if abs(found.x) > bound - 1e-3 else math.exp(float(found.x))


def _loss(logits: Tensor, targets: Tensor) -> float:
    """The log loss as it is: one that is bounded for each example, as the metric is, would have several minima.

    Infinite logits alone have a bound, as they are as sure at any temperature.
    """
    found = log_softmax(logits).clamp(min=-_INFINITE)
    if targets.ndim == 1:
        return -found.gather(1, targets.unsqueeze(1)).mean().item()
    return -(targets.double() * found).sum(1).mean().item()


def of_distribution(
    names: Iterable[str],
    kind: Kind,
    test: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor] | None,
) -> dict[str, float]:
    """Metrics of a student's probabilities on test data; also of the scaled ones, as NAME_scaled, where validation data
    tell a temperature.

    Args:
        names: of ready-made metrics of probabilities.
        kind: of the task, one with a softmax.
        test: logits `(N, K)` and targets that are measured on.
        validation: others, which the temperature is fitted on.
    """
    logits, targets = test
    measures = {name: metric(name, kind) for name in names}
    found = {name: measure(logits, targets) for name, measure in measures.items()}
    best = None if validation is None else temperature(*validation)
    if best is not None:
        scaled = logits.double() / best
        found |= {f"{name}{SCALED}": measure(scaled, targets) for name, measure in measures.items()}
    return found
