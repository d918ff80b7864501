"""SELFTRAIN: the student learns from its own confident labels; no teacher (Lee, 2013; Sohn et al., 2020)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack

from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.base import RATES, Method, Shared, Signals, check_range
from kdgan.methods.fixmatch import own_labels
from kdgan.methods.player import Terms


class SelfTrain(Method):
    """Minimises −log p_c(y|x) on labelled examples and −w·E_{z ~ p̂}[log p_c(z|x)] on those without a label.

    p̂ is what C said itself, without gradient, of the same examples, where it is sure enough: its likeliest label for
    one of K classes (Lee, 2013); each label of several, where its probability is that far from undecided. It is the
    control of every method that learns from unlabelled examples: what they bring without a teacher. On batches in which
    all examples have a label it is plain training. Of mixtures (`mixup`) C is seldom that sure, and learns little
    from them.

    Args:
        student: C.
        weight: w ≥ 0; it rises linearly from 0 over the first `ramp` of training, as early labels are poor.
        threshold: τ, the confidence above which a label counts, in [0, 1].
        ramp: share of training, in [0, 1].
        shared: see `Shared`.
    """

    name = "selftrain"
    description = (
        "The student teaches itself: its own confident labels of examples that have none; no teacher."
    )
    colour = "#01665e"
    cost = 1.1
    search_space = MappingProxyType({**RATES, "weight": (0.1, 3.0), "threshold": (0.6, 0.99)})
    roles = trains = ("student",)
    pretrained = ()

    def __init__(
        self,
        student: nn.Module,
        *,
        weight: float = 1.0,
        threshold: float = 0.95,
        ramp: float = 0.3,
        **shared: Unpack[Shared],
    ) -> None:
        check_range("weight", weight, 0)
        check_range("threshold", threshold, 0, 1)
        check_range("ramp", ramp, 0, 1)
        super().__init__(student, **shared)
        self.weight, self.threshold, self.ramp = weight, threshold, ramp

    def signals(self, batch: Batch) -> Signals:
        """Nobody else says anything."""
        return {}

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        """The labels, and C's own of the examples that have none."""
        terms = {"label": (1.0, self.supervised(logits, batch))}
        if batch.labelled is not None and self.weight:
            rise = min(progress / self.ramp, 1.0) if self.ramp else 1.0
            terms["own"] = (self.weight * rise, self._own(logits, batch.labelled))
        return terms

    def _own(self, logits: Tensor, labelled: Tensor) -> Tensor:
        """−log p of the labels that C is sure of, `(B,)`, so that its mean is that over examples without a label."""
        guess = self.family.probabilities(logits.detach())
        # A label by itself that is undecided is what C says it is, and so teaches nothing.
        targets, sure = own_labels(self.family, guess, self.threshold)
        counts = sure & ~labelled
        values = type(self.family)().supervised(logits, targets, labelled=counts)
        # Of all examples without a label: those that it is unsure of count 0, rather than leave more to the others.
        return values * (counts.sum() / (~labelled).sum().clamp_min(1))
