"""Discriminators that see less than D, or know more: they answer reviewers of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import label_weights
from kdgan.methods import KDGAN, Optimization, Player

SURE = math.log(0.95 / 0.05)
"""The label oracle's score of the true label: then p_d is 0.95."""


class LabelOracle(KDGAN):
    """KDGAN whose D is the scalar product with the true label: it learns nothing, and asks what D is good for.

    p_d is 0.95 for the true label and 0.05 for every other.
    """

    def make_player(self, role: str, module: nn.Module, optimization: Optimization | None) -> Player:
        """As in KDGAN, but for D."""
        if role == "discriminator":
            return _Oracle(role, module, None)
        return super().make_player(role, module, optimization)


class _Oracle(Player):
    """Scores labels by the true ones; its network says only how many there are."""

    def __call__(self, batch: Batch) -> Tensor:
        """Scores `(B, K)`."""
        with torch.no_grad():
            scores = super().__call__(batch)
        return SURE * (2 * label_weights(batch.targets, scores) - 1)


def blind(shape: tuple[int, ...], classes: int, privileged: int = 0) -> Blind:
    """A `Blind` for any input, as `kdgan.nets.build` asks for a network by reference."""
    return Blind(classes)


class Blind(nn.Module):
    """Logits that depend on the label alone: what a discriminator can learn that does not see x.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(classes))

    def forward(self, inputs: Tensor, privileged: Tensor | None = None) -> Tensor:
        """The same logits for every example, `(B, K)`."""
        return self.logits.expand(len(inputs), -1)
