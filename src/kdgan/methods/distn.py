"""DISTN: softened labels of a trained teacher beside the true ones (Hinton, Vinyals & Dean, 2015)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

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

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of C."""
        soft, hard = self._terms(self.student(batch), self.players["teacher"](batch), batch)
        self.student.learn(self._joined(soft, hard), progress)
        return report(distillation=soft, label=hard)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Both terms."""
        t = self.players["teacher"](batch)
        return lambda c: self._joined(*self._terms(c, t, batch))

    def _terms(self, c: Tensor, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.distance(c, t), cross_entropy(c, batch.targets)

    def _joined(self, soft: Tensor, hard: Tensor) -> Tensor:
        return (1 - self.weight) * hard + self.weight * soft
