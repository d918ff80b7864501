"""Data in the forms that people have it in: tensors, lists of examples, a Dataset, a DataLoader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kdgan.data.batch import Batch, has_labels, unlabelled_rows
from kdgan.data.join import join
from kdgan.data.kept import all_labelled, in_one, read_or_kept, source_of
from kdgan.data.ordered import data_set_of, length_of
from kdgan.data.own_unlabelled import unlabelled_data
from kdgan.data.semi import Examples, Semi, sizes_of
from kdgan.data.stream import Stream
from kdgan.errors import UsageError

Data: TypeAlias = "Batch | Sequence[Any] | Mapping[str, Tensor] | Dataset[Any] | DataLoader[Any]"
"""All examples at once: a `Batch`; a pair or triple (inputs, targets, privileged) of tensors or arrays (or tables of
numbers that have `to_numpy()`, as those of pandas and polars), or of tuples or mappings of them, where None in the last
place stands for none; a mapping that names its targets (`labels`). Or one by one: a list of such examples, a Dataset of
them (torch's, or one of the datasets library in torch format), or a DataLoader of batches of them. -1, None or a row of
NaN stands for no label."""
Inputs: TypeAlias = "Tensor | NDArray[Any] | Data"
"""Examples without labels: inputs, or (inputs, privileged) where training has privileged information, in any form of
`Data`. Labels that are there are not looked at."""


def training_data(
    data: Data,
    unlabelled: Inputs | None = None,
    *,
    seed: int = 0,
    recorded: int | None = None,
) -> Examples:
    """Tensors where that gives the same examples in every pass and fits in memory, else what is read anew.

    A Dataset that gives another view of an example each time it is asked (random transforms) stays a Dataset: 32
    examples are looked at four times each, which misses a change in one look of ten less than once in 100,000 times.

    Args:
        data: examples; those without a label are learned from, too. Tensors may be without any label.
        unlabelled: other examples without labels.
        seed: of what is looked at.
        recorded: how many examples logits of a teacher are of, one row for each of all these, in their order; then
            tensors know their places. None where there are none.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and forms that differ.
    """
    known = read_or_kept(source_of(data, "train"), "train", seed)
    first = 0
    if recorded is not None:
        known = _placed(known, 0, recorded, "train", last=unlabelled is None)
        first = length_of(known)
    others = None
    if isinstance(known, Batch):
        if has_labels(known):
            known, others = all_labelled(known, "train"), unlabelled_rows(known)
        elif unlabelled is not None:
            raise UsageError(
                "train has no example with a label: give all examples as train, and leave unlabelled out"
            )
    if unlabelled is None:
        return known if others is None else Semi(known, others)
    more = unlabelled_data(unlabelled, known, seed)
    if recorded is not None:
        more = _placed(more, first, recorded - first, "unlabelled", last=True)
    if others is not None:
        if not isinstance(more, Batch):
            raise UsageError(
                "train has examples without labels, and unlabelled is read anew in every pass: put all of them into one"
            )
        more = in_one(join([others, more]), "unlabelled")
    return Semi(known, more)


def recordable(data: Data, unlabelled: Inputs | None = None, *, seed: int = 0) -> list[Batch | Stream]:
    """All examples, as `training_data` reads them, in the order in which logits of them are recorded: those of train,
    then those of unlabelled.

    Raises:
        UsageError: for data without examples, numbers that are not finite, and forms that differ.
    """
    known = read_or_kept(source_of(data, "train"), "train", seed)
    return [known] if unlabelled is None else [known, unlabelled_data(unlabelled, known, seed)]


MANY = 2**31
"""Updates in a pass of what has no length."""


def updates_in(passes: int, data: Examples, batch: int, *, share: float = 0.25) -> int:
    """Updates that see so many times as many examples as there are; very many where a stream has no length.

    Args:
        passes: over the data.
        data: what is learned from.
        batch: examples per update, where data have no number of their own.
        share: of labelled ones among them, where there are others.
    """
    if isinstance(data, Semi):
        sizes = sizes_of(data, batch, share)
        each = [
            updates_in(passes, part, size)
            for part, size in zip((data.labelled, data.unlabelled), sizes, strict=True)
        ]
        if max(each) >= MANY:
            return MANY
        return max(1, round(sum(count * size for count, size in zip(each, sizes, strict=True)) / sum(sizes)))
    source = data if isinstance(data, Batch) else data.source
    try:
        return passes * len(source) // (1 if isinstance(source, DataLoader) else batch)  # type: ignore[arg-type]
    except TypeError:
        return MANY


def _placed(data: Batch | Stream, first: int, rows: int, what: str, *, last: bool) -> Batch | Stream:
    """The data, if each example has a row of its own and, unless others follow, each row an example.

    Args:
        data: the examples; tensors get their places.
        first: place of the first.
        rows: that are left for these examples, and others.
        what: name of the data in messages.
        last: whether none may be left.

    Raises:
        UsageError: if nobody knows which row belongs to which example, or there are not as many as examples.
    """
    if isinstance(data, Stream) and data_set_of(data) is None:
        raise UsageError(
            f"{what} has no order of its own, so nobody knows which of the teacher's logits belong to an example: give "
            "a Dataset, or the teacher itself"
        )
    count = length_of(data)
    if rows < count or (last and rows > count):
        has = f"{what} has {count}" if not first else f"train and {what} have {first + count}"
        raise UsageError(
            f"the teacher's logits are of {first + rows} examples, but {has}: one row for each, those of train before "
            "those of unlabelled"
        )
    if isinstance(data, Stream):
        return data
    return replace(data, places=torch.arange(first, first + count, device=data.device))
