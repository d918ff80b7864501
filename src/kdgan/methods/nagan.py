"""NaGAN: the naive game of a classifier against a discriminator, without a teacher (paper, Eq. 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import EstimatorName, annealed, discriminator_loss, generated_labels, generator_loss
from kdgan.methods.base import Learning, Losses, Method, check_game, report
from kdgan.methods.player import Optimization


class NaGAN(Method):
    """min_c max_d E_{y~p_u}[log p_d(x, y)] + E_{y~p_c}[log(1 − p_d(x, y))]; at the equilibrium p_c = p_u.

    Args:
        student: C.
        discriminator: D, sees x, ϱ if given, and scores every label.
        estimator: of the gradient of the expectation over p_c, see `kdgan.losses.ESTIMATORS`.
        tau_start: τ of the concrete distribution at the start; falls exponentially.
        tau_end: τ at the end.
        d_steps: steps of D in each update, on the same instances with fresh samples.
        c_steps: steps of C in each update.
    """

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
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        super().__init__({"student": student, "discriminator": discriminator}, optimization, seed)
        check_game(estimator, tau_start, tau_end, d_steps=d_steps, c_steps=c_steps)
        self.estimator, self.tau = estimator, (tau_start, tau_end)
        self.d_steps, self.c_steps = d_steps, c_steps

    def step(self, batch: Batch, progress: float) -> Losses:
        """The d-steps, where D learns, then the c-steps."""
        discriminator = self.players["discriminator"]
        tau = annealed(progress, start=self.tau[0], end=self.tau[1])

        c = self.student(batch)
        for _ in range(self.d_steps if self.all_learn else 1):
            z_c = generated_labels(c, estimator=self.estimator, generator=self.generator)
            with torch.set_grad_enabled(self.all_learn):
                g = discriminator(batch)
            d_loss = discriminator_loss(g, batch.targets, z_c)
            if self.all_learn:
                discriminator.learn(d_loss, progress)

        if self.all_learn:
            with torch.no_grad():
                g = discriminator(batch)
        for step in range(self.c_steps):
            c = self.student(batch) if step else c
            ad_c = generator_loss(c, g, estimator=self.estimator, tau=tau, generator=self.generator)
            self.student.learn(ad_c, progress)
        return report(discriminator=d_loss, adversarial=ad_c)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """E_{y~p_c}[log(1 − p_d(x, y))], which needs no sampling here."""
        g = self.players["discriminator"](batch)
        return lambda c: generator_loss(c, g)
