"""Batches out of single examples: torch's own way, and what it has none for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from kdgan.data.batch import NO_LABEL
from kdgan.data.parsing import LABELS, to_tensor
from kdgan.errors import UsageError


def batched(data: Dataset[Any], size: int, *, shuffle: bool = False) -> DataLoader[Any]:
    """Batches of a Dataset: a last one of a single example is left out, as nothing can be normalised over it."""
    alone = shuffle and 1 < size < len(data) and len(data) % size == 1  # type: ignore[arg-type]
    return DataLoader(data, size, shuffle=shuffle, collate_fn=collate, drop_last=alone)


class AtOnce(TensorDataset):
    """A TensorDataset that gives a batch at once, as collated examples are: one by one takes ten times as long."""

    def __getitems__(self, rows: Iterable[int]) -> list[Tensor]:
        # Samplers of one's own give places of many types.
        places = torch.tensor([int(row) for row in rows])
        return [tensor[places] for tensor in self.tensors]


def as_it_is(batch: Any) -> Any:
    """The batch, which is one already."""
    return batch


def collate(examples: list[Any]) -> Any:
    """torch's own way, but for privileged information that is None, labels that are, lists of numbers, and arrays,
    which are of double precision unless somebody says otherwise.

    Raises:
        UsageError: if examples differ in size.
    """
    if all(isinstance(each, list | tuple) and len(each) == 3 and each[2] is None for each in examples):
        examples = [each[:2] for each in examples]
    examples = _with_labels(examples)
    if _is_to_change(examples[0]):
        examples = [_with_tensors(each) for each in examples]
    try:
        return default_collate(examples)
    except RuntimeError as error:
        if "equal size" in str(error):
            raise UsageError(
                "examples differ in size: give a DataLoader whose collate_fn pads them, each batch to its own length"
            ) from error
        raise


def _with_labels(examples: list[Any]) -> list[Any]:
    """The examples with a number in the place of each label that is None."""
    first = examples[0]
    place: Any = 1
    if isinstance(first, Mapping):
        place = next((name for name in LABELS if name in first), None)
    elif not isinstance(first, list | tuple) or len(first) not in (2, 3):
        return examples
    if place is None or all(each[place] is not None for each in examples):
        return examples
    labels = _numbers([each[place] for each in examples])
    if isinstance(first, Mapping):
        return [{**each, place: label} for each, label in zip(examples, labels, strict=True)]
    return [(each[0], label, *each[2:]) for each, label in zip(examples, labels, strict=True)]


def _numbers(labels: Sequence[Any]) -> list[Tensor]:
    """The labels as tensors, those that are None as the others would say it."""
    known = [None if label is None else default_collate([_tensor(label)])[0] for label in labels]
    first = next((label for label in known if label is not None), torch.tensor(NO_LABEL[0]))
    real = first.is_floating_point()
    none = torch.full_like(first, float("nan") if real else NO_LABEL[0], dtype=None if real else torch.long)
    # Bits and small integers have no number for none.
    return [none if label is None else label.to(none.dtype) for label in known]


def _with_tensors(example: Any) -> Any:
    """The example with tensors in the place of arrays, and of lists of numbers, of which torch makes a batch for each
    column."""
    if isinstance(example, np.ndarray):
        return to_tensor(example)
    if not _is_to_change(example):
        return example
    if isinstance(example, Mapping):
        return {name: _tensor(each) for name, each in example.items()}
    return tuple(map(_tensor, example))


def _is_to_change(example: Any) -> bool:
    """Whether it is an array, or a part of it could be one or a list of numbers, or hold one."""
    if isinstance(example, np.ndarray):
        return True
    parts = example.values() if isinstance(example, Mapping) else example
    return isinstance(example, list | tuple | Mapping) and any(
        isinstance(each, list | tuple | Mapping | np.ndarray) for each in parts
    )


def _tensor(part: Any) -> Any:
    return torch.tensor(part) if _is_list_of_numbers(part) else _with_tensors(part)


def _is_list_of_numbers(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, int | float | np.number) for each in value) or all(
        map(_is_list_of_numbers, value)
    )
