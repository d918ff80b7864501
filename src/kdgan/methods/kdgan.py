"""KDGAN: a student, a teacher and a discriminator trained together (paper, Eq. 3 and Algorithm 1)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import Distance, EstimatorName, annealed
from kdgan.methods.base import Method, Shared, Signals, check_game, check_range
from kdgan.methods.codis import PEERS
from kdgan.methods.player import Losses, Terms


class KDGAN(Method):
    """The game of Eq. 3, in which C and T learn from each other while D judges both.

    min_{c,t} max_d E_{p_u}[log p_d] + α·E_{p_c}[log(1 − p_d)] + (1−α)·E_{p_t}[log(1 − p_d)]
                    + β·L_DS^c(p_c, p_t) + γ·L_DS^t(p_t, p_c), with p_c = p_t = p_u at the equilibrium.

    Line 1 of Algorithm 1, pretraining, is `kdgan.methods.pretraining` of the three players; `step` is the body of
    its loop. With `teacher_every` (see `Shared`) the game is played in the first of so many updates, with so many times
    its weight for C; in the others C follows T and the labels, and D does not look. As with the
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
            alone. It leaves the equilibrium where it is, as in Triple-GAN (Li et al., 2017), and raises labels
            to which they give so little that the adversarial gradient, which is in proportion, does not.
        distillation: L_DS: l2 (the one behind the paper's tables), kl, js, or one of your own, see
            `kdgan.losses.distance`.
        temperature: of kl and js.
        estimator: of the gradients of the expectations over p_c and p_t: exact, concrete (the paper's),
            reinforce, reinforce-baseline.
        tau_start: τ of the concrete distribution at the start; falls exponentially (paper: 1.0).
        tau_end: τ at the end (paper: 0.1).
        d_steps: steps of D in each update, on the same examples with fresh samples.
        t_steps: steps of T in each update.
        c_steps: steps of C in each update.
        shared: see `Shared`.

    Raises:
        UsageError: if a hyperparameter is out of its range.
    """

    name = "kdgan"
    description = "Student and teacher learn from each other, and both play against a discriminator."
    colour = "#d55e00"
    cost = 7.0
    search_space = MappingProxyType(
        {
            **PEERS,
            "student_pretraining": (0.0, 0.3),
            "alpha": (0.03, 1.0),
            "adversarial": (0.3, 10.0),
            "supervision": (0.0, 2.0),
        }
    )
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
        d_steps: int = 1,
        t_steps: int = 1,
        c_steps: int = 1,
        **shared: Unpack[Shared],
    ) -> None:
        check_range("alpha", alpha, 0, 1)
        weights = {"beta": beta, "gamma": gamma, "adversarial": adversarial, "supervision": supervision}
        for name, weight in weights.items():
            check_range(name, weight, 0)
        check_game(estimator, tau_start, tau_end, d_steps=d_steps, t_steps=t_steps, c_steps=c_steps)
        super().__init__(student, teacher, discriminator, **shared)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.adversarial, self.supervision = adversarial, supervision
        self.distance = self.family.distance(distillation, temperature=temperature)
        self.estimator, self.tau = estimator, (tau_start, tau_end)
        self.d_steps, self.t_steps, self.c_steps = d_steps, t_steps, c_steps

    def step(self, batch: Batch, progress: float) -> Losses:
        """Algorithm 1, lines 3 to 12: the d-steps, then the t-steps, then the c-steps.

        No step changes a network before the loss that its logits serve, so each is computed once.
        """
        C, T, D = self.student, self.players["teacher"], self.players["discriminator"]  # noqa: N806
        losses: Losses = {}
        c = C(batch)
        with torch.set_grad_enabled(self.updates_teacher):
            t = T(batch)
        signals = {"teacher": t.detach()}

        # D: true labels up, those of C and T down.
        for _ in range(self.d_steps if self.plays and D.learns else 0):
            losses |= D.learn(self._judging(c, t, batch), progress)
        if self.plays:
            with torch.no_grad():
                signals["discriminator"] = D(batch)

        # T: labels that D takes for true, close to those of C.
        for step in range(self.t_steps if self.updates_teacher and T.learns else 0):
            t = T(batch) if step else t
            g = signals.get("discriminator")
            terms = self._teaching(t, c, g, batch, progress)
            losses |= {f"teacher_{name}": mean for name, mean in T.learn(terms, progress).items()}
        if self.updates_teacher and T.learns:
            with torch.no_grad():
                signals["teacher"] = T(batch)

        # C: labels that D takes for true, close to those of the new T.
        for step in range(self.c_steps):
            c = C(batch) if step else c
            losses |= C.learn(self.student_loss(c, batch, signals, progress), progress)
        return losses

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The loss of C, T or D, against the others as they are now."""
        if role == "student":
            return super().loss_of(role, batch, progress)
        with torch.no_grad():
            others = {other: player(batch) for other, player in self.players.items() if other != role}
        if role == "discriminator":
            return self._judging(others["student"], others["teacher"], batch)
        g = others["discriminator"] if self.plays else None
        return self._teaching(self.players[role](batch), others["student"], g, batch, progress)

    def _judging(self, c: Tensor, t: Tensor, batch: Batch) -> Terms:
        """The loss of D: true labels of the examples that have one up, labels of C and T down."""
        z = self._labels(c).mul_(self.alpha).add_(self._labels(t).mul_(1 - self.alpha))
        g = self.players["discriminator"](batch)
        loss = self.family.discriminator_loss(g, batch.targets, z, labelled=batch.labelled)
        return {"discriminator": (1.0, loss)}

    def _teaching(self, t: Tensor, c: Tensor, g: Tensor | None, batch: Batch, progress: float) -> Terms:
        """The loss of T."""
        terms = self._terms(t, batch, c, g, progress, game=1 - self.alpha, follow=self.gamma)
        return {**terms, **self.pseudo_labelled(t, batch)}

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """α·E_{y~p_c}[log(1 − p_d(x, y))], β·L_DS^c, and the label."""
        return self._learning(logits, batch, signals, progress)

    def expected_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The same, the first as a sum over all labels."""
        return self._learning(logits, batch, signals, progress, estimator="exact")

    def _learning(
        self,
        logits: Tensor,
        batch: Batch,
        signals: Signals,
        progress: float,
        *,
        estimator: EstimatorName | None = None,
    ) -> Terms:
        t, g = signals["teacher"], signals.get("discriminator")
        # As often as it is left out, so much more it counts where it is played.
        game = self.alpha * self.teacher_every
        return self._terms(logits, batch, t, g, progress, game=game, follow=self.beta, estimator=estimator)

    def signals(self, batch: Batch) -> Signals:
        """T's logits and, where the game is played, D's scores."""
        roles = ("teacher", "discriminator") if self.plays else ("teacher",)
        with torch.no_grad():
            return {role: self.players[role](batch) for role in roles}

    @property
    def plays(self) -> bool:
        """Whether the game is played in this update; if not, C learns from T and the labels, and D does not look."""
        return self.updates_teacher and self.adversarial > 0

    def _terms(
        self,
        logits: Tensor,
        batch: Batch,
        other: Tensor,
        scores: Tensor | None,
        progress: float,
        *,
        game: float,
        follow: float,
        estimator: EstimatorName | None = None,
    ) -> Terms:
        """The loss of C or T: what D says of its labels, how far it is from the other, and the true label."""
        terms = {}
        if scores is not None:
            tau = annealed(progress, start=self.tau[0], end=self.tau[1])
            loss = self.family.generator_loss(
                logits, scores, estimator=estimator or self.estimator, tau=tau, generator=self.generator
            )
            terms["adversarial"] = (self.adversarial * game, loss)
        terms["distillation"] = (follow, self.distance(logits, other))
        if self.supervision:
            terms["label"] = (self.supervision, self.supervised(logits, batch))
        return terms

    def _labels(self, logits: Tensor) -> Tensor:
        return self.family.generated_labels(logits, estimator=self.estimator, generator=self.generator)
