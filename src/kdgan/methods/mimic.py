"""MIMIC: the student regresses the teacher's logits (Ba & Caruana, 2014)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import l2
from kdgan.methods.base import Learning, Losses, Method, check_range, report
from kdgan.methods.player import Optimization


class Mimic(Method):
    """Minimises the squared difference between the logits of C and T; the labels reach C through T alone.

    Args:
        student: C.
        teacher: T, trained; kept as it is.
    """

    roles = ("student", "teacher")
    trains = ("student",)
    pretrained = ("teacher",)

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        super().__init__({"student": student, "teacher": teacher}, optimization, seed)

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of C."""
        loss = self.lesson(batch)(self.student(batch))
        self.student.learn(loss, progress)
        return report(distillation=loss)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """The squared difference."""
        t = self.target(batch)
        return lambda c: l2(c, t)

    def target(self, batch: Batch) -> Tensor:
        """The logits to follow, `(B, K)`."""
        return self.players["teacher"](batch)


class Noisy(Mimic):
    """NOISY: MIMIC with a randomly perturbed teacher (Sau & Balasubramanian, 2016).

    Each instance's logits are multiplied by (1 + ξ), ξ ~ N(0, σ²) for each label, with probability `share`.

    Args:
        student: C.
        teacher: T, trained; kept as it is.
        sigma: σ, at least 0.
        share: probability that an instance is perturbed, in [0, 1].
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        sigma: float = 0.3,
        share: float = 0.5,
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        check_range("sigma", sigma, 0)
        check_range("share", share, 0, 1)
        super().__init__(student, teacher, optimization=optimization, seed=seed)
        self.sigma, self.share = sigma, share

    def target(self, batch: Batch) -> Tensor:
        """The perturbed logits to follow, `(B, K)`."""
        logits = super().target(batch)
        noise = torch.randn(logits.shape, generator=self.generator, device=logits.device) * self.sigma
        chosen = torch.rand(len(logits), 1, generator=self.generator, device=logits.device) < self.share
        return logits * (1 + noise * chosen)
