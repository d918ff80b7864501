"""FixMatch: a network learns from its own confident labels of examples, in another view of them (Sohn et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import Family
from kdgan.methods.base import Method, Shared, check_range
from kdgan.methods.player import Losses, Terms, evaluating, forward

THRESHOLD = 0.9
"""τ by default: how likely a label must be."""


def own_labels(
    family: Family, said: Tensor, threshold: float = THRESHOLD, *, undecided: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What a network that says so takes examples for, and of which it is sure.

    Args:
        family: classes, or labels that are each on or off.
        said: its probabilities, `(B, K)`.
        threshold: τ ∈ [0, 1].
        undecided: of labels that are each on or off, what takes the place of those that it is unsure of, `(B, K)`; by
            default what it says.

    Returns:
        The likeliest class `(B,)`, and whether it is as likely as τ; or all labels `(B, K)`, hard where they are, and
        True.
    """
    if family.name == "classes":
        sure, label = said.max(-1)
        return label, sure >= threshold
    decided = (said - 0.5).abs() >= threshold - 0.5
    labels = torch.where(decided, (said > 0.5).to(said.dtype), said if undecided is None else undecided)
    return labels, torch.ones(len(said), dtype=torch.bool, device=said.device)


class FixMatch(Method):
    """Minimises −log p(y|x) on labelled examples and −log p(ŷ|x') on those without a label that it is sure of.

    ŷ is the likeliest label of x as it is, if it is at least as likely as τ, and x' another view of it. Where there are
    no views, x' is x, and this is learning from pseudo-labels (Lee, 2013).

    Unlike in the paper ŷ is of x itself, not of a weak view, and without noise of layers; labelled examples are seen in
    the same views as the others; there is no average of weights; and τ is 0.9, not 0.95.

    Args:
        module: the network.
        role: which player it is; all but the student are called with privileged information, too.
        views: another view of a batch, given the number of the update.
        threshold: τ ∈ [0, 1].
        shared: see `Shared`.
    """

    roles = trains = ("teacher",)
    pretrained = ()

    def __init__(
        self,
        module: nn.Module,
        *,
        role: str = "teacher",
        views: Callable[[Batch, int], Batch] = lambda batch, step: batch,
        threshold: float = THRESHOLD,
        **shared: Unpack[Shared],
    ) -> None:
        check_range("threshold", threshold, 0, 1)
        self.roles = self.trains = (role,)
        super().__init__(module, **shared)
        self.role, self.views, self.threshold = role, views, threshold

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of the network."""
        return self.players[self.role].learn(self.loss_of(self.role, batch, progress), progress)

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The labels, and its own of the examples that have none."""
        player = self.players[role]
        guess = self._guess(batch)
        logits = player(self.views(batch, self._updates))
        terms = {"label": (1.0, self.supervised(logits, batch))}
        if batch.labelled is None:
            return terms
        # A label by itself that is undecided is what the network says of the view, and so teaches nothing.
        now = self.family.probabilities(logits.detach())
        targets, sure = own_labels(self.family, guess, self.threshold, undecided=now)
        counts, others = sure & ~batch.labelled, ~batch.labelled
        values = type(self.family)().supervised(logits, targets, labelled=counts)
        # Of all examples without a label: those that it is unsure of count 0, rather than leave more to others.
        return {**terms, "own": (1.0, values * (counts.sum() / others.sum().clamp_min(1)))}

    def _guess(self, batch: Batch) -> Tensor:
        """What it says of the batch as it is, without gradient and without noise of its layers."""
        module = self.players[self.role].module
        with evaluating(module):
            return self.family.probabilities(forward(self.role, module, batch))
