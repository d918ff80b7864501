"""DISTN: softened labels of a trained teacher beside the true ones (Hinton, Vinyals & Dean, 2015)."""

from __future__ import annotations

from torch import nn

from kdgan.data.batch import Batch
from kdgan.losses import cross_entropy, distance
from kdgan.methods.base import Learning, Losses, Method, check_range, report
from kdgan.methods.player import Optimization


class Distn(Method):
    """Minimises (1 − w)·(−log p_c(y|x)) + w·T²·KL(p_t ‖ p_c at temperature T).

    Args:
        student: C.
        teacher: T, trained; kept as it is.
        temperature: T, above 0.
        weight: w ∈ [0, 1], the share of the softened labels.
    """

    roles = ("student", "teacher")
    trains = ("student",)
    pretrained = ("teacher",)

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        temperature: float = 4.0,
        weight: float = 0.9,
        optimization: Learning = Optimization(),
        seed: int = 0,
    ) -> None:
        check_range("weight", weight, 0, 1)
        super().__init__({"student": student, "teacher": teacher}, optimization, seed)
        self.weight, self.distance = weight, distance("kl", temperature=temperature)

    def update(self, batch: Batch, progress: float) -> Losses:
        """One step of C."""
        logits = self.student(batch)
        soft = self.distance(logits, self.players["teacher"](batch))
        hard = cross_entropy(logits, batch.targets)
        self.student.learn((1 - self.weight) * hard + self.weight * soft, progress)
        return report(distillation=soft, label=hard)
