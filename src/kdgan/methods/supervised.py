"""Plain training on the labels: the no-teacher control of every comparison, and how a teacher is made."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.methods.base import RATES, Method, Shared, Signals
from kdgan.methods.player import Losses, Terms


class Supervised(Method):
    """Minimises −log p(y|x) with label smoothing.

    Args:
        student: the network; with `role="teacher"` it is called with privileged information too.
        smoothing: share of the label spread evenly over all K, in [0, 1).
        role: which player this one is.
        shared: see `Shared`.
    """

    name = "supervised"
    description = "The control: the student learns from the labels alone, without a teacher."
    colour = "#8a8f98"
    cost = 1.0
    search_space = MappingProxyType({**RATES, "smoothing": (0.0, 0.3)})
    roles = trains = ("student",)
    pretrained = ()
    uses_unlabelled = False

    def __init__(
        self, student: nn.Module, *, smoothing: float = 0.0, role: str = "student", **shared: Unpack[Shared]
    ) -> None:
        if not 0 <= smoothing < 1:
            raise UsageError(f"smoothing must be in [0, 1), not {smoothing}")
        self.roles = self.trains = (role,)
        super().__init__(student, **shared)
        self.role, self.smoothing = role, smoothing

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of the network."""
        return self.players[self.role].learn(self.loss_of(self.role, batch, progress), progress)

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The loss of the network, whatever its role."""
        logits = self.players[role](batch)
        terms = self.student_loss(logits, batch, {}, progress)
        return terms if role == "student" else {**terms, **self.pseudo_labelled(logits, batch)}

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The cross entropy."""
        return {"label": (1.0, self.supervised(logits, batch, self.smoothing))}
