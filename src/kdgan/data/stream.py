"""Data that are read anew in every pass: the feed over a DataLoader, whose batches depend on seed and step alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from kdgan.data.augment import Augmentation
from kdgan.data.batch import PARTS, Batch, check_labels, checked
from kdgan.data.feed import Feed, TensorFeed
from kdgan.data.seeds import RandomState, mixed, seed_everything
from kdgan.errors import KdganError, UsageError, failed, wrong

_EVEN = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
"""Samplers that give as many examples in every pass as they say."""
_OVER = object()


def as_batch(data: object, what: str) -> Batch:
    """A batch from a `Batch`, or from a pair or triple (inputs, targets, privileged) of tensors or arrays.

    Raises:
        UsageError: if it is neither.
    """
    if isinstance(data, Batch) and data.teacher_logits is not None:
        raise UsageError(f"{what} holds teacher_logits, but the teacher itself is asked here: leave them out")
    if isinstance(data, Batch):
        data = data.parts()
    parts: list[Any] = list(data) if isinstance(data, list | tuple) else []
    if len(parts) == 3 and parts[2] is None:
        parts.pop()
    if len(parts) in (2, 3) and all(isinstance(part, Tensor | np.ndarray) for part in parts):
        try:
            return Batch(*(_tensor(part) for part in parts))
        except UsageError as error:
            raise UsageError(f"{what}: {error}") from error
    kinds = f" of {', '.join(type(part).__name__ for part in parts[:4])}" if parts else ""
    raise UsageError(
        f"{what} must give (inputs, targets) or (inputs, targets, privileged) as tensors or arrays, or a kdgan.Batch; "
        f"got {type(data).__name__}{kinds}"
    )


def _tensor(part: Tensor | NDArray[Any]) -> Tensor:
    """The values alone: nothing is learned through them."""
    if isinstance(part, np.ndarray):
        # Arrays are of double precision unless somebody says otherwise, networks are not.
        real = torch.get_default_dtype() if part.dtype.kind == "f" else None
        try:
            native = part.astype(part.dtype.newbyteorder("="), order="C", copy=not part.flags.writeable)
            return torch.as_tensor(native, dtype=real)
        except (TypeError, ValueError) as error:
            raise wrong(f"an array is not of numbers: {error}") from error
    if part.layout != torch.strided or part.is_nested or part.is_quantized or part.is_meta:
        raise UsageError("a tensor is sparse, nested, quantized or without values: give dense ones")
    part = part.detach()
    return part.clone() if part.is_inference() else part


@contextmanager
def own_data(what: str) -> Iterator[None]:
    """What a Dataset or DataLoader of one's own raises as one line."""
    try:
        yield
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        if "PIL." in str(error):
            hint = "make tensors of them, as torchvision.transforms.ToTensor() does"
            raise UsageError(f"{what} gives PIL images: {hint}") from error
        raise failed(error, what) from error


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Data that are read anew in every pass: the batches of a DataLoader, or a Dataset that is to be batched.

    Attributes:
        source: the caller's own.
        like: a batch that has the form of all, once one is known.
        classes: K, to which every target is held, once it is known.
    """

    source: DataLoader[Any] | Dataset[Any]
    like: Batch | None = None
    classes: int | None = None

    def loader(self, size: int) -> DataLoader[Any]:
        """Its batches; of `size` examples where it has none of its own."""
        if not isinstance(self.source, DataLoader):
            return batched(self.source, size, shuffle=not isinstance(self.source, IterableDataset))
        loader = copy.copy(self.source)
        # Workers that outlive a pass would take the random state of one into the next.
        vars(loader).update(persistent_workers=False, _iterator=None, in_order=True)
        return loader

    def ends_alone(self) -> bool:
        """Whether a pass of a loader is sure to end with a batch of one example, after larger ones."""
        batches = self.source.batch_sampler if isinstance(self.source, DataLoader) else None
        if type(batches) is not BatchSampler or type(batches.sampler) not in _EVEN or batches.drop_last:
            return False
        return batches.batch_size > 1 and len(batches.sampler) % batches.batch_size == 1  # type: ignore[arg-type]

    def checked(self, part: object, what: str) -> Batch:
        """A batch of it; once the form of all is known, with that, finite numbers, and targets among the classes."""
        batch = as_batch(part, what)
        if self.like is not None:
            checked(batch, what)
            for name, mine, first in zip(PARTS, batch.parts(), self.like.parts(), strict=True):
                if _form(mine) != _form(first):
                    raise UsageError(
                        f"{what}: {name} are {_form(mine)}, but {_form(first)} in the first batch"
                    )
        if self.classes is not None:
            check_labels(batch.targets, self.classes, what)
        return batch


def _form(part: Tensor | None) -> str:
    if part is None:
        return "none"
    # The length of texts and the size of images may differ from batch to batch; how many axes they have may not.
    return f"of {part.ndim} axes, {part.dtype}"


def batched(data: Dataset[Any], size: int, *, shuffle: bool = False) -> DataLoader[Any]:
    """Batches of a Dataset: a last one of a single example is left out, as nothing can be normalised over it."""
    alone = shuffle and 1 < size < len(data) and len(data) % size == 1  # type: ignore[arg-type]
    return DataLoader(data, size, shuffle=shuffle, collate_fn=collate, drop_last=alone)


def collate(examples: list[Any]) -> Any:
    """torch's own way, but for privileged information that is None."""
    if all(isinstance(each, list | tuple) and len(each) == 3 and each[2] is None for each in examples):
        examples = [each[:2] for each in examples]
    return default_collate(examples)


