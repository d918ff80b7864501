"""Examples of a Dataset, or of a loader's, by their places: one, some, or all of them in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate

from kdgan.data.batch import Batch
from kdgan.data.collate import batched, collate
from kdgan.data.stream import Stream


def length_of(stream: Stream) -> int:
    """The number of examples of a Dataset, or of a loader's."""
    source: Any = stream.source.dataset if isinstance(stream.source, DataLoader) else stream.source
    return len(source)


def example_of(stream: Stream, place: int, what: str = "train") -> Batch:
    """One example of a Dataset, or of a loader's, as a batch."""
    source: Any = stream.source
    if not isinstance(source, DataLoader):
        return stream.checked(collate([source[place]]), what)
    own = collate if source.collate_fn is default_collate else source.collate_fn
    return stream.checked(own([source.dataset[place]]), what)


def spread(count: int, most: int) -> list[int]:
    """Places of examples, at most so many, from the first to the last."""
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def in_order(data: Stream, size: int, start: int = 0) -> Stream | None:
    """The same examples from `start` in the order of their data set, in batches; None where they have no order.

    Args:
        data: the stream.
        size: examples per batch, where it has none of its own.
        start: the first.
    """
    source: Any = data.source
    if isinstance(source, IterableDataset):
        return None
    if isinstance(source, DataLoader):
        plain = type(source).__iter__ is DataLoader.__iter__ and source.batch_sampler is not None
        if not plain or isinstance(source.dataset, IterableDataset):
            return None
        dataset = source.dataset
        if not hasattr(dataset, "__len__"):
            return None
        loader = DataLoader(
            Subset(dataset, range(start, len(dataset))),
            source.batch_size or size,
            collate_fn=source.collate_fn,
            num_workers=source.num_workers,
            worker_init_fn=source.worker_init_fn,
            multiprocessing_context=source.multiprocessing_context,
        )
    else:
        loader = batched(Subset(source, range(start, len(source))), size)
    return replace(data, source=loader)
