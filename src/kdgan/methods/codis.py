"""CODIS: co-distillation, two networks that learn from the labels and from each other (Anil et al., 2018)."""

from __future__ import annotations

from torch import nn

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
        beta: β, how closely C follows T.
        gamma: γ, how closely T follows C.
        distillation: L_DS: l2, kl or js.
        temperature: of kl and js.
    """

    roles = trains = ("student", "teacher")
    pretrained = ("teacher",)

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
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
        super().__init__({"student": student, "teacher": teacher}, optimization, seed)
        self.beta, self.gamma = beta, gamma
        self.distance = distance(distillation, temperature=temperature)

    def update(self, batch: Batch, progress: float) -> Losses:
        """One step of C and one of T."""
        teacher = self.players["teacher"]
        c, t = self.student(batch), teacher(batch)
        c_label, t_label = cross_entropy(c, batch.targets), cross_entropy(t, batch.targets)
        c_follows, t_follows = self.distance(c, t), self.distance(t, c)
        self.student.learn(c_label + self.beta * c_follows, progress)
        teacher.learn(t_label + self.gamma * t_follows, progress)
        return report(
            label=c_label, distillation=c_follows, teacher_label=t_label, teacher_distillation=t_follows
        )
