"""Feed of the loop: a batch for every step, the same for every method."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed, seeded
from kdgan.errors import KdganError, UsageError, failed

Feed = Callable[[int], Batch]
"""The batch of a step. Asked in order of steps; where it starts is up to the loop."""


class TensorFeed:
    """Batches of tensors that live on the device, shuffled anew in each pass, augmented on the device.

    The batch of a step depends on nothing but the seed and the step: methods of the same seed get the same
    examples in the same views, and a resumed run needs no sampler state. Passes follow each other without
    a gap, so a batch may hold the end of one and the start of the next, and no example is left out.

    Args:
        data: all examples, on the device where they shall be used.
        size: examples per batch; may exceed the number of examples.
        seed: of order and augmentation.
        augment: other views of the inputs, or None.
    """

    def __init__(self, data: Batch, size: int, *, seed: int, augment: Augmentation | None = None) -> None:
        self.data, self.size, self.seed, self.augment = data, size, seed, augment
        self._generator = torch.Generator(data.inputs.device)
        self._passes: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of that step."""
        start = step * self.size
        batch = self.data[self._positions(start, start + self.size)].standardised()
        if self.augment is None:
            return batch
        generator = self._generator.manual_seed(mixed(self.seed, "view", step))
        if str(getattr(self.augment, "__module__", "")).startswith("kdgan."):
            views = self.augment(batch.inputs, generator)
        else:
            views = _own_views(self.augment, batch.inputs, generator)
        return Batch(views, batch.targets, batch.privileged)

    def _positions(self, start: int, stop: int) -> Tensor:
        count = len(self.data)
        parts = []
        for number in range(start // count, (stop - 1) // count + 1):
            order = self._pass(number)
            parts.append(order[max(start - number * count, 0) : stop - number * count])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _pass(self, number: int) -> Tensor:
        if number not in self._passes:
            generator = torch.Generator().manual_seed(mixed(self.seed, "pass", number))
            order = torch.randperm(len(self.data), generator=generator)
            newest = max(self._passes, default=number)
            self._passes = {n: kept for n, kept in self._passes.items() if n == newest}
            self._passes[number] = order.to(self.data.inputs.device)
        return self._passes[number]


def _own_views(augment: Augmentation, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Views of a function of one's own, which may draw from global generators, too, and be wrong."""
    try:
        with seeded(generator.initial_seed(), inputs.device):
            views = augment(inputs, generator)
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(error, "augment") from error
    if not isinstance(views, Tensor) or views.shape[:1] != inputs.shape[:1]:
        found = tuple(views.shape) if isinstance(views, Tensor) else type(views).__name__
        raise UsageError(f"augment must give a view of each of {len(inputs)} inputs, not {found}")
    return views.detach()
