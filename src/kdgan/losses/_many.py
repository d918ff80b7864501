"""Losses of many classes, in as few passes over `(B, K)` as their arithmetic needs.

From `MANY` classes on memory is what costs, not calls: gradients are written out, in as few tensors as they need.
Below, those of autograd are as fast, and their last bits are those of earlier runs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MANY = 4096
"""Number of classes from which these are used."""

_EXACT = 40.0
"""Score from which softplus is the score itself, in float64 too."""


class CrossEntropy(torch.autograd.Function):
    """−log softmax(logits)(y) of logits `(B, K)` and class indices `(B, 1)`, `(B,)`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, index: Tensor) -> Tensor:
        p = logits.softmax(-1)
        ctx.save_for_backward(logits, p, index)
        # log Σ exp is what the largest logit is above the logarithm of its probability, which is at least 1/K.
        total = logits.amax(-1) - p.amax(-1).log()
        return total - logits.gather(-1, index).squeeze(-1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        logits, p, index = ctx.saved_tensors
        slope = slope.unsqueeze(-1)
        return _added(_again(logits, p) * slope, index, -slope), None


class Discriminator(torch.autograd.Function):
    """−w·log σ(g(y)) − Σ_k fake(k)·log σ(−g(k)) of g and fake `(B, K)`, y and w `(B, 1)`, `(B,)`."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, index: Tensor, weight: Tensor, fake: Tensor) -> Tensor:
        ctx.save_for_backward(scores, index, weight, fake)
        true = weight * F.softplus(-scores.gather(-1, index), threshold=_EXACT)
        return true.squeeze(-1) + F.softplus(scores, threshold=_EXACT).mul_(fake).sum(-1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        scores, index, weight, fake = ctx.saved_tensors
        slope = slope.unsqueeze(-1)
        true = -(-scores.gather(-1, index)).sigmoid() * weight * slope
        false = _product(scores.sigmoid(), fake, slope)
        return _added(false, index, true), None, None, None


class Expectation(torch.autograd.Function):
    """Σ_k softmax(logits)(k)·values(k) of logits and values `(..., K)`, `(...)`, with gradient for the logits alone."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, values: Tensor) -> Tensor:
        p = logits.softmax(-1)
        mean = (p * values).sum(-1)
        ctx.save_for_backward(logits, p, values, mean)
        return mean

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        logits, p, values, mean = ctx.saved_tensors
        return _product(values - mean.unsqueeze(-1), _again(logits, p), slope.unsqueeze(-1)), None


def _again(logits: Tensor, p: Tensor) -> Tensor:
    """softmax(logits), which is p, but where a second derivative is to follow: of p autograd knows no origin."""
    return logits.softmax(-1) if torch.is_grad_enabled() else p


def _product(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """The product, in the memory of the first, unless a second derivative needs that."""
    return first * second * third if torch.is_grad_enabled() else first.mul_(second).mul_(third)


def _added(values: Tensor, index: Tensor, more: Tensor) -> Tensor:
    """`values` with `more` added at `index`, in their memory, which nothing else needs."""
    return values.scatter_add_(-1, index, more)
