"""MIMIC: the student regresses the teacher's logits (Ba & Caruana, 2014)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.base import RATES, Method, Shared, Signals, check_range
from kdgan.methods.player import Terms


class Mimic(Method):
    """Minimises the squared difference between the logits of C and T; the labels reach C through T alone."""

    name = "mimic"
    description = "The student learns to give the same logits as a trained teacher (least squares)."
    colour = "#56b4e9"
    cost = 1.6

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The squared difference."""
        return {"distillation": (1.0, self.family.distance("l2")(logits, signals["teacher"]))}


class Noisy(Mimic):
    """NOISY: MIMIC with a randomly perturbed teacher (Sau & Balasubramanian, 2016).

    The logits of each example are multiplied by (1 + ξ), ξ ~ N(0, σ²) for each label, with probability `share`.

    Args:
        student: C.
        teacher: T, trained; kept as it is.
        sigma: σ, at least 0.
        share: probability that an example is perturbed, in [0, 1].
        shared: see `Shared`.
    """

    name = "noisy"
    description = "Like mimic, with random noise on the teacher's logits as a regulariser."
    colour = "#009e73"
    search_space = MappingProxyType({**RATES, "sigma": (0.03, 0.5), "share": (0.2, 1.0)})

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        sigma: float = 0.3,
        share: float = 0.5,
        **shared: Unpack[Shared],
    ) -> None:
        check_range("sigma", sigma, 0)
        check_range("share", share, 0, 1)
        super().__init__(student, teacher, **shared)
        self.sigma, self.share = sigma, share

    def signals(self, batch: Batch) -> Signals:
        """The perturbed logits of T."""
        logits = super().signals(batch)["teacher"]
        noise = torch.randn(logits.shape, generator=self.generator, device=logits.device) * self.sigma
        chosen = torch.rand(len(logits), 1, generator=self.generator, device=logits.device) < self.share
        return {"teacher": logits * (1 + noise * chosen)}
