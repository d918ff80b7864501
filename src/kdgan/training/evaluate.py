"""Predictions of a network on data it was not trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.player import evaluating, forward

MOST_AT_ONCE, MOST_NUMBERS = 1000, 2**20
"""Bounds of a forward pass, in examples and in numbers of their inputs: larger images go in fewer at a time."""


def logits_of(module: nn.Module, data: Batch, *, role: str = "student", size: int | None = None) -> Tensor:
    """Logits `(N, K)` in `eval()` mode and without gradient; the module's mode is put back afterwards.

    Args:
        module: the network.
        data: all examples, on any device: they go to the module's a batch at a time.
        role: privileged information goes to all but the student.
        size: examples per forward pass; by default at most 1,000, and fewer where an example is large.

    Returns:
        The logits, on the device of `data`.
    """
    if size is None:
        size = max(1, min(MOST_AT_ONCE, MOST_NUMBERS // max(1, data.inputs[:1].numel())))
    where = next((each.device for each in (*module.parameters(), *module.buffers())), data.inputs.device)
    with evaluating(module):
        batches = (data[start : start + size].to(where) for start in range(0, len(data), size))
        return torch.cat([forward(role, module, batch).to(data.inputs.device) for batch in batches])
