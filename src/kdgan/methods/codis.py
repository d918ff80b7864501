"""CODIS: co-distillation, two networks that learn from the labels and from each other (Anil et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import Distance
from kdgan.methods.base import RATES, Method, SearchSpace, Shared, Signals, check_range
from kdgan.methods.player import Losses, Terms

PEERS: SearchSpace = MappingProxyType(
    {
        **RATES,
        "teacher_lr": (5e-5, 2e-3),
        "beta": (0.1, 10.0),
        "gamma": (1e-4, 1.0),  # the low end says that T need not learn from C at all
        "distillation": ("l2", "kl"),
        "temperature": (1.0, 10.0),
    }
)
"""Search space where C and T learn from each other."""


class Codis(Method):
    """C minimises −log p_c(y|x) + β·L_DS(p_c, p_t), T minimises −log p_t(y|x) + γ·L_DS(p_t, p_c).

    Both steps use the predictions from before the update, as in the original.

    Args:
        student: C.
        teacher: T; goes on learning.
        beta: β, how closely C follows the others.
        gamma: γ, how closely the others follow.
        distillation: L_DS, see `kdgan.losses.distance`.
        temperature: of kl and js.
        shared: see `Shared`.
    """

    name = "codis"
    description = "Codistillation: student and teacher train at the same time and learn from each other."
    colour = "#0072b2"
    cost = 3.0
    search_space = PEERS
    roles: tuple[str, ...] = ("student", "teacher")
    trains = roles

    def __init__(
        self,
        *modules: nn.Module,
        beta: float = 1.0,
        gamma: float = 0.1,
        distillation: Distance = "kl",
        temperature: float = 4.0,
        **shared: Unpack[Shared],
    ) -> None:
        check_range("beta", beta, 0)
        check_range("gamma", gamma, 0)
        super().__init__(*modules, **shared)
        self.beta, self.gamma = beta, gamma
        self.distance = self.family.distance(distillation, temperature=temperature)

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of every network, or of C alone, on predictions from before it."""
        learners = [role for role in self.players if role == "student" or self.updates_teacher]
        logits = {}
        for role, player in self.players.items():
            with torch.set_grad_enabled(role in learners):
                logits[role] = player(batch)
        losses: Losses = {}
        for role, player in self.players.items():
            if role not in learners or not player.learns:
                continue
            others = {other: theirs for other, theirs in logits.items() if other != role}
            if role == "student":
                losses |= player.learn(self.student_loss(logits[role], batch, others, progress), progress)
            else:
                terms = self._teaching(logits[role], batch, list(others.values()))
                losses |= {f"{role}_{name}": mean for name, mean in player.learn(terms, progress).items()}
        return losses

    def loss_of(self, role: str, batch: Batch, progress: float) -> Terms:
        """The labels, and the other networks, as they are now."""
        with torch.no_grad():
            others = [player(batch) for other, player in self.players.items() if other != role]
        mine = self.players[role](batch)
        if role == "student":
            return self._follow(mine, batch, others, self.beta)
        return self._teaching(mine, batch, others)

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The labels, and the other networks."""
        return self._follow(logits, batch, list(signals.values()), self.beta)

    def _teaching(self, mine: Tensor, batch: Batch, others: Sequence[Tensor]) -> Terms:
        """The loss of a teacher."""
        return {**self._follow(mine, batch, others, self.gamma), **self.pseudo_labelled(mine, batch)}

    def _follow(self, mine: Tensor, batch: Batch, others: Sequence[Tensor], weight: float) -> Terms:
        """The loss of a network that learns from the labels and follows the others, by their mean distance."""
        distances = torch.stack([self.distance(mine, theirs) for theirs in others])
        return {
            "label": (1.0, self.supervised(mine, batch)),
            "distillation": (weight, distances.mean(0)),
        }


class Codis3(Codis):
    """Co-distillation of three networks: C, T and a peer of T's form. It costs what KDGAN costs.

    The control for a game of three: what a third network brings that only is one more teacher. Each network follows
    the other two.
    """

    name = "codis3"
    description = (
        "Codistillation of three networks, which costs what KDGAN costs: the control for a third player."
    )
    colour = "#332288"
    cost = 6.0
    roles = trains = ("student", "teacher", "peer")
    pretrained = ("teacher", "peer")
