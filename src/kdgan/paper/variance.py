"""Variance of the student's gradients while the game is played (paper, Eqs. 6 and 7, and Figure 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kdgan.data.feed import Feed
from kdgan.errors import UsageError
from kdgan.losses import EstimatorName, generator_loss
from kdgan.methods import KDGAN, Method
from kdgan.methods.player import forward

BATCHES = 32
"""Minibatches that a variance is estimated from."""
ESTIMATES: dict[str, tuple[EstimatorName, float]] = {
    "exact": ("exact", 1.0),
    "concrete, τ = 1": ("concrete", 1.0),
    "concrete, τ = 0.5": ("concrete", 0.5),
    "concrete, τ = 0.1": ("concrete", 0.1),
    "reinforce": ("reinforce", 1.0),
    "reinforce-baseline": ("reinforce-baseline", 1.0),
}
"""Estimates of ∇L_AD: the estimator, and τ where it has one."""

DISTILLATION = "distillation"
"""The name of ∇L_DS among them."""

MEASURED = tuple(
    f"{what}/{name}"
    for name in (DISTILLATION, *ESTIMATES)
    for what in ("variance", "signal", "bias")
    if (what, name) != ("bias", DISTILLATION)
)
"""All that is measured, by name."""


def variances(method: Method, feed: Feed, seed: int) -> dict[str, float]:
    """The probe of a study, see `kdgan.training.trainer.Probe`: `gradient_variances` over `BATCHES` minibatches."""
    if not isinstance(method, KDGAN):
        raise UsageError("the variance of gradients is measured in a game of KDGAN")
    # What is measured must not change what is trained: the method's own generator stays out of it.
    generator = torch.Generator(method.generator.device).manual_seed(seed)
    return gradient_variances(method, feed, BATCHES, generator)


def gradient_variances(
    method: KDGAN, feed: Feed, batches: int, generator: torch.Generator
) -> dict[str, float]:
    """Variance and signal of the student's gradients in a game as it stands, for L_DS and every estimator.

    Of each minibatch, with fresh views and samples, the gradient in C's weights is taken of L_DS and of L_AD by every
    estimator, all three networks kept as they are.

    Args:
        method: the game; its networks are not changed.
        feed: gives the minibatches, from its step 0.
        batches: how many, at least 2.
        generator: source of the samples of labels.

    Returns:
        For each gradient `variance/NAME`, the trace of the covariance over minibatches, `signal/NAME`, the squared norm
        of the mean, and for estimators `bias/NAME`, the squared norm of the mean difference to the exact gradient. What
        averaging over few minibatches adds to a squared norm is taken out, so it may be slightly below 0.
    """
    weights = [weight for weight in method.student.module.parameters() if weight.requires_grad]
    gradients, errors = _Spread(), _Spread()
    for step in range(batches):
        found = dict(_gradients(method, feed, step, weights, generator))
        for name, gradient in found.items():
            gradients.add(name, gradient)
            if name in ESTIMATES:
                errors.add(name, gradient - found["exact"])
    measured: dict[str, float] = {}
    for name in gradients.sums:
        variance, signal = gradients.of(name, batches)
        measured |= {f"variance/{name}": variance, f"signal/{name}": signal}
        if name in ESTIMATES:
            measured[f"bias/{name}"] = errors.of(name, batches)[1]
    return measured


class _Spread:
    """Running sums of vectors and of their squared norms, by name."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.squares: dict[str, float] = {}

    def add(self, name: str, vector: Tensor) -> None:
        self.squares[name] = self.squares.get(name, 0.0) + vector.square().sum().item()
        self.sums[name] = self.sums[name] + vector if name in self.sums else vector

    def of(self, name: str, count: int) -> tuple[float, float]:
        """Trace of the covariance, and the squared norm of the mean without what the noise adds to it."""
        mean = (self.sums[name] / count).square().sum().item()
        variance = (self.squares[name] - count * mean) / (count - 1)
        return variance, mean - variance / count


def _gradients(
    method: KDGAN, feed: Feed, step: int, weights: Sequence[Tensor], generator: torch.Generator
) -> Iterator[tuple[str, Tensor]]:
    batch = feed(step)
    student = method.student.module
    with torch.no_grad():
        t = forward("teacher", method.players["teacher"].module, batch)
        g = forward("discriminator", method.players["discriminator"].module, batch)
    c = student(batch.inputs)
    yield DISTILLATION, _flat(method.distance(c, t), weights)
    for name, (estimator, tau) in ESTIMATES.items():
        loss = generator_loss(c, g, estimator=estimator, tau=tau, generator=generator)
        yield name, _flat(loss, weights)


def _flat(loss: Tensor, weights: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(loss.mean(), weights, retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])
