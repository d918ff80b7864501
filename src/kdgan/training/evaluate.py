"""How good a network is on data it was not trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.player import evaluating, forward


def logits_of(module: nn.Module, data: Batch, *, role: str = "student", size: int = 1000) -> Tensor:
    """Logits `(N, K)` in `eval()` mode and without gradient; the module's mode is put back afterwards.

    Args:
        module: the network.
        data: all instances, on the module's device.
        role: privileged information goes to all but the student.
        size: instances per forward pass.
    """
    with evaluating(module):
        return torch.cat([forward(role, module, data[i : i + size]) for i in range(0, len(data), size)])


def accuracy(module: nn.Module, data: Batch, *, role: str = "student") -> float:
    """Per cent of instances whose highest-scored label is true; for label weights: has a weight above 0."""
    best = logits_of(module, data, role=role).argmax(-1)
    if data.targets.ndim == 1:
        return 100 * (best == data.targets).double().mean().item()
    return 100 * (data.targets.gather(1, best.unsqueeze(1)) > 0).double().mean().item()
