"""Preparation of the inputs of every loss."""

import torch
from torch import Tensor

from kdgan.errors import UsageError


def widened(logits: Tensor) -> Tensor:
    """`logits` in a type whose range holds squares and sums of 1e4: float16 and bfloat16 become float32."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def widened_pair(logits: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both logits widened; they must score the same labels.

    Raises:
        UsageError: if the shapes differ, naming both.
    """
    if logits.shape != other.shape:
        raise UsageError(
            f"logits of shape {tuple(logits.shape)} cannot be compared with logits of shape "
            f"{tuple(other.shape)}: both players must score the same labels of the same examples"
        )
    return widened(logits), widened(other)


def label_weights(targets: Tensor, logits: Tensor) -> Tensor:
    """True labels as weights of the shape and type of `logits` `(..., K)`, one-hot for class indices `(...)`.

    Raises:
        UsageError: if the targets are not those of these logits.
    """
    check_targets(targets, logits)
    if targets.is_floating_point():
        return targets.to(logits.dtype)
    try:
        return torch.zeros_like(logits).scatter(-1, targets.long().unsqueeze(-1), 1.0)
    except RuntimeError as error:
        raise UsageError(
            f"a target is none of the {logits.shape[-1]} classes that are scored: {error}"
        ) from error


def of_labels(values: Tensor, targets: Tensor) -> Tensor:
    """E_{y ~ targets}[values(y)] of `values` `(..., K)`: for class indices the value there, without a one-hot label.

    Raises:
        UsageError: if the targets are not those of these values.
    """
    if targets.is_floating_point():
        return (label_weights(targets, values.detach()) * values).sum(-1)
    check_targets(targets, values)
    try:
        return values.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    except RuntimeError as error:
        raise UsageError(
            f"a target is none of the {values.shape[-1]} classes that are scored: {error}"
        ) from error


def check_targets(targets: Tensor, logits: Tensor) -> None:
    """Raises a UsageError unless targets are class indices `(...)` or label weights `(..., K)` of these logits."""
    expected = logits.shape if targets.is_floating_point() else logits.shape[:-1]
    if targets.shape != expected:
        raise UsageError(
            f"targets of shape {tuple(targets.shape)} and {targets.dtype} do not belong to logits of shape "
            f"{tuple(logits.shape)}: give class indices (...) or label weights (..., K)"
        )
