"""The concrete distribution q (paper, Eq. 9) and its temperature over training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import UsageError
from kdgan.losses._numeric import widened


def gumbel(like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent Gumbel(0, 1) noise of the shape, device and type of `like` (float32 for half precision)."""
    exponential = torch.empty_like(widened(like), requires_grad=False).exponential_(generator=generator)
    # An exponential draw can round to 0, whose logarithm is no number.
    return -exponential.clamp_min(torch.finfo(exponential.dtype).tiny).log()


def concrete(logits: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """A continuous sample of labels: softmax((log p + G) / τ), G ~ Gumbel(0, 1) (paper, Eq. 9).

    Args:
        logits: of p, `(..., K)`.
        tau: τ, above 0. High: smooth samples, low variance, biased. Low: the reverse.
        generator: source of the noise; the default generator of the device without it.

    Returns:
        Label weights `(..., K)` that sum to 1, differentiable in the logits.

    Raises:
        UsageError: if tau is not above 0.
    """
    if not tau > 0:
        raise UsageError(f"tau {tau} must be above 0")
    log_p = widened(logits).log_softmax(-1)
    return ((log_p + gumbel(log_p, generator=generator)) / tau).softmax(-1)


def pseudo_labels(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Exact samples z = onehot(argmax(log p + G)) of the categorical distribution (the Gumbel-max trick).

    The temperature of the concrete distribution does not change its largest component, so none is needed.

    Args:
        logits: of p, `(..., K)`.
        generator: source of the noise.

    Returns:
        One-hot labels `(..., K)`, without gradient.
    """
    log_p = widened(logits.detach()).log_softmax(-1)
    return one_hot_argmax(log_p + gumbel(log_p, generator=generator))


def one_hot_argmax(weights: Tensor) -> Tensor:
    """onehot(argmax) over the last axis, in the type of `weights`."""
    return F.one_hot(weights.argmax(-1), weights.shape[-1]).to(weights.dtype)


def annealed(progress: float, *, start: float = 1.0, end: float = 0.1) -> float:
    """τ at `progress` ∈ [0, 1] of training: exponential from `start` to `end` (paper: 1.0 to 0.1).

    Raises:
        UsageError: if start or end is not above 0.

    Example:
        >>> annealed(0.0), annealed(1.0)
        (1.0, 0.1)
    """
    if not (start > 0 and end > 0):
        raise UsageError(f"tau must stay above 0: it cannot go from {start} to {end}")
    return float(start * (end / start) ** progress)
