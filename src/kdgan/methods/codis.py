"""CODIS: co-distillation, two networks that learn from the labels and from each other (Anil et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import Distance, cross_entropy, distance
from kdgan.methods.base import Learning, Losses, Method, check_range, report
from kdgan.methods.player import Optimization


class Codis(Method):
    """C minimises −log p_c(y|x) + β·L_DS(p_c, p_t), T minimises −log p_t(y|x) + γ·L_DS(p_t, p_c).

    Both steps use the predictions from before the update, as in the original.

    Args:
        student: C.
        teacher: T; goes on learning.
        peer: a third network, which learns as T does; each then follows the other two (their mean loss).
        beta: β, how closely C follows the others.
        gamma: γ, how closely the others follow.
        distillation: L_DS: l2, kl or js.
        temperature: of kl and js.
    """

    roles: ClassVar[tuple[str, ...]] = ("student", "teacher")
    trains: ClassVar[tuple[str, ...]] = roles
    pretrained: ClassVar[tuple[str, ...]] = ("teacher",)

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        peer: nn.Module | None = None,
        *,
        beta: float = 1.0,
        gamma: float = 0.1,
        distillation: Distance = "kl",
        temperature: float = 4.0,
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        check_range("beta", beta, 0)
        check_range("gamma", gamma, 0)
        modules = {"student": student, "teacher": teacher, **({} if peer is None else {"peer": peer})}
        super().__init__(modules, optimization, seed)
        self.beta, self.gamma = beta, gamma
        self.distance = distance(distillation, temperature=temperature)

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of every network, or of C alone."""
        logits: dict[str, Tensor] = {}
        for role, player in self.players.items():
            with torch.set_grad_enabled(self.all_learn or role == "student"):
                logits[role] = player(batch)
        losses: dict[str, Tensor] = {}
        for role, player in self.players.items():
            others = [theirs for other, theirs in logits.items() if other != role]
            label, follows = self._terms(logits[role], others, batch)
            if self.all_learn or role == "student":
                player.learn(label + (self.beta if role == "student" else self.gamma) * follows, progress)
            before = "" if role == "student" else f"{role}_"
            losses |= {f"{before}label": label, f"{before}distillation": follows}
        return report(**losses)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Both terms of C."""
        others = [player(batch) for role, player in self.players.items() if role != "student"]

        def loss(c: Tensor) -> Tensor:
            label, follows = self._terms(c, others, batch)
            return label + self.beta * follows

        return loss

    def _terms(self, mine: Tensor, others: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        follows = torch.stack([self.distance(mine, theirs) for theirs in others])
        return cross_entropy(mine, batch.targets), follows.mean(0)


class Codis3(Codis):
    """Co-distillation of three networks: C, T and a peer of T's form. It costs what KDGAN costs.

    The control for a game of three: what a third network brings that only is one more teacher.
    """

    roles = trains = ("student", "teacher", "peer")
    pretrained = ("teacher", "peer")
