"""Tensors where data give the same in every pass and fit in memory, else what is read anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan.data.batch import Batch, checked, has_labels, labelled_rows
from kdgan.data.collate import batched, collate
from kdgan.data.forms import Pieces, equal, leaves
from kdgan.data.join import join
from kdgan.data.ordered import example_of, length_of, spread
from kdgan.data.parsing import as_batch
from kdgan.data.semi import make_feed
from kdgan.data.stream import Stream, one_pass, own_data
from kdgan.data.targets import check_signs
from kdgan.errors import UsageError, wrong

MOST_BYTES = 2**30
"""Data up to this size are kept as tensors; larger ones are read anew each time."""
_LOOKED_AT, _LOOKS = 32, 4
"""Examples of a Dataset that are looked at, so many times each, to see whether its views are random."""
AT_ONCE = 256
"""Examples of a Dataset that are read at a time."""
_AGAIN = 8
"""Batches that are read twice of what may be read only once."""
_SOUGHT = 1000
"""Batches of a stream in which an example with a label is looked for."""


def source_of(data: Any, what: str) -> Batch | Dataset[Any] | DataLoader[Any]:
    """All examples, or what gives them one by one or in batches.

    Raises:
        UsageError: if it is none of the forms of `Data`.
    """
    if isinstance(data, TensorDataset):
        return as_batch(data.tensors, what)
    if isinstance(data, Dataset | DataLoader):
        return data
    return Listed(data) if gives_examples(data) else as_batch(data, what)


def gives_examples(data: Any) -> bool:
    """Whether it is a list of examples, or something like a Dataset that is none of torch's."""
    if isinstance(data, list):
        return bool(data) and all(isinstance(each, tuple | list | Mapping) for each in data)
    is_all = isinstance(data, Batch | Mapping | tuple | Tensor)
    return not is_all and all(hasattr(data, name) for name in ("__len__", "__getitem__", "set_format"))


class Listed(Dataset[Any]):
    """Examples in a list, or in something like one."""

    def __init__(self, examples: Sequence[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> Any:
        return self.examples[row]


def read_or_kept(
    source: Batch | Dataset[Any] | DataLoader[Any], what: str, seed: int, beside: Batch | None = None
) -> Batch | Stream:
    """Tensors, or a stream of what is read anew.

    Args:
        source: the data.
        what: its name in messages.
        seed: of what is looked at.
        beside: labelled examples, where these are inputs alone.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and examples that do not fit together.
    """
    if isinstance(source, Batch):
        return in_one(checked(source, what), what)
    stream = Stream(source, beside=beside, name=what)
    if isinstance(source, DataLoader | IterableDataset):
        _check_begins_anew(stream, seed)
        return stream
    with own_data(what):
        count = len(source)  # type: ignore[arg-type]
        if not count:
            raise UsageError(f"{what} has no examples")
        size = bytes_of(stream.checked(collate([source[0]]))) * count
    if size > MOST_BYTES or random_views(stream):
        return stream
    parts = list(one_pass(replace(stream, source=batched(source, AT_ONCE)), seed))
    try:
        found = join(parts)
    except RuntimeError as error:
        raise wrong(f"{what} gives examples that do not fit together: {error}") from error
    return in_one(checked(found, what), what)


def random_views(stream: Stream) -> bool:
    """Whether examples of a Dataset, or of a loader's, differ from look to look."""
    with own_data(stream.name):
        for place in spread(length_of(stream), _LOOKED_AT):
            looks = [example_of(stream, place) for _ in range(_LOOKS)]
            if any(_differ(looks[0], look) for look in looks[1:]):
                return True
    return False


def _check_begins_anew(stream: Stream, seed: int) -> None:
    """Raises a UsageError if a stream goes on where it was when it is read again, as a generator does that is kept.

    Only what holds an iterator is read for that: what merely draws other views each time may do so.
    """
    with own_data(stream.name):
        source: Any = stream.source
        read = [source]
        if isinstance(source, DataLoader):
            read = [source, source.sampler, source.batch_sampler]
            read += [source.dataset] if isinstance(source.dataset, IterableDataset) else []
        if not any(map(_holds_iterator, read)):
            return
    one, other = (list(islice(one_pass(stream, seed), _AGAIN)) for _ in range(2))
    if len(one) != len(other) or any(map(_differ, one, other)):
        raise UsageError(
            f"{stream.name} gives other examples when it is read again, as what can be read only once does: let "
            "__iter__ begin anew each time, or give a list of the examples"
        )


def _holds_iterator(source: Any) -> bool:
    if any(isinstance(each, Iterator) for each in (source, *getattr(source, "__dict__", {}).values())):
        return True
    return isinstance(source, IterableDataset) and iter(source) is iter(source)


def in_one(batch: Batch, what: str) -> Batch:
    """The batch, if its examples lie in one form, so that they can be drawn in any order.

    Raises:
        UsageError: if they do not.
    """
    if isinstance(batch.inputs, Pieces) or isinstance(batch.privileged, Pieces):
        raise UsageError(
            f"{what} gives examples that differ in size or type: give a DataLoader whose collate_fn makes them alike, "
            "each batch to its own length"
        )
    return batch


def sample_of(data: Batch | Stream, device: torch.device, *, size: int, seed: int = 0) -> Batch:
    """All examples of a batch, or the first batch of a stream in which one has a label, on the device."""
    if isinstance(data, Batch):
        return data.to(device)
    feed = make_feed(data, size, seed=seed, device=device)
    for step in range(_SOUGHT):
        batch = feed(step)
        if data.beside is not None:
            return batch
        if has_labels(batch):
            check_signs(labelled_rows(batch).targets, batch.labelled is not None, data.name)
            return batch
    raise UsageError(
        f"train has no example with a label in its first {_SOUGHT:,} batches: give those that have one as train, and "
        "the others as unlabelled"
    )


def all_labelled(batch: Batch, what: str) -> Batch:
    """The examples that have a label.

    Raises:
        UsageError: if none has.
    """
    found = labelled_rows(batch)
    if not len(found):
        raise UsageError(f"{what} has no example with a label")
    check_signs(found.targets, batch.labelled is not None, what)
    return found


def bytes_of(batch: Batch) -> int:
    """Of what it has, in memory."""
    return sum(leaf.nbytes for part in batch.parts() if part is not None for leaf in leaves(part))


def _differ(one: Batch, other: Batch) -> bool:
    """Whether two looks at one example are not the same."""
    return not all(equal(a, b) for a, b in zip(one.parts(), other.parts(), strict=True))
