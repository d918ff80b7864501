"""Distillation losses L_DS: how far one player's distribution over labels is from another's.

All take logits of a softmax over K labels, `(..., K)`, give one value per example, `(...)`, and send
gradient to the first argument only: L_DS^c trains C and not T, L_DS^t trains T and not C (paper, Eq. 3).
Half precision is computed in float32, and returned in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import KdganError, UsageError, failed
from kdgan.losses._many import MANY, CrossEntropy
from kdgan.losses._numeric import (
    check_class_weights,
    check_targets,
    classes_refused,
    filled,
    has_impossible,
    label_weights,
    over_labelled,
    widened,
    widened_pair,
)
from kdgan.references import find_callable, is_reference

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Logits of the player that learns and of the one it follows, both `(B, K)`, to one value per example `(B,)`."""
Distance: TypeAlias = Literal["l2", "kl", "js"] | Loss
"""A distillation loss by name, or one of your own."""


def l2(logits: Tensor, target_logits: Tensor) -> Tensor:
    """Mean squared difference of the logits over the labels (Ba & Caruana, NeurIPS 2014).

    The mean over labels, rather than their sum, lets a weight mean the same for 10 labels and for 200.

    Args:
        logits: of the player that learns, `(..., K)`.
        target_logits: of the player it follows, `(..., K)`; detached.

    Returns:
        One value per example, `(...)`, in squared logits.

    Example:
        >>> import torch
        >>> l2(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    logits, target_logits = widened_pair(logits, target_logits)
    # In one pass each way, and the mean's division is that of the sums: with many labels their number is what costs.
    return F.mse_loss(logits, target_logits.detach(), reduction="none").sum(-1) / logits.shape[-1]


def kl(logits: Tensor, target_logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """T² · KL(target at temperature T ‖ player at temperature T) (Hinton, Vinyals & Dean, 2015).

    The factor T² is included: gradients of softened distributions shrink with 1/T², so that with it the
    weight of this loss beside others need not change with T.

    Args:
        logits: of the player that learns, `(..., K)`.
        target_logits: of the player it follows, `(..., K)`; detached.
        temperature: T, above 0; both logits are divided by it.

    Returns:
        One value per example, `(...)`, in nats times T².

    Raises:
        UsageError: if the shapes differ or the temperature is not above 0.

    Example:
        >>> import torch
        >>> kl(torch.zeros(1, 2), torch.zeros(1, 2), temperature=4.0)
        tensor([0.])
    """
    log_p, log_q = _log_softmax_pair(logits, target_logits, temperature)
    return temperature**2 * _kl(log_q, log_p)


def js(logits: Tensor, target_logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """T² · Jensen–Shannon divergence of both distributions at temperature T: ½KL(p‖m) + ½KL(q‖m), m = ½(p+q).

    Symmetric in value and at most T² · log 2; gradient goes to the first argument only.

    Args:
        logits: of the player that learns, `(..., K)`.
        target_logits: of the player it follows, `(..., K)`; detached.
        temperature: T, above 0; both logits are divided by it.

    Returns:
        One value per example, `(...)`, in nats times T².

    Raises:
        UsageError: if the shapes differ or the temperature is not above 0.
    """
    log_p, log_q = _log_softmax_pair(logits, target_logits, temperature)
    if has_impossible(log_p) or has_impossible(log_q):
        # A label that neither allows has a logarithm here whose gradient is a number, and a probability of 0 as before.
        least = torch.finfo(log_p.dtype).min
        log_p, log_q = log_p.clamp_min(least), log_q.clamp_min(least)
    log_m = log_p.logaddexp(log_q) - _LOG_2
    return temperature**2 * 0.5 * (_kl(log_p, log_m) + _kl(log_q, log_m))


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    labelled: Tensor | None = None,
) -> Tensor:
    """−Σ_y w_y · q(y) · log p(y|x), q the smoothed targets: the supervised loss, one value per example.

    Args:
        logits: `(..., K)`.
        targets: class indices `(...)` or label weights `(..., K)`.
        smoothing: share of the target spread evenly over the K labels, in [0, 1).
        class_weights: w, `(K,)`, 1 without; not divided out again, so that their scale is that of the loss.
        labelled: which rows have a label, bool `(...)`; None for all. Those without count 0, whatever their target,
            and the others N / n, so that the mean over all N rows is the mean over the n labelled ones.

    Returns:
        One value per example, `(...)`, in nats.

    Raises:
        UsageError: if targets, weights or `labelled` are not those of these logits.

    Example:
        >>> import torch
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([3, -1]), labelled=torch.tensor([True, False]))
        tensor([2.7726, 0.0000])
    """
    logits = widened(logits)
    targets = filled(targets, labelled, logits)
    check_targets(targets, logits)
    if class_weights is not None:
        check_class_weights(class_weights, logits)
        class_weights = class_weights.to(logits.dtype)
    if targets.is_floating_point() or (smoothing and logits.shape[-1] < MANY):
        values = _of_weights(logits, targets, smoothing, class_weights)
    elif logits.ndim == 2:
        values = _of_indices(logits, targets.long(), smoothing, class_weights)
    else:
        rows = logits.reshape(-1, logits.shape[-1])
        values = _of_indices(rows, targets.reshape(-1).long(), smoothing, class_weights).view(targets.shape)
    return over_labelled(values, labelled)


def distance(chosen: Distance, *, temperature: float = 1.0) -> Loss:
    """A distillation loss as a function of two logits.

    Args:
        chosen: l2, kl or js; `module:function`, or a function, of your own. That gets the second logits without
            gradient and must give one value per example.
        temperature: of kl and js, above 0; the others ignore it.

    Raises:
        UsageError: for another name, a temperature that is not above 0, or, when it is called, a function of your own
            that gives values of another shape.
    """
    _check_temperature(temperature)
    if is_reference(chosen) or callable(chosen):
        return _own(find_callable(chosen) if isinstance(chosen, str) else chosen)
    if chosen not in DISTANCES:
        raise UsageError(
            f"unknown distillation loss {chosen!r}: choose one of {', '.join(DISTANCES)}, or write module:function"
        )
    return l2 if chosen == "l2" else partial(DISTANCES[chosen], temperature=temperature)


def _own(loss: Loss) -> Loss:
    def checked(logits: Tensor, target_logits: Tensor) -> Tensor:
        return own_values(loss, logits, target_logits.detach(), "distillation loss")

    return checked


def own_values(loss: Loss, logits: Tensor, other: Tensor, what: str) -> Tensor:
    """Values `(...)` of a loss of one's own.

    Raises:
        UsageError: if it does not give one value per example.
        RunError: saying what it raises.
    """
    try:
        values = loss(logits, other)
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        name = getattr(loss, "__qualname__", type(loss).__qualname__)
        # Labels that are weights, as under mixup, are what a loss of class indices fails of.
        given = " and ".join(
            f"{str(each.dtype).removeprefix('torch.')} {tuple(each.shape)}" for each in (logits, other)
        )
        raise failed(error, f"{what} {name}, called with {given},") from error
    if not isinstance(values, Tensor) or values.shape != logits.shape[:-1]:
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise UsageError(f"a {what} must give one value per example, {tuple(logits.shape[:-1])}, not {found}")
    return values


DISTANCES: Mapping[str, Callable[..., Tensor]] = MappingProxyType({"l2": l2, "kl": kl, "js": js})

_LOG_2 = 0.6931471805599453
_NEVER = -(2**31)
"""No label: torch passes over one label without a word, -100 unless told otherwise."""


def _of_indices(logits: Tensor, targets: Tensor, smoothing: float, class_weights: Tensor | None) -> Tensor:
    with classes_refused(logits):
        if logits.shape[-1] >= MANY and not smoothing and class_weights is None:
            loss: Tensor = CrossEntropy.apply(logits, targets.unsqueeze(-1))  # type: ignore[no-untyped-call]
            return loss
        return F.cross_entropy(
            logits,
            targets,
            weight=class_weights,
            reduction="none",
            ignore_index=_NEVER,
            label_smoothing=smoothing,
        )


def _of_weights(logits: Tensor, targets: Tensor, smoothing: float, class_weights: Tensor | None) -> Tensor:
    weights = label_weights(targets, logits.detach())
    if smoothing:
        weights = (1 - smoothing) * weights + smoothing / logits.shape[-1]
    if class_weights is not None:
        weights = weights * class_weights
    log_p = logits.log_softmax(-1)
    if has_impossible(log_p):
        log_p = log_p.masked_fill(weights == 0, 0)  # what weighs nothing counts nothing
    return -(weights * log_p).sum(-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    # Both are finite for finite logits, so a probability that underflows to 0 contributes 0, not NaN.
    terms = F.kl_div(log_q, log_p, reduction="none", log_target=True)
    if has_impossible(log_p):
        terms = terms.masked_fill(log_p == -math.inf, 0)  # nor does one that is 0 because its logit is -inf
    return terms.sum(-1)


def _log_softmax_pair(logits: Tensor, target_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    _check_temperature(temperature)
    logits, target_logits = widened_pair(logits, target_logits)
    return (logits / temperature).log_softmax(-1), (target_logits.detach() / temperature).log_softmax(-1)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise UsageError(f"temperature {temperature} must be above 0")
