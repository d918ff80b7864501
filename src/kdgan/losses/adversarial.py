"""Adversarial losses: what the discriminator gains by telling labels apart, and what a generator loses by it.

Scores are the discriminator's g(x, ϱ, y) for all K labels at once, `(..., K)`, with p_d = sigmoid(g); players
are softmax distributions over those labels. One value per example, `(...)`; half precision is computed in
float32, and returned in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import UsageError
from kdgan.losses._many import MANY, Discriminator, Expectation
from kdgan.losses._numeric import (
    check_targets,
    classes_refused,
    filled,
    has_impossible,
    log_accepted,
    over_labelled,
    widened,
    widened_pair,
)
from kdgan.losses.concrete import concrete, one_hot_argmax, pseudo_labels

EstimatorName = Literal["exact", "concrete", "reinforce", "reinforce-baseline"]


def discriminator_loss(
    scores: Tensor, targets: Tensor, fake: Tensor, *, labelled: Tensor | None = None
) -> Tensor:
    """−E_{y~p_u}[log p_d] − E_{y~fake}[log(1 − p_d)], which D minimises (max over d in paper, Eqs. 1, 3).

    The expectation is linear in the fake labels, so one argument serves every game: for KDGAN
    α·z^c + (1−α)·z^t of samples, or p_α = α·p_c + (1−α)·p_t for the expectation itself; for NaGAN z^c or p_c.

    Args:
        scores: g, `(..., K)`; receives gradient.
        targets: true class indices `(...)` or label weights `(..., K)`.
        fake: weights of the generated labels, `(..., K)`; detached.
        labelled: which rows have a label, bool `(...)`; None for all. True labels are those of these rows alone, so
            weighed that the mean over all rows is their mean; every row has a generated one.

    Returns:
        One value per example, `(...)`, in nats.

    Raises:
        UsageError: if scores and fake differ in shape, or targets or `labelled` are not those of these scores.
    """
    scores, fake = widened_pair(scores, fake)
    targets, fake = filled(targets, labelled, scores), fake.detach()
    if scores.shape[-1] >= MANY and scores.dtype == fake.dtype and not targets.is_floating_point():
        return _of_many(scores, targets, fake, labelled)
    accepted = over_labelled(log_accepted(scores, targets), labelled)
    return -accepted - (fake * F.logsigmoid(-scores)).sum(-1)


def generator_loss(
    logits: Tensor,
    scores: Tensor,
    *,
    estimator: EstimatorName = "exact",
    tau: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """E_{y~p}[log(1 − p_d(x, y))], which C and T minimise (paper, Eqs. 3 and 8).

    Args:
        logits: of the player p that generates labels, `(..., K)`; receives gradient.
        scores: g, `(..., K)`; detached, so that D learns nothing from this loss.
        estimator: how the gradient of the expectation is estimated, see `ESTIMATORS`.
        tau: τ of the concrete distribution; the other estimators do not use it.
        generator: source of the samples.

    Returns:
        One value per example, `(...)`, in nats, at most 0: the expectation (`exact`) or an unbiased sample
        of it; its gradient is what the estimator gives.

    Raises:
        UsageError: for an unknown estimator, or logits and scores of different shapes.

    Example:
        >>> import torch
        >>> generator_loss(torch.zeros(1, 2), torch.zeros(1, 2)).exp()
        tensor([0.5000])
    """
    check_estimator(estimator)
    logits, scores = widened_pair(logits, scores)
    return ESTIMATORS[estimator](logits, F.logsigmoid(-scores.detach()), tau=tau, generator=generator)


def generated_labels(
    logits: Tensor, *, estimator: EstimatorName = "exact", generator: torch.Generator | None = None
) -> Tensor:
    """The labels a player shows to D: its whole distribution under `exact`, a one-hot sample otherwise.

    Args:
        logits: `(..., K)`.
        estimator: the one that its own loss uses.
        generator: source of the samples.

    Returns:
        Label weights `(..., K)`, without gradient.

    Raises:
        UsageError: for an unknown estimator.
    """
    check_estimator(estimator)
    if estimator == "exact":
        return widened(logits.detach()).softmax(-1)
    return pseudo_labels(logits, generator=generator)


def check_estimator(name: str) -> None:
    """Raises a UsageError unless there is an estimator of that name."""
    if name not in ESTIMATORS:
        raise UsageError(f"unknown estimator {name!r}: choose one of {', '.join(ESTIMATORS)}")


class Estimator(Protocol):
    """E_{y~softmax(logits)}[values(y)] per example, with an estimate of its gradient in the logits."""

    def __call__(
        self, logits: Tensor, values: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Logits and values `(..., K)` to one value per example, `(...)`."""


def exact(
    logits: Tensor, values: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """The sum over all K labels: no sampling noise and no bias. `tau` and `generator` are not used."""
    if logits.shape[-1] >= MANY and not values.requires_grad:
        expectation: Tensor = Expectation.apply(logits, values)  # type: ignore[no-untyped-call]
        return expectation
    return (logits.softmax(-1) * values).sum(-1)


def straight_through(
    logits: Tensor, values: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Straight-through Gumbel-softmax (paper, Eq. 8): a discrete label forward, the concrete one backward.

    Biased; its variance falls and its bias grows with `tau` (Jang et al. 2017; Maddison et al. 2017).
    """
    soft = concrete(logits, tau=tau, generator=generator)
    label = one_hot_argmax(soft.detach()) + soft - soft.detach()
    return (label * values).sum(-1)


def reinforce(
    logits: Tensor, values: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """The score function ∇ log p(z) · value(z) of one sample z (Williams 1992), unbiased; without `tau`."""
    return _score_function(logits, values, generator, baseline=False)


def reinforce_with_baseline(
    logits: Tensor, values: Tensor, *, tau: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """The score function of value(z) − b, where b is the mean value of the *other* examples.

    The examples are the last axis of `(...)`. Leaving the example itself out keeps b independent of its z,
    and with that the estimate unbiased. `tau` is not used; a batch of one example has no baseline.
    """
    return _score_function(logits, values, generator, baseline=True)


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "exact": exact,
        "concrete": straight_through,
        "reinforce": reinforce,
        "reinforce-baseline": reinforce_with_baseline,
    }
)


def _of_many(scores: Tensor, targets: Tensor, fake: Tensor, labelled: Tensor | None) -> Tensor:
    """`discriminator_loss` of class indices in few passes."""
    check_targets(targets, scores)
    weight = over_labelled(torch.ones_like(scores[..., 0]), labelled).unsqueeze(-1)
    with classes_refused(scores):
        loss: Tensor = Discriminator.apply(scores, targets.long().unsqueeze(-1), weight, fake)  # type: ignore[no-untyped-call]
    return loss


def _score_function(
    logits: Tensor, values: Tensor, generator: torch.Generator | None, *, baseline: bool
) -> Tensor:
    label = pseudo_labels(logits, generator=generator)
    value = (label * values).sum(-1)
    advantage = value
    if baseline and value.ndim and value.shape[-1] > 1:
        others = value.shape[-1] - 1
        advantage = value - (value.sum(-1, keepdim=True) - value) / others
    log_p = logits.log_softmax(-1)
    if has_impossible(log_p):
        log_p = log_p.masked_fill(label == 0, 0)
    log_p = (label * log_p).sum(-1)
    # Forward this adds nothing to the sampled value; backward it is the score times the advantage.
    return value + (log_p - log_p.detach()) * advantage.detach()
