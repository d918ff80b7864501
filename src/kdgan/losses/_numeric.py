"""Preparation of the inputs of every loss."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import UsageError, is_of_memory


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


def has_impossible(log_p: Tensor) -> bool:
    """Whether some logarithms of probabilities are -inf, as their logits are: 0 times that is no number.

    A CPU looks, which costs less than a needless operation in the graph; a GPU is not waited for, and says yes.
    """
    return log_p.is_cuda or (log_p.numel() > 0 and log_p.min().item() == -math.inf)


def label_weights(targets: Tensor, logits: Tensor) -> Tensor:
    """True labels as weights of the shape and type of `logits` `(..., K)`, one-hot for class indices `(...)`.

    Raises:
        UsageError: if the targets are not those of these logits.
    """
    check_targets(targets, logits)
    if targets.is_floating_point():
        return targets.to(logits.dtype)
    with classes_refused(logits):
        return torch.zeros_like(logits).scatter(-1, targets.long().unsqueeze(-1), 1.0)


def log_accepted(scores: Tensor, targets: Tensor) -> Tensor:
    """E_{y ~ targets}[log sigmoid(scores(y))] of `scores` `(..., K)`: for class indices that of one score alone.

    Raises:
        UsageError: if the targets are not those of these scores.
    """
    if targets.is_floating_point():
        return (label_weights(targets, scores.detach()) * F.logsigmoid(scores)).sum(-1)
    check_targets(targets, scores)
    with classes_refused(scores):
        return F.logsigmoid(scores.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1))


@contextmanager
def classes_refused(logits: Tensor) -> Iterator[None]:
    """Raises a UsageError for what torch says, within the block, of a target that is no class."""
    try:
        yield
    except (IndexError, RuntimeError) as error:
        if is_of_memory(error):
            raise
        hint = ""
        if re.search(r"(?<!\d)-1(?!\d)", str(error)):
            hint = "; -1 stands for no label: a method takes Method.supervised, a loss labelled="
        raise UsageError(
            f"a target is none of the {logits.shape[-1]} classes that are scored: {error}{hint}"
        ) from error


def filled(targets: Tensor, labelled: Tensor | None, logits: Tensor) -> Tensor:
    """Targets with 0 in the rows without a label, whose -1 or NaN must reach neither value nor gradient.

    Raises:
        UsageError: if `labelled` does not say for each row whether it has a label.
    """
    if labelled is None:
        return targets
    check_labelled(labelled, logits)
    rows = labelled.shape
    if targets.shape[: len(rows)] != rows:
        return targets  # refused, with its shape, where the loss takes it
    return targets.masked_fill(~labelled.view((*rows, *[1] * (targets.ndim - len(rows)))), 0)


def check_labelled(labelled: Tensor, logits: Tensor) -> None:
    """Raises a UsageError unless `labelled` says for each row of the logits whether it has a label."""
    rows = logits.shape[:-1]
    if labelled.dtype != torch.bool or labelled.shape != rows:
        raise UsageError(
            f"labelled must be {tuple(rows)} of torch.bool, which rows have a label, not {tuple(labelled.shape)} "
            f"of {labelled.dtype}"
        )


def over_labelled(values: Tensor, labelled: Tensor | None) -> Tensor:
    """Values `(...)` of rows with a label times N / n, and 0 of the others: their mean is that of the n labelled.

    Without any label all are 0. The device is not waited for.
    """
    if labelled is None:
        return values
    count = labelled.sum(dtype=values.dtype).clamp_min(1)
    return values.masked_fill(~labelled, 0) * (labelled.numel() / count)


def check_targets(targets: Tensor, logits: Tensor) -> None:
    """Raises a UsageError unless targets are class indices `(...)` or label weights `(..., K)` of these logits."""
    expected = logits.shape if targets.is_floating_point() else logits.shape[:-1]
    if targets.shape != expected:
        raise UsageError(
            f"targets of shape {tuple(targets.shape)} and {targets.dtype} do not belong to logits of shape "
            f"{tuple(logits.shape)}: give class indices (...) or label weights (..., K)"
        )


def check_class_weights(weights: Tensor, logits: Tensor) -> None:
    """Raises a UsageError unless there is one weight for each of the K classes or labels, on their device."""
    if weights.shape != logits.shape[-1:] or weights.device != logits.device:
        raise UsageError(
            f"class_weights {tuple(weights.shape)} on {weights.device} do not belong to logits "
            f"{tuple(logits.shape)} on {logits.device}: give one for each of the {logits.shape[-1]}"
        )
