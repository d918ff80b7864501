"""A batch through a network in parts, one after the other: the same logits and the same gradient in less memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from kdgan.data.batch import Batch

Call = Callable[[Batch], Tensor]
"""Gives the logits `(B, K)` of a batch."""


def in_parts(call: Call, module: nn.Module, batch: Batch, count: int) -> Tensor:
    """Logits `(B, K)` of a batch, so many parts of it one after the other.

    The backward pass repeats the forward pass of each part, with the same random numbers and buffers. So no more than a
    part's activations are in memory at a time, whatever a loss makes of the logits of the whole, and however many
    players a step has. Batch normalisation sees a part at a time.

    Args:
        call: the forward pass.
        module: the network that it is of.
        batch: the examples.
        count: of parts, which differ by one example at most.
    """
    most = -(-len(batch) // count)
    parts = [part for piece in batch.pieces() for part in _evenly(piece, -(-len(piece) // most))]
    if not torch.is_grad_enabled():
        return torch.cat([call(part) for part in parts])
    return torch.cat([_repeatable(call, module, part) for part in parts])


def _evenly(batch: Batch, count: int) -> list[Batch]:
    # None of a single example, which nobody can normalise, beside larger ones.
    ends = [place * len(batch) // count for place in range(count + 1)]
    return [batch[start:end] for start, end in itertools.pairwise(ends)]


def _repeatable(call: Call, module: nn.Module, part: Batch) -> Tensor:
    before = [buffer.clone() for buffer in module.buffers()]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_as(module, before)

    # To its end: what stops it in the midst would look like an error of the network.
    with set_checkpoint_early_stop(False):
        found: Tensor = checkpoint(call, part, use_reentrant=False, context_fn=contexts)
    return found


@contextmanager
def _buffers_as(module: nn.Module, values: Sequence[Tensor]) -> Iterator[None]:
    """The module's buffers with other values for the block: a repeated forward pass begins where the first did, and
    leaves no second trace in running statistics."""
    buffers = list(module.buffers())
    now = [buffer.clone() for buffer in buffers]
    with torch.no_grad():
        for buffer, value in zip(buffers, values, strict=True):
            buffer.copy_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, now, strict=True):
                buffer.copy_(value)
