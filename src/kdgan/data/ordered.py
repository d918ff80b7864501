"""Examples of a Dataset, or of a loader's, by their places: one, some, or all of them in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate

from kdgan.data.batch import Batch
from kdgan.data.collate import batched, collate
from kdgan.data.forms import is_padded
from kdgan.data.stream import Stream, is_plain
from kdgan.errors import UsageError


def data_set_of(stream: Stream) -> Any:
    """The Dataset of a stream, or of its loader, if its examples are found by their places; else None."""
    source: Any = stream.source
    if isinstance(source, DataLoader):
        # Without a size of batches a data set gives them as it likes; a loader of one's own need not ask for places.
        if source.batch_sampler is None or not is_plain(source):
            return None
        source = source.dataset
    return None if isinstance(source, IterableDataset) or not hasattr(source, "__len__") else source


def length_of(data: Batch | Stream) -> int:
    """The number of examples, of a stream those of its Dataset, or of its loader's."""
    if isinstance(data, Batch):
        return len(data)
    source: Any = data.source.dataset if isinstance(data.source, DataLoader) else data.source
    return len(source)


def example_of(stream: Stream, place: int) -> Batch:
    """One example of a Dataset, or of a loader's, as a batch."""
    source: Any = stream.source
    if not isinstance(source, DataLoader):
        return stream.checked(collate([source[place]]))
    own = collate if source.collate_fn is default_collate else source.collate_fn
    return stream.checked(own([source.dataset[place]]))


def each_alone(stream: Stream, start: int, batch: Batch) -> list[Batch]:
    """The examples of a batch in order as they are in no company: a loader may pad them to the length of the longest.

    Args:
        stream: of a Dataset, or of a loader's.
        start: place of the first.
        batch: the examples.

    Raises:
        UsageError: if they come in another order, or differ from these in more than padding.
    """
    source: Any = stream.source
    if not isinstance(source, DataLoader) or source.collate_fn is default_collate:
        return [batch]  # where each is as it is alone
    found = []
    for row in range(len(batch)):
        one, mine = example_of(stream, start + row), batch[row : row + 1]
        for form, alone in ((mine.inputs, one.inputs), (mine.privileged, one.privileged)):
            if form is not alone and (form is None or alone is None or not is_padded(form, alone)):
                raise UsageError(
                    f"{stream.name}: among others example {start + row} is not what it is alone, but for padding: the "
                    "collate_fn must leave examples, and their order, as they are"
                )
        found.append(one)
    return found


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
    source, dataset = data.source, data_set_of(data)
    if dataset is None:
        return None
    rest = Subset(dataset, range(start, len(dataset)))
    if not isinstance(source, DataLoader):
        return replace(data, source=batched(rest, size))
    loader = DataLoader(
        rest,
        source.batch_size or size,
        collate_fn=source.collate_fn,
        num_workers=source.num_workers,
        worker_init_fn=source.worker_init_fn,
        multiprocessing_context=source.multiprocessing_context,
    )
    return replace(data, source=loader)
