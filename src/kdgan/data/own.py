"""Data in the forms that people have it in: tensors, a Dataset, a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.feed import Feed, TensorFeed
from kdgan.errors import UsageError, wrong

Data: TypeAlias = "Batch | Sequence[Tensor | NDArray[Any]] | Dataset[Any] | DataLoader[Any]"
"""A `Batch` of all examples; a pair or triple of tensors or arrays; a Dataset of pairs or triples; a DataLoader.
The order is inputs, targets, privileged."""

MOST_BYTES = 2**30
"""A Dataset up to this size is kept as tensors."""
_LOOKED_AT, _LOOKS = 32, 4
"""Examples of a Dataset that are looked at, so many times each, to see whether its views are random."""


def as_batch(data: object, what: str) -> Batch:
    """A batch from a `Batch`, or from a pair or triple (inputs, targets, privileged) of tensors or arrays.

    Raises:
        UsageError: if it is neither.
    """
    if isinstance(data, Batch):
        if data.teacher_logits is not None:
            raise UsageError(
                f"{what} holds teacher_logits, but the teacher itself is asked here: leave them out"
            )
        return data
    if (
        isinstance(data, list | tuple)
        and len(data) in (2, 3)
        and all(isinstance(part, Tensor | np.ndarray) for part in data)
    ):
        try:
            return Batch(*map(_tensor, data))
        except TypeError as error:
            raise wrong(f"{what} holds an array that is not of numbers: {error}") from error
    raise UsageError(
        f"{what} must give (inputs, targets) or (inputs, targets, privileged) as tensors or arrays, or a kdgan.Batch; "
        f"got {type(data).__name__}"
    )


def _tensor(part: Tensor | NDArray[Any]) -> Tensor:
    # Arrays are of double precision unless somebody says otherwise, networks are not.
    real = isinstance(part, np.ndarray) and part.dtype.kind == "f"
    return torch.as_tensor(part, dtype=torch.get_default_dtype() if real else None)


def collected(data: Data, what: str) -> Batch:
    """All examples as one batch, read once."""
    if isinstance(data, TensorDataset):
        return as_batch(data.tensors, what)
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size=256)
    if isinstance(data, DataLoader):
        parts = [as_batch(part, what) for part in data]
        if not parts:
            raise UsageError(f"{what} gives no example")
        columns = [[part.inputs for part in parts], [part.targets for part in parts]]
        if all(part.privileged is not None for part in parts):
            columns.append([part.privileged for part in parts if part.privileged is not None])
        return Batch(*(torch.cat(column) for column in columns))
    return as_batch(data, what)


def checked(batch: Batch, what: str) -> Batch:
    """The batch, if it has examples and all its numbers are finite.

    Raises:
        UsageError: naming the first example that is not.
    """
    if not len(batch):
        raise UsageError(f"{what} has no examples")
    for name in ("inputs", "targets", "privileged"):
        part = getattr(batch, name)
        if part is not None and part.is_floating_point():
            bad = (~part.flatten(1).isfinite().all(1)).nonzero()
            if len(bad):
                raise UsageError(f"{what}: {name} of example {int(bad[0])} hold NaN or infinite numbers")
    return batch


class Unbatched(DataLoader[Any]):
    """A Dataset that is to be batched by the feed, unlike a loader of the caller's own."""


def training_data(data: Data, device: torch.device, *, augmented: bool = False) -> Batch | DataLoader[Any]:
    """Tensors on the device where that gives the same examples in every pass and fits in memory, else a loader.

    A Dataset that gives another view of an example each time it is asked (random transforms) stays a Dataset: 32
    examples are looked at four times each, which misses a change in one look of ten less than once in 100,000 times.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and a loader that is to be augmented.
    """
    found = _tensors_or_loader(data)
    if isinstance(found, Batch):
        return found.to(device)
    if augmented:
        raise UsageError(
            "augment is for a Batch, or a Dataset that gives the same each time: views of a DataLoader, or of a "
            "Dataset with random views, are its own"
        )
    return found


def sample_of(data: Batch | DataLoader[Any], device: torch.device) -> Batch:
    """All examples of a batch, or the first batch of a loader, on the device."""
    return data if isinstance(data, Batch) else LoaderFeed(data, device)(0)


def updates_in(passes: int, data: Batch | DataLoader[Any], batch: int) -> int:
    """Updates that so many passes take, with `batch` examples each; very many where a stream has no length."""
    try:
        return passes * len(data) // (batch if isinstance(data, Batch | Unbatched) else 1)
    except TypeError:
        return 2**31


def _tensors_or_loader(data: Data) -> Batch | DataLoader[Any]:
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, IterableDataset):
        return Unbatched(data)
    if isinstance(data, Dataset) and not isinstance(data, TensorDataset):
        count = len(data)  # type: ignore[arg-type]
        if not count:
            raise UsageError("train has no examples")
        first = default_collate([data[0]])
        size = sum(part.nbytes for part in as_batch_parts(first)) * count
        spread = sorted({round(place * (count - 1) / (_LOOKED_AT - 1)) for place in range(_LOOKED_AT)})
        if size > MOST_BYTES or any(_differ([data[place] for _ in range(_LOOKS)]) for place in spread):
            return Unbatched(data)
    return checked(collected(data, "train"), "train")


def as_batch_parts(data: object) -> list[Tensor]:
    """The tensors of one collated batch."""
    batch = as_batch(data, "train")
    return [part for part in (batch.inputs, batch.targets, batch.privileged) if part is not None]


def _differ(looks: Sequence[object]) -> bool:
    """Whether the looks at one example are not all the same."""
    first, *others = ([*as_batch_parts(default_collate([look]))] for look in looks)
    return any(not _same(a, b) for other in others for a, b in zip(first, other, strict=True))


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


class LoaderFeed:
    """Batches of a DataLoader, again from its start when it ends; order and views are the loader's own."""

    def __init__(self, loader: DataLoader[Any], device: torch.device) -> None:
        self.loader, self.device = loader, device
        self._iterator: Iterator[Any] = iter(())

    def __call__(self, step: int) -> Batch:
        """The next batch."""
        part = next(self._iterator, None)
        if part is None:
            self._iterator = iter(self.loader)
            part = next(self._iterator, None)
        if part is None:
            raise UsageError("train gives no batch: is the loader's drop_last leaving nothing?")
        return as_batch(part, "train").to(self.device)


def make_feed(
    data: Batch | DataLoader[Any],
    size: int,
    *,
    seed: int,
    device: torch.device,
    augment: Augmentation | None = None,
) -> Feed:
    """The feed of a loop over what `training_data` gave."""
    if isinstance(data, Batch):
        return TensorFeed(data.to(device), size, seed=seed, augment=augment)
    loader = data
    if isinstance(loader, Unbatched):
        generator = torch.Generator().manual_seed(seed)
        shuffle = not isinstance(loader.dataset, IterableDataset)
        loader = DataLoader(loader.dataset, batch_size=size, shuffle=shuffle, generator=generator)
    return LoaderFeed(loader, device)
