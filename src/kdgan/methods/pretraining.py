"""Line 1 of Algorithm 1: each player is trained on the labelled instances before the game."""

from __future__ import annotations

import torch
from torch import nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.losses import discriminator_loss
from kdgan.methods.base import Learning, Losses, Method, report
from kdgan.methods.player import Optimization
from kdgan.methods.supervised import Supervised


class Contrast(Method):
    """Teaches D to tell true labels from labels drawn uniformly: at the optimum p_d = p_u / (p_u + 1/K).

    It needs neither C nor T, so one pretrained D can serve every method of a comparison.
    """

    roles = trains = ("discriminator",)

    def __init__(
        self, discriminator: nn.Module, *, optimization: Learning = Optimization(), seed: int = 0
    ) -> None:
        super().__init__({"discriminator": discriminator}, optimization, seed)

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of D."""
        discriminator = self.players["discriminator"]
        g = discriminator(batch)
        loss = discriminator_loss(g, batch.targets, torch.full_like(g, 1 / g.shape[-1]))
        discriminator.learn(loss, progress)
        return report(discriminator=loss)


def pretraining(
    role: str,
    module: nn.Module,
    *,
    optimization: Learning = Optimization(),
    smoothing: float = 0.0,
    seed: int = 0,
) -> Method:
    """The method that trains one player on the labels alone.

    Args:
        role: `student`, `teacher` or `peer` (supervised) or `discriminator` (true labels against uniform ones).
        module: trained in place.
        optimization: how it learns.
        smoothing: label smoothing for all but the discriminator.
        seed: of the method's random generator.

    Raises:
        UsageError: for any other role.
    """
    if role not in ("student", "teacher", "peer", "discriminator"):
        raise UsageError(f"unknown role {role!r}: student, teacher, peer or discriminator")
    if role == "discriminator":
        return Contrast(module, optimization=optimization, seed=seed)
    return Supervised(module, smoothing=smoothing, optimization=optimization, seed=seed, role=role)
