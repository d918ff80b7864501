"""Data in the forms that people have it in: tensors, a Dataset, a DataLoader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan.data.batch import Batch, checked
from kdgan.data.stream import LoaderFeed, Stream, as_batch, batched, collate, make_feed, own_data
from kdgan.errors import UsageError, wrong

Data: TypeAlias = "Batch | Sequence[Tensor | NDArray[Any]] | Dataset[Any] | DataLoader[Any]"
"""A `Batch` of all examples; a pair or triple of tensors or arrays; a Dataset of pairs or triples; a DataLoader.
The order is inputs, targets, privileged; None in the last place stands for none."""

MOST_BYTES = 2**30
"""A Dataset up to this size is kept as tensors."""
MOST_WITHOUT_LENGTH = 2**22
"""Examples of validation data that do not say how many they are: a stream without an end would fill the memory."""
_LOOKED_AT, _LOOKS = 32, 4
"""Examples of a Dataset that are looked at, so many times each, to see whether its views are random."""


def collected(data: Data, what: str, *, seed: int = 0) -> Batch:
    """All examples as one batch, read once, on the CPU; random views are those of the seed.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and another form.
    """
    if isinstance(data, TensorDataset):
        data = data.tensors
    elif isinstance(data, Dataset):
        data = batched(data, 256)
    if not isinstance(data, DataLoader):
        return checked(as_batch(data, what), what)
    parts: list[Batch] = []
    feed = LoaderFeed(Stream(data), 1, seed=seed, device=torch.device("cpu"), what=what)
    most = math.inf if hasattr(data.dataset, "__len__") else MOST_WITHOUT_LENGTH
    count = 0
    while (part := feed.within_pass()) is not None:
        parts.append(part)
        count += len(part)
        if count > most:
            raise UsageError(
                f"{what} does not say how many examples it has, and has more than {most:,}: does it end?"
            )
    if not parts:
        raise UsageError(f"{what} gives no example")
    columns = list(zip(*(part.parts() for part in parts), strict=True))
    if any(part is None for part in columns[2]):
        if any(part is not None for part in columns[2]):
            raise UsageError(f"{what} has privileged information in some batches and none in others")
        columns.pop()
    try:
        return checked(Batch(*(torch.cat(column) for column in columns)), what)
    except RuntimeError as error:
        raise wrong(f"{what} gives batches that do not fit together: {error}") from error


def training_data(
    data: Data, device: torch.device, *, augmented: bool = False, seed: int = 0
) -> Batch | Stream:
    """Tensors on the device where that gives the same examples in every pass and fits in memory, else a stream.

    A Dataset that gives another view of an example each time it is asked (random transforms) stays a Dataset: 32
    examples are looked at four times each, which misses a change in one look of ten less than once in 100,000 times.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and a stream that is to be augmented.
    """
    found = _tensors_or_stream(data, seed)
    if isinstance(found, Batch):
        return found.to(device)
    if augmented:
        raise UsageError(
            "augment is for a Batch, or a Dataset that gives the same each time: views of a DataLoader, or of a "
            "Dataset with random views, are its own"
        )
    return found


def sample_of(data: Batch | Stream, device: torch.device, *, size: int, seed: int = 0) -> Batch:
    """All examples of a batch, or the first batch of a stream, on the device."""
    return data if isinstance(data, Batch) else make_feed(data, size, seed=seed, device=device)(0)


def updates_in(passes: int, data: Batch | Stream, batch: int) -> int:
    """Updates that so many passes take, with `batch` examples each; very many where a stream has no length."""
    source = data if isinstance(data, Batch) else data.source
    try:
        return passes * len(source) // (1 if isinstance(source, DataLoader) else batch)  # type: ignore[arg-type]
    except TypeError:
        return 2**31


def _tensors_or_stream(data: Data, seed: int) -> Batch | Stream:
    if isinstance(data, DataLoader | IterableDataset):
        return Stream(data)
    if isinstance(data, Dataset) and not isinstance(data, TensorDataset):
        with own_data("train"):
            count = len(data)  # type: ignore[arg-type]
            if not count:
                raise UsageError("train has no examples")
            size = _bytes(_seen(data[0])) * count
            spread = sorted({round(place * (count - 1) / (_LOOKED_AT - 1)) for place in range(_LOOKED_AT)})
            if size > MOST_BYTES or any(_differ([data[place] for _ in range(_LOOKS)]) for place in spread):
                return Stream(data)
    return collected(data, "train", seed=seed)


def _bytes(batch: Batch) -> int:
    return sum(part.nbytes for part in batch.parts() if part is not None)


def _seen(example: object) -> Batch:
    return as_batch(collate([example]), "train")


def _differ(looks: Sequence[object]) -> bool:
    """Whether the looks at one example are not all the same."""
    first, *others = (_seen(look).parts() for look in looks)
    return any(not _same(a, b) for other in others for a, b in zip(first, other, strict=True))


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
