"""A method, a distillation loss and a metric of one's own, as someone would write them beside their data."""

from types import MappingProxyType
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.losses import cross_entropy, kl
from kdgan.methods import Method, Shared, Signals, Terms


class Own(Method):
    """Softened labels of a trained teacher, at a temperature that falls while the student learns."""

    search_space = MappingProxyType({"lr": (1e-3, 1e-2), "weight": (0.1, 1.0)})

    def __init__(
        self, student: nn.Module, teacher: nn.Module, *, weight: float = 0.5, **shared: Unpack[Shared]
    ) -> None:
        super().__init__(student, teacher, **shared)
        self.weight = weight

    def student_loss(self, logits: Tensor, batch: Batch, signals: Signals, progress: float) -> Terms:
        return {
            "label": (1 - self.weight, cross_entropy(logits, batch.targets)),
            "distillation": (self.weight, kl(logits, signals["teacher"], temperature=4 - 3 * progress)),
        }


def cosine(logits: Tensor, target_logits: Tensor) -> Tensor:
    """How far two logits are from having one direction; one value per example."""
    return 1 - F.cosine_similarity(logits, target_logits)


def worst(logits: Tensor, targets: Tensor) -> float:
    """Accuracy in the class where it is lowest, in per cent."""
    right = logits.argmax(1) == targets
    return 100 * min(right[targets == label].double().mean().item() for label in torch.unique(targets))
