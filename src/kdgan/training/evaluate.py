"""Predictions of a network on data it was not trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.player import evaluating, forward


def logits_of(module: nn.Module, data: Batch, *, role: str = "student", size: int = 1000) -> Tensor:
    """Logits `(N, K)` in `eval()` mode and without gradient; the module's mode is put back afterwards.

    Args:
        module: the network.
        data: all examples, on the module's device.
        role: privileged information goes to all but the student.
        size: examples per forward pass.
    """
    with evaluating(module):
        return torch.cat([forward(role, module, data[i : i + size]) for i in range(0, len(data), size)])
