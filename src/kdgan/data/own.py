"""Data in the forms that people have it in: tensors, lists of examples, a Dataset, a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from kdgan.data.batch import Batch, checked, join, labelled_rows, unlabelled_rows
from kdgan.data.forms import fits, leaves, mapped
from kdgan.data.parsing import as_batch, as_unlabelled
from kdgan.data.semi import Examples, Semi, make_feed
from kdgan.data.stream import LoaderFeed, Recorded, Stream, batched, collate, own_data
from kdgan.data.targets import Kind, in_kind
from kdgan.errors import UsageError, wrong

Data: TypeAlias = "Batch | Sequence[Any] | Mapping[str, Tensor] | Dataset[Any] | DataLoader[Any]"
"""All examples at once: a `Batch`; a pair or triple (inputs, targets, privileged) of tensors or arrays, or of tuples or
mappings of them, where None in the last place stands for none; a mapping that names its targets (`labels`). Or one by
one: a list of such examples, a Dataset of them (torch's, or one of the datasets library in torch format), or a
DataLoader of batches of them. -1, None or a row of NaN stands for no label."""
Inputs: TypeAlias = "Tensor | NDArray[Any] | Data"
"""Examples without labels: inputs, or (inputs, privileged) where training has privileged information, in any form of
`Data`. Labels that are there are not looked at."""

MOST_BYTES = 2**30
"""Data up to this size are kept as tensors; larger ones are read anew each time."""
_LOOKED_AT, _LOOKS = 32, 4
"""Examples of a Dataset that are looked at, so many times each, to see whether its views are random."""
_AT_ONCE = 256


class HeldOut:
    """Labelled examples to judge players by, in batches; read anew each time where they are too many to be kept.

    Args:
        batches: all of them, or what they are read from.
        what: its name in messages.
        seed: of random views.
    """

    def __init__(self, batches: Sequence[Batch] | Stream, what: str, *, seed: int = 0) -> None:
        self.batches, self.what, self.seed = batches, what, seed

    def __iter__(self) -> Iterator[Batch]:
        if not isinstance(self.batches, Stream):
            yield from self.batches
            return
        for batch in read_once(self.batches, self.what, self.seed):
            yield labelled_rows(batch)

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def sample(self) -> Batch:
        """The first batch."""
        return next(iter(self))

    @cached_property
    def targets(self) -> Tensor:
        """Of all examples."""
        return torch.cat([batch.targets for batch in self])

    def map(self, change: Callable[[Batch], Batch]) -> HeldOut:
        """The same with each batch that is kept changed; what is read anew stays as it is."""
        if isinstance(self.batches, Stream):
            return self
        return HeldOut([change(batch) for batch in self.batches], self.what, seed=self.seed)

    def of_kind(self, kind: Kind, classes: int) -> HeldOut:
        """The same with targets of that kind of task, to which what is read anew is held, too."""
        if isinstance(self.batches, Stream):
            stream = replace(self.batches, like=self.sample, classes=classes, kind=kind)
            return HeldOut(stream, self.what, seed=self.seed)
        return self.map(lambda batch: in_kind(batch, kind))


def held_out(data: Data, what: str, *, seed: int = 0) -> HeldOut:
    """Data to judge players by, on the CPU; random views are those of the seed.

    Batches stay as a loader gives them where they differ in size, so that no padding is needed.

    Raises:
        UsageError: for data without examples or labels, numbers that are not finite, and another form.
    """
    source = _source(data, what)
    if isinstance(source, Batch):
        return HeldOut([_all_labelled(checked(source, what), what)], what)
    stream = Stream(source if isinstance(source, DataLoader | IterableDataset) else batched(source, _AT_ONCE))
    if isinstance(source, IterableDataset):
        stream = Stream(DataLoader(source, _AT_ONCE, collate_fn=collate))
    kept: list[Batch] = []
    size = 0
    for part in read_once(stream, what, seed):
        found = labelled_rows(checked(part, what))
        size += _bytes(found)
        if size > MOST_BYTES:
            return HeldOut(stream, what, seed=seed)
        if kept and (kept[0].privileged is None) != (found.privileged is None):
            raise UsageError(f"{what} has privileged information in some batches and none in others")
        if len(found):
            kept.append(found)
    if not kept:
        raise UsageError(f"{what} gives no example with a label")
    first = kept[0]
    alike = all(
        fits(first.inputs, other.inputs)
        and fits(first.privileged, other.privileged)
        and fits(first.targets, other.targets)
        for other in kept
    )
    return HeldOut([join(kept)] if alike else kept, what)


def training_data(
    data: Data,
    unlabelled: Inputs | None = None,
    *,
    seed: int = 0,
    logits: Recorded | None = None,
) -> Examples:
    """Tensors where that gives the same examples in every pass and fits in memory, else what is read anew.

    A Dataset that gives another view of an example each time it is asked (random transforms) stays a Dataset: 32
    examples are looked at four times each, which misses a change in one look of ten less than once in 100,000 times.

    Args:
        data: examples; those without a label are learned from, too.
        unlabelled: other examples without labels.
        seed: of what is looked at.
        logits: what a teacher said of each of all those examples, in their order.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and forms that differ.
    """
    known = _read_or_kept(_source(data, "train"), "train", seed)
    if logits is not None:
        known, logits = _recorded(known, logits, "train", last=unlabelled is None)
    others = None
    if isinstance(known, Batch):
        known, others = _all_labelled(known, "train"), unlabelled_rows(known)
    if unlabelled is None:
        return known if others is None else Semi(known, others)
    more = _unlabelled(unlabelled, known, seed)
    if logits is not None:
        more, _ = _recorded(more, logits, "unlabelled", last=True)
    if others is not None:
        if not isinstance(more, Batch):
            raise UsageError(
                "train has examples without labels, and unlabelled is read anew in every pass: put all of them into one"
            )
        more = join([others, more])
    return Semi(known, more)


def sample_of(data: Batch | Stream, device: torch.device, *, size: int, seed: int = 0) -> Batch:
    """All examples of a batch, or the first batch of a stream, on the device."""
    if isinstance(data, Batch):
        return data.to(device)
    return make_feed(data, size, seed=seed, device=device)(0)


def updates_in(passes: int, data: Examples, batch: int) -> int:
    """Updates that so many passes take, with `batch` examples each; very many where a stream has no length."""
    if isinstance(data, Semi):
        return updates_in(passes, data.labelled, batch) + updates_in(passes, data.unlabelled, batch)
    source = data if isinstance(data, Batch) else data.source
    try:
        return passes * len(source) // (1 if isinstance(source, DataLoader) else batch)  # type: ignore[arg-type]
    except TypeError:
        return 2**31


def _source(data: Any, what: str) -> Batch | Dataset[Any] | DataLoader[Any]:
    """All examples, or what gives them one by one or in batches."""
    if isinstance(data, TensorDataset):
        return as_batch(data.tensors, what)
    if isinstance(data, Dataset | DataLoader):
        return data
    if isinstance(data, list) and data and isinstance(data[0], tuple | list | Mapping):
        return _Listed(data)
    is_all = isinstance(data, Batch | Mapping | list | tuple | Tensor)
    if not is_all and all(hasattr(data, name) for name in ("__len__", "__getitem__", "set_format")):
        return _Listed(data)
    return as_batch(data, what)


class _Listed(Dataset[Any]):
    """Examples in a list, or in something like one."""

    def __init__(self, examples: Sequence[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> Any:
        return self.examples[row]


def _read_or_kept(
    source: Batch | Dataset[Any] | DataLoader[Any], what: str, seed: int, beside: Batch | None = None
) -> Batch | Stream:
    """Tensors, or a stream of what is read anew; of inputs alone where labelled examples are given beside them."""
    if isinstance(source, Batch):
        return checked(source, what)
    stream = Stream(source, beside=beside)
    if isinstance(source, DataLoader | IterableDataset):
        return stream
    with own_data(what):
        count = len(source)  # type: ignore[arg-type]
        if not count:
            raise UsageError(f"{what} has no examples")
        size = _bytes(stream.checked(collate([source[0]]), what)) * count
    if size > MOST_BYTES or random_views(stream, what):
        return stream
    parts = list(read_once(Stream(batched(source, _AT_ONCE), beside=beside), what, seed))
    try:
        return checked(join(parts), what)
    except RuntimeError as error:
        raise wrong(f"{what} gives examples that do not fit together: {error}") from error


def random_views(stream: Stream, what: str) -> bool:
    """Whether examples of a Dataset, or of a loader's, differ from look to look."""
    with own_data(what):
        for place in spread(length_of(stream), _LOOKED_AT):
            looks = [example_of(stream, place, what) for _ in range(_LOOKS)]
            if any(_differ(looks[0], look) for look in looks[1:]):
                return True
    return False


def length_of(stream: Stream) -> int:
    """The number of examples of a Dataset, or of a loader's."""
    source: Any = stream.source.dataset if isinstance(stream.source, DataLoader) else stream.source
    return len(source)


def example_of(stream: Stream, place: int, what: str = "train") -> Batch:
    """One example of a Dataset, or of a loader's, as a batch."""
    source: Any = stream.source
    if isinstance(source, DataLoader):
        return stream.checked(source.collate_fn([source.dataset[place]]), what)
    return stream.checked(collate([source[place]]), what)


def spread(count: int, most: int) -> list[int]:
    """Places of examples, at most so many, from the first to the last."""
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def recordable(data: Data, unlabelled: Inputs | None = None, *, seed: int = 0) -> list[Batch | Stream]:
    """All examples, as `training_data` reads them, in the order in which logits of them are recorded: those of train,
    then those of unlabelled.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and forms that differ.
    """
    known = _read_or_kept(_source(data, "train"), "train", seed)
    return [known] if unlabelled is None else [known, _unlabelled(unlabelled, known, seed)]


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


def _unlabelled(data: Inputs, known: Batch | Stream, seed: int) -> Batch | Stream:
    like = known if isinstance(known, Batch) else sample_of(known, torch.device("cpu"), size=2, seed=seed)
    what = "unlabelled"
    source: Any = data
    if isinstance(data, TensorDataset):
        source = as_unlabelled(data.tensors, what, like)
    elif isinstance(data, list) and data and not isinstance(like.inputs, tuple):
        source = _Listed(data)
    elif not isinstance(data, Dataset | DataLoader):
        listed = hasattr(data, "set_format")
        source = _Listed(data) if listed else as_unlabelled(data, what, like)  # type: ignore[arg-type]
    found = _read_or_kept(source, what, seed, like)
    sample = found if isinstance(found, Batch) else sample_of(found, torch.device("cpu"), size=2, seed=seed)
    for name, mine, theirs in (
        ("inputs", sample.inputs, like.inputs),
        ("privileged information", sample.privileged, like.privileged),
    ):
        if (mine is None) != (theirs is None) or (mine is not None and not _same_kind(mine, theirs)):
            raise UsageError(
                f"unlabelled has {_told(mine)} as {name}, but train {_told(theirs)}: they must have the same form"
            )
    return found if isinstance(found, Batch) else replace(found, like=sample)


def _same_kind(one: Any, other: Any) -> bool:
    mine, theirs = leaves(one), leaves(other)
    return (
        type(one) is type(other)
        and len(mine) == len(theirs)
        and all(a.ndim == b.ndim and a.dtype == b.dtype for a, b in zip(mine, theirs, strict=True))
        and (not isinstance(one, dict) or one.keys() == other.keys())
    )


def _told(form: Any) -> str:
    if form is None:
        return "none"
    shape = " and ".join(f"{tuple(leaf.shape[1:])} of {leaf.dtype}" for leaf in leaves(form))
    return f"{shape} by the names {', '.join(form)}" if isinstance(form, dict) else shape


def _recorded(
    data: Batch | Stream, logits: Recorded, what: str, *, last: bool
) -> tuple[Batch | Stream, Recorded]:
    """The data with what a teacher said of them, and what it said of others."""
    source: Any = data if isinstance(data, Batch) else data.source
    source = source.dataset if isinstance(source, DataLoader) else source
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise UsageError(
            f"{what} has no order of its own, so nobody knows which of the teacher's logits belong to an example: give "
            "a Dataset, or the teacher itself"
        )
    count = len(source)
    if len(logits) < count or (last and len(logits) > count):
        raise UsageError(
            f"the teacher's logits are of {len(logits)} examples, but {what} has {count}: one row for each, those of "
            "train before those of unlabelled"
        )
    if isinstance(data, Stream):
        return replace(data, logits=_Rows(logits, 0, count)), _Rows(logits, count, len(logits))
    rows = torch.as_tensor(logits[:count], dtype=torch.float32)
    return replace(data, teacher_logits=rows, recorded=True), _Rows(logits, count, len(logits))


class _Rows:
    """Some rows of what was recorded, which stay where they are."""

    def __init__(self, logits: Recorded, start: int, stop: int) -> None:
        self.logits, self.start, self.stop = logits, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            start, stop, _ = row.indices(len(self))
            return self.logits[self.start + start : self.start + stop]
        return self.logits[self.start + int(row)]


def _all_labelled(batch: Batch, what: str) -> Batch:
    found = labelled_rows(batch)
    if not len(found):
        raise UsageError(f"{what} has no example with a label")
    return found


def read_once(stream: Stream, what: str, seed: int) -> Iterator[Batch]:
    """One pass of a stream, on the CPU."""
    feed = LoaderFeed(stream, 1, seed=seed, device=torch.device("cpu"), what=what)
    while (part := feed.within_pass()) is not None:
        yield part


def _bytes(batch: Batch) -> int:
    return sum(leaf.nbytes for part in batch.parts() if part is not None for leaf in leaves(part))


def _differ(one: Batch, other: Batch) -> bool:
    """Whether two looks at one example are not the same."""
    return any(not _same(a, b) for a, b in zip(one.parts(), other.parts(), strict=True))


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if not fits(one, other):
        return False
    pairs = zip(leaves(one), leaves(mapped(lambda leaf: leaf, other)), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)
