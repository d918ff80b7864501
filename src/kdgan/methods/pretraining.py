"""Line 1 of Algorithm 1: each player is trained on the labelled examples before the game."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.methods.base import Method, Shared
from kdgan.methods.player import Losses, Terms
from kdgan.methods.supervised import Supervised


class DiscriminatorPretraining(Method):
    """Teaches D to tell true labels from labels drawn uniformly: at the optimum p_d = p_u / (p_u + 1/K).

    It needs neither C nor T, so one pretrained D can serve every method of a comparison.
    """

    roles = trains = ("discriminator",)
    pretrained = ()

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of D."""
        return self.players["discriminator"].learn(self.loss_of("discriminator", batch, progress), progress)

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """True labels up, all labels alike down."""
        g = self.players[role](batch)
        loss = self.family.discriminator_loss(
            g, batch.targets, self.family.uniform(g), labelled=batch.labelled
        )
        return {"discriminator": (1.0, loss)}


def pretraining(role: str, module: nn.Module, *, smoothing: float = 0.0, **shared: Unpack[Shared]) -> Method:
    """The method that trains one player on the labels alone.

    Args:
        role: `student`, `teacher` or `peer` (supervised) or `discriminator` (true labels against uniform ones).
        module: trained in place.
        smoothing: label smoothing for all but the discriminator.
        shared: see `kdgan.methods.Shared`.

    Raises:
        UsageError: for any other role.
    """
    if role not in ("student", "teacher", "peer", "discriminator"):
        raise UsageError(f"unknown role {role!r}: student, teacher, peer or discriminator")
    if role != "student" and shared.get("epsilon"):
        raise UsageError(
            f"epsilon is for a student that learns by a method, not for the pretraining of the {role}"
        )
    if role == "discriminator":
        return DiscriminatorPretraining(module, **shared)
    return Supervised(module, smoothing=smoothing, role=role, **shared)
