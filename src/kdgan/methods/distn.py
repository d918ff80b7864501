"""DISTN: softened labels of a trained teacher beside the true ones (Hinton, Vinyals & Dean, 2015)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import Distance
from kdgan.methods.base import RATES, Method, Shared, Signals, check_range
from kdgan.methods.player import Terms


class Distn(Method):
    """Minimises (1 − w)·(−log p_c(y|x)) + w·L_DS(p_c, p_t), with L_DS = T²·KL(p_t ‖ p_c at temperature T).

    Args:
        student: C.
        teacher: T, trained; kept as it is.
        temperature: T, above 0.
        weight: w ∈ [0, 1], the share of the softened labels.
        distillation: L_DS, see `kdgan.losses.distance`.
        shared: see `Shared`.
    """

    name = "distn"
    description = "Distillation: the student learns from the labels and a trained teacher's softened outputs."
    colour = "#e69f00"
    cost = 1.6
    search_space = MappingProxyType({**RATES, "weight": (0.1, 1.0), "temperature": (1.0, 10.0)})

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        temperature: float = 4.0,
        weight: float = 0.9,
        distillation: Distance = "kl",
        **shared: Unpack[Shared],
    ) -> None:
        check_range("weight", weight, 0, 1)
        super().__init__(student, teacher, **shared)
        self.weight, self.distance = weight, self.family.distance(distillation, temperature=temperature)

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The labels, and the teacher's softened ones."""
        return {
            "label": (1 - self.weight, self.supervised(logits, batch)),
            "distillation": (self.weight, self.distance(logits, signals["teacher"])),
        }
