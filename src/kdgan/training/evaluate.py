"""Predictions of a network on data it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.forms import Pieces, leaves
from kdgan.errors import Diverged
from kdgan.methods.player import evaluating, forward
from kdgan.methods.sharing import by_rows

MOST_AT_ONCE, MOST_NUMBERS = 500, 2**20
"""Bounds of a forward pass, in examples and in numbers of their inputs: larger images go in fewer at a time. With 1,000
images of MNIST what a LeNet computes leaves the processor's cache."""
LEAST_AT_ONCE = 8
"""Examples of a forward pass, which are repeated where there are fewer: matrix products of few rows take other ways
through the processor than those of many, with other last bits, and an example is to have the same logits in whatever
company."""


def logits_of(
    module: nn.Module, data: Batch | Iterable[Batch], *, role: str = "student", size: int | None = None
) -> Tensor:
    """Logits `(N, K)` in `eval()` mode and without gradient; the module's mode is put back afterwards.

    Args:
        module: the network.
        data: all examples, or batches of them, on any device: they go to the module's a batch at a time.
        role: privileged information goes to all but the student.
        size: examples per forward pass; by default at most 500, and fewer where an example is large.

    Returns:
        The logits, on the device of `data`.

    Raises:
        Diverged: if some are NaN.
    """
    batches, look = [data] if isinstance(data, Batch) else data, partial(all_of, role, module, size)
    with evaluating(module):
        # Of several devices each looks at its share of the examples.
        logits = torch.cat([by_rows(look, batch) for batch in batches if len(batch)])
    if logits.isnan().any():
        raise Diverged(f"the {role} gives logits that are no numbers (NaN)")
    return logits


def all_of(role: str, module: nn.Module, size: int | None, batch: Batch) -> Tensor:
    """Logits of all examples of a batch, so many at a time, in this process and in the mode that the module is in."""
    home, found = batch.device, []
    where = next((each.device for each in (*module.parameters(), *module.buffers())), home)
    most = size or most_at_once(batch)
    for start in range(0, len(batch), most):
        part = batch if len(batch) <= most else batch[start : start + most]
        # A network that writes into its inputs must not write into the caller's tensors.
        part = part.copy() if where == home else part.to(where)
        found.append(_forward(role, module, part, min(LEAST_AT_ONCE, most)).to(home))
    return torch.cat(found)


def _forward(role: str, module: nn.Module, batch: Batch, least: int) -> Tensor:
    count = len(batch)
    if count >= least or isinstance(batch.inputs, Pieces):
        return forward(role, module, batch)
    return forward(role, module, batch[torch.arange(least, device=batch.device) % count])[:count]


def most_at_once(batch: Batch) -> int:
    """How many examples go through a network at once, as large as these are."""
    numbers = sum(leaf[:1].numel() for leaf in leaves(batch.inputs))
    return max(1, min(MOST_AT_ONCE, MOST_NUMBERS // max(1, numbers)))
