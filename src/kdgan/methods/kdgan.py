"""KDGAN: a student, a teacher and a discriminator trained together (paper, Eq. 3 and Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.losses import (
    Distance,
    EstimatorName,
    annealed,
    cross_entropy,
    discriminator_loss,
    distance,
    generated_labels,
    generator_loss,
    label_weights,
)
from kdgan.methods.base import Learning, Losses, Method, check_game, check_range, report
from kdgan.methods.player import Optimization

Judge = Literal["network", "labels"]
_SURE = math.log(0.95 / 0.05)


class KDGAN(Method):
    """The game of Eq. 3, in which C and T learn from each other while D judges both.

    min_{c,t} max_d E_{p_u}[log p_d] + α·E_{p_c}[log(1 − p_d)] + (1−α)·E_{p_t}[log(1 − p_d)]
                    + β·L_DS^c(p_c, p_t) + γ·L_DS^t(p_t, p_c), with p_c = p_t = p_u at the equilibrium.

    Line 1 of Algorithm 1, pretraining, is `kdgan.methods.pretraining` of the three players; `update` is the body of
    its loop. With an `interval` (see `Method`) the game is played in the first of so many updates, with so many times
    its weight for C; in the others C follows T, and hears the labels, and D does not look. As with the
    regularisers of StyleGAN 2 (Karras et al., 2020), what changes slowly need not be computed each time.

    Args:
        student: C, sees x.
        teacher: T, sees x and, if given, ϱ; goes on learning.
        discriminator: D, sees what T sees and scores every label; usually of T's form.
        alpha: α ∈ [0, 1], how much of D's attention goes to C rather than T.
        beta: β ≥ 0, how closely C follows T.
        gamma: γ ≥ 0, how closely T follows C.
        adversarial: weight of the adversarial terms of C and T; 1 in the paper, 0 for no game at all.
        supervision: weight of −log p(y|x) in the losses of C and T; 0 in the paper, where labels reach them through D
            alone. It leaves the equilibrium where it is, as in Triple-GAN (Li et al., 2017), and tells C and T of
            labels to which they give so little that the adversarial gradient, which is in proportion, does not.
        distillation: L_DS: l2 (the one behind the paper's tables), kl or js.
        temperature: of kl and js.
        estimator: of the gradients of the expectations over p_c and p_t: exact, concrete (the paper's),
            reinforce, reinforce-baseline.
        tau_start: τ of the concrete distribution at the start; falls exponentially (paper: 1.0).
        tau_end: τ at the end (paper: 0.1).
        judge: who scores labels: the `network` D, or `labels`, the scalar product with the true label, scaled
            so that p_d is 0.95 for the true label and 0.05 for others. The second learns nothing, and
            is there to ask what D is good for.
        d_steps: steps of D in each update, on the same instances with fresh samples.
        t_steps: steps of T in each update.
        c_steps: steps of C in each update.

    Raises:
        UsageError: if a hyperparameter is out of its range.
    """

    roles = trains = pretrained = ("student", "teacher", "discriminator")
    # Line 1 of Algorithm 1 pretrains C too; at equal updates of C, following T from the first is worth more.
    student_pretraining = 0.0

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        discriminator: nn.Module,
        *,
        alpha: float = 0.5,
        beta: float = 1.0,
        gamma: float = 0.02,
        adversarial: float = 1.0,
        supervision: float = 1.0,
        distillation: Distance = "l2",
        temperature: float = 4.0,
        estimator: EstimatorName = "exact",
        tau_start: float = 1.0,
        tau_end: float = 0.1,
        judge: Judge = "network",
        d_steps: int = 1,
        t_steps: int = 1,
        c_steps: int = 1,
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        check_range("alpha", alpha, 0, 1)
        check_range("beta", beta, 0)
        check_range("gamma", gamma, 0)
        check_range("adversarial", adversarial, 0)
        check_range("supervision", supervision, 0)
        if judge not in get_args(Judge):
            raise UsageError(f"unknown judge {judge!r}: choose network or labels")
        check_game(estimator, tau_start, tau_end, d_steps=d_steps, t_steps=t_steps, c_steps=c_steps)
        modules = {"student": student, "teacher": teacher, "discriminator": discriminator}
        super().__init__(modules, optimization, seed)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.adversarial, self.supervision, self.judge = adversarial, supervision, judge
        self.distance = distance(distillation, temperature=temperature)
        self.estimator, self.tau = estimator, (tau_start, tau_end)
        self.d_steps, self.t_steps, self.c_steps = d_steps, t_steps, c_steps

    def step(self, batch: Batch, progress: float) -> Losses:
        """The d-steps, then the t-steps, then the c-steps (Algorithm 1, lines 3 to 12); or C follows T alone."""
        return self._play(batch, progress) if self.all_learn else self._follow(batch, progress)

    def _play(self, batch: Batch, progress: float) -> Losses:
        student, teacher = self.student, self.players["teacher"]
        tau = annealed(progress, start=self.tau[0], end=self.tau[1])

        # No step changes a network before the loss that these logits serve, so each is computed once.
        c, t = student(batch), teacher(batch)
        d_loss, g = self._judged(batch, c, t, progress)
        for step in range(self.t_steps):
            t = teacher(batch) if step else t
            ad_t, ds_t = self._adversarial(t, g, tau), self.distance(t, c)
            loss = self.adversarial * (1 - self.alpha) * ad_t + self.gamma * ds_t
            teacher.learn(loss + self.supervision * self._labelled(t, batch), progress)
        with torch.no_grad():
            t = teacher(batch)

        for step in range(self.c_steps):
            c = student(batch) if step else c
            ad_c, ds_c, label = self._adversarial(c, g, tau), self.distance(c, t), self._labelled(c, batch)
            loss = self._weight_of_game * ad_c + self.beta * ds_c
            student.learn(loss + self.supervision * label, progress)
        return self._report(
            label,
            discriminator=d_loss,
            adversarial=ad_c,
            distillation=ds_c,
            teacher_adversarial=ad_t,
            teacher_distillation=ds_t,
        )

    def _follow(self, batch: Batch, progress: float) -> Losses:
        with torch.no_grad():
            t = self.players["teacher"](batch)
        for _ in range(self.c_steps):
            c = self.student(batch)
            ds_c, label = self.distance(c, t), self._labelled(c, batch)
            self.student.learn(self.beta * ds_c + self.supervision * label, progress)
        return self._report(label, distillation=ds_c)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """α·E_{y~p_c}[log(1 − p_d(x, y))], which needs no sampling here, β·L_DS^c, and the label."""
        t = self.players["teacher"](batch)
        if not self.all_learn:
            return lambda c: self.beta * self.distance(c, t) + self.supervision * self._labelled(c, batch)
        judge = self.players["discriminator"]
        g = judge(batch) if self.judge == "network" else self._product(batch, t)
        return lambda c: (
            self._weight_of_game * generator_loss(c, g)
            + self.beta * self.distance(c, t)
            + self.supervision * self._labelled(c, batch)
        )

    @property
    def _weight_of_game(self) -> float:
        # As often as it is left out, so much more it counts where it is played.
        return self.adversarial * self.alpha * self.interval

    def _judged(self, batch: Batch, c: Tensor, t: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """The d-steps: D's loss, and then its scores g of all labels `(B, K)`, without gradient."""
        discriminator = self.players["discriminator"]
        learns = self.judge == "network" and self.adversarial > 0
        for _ in range(self.d_steps if learns else 1):
            g = discriminator(batch) if self.judge == "network" else self._product(batch, c)
            z = self.alpha * self._labels(c) + (1 - self.alpha) * self._labels(t)
            loss = discriminator_loss(g, batch.targets, z)
            if learns:
                discriminator.learn(loss, progress)
        if not learns:
            return loss, g.detach()
        with torch.no_grad():
            return loss, discriminator(batch)

    def _labelled(self, logits: Tensor, batch: Batch) -> Tensor:
        """−log p(y|x) `(B,)` where it counts; where it does not, it is 0 and costs nothing."""
        if not self.supervision:
            return logits.new_zeros(len(logits), dtype=torch.float32)
        return cross_entropy(logits, batch.targets)

    def _report(self, label: Tensor, **terms: Tensor) -> Losses:
        return report(label=label, **terms) if self.supervision else report(**terms)

    def _product(self, batch: Batch, logits: Tensor) -> Tensor:
        return _SURE * (2 * label_weights(batch.targets, logits.detach()) - 1)

    def _labels(self, logits: Tensor) -> Tensor:
        return generated_labels(logits, estimator=self.estimator, generator=self.generator)

    def _adversarial(self, logits: Tensor, scores: Tensor, tau: float) -> Tensor:
        return generator_loss(logits, scores, estimator=self.estimator, tau=tau, generator=self.generator)