class LoaderFeed:
    """Batches of a DataLoader, again from its start when it ends.

    Order and views are the loader's own, and yet the batch of a step depends on nothing but seed and step: each pass
    has the random state that seed and number of the pass give, for Python's, numpy's and torch's generators and those
    of loader and sampler, and training does not feel that they draw. What a Dataset remembers from one pass to the
    next, or draws from a generator of its own, is beyond that.

    Args:
        data: what is read.
        size: examples per batch, where it has none of its own.
        seed: of order and views.
        device: where batches go.
        what: its name in messages.
    """

    def __init__(
        self, data: Stream, size: int, *, seed: int, device: torch.device, what: str = "train"
    ) -> None:
        self.data, self.seed, self.device, self.what = data, seed, device, what
        with own_data(what):
            self.loader = data.loader(size)
            self._length = len(self.loader) if _is_even(self.loader) else 0
        self._own = _generators(self.loader)
        self._state = RandomState.now(device, self._own)
        self._pass, self._first, self._next = -1, 0, 0
        self._iterator: Iterator[Any] = iter(())

    def __call__(self, step: int) -> Batch:
        """The batch of that step."""
        if step < self._next:
            self._begin(0, 0)
        number = step // self._length if self._length else 0
        if number > max(self._pass, 0):
            self._begin(number, number * self._length)
        while True:
            batch = self.within_pass()
            if batch is not None and self._next > step:
                # A network that writes into its inputs must not write into the caller's tensors.
                return batch.copy() if self.device.type == "cpu" else batch.to(self.device)
            if batch is None:
                if self._first == self._next:
                    raise UsageError(
                        f"{self.what} gives no batch in pass {self._pass + 1}: does drop_last leave nothing, or can it "
                        "be read only once?"
                    )
                self._begin(self._pass + 1, self._next)

    def within_pass(self) -> Batch | None:
        """The next batch of the pass, on the device of the loader; None where it ends."""
        if self._pass < 0:
            self._begin(0, 0)
        with self._random():
            part = next(self._iterator, _OVER)
        if part is _OVER:
            return None
        self._next += 1
        try:
            return self.data.checked(part, self.what)
        except UsageError as error:
            raise UsageError(
                f"{error} (batch {self._next - self._first} of pass {self._pass + 1})"
            ) from error

    def _begin(self, number: int, first: int) -> None:
        """Pass number `number`, the first batch of which is that of step `first`."""
        self._pass, self._first, self._next = number, first, first
        with self._random():
            seed_everything(mixed(self.seed, "pass", number), self._own)
            self._iterator = iter(self.loader)

    @contextmanager
    def _random(self) -> Iterator[None]:
        """The random state of the loader for the block."""
        outside = RandomState.now(self.device, self._own)
        self._state.restore()
        try:
            with own_data(self.what):
                yield
        finally:
            self._state = RandomState.now(self.device, self._own)
            outside.restore()


def _is_even(loader: DataLoader[Any]) -> bool:
    """Whether every pass is sure to have as many batches as the loader says."""
    if type(loader).__iter__ is not DataLoader.__iter__ or type(loader).__len__ is not DataLoader.__len__:
        return False
    sampler = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
    if type(sampler) is BatchSampler:
        sampler = sampler.sampler
    return type(sampler) in _EVEN


def _generators(loader: DataLoader[Any]) -> list[torch.Generator]:
    """The random generators that loader and samplers were given."""
    sampler, batches = loader.sampler, loader.batch_sampler
    holders = (loader, sampler, batches, getattr(batches, "sampler", None))
    found = {id(own): own for own in (getattr(holder, "generator", None) for holder in holders)}
    return [own for own in found.values() if isinstance(own, torch.Generator)]


def make_feed(
    data: Batch | Stream,
    size: int,
    *,
    seed: int,
    device: torch.device,
    augment: Augmentation | None = None,
) -> Feed:
    """The feed of a loop over all examples, or over a stream."""
    if isinstance(data, Batch):
        return TensorFeed(data.to(device), size, seed=seed, augment=augment)
    return LoaderFeed(data, size, seed=seed, device=device)
