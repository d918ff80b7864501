"""Plain training on the labels: the no-teacher control of every comparison, and how a teacher is made."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.losses import cross_entropy
from kdgan.methods.base import Learning, Losses, Method, report
from kdgan.methods.player import Optimization


class Supervised(Method):
    """Minimises −log p(y|x) with label smoothing.

    Args:
        student: the network; with `role="teacher"` it is called with privileged information too.
        smoothing: share of the label spread evenly over all K, in [0, 1).
        role: which player this one is.
    """

    roles = trains = ("student",)

    def __init__(
        self,
        student: nn.Module,
        *,
        smoothing: float = 0.0,
        optimization: Learning = Optimization(),
        seed: int = 0,
        role: str = "student",
    ) -> None:
        if not 0 <= smoothing < 1:
            raise UsageError(f"smoothing must be in [0, 1), not {smoothing}")
        self.trains = (role,)  # type: ignore[misc]  # of this one player, whatever its role
        super().__init__({role: student}, optimization, seed)
        self.role, self.smoothing = role, smoothing

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step of the network."""
        player = self.players[self.role]
        loss = self.lesson(batch)(player(batch))
        player.learn(loss, progress)
        return report(label=loss)

    def lesson(self, batch: Batch) -> Callable[[Tensor], Tensor]:
        """The cross entropy."""
        return lambda logits: cross_entropy(logits, batch.targets, smoothing=self.smoothing)
