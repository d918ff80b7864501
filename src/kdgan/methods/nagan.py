"""NaGAN: the naive game of a classifier against a discriminator, without a teacher (paper, Eq. 1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import EstimatorName, annealed
from kdgan.methods.base import RATES, Method, Shared, Signals, check_game
from kdgan.methods.player import Losses, Terms


class NaGAN(Method):
    """min_c max_d E_{y~p_u}[log p_d(x, y)] + E_{y~p_c}[log(1 − p_d(x, y))]; at the equilibrium p_c = p_u.

    Args:
        student: C.
        discriminator: D, sees x, ϱ if given, and scores every label.
        estimator: of the gradient of the expectation over p_c, see `kdgan.losses.ESTIMATORS`.
        tau_start: τ of the concrete distribution at the start; falls exponentially.
        tau_end: τ at the end.
        d_steps: steps of D in each update, on the same examples with fresh samples.
        c_steps: steps of C in each update.
        shared: see `Shared`.
    """

    name = "nagan"
    description = (
        "The student plays against a discriminator that tells its labels from true ones; no teacher."
    )
    colour = "#cc79a7"
    cost = 4.0
    search_space = MappingProxyType(
        {**RATES, "student_pretraining": (0.0, 0.3), "estimator": ("exact", "concrete", "reinforce-baseline")}
    )
    roles = trains = pretrained = ("student", "discriminator")
    student_pretraining = 0.1

    def __init__(
        self,
        student: nn.Module,
        discriminator: nn.Module,
        *,
        estimator: EstimatorName = "exact",
        tau_start: float = 1.0,
        tau_end: float = 0.1,
        d_steps: int = 1,
        c_steps: int = 1,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(student, discriminator, **shared)
        check_game(estimator, tau_start, tau_end, d_steps=d_steps, c_steps=c_steps)
        self.estimator, self.tau = estimator, (tau_start, tau_end)
        self.d_steps, self.c_steps = d_steps, c_steps

    def step(self, batch: Batch, progress: float) -> Losses:
        """The d-steps, where D learns, then the c-steps."""
        C, D = self.student, self.players["discriminator"]  # noqa: N806 - the paper's symbols
        losses: Losses = {}
        c = C(batch)
        for _ in range(self.d_steps if self.updates_teacher and D.learns else 0):
            losses |= D.learn(self._judging(c, batch), progress)
        signals = self.signals(batch)
        for step in range(self.c_steps):
            c = C(batch) if step else c
            losses |= C.learn(self.student_loss(c, batch, signals, progress), progress)
        return losses

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The loss of C or D, against the other as it is now."""
        if role == "student":
            return super().loss_of(role, batch, progress)
        with torch.no_grad():
            c = self.student(batch)
        return self._judging(c, batch)

    def _judging(self, logits: Tensor, batch: Batch) -> Terms:
        """The loss of D: true labels up, those of C down."""
        z = self.family.generated_labels(logits, estimator=self.estimator, generator=self.generator)
        g = self.players["discriminator"](batch)
        loss = self.family.discriminator_loss(g, batch.targets, z, labelled=batch.labelled)
        return {"discriminator": (1.0, loss)}

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """E_{y~p_c}[log(1 − p_d(x, y))]."""
        tau = annealed(progress, start=self.tau[0], end=self.tau[1])
        loss = self.family.generator_loss(
            logits, signals["discriminator"], estimator=self.estimator, tau=tau, generator=self.generator
        )
        return {"adversarial": (1.0, loss)}

    def expected_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The same as a sum over all labels."""
        loss = self.family.generator_loss(logits, signals["discriminator"], estimator="exact")
        return {"adversarial": (1.0, loss)}
