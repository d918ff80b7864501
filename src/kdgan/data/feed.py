"""Feed of the loop: a batch for every step, the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.forms import Form, Pieces, as_form, leaves, length, mapped, shapes
from kdgan.data.generators import Generator, generators_in
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
        self._generator, self._of_views = torch.Generator(data.device), generators_in(augment)
        self._passes: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of that step."""
        start = step * self.size
        batch = self.data[self._positions(start, start + self.size)].standardised()
        seed = mixed(self.seed, "view", step)
        return augmented(batch, self.augment, self._generator, seed, self._of_views)

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
            self._passes[number] = order.to(self.data.device)
        return self._passes[number]


def later(make: Callable[[], Feed]) -> Feed:
    """A feed that is made when it is first asked for a batch."""
    made: list[Feed] = []

    def feed(step: int) -> Batch:
        if not made:
            made.append(make())
        return made[0](step)

    return feed


class Views:
    """Another view of each batch, which depends on the seed and the step alone.

    Args:
        augment: makes views of inputs; None leaves them.
        device: of the batches.
        seed: of all views.
    """

    def __init__(self, augment: Augmentation | None, device: torch.device, seed: int) -> None:
        self.augment, self.seed = augment, seed
        self._generator, self._of_views = torch.Generator(device), generators_in(augment)

    def __call__(self, batch: Batch, step: int) -> Batch:
        """The view of that step."""
        seed = mixed(self.seed, "view", step)
        return augmented(batch, self.augment, self._generator, seed, self._of_views)


def augmented(
    batch: Batch,
    augment: Augmentation | None,
    generator: torch.Generator,
    seed: int,
    others: Sequence[Generator] = (),
) -> Batch:
    """The batch in other views, drawn from the seed alone; each piece by itself where inputs lie in pieces.

    `others` are generators that views of one's own draw from besides.
    """
    if augment is None:
        return batch
    generator.manual_seed(seed)
    own = not str(getattr(augment, "__module__", "")).startswith("kdgan.")
    pieces = batch.inputs if isinstance(batch.inputs, Pieces) else [batch.inputs]
    views: list[Form] = []
    for place, piece in enumerate(pieces):
        if place:
            generator.manual_seed(mixed(seed, place))
        views.append(
            _own_views(augment, piece, generator, others) if own else _views(augment, piece, generator)
        )
    return batch.with_inputs(Pieces(views) if isinstance(batch.inputs, Pieces) else views[0])


def _views(augment: Augmentation, inputs: Form, generator: torch.Generator) -> Tensor:
    """Views of the project's own, of images or features."""
    if not isinstance(inputs, Tensor):
        raise UsageError(
            f"{type(augment).__name__} is for inputs of one tensor: for several give a function of your own"
        )
    return augment(inputs, generator)


def _own_views(
    augment: Augmentation, inputs: Form, generator: torch.Generator, others: Sequence[Generator]
) -> Form:
    """Views of a function of one's own, which may draw from global generators, too, and be wrong."""
    device = generator.device
    try:
        with seeded(generator.initial_seed(), device, others):
            views = as_form(augment(inputs, generator), "views")  # type: ignore[arg-type]
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(error, "augment") from error
    if length(views) != length(inputs) or not _is_alike(views, inputs):
        raise UsageError(
            f"augment must give a view of each of {length(inputs)} inputs, in the same form, not {_form_of(views)}"
        )
    if isinstance(views, dict) and isinstance(inputs, dict):
        views = {name: views[name] for name in inputs}
    return mapped(Tensor.detach, views)


def _is_alike(views: Form, inputs: Form) -> bool:
    """Whether a network is called with the one as with the other."""
    if isinstance(views, dict) and isinstance(inputs, dict):
        return views.keys() == inputs.keys()
    return type(views) is type(inputs) and len(leaves(views)) == len(leaves(inputs))


def _form_of(views: Form) -> str:
    names = f" of {', '.join(views)}" if isinstance(views, dict) else ""
    return f"{type(views).__name__}{names} of shape {shapes(views)}"
