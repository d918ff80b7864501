"""Examples without labels beside labelled ones, whose form they must have."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from kdgan.data.batch import Batch
from kdgan.data.collate import collate
from kdgan.data.forms import Form, kind_of, leaves
from kdgan.data.kept import Listed, gives_examples, read_or_kept, sample_of
from kdgan.data.parsing import as_unlabelled
from kdgan.data.stream import Stream
from kdgan.data.unlike import check_range
from kdgan.errors import UsageError


def unlabelled_data(data: Any, known: Batch | Stream, seed: int) -> Batch | Stream:
    """Tensors, or a stream of what is read anew; nobody looks at labels that are there.

    Args:
        data: inputs, or (inputs, privileged) where labelled examples have privileged information, in any form.
        known: the labelled examples.
        seed: of what is looked at.

    Raises:
        UsageError: if they have another form than the labelled ones.
    """
    what, cpu = "unlabelled", torch.device("cpu")
    like = known if isinstance(known, Batch) else sample_of(known, cpu, size=2, seed=seed)
    source: Any = data
    if isinstance(data, TensorDataset):
        source = as_unlabelled(data.tensors, what, like)
    elif gives_examples(data) or isinstance(data, list):
        source = as_unlabelled(data, what, like) if _is_whole(data, like) else Listed(data)
    elif not isinstance(data, Dataset | DataLoader):
        source = as_unlabelled(data, what, like)
    found = read_or_kept(source, what, seed, like)
    sample = found if isinstance(found, Batch) else sample_of(found, cpu, size=2, seed=seed)
    for name, mine, theirs in (
        ("inputs", sample.inputs, like.inputs),
        ("privileged information", sample.privileged, like.privileged),
    ):
        if kind_of(mine) != kind_of(theirs):
            raise UsageError(
                f"unlabelled has {_written(mine)} as {name}, but train {_written(theirs)}: they must have the same form"
            )
    if isinstance(found, Batch):
        found = found.named_as(like)
        if isinstance(known, Batch):
            for note in check_range(found, known, "unlabelled", "train"):
                warnings.warn(note, stacklevel=6)
        return found
    return replace(found, like=sample.named_as(like))


def _is_whole(data: Any, like: Batch) -> bool:
    """Whether a list is all inputs, with what lies beside them, rather than examples one by one."""
    if not isinstance(data, list):
        return False
    if len(data) > 3:
        return isinstance(like.inputs, tuple) and all(isinstance(each, Tensor | np.ndarray) for each in data)
    try:
        one = as_unlabelled(collate(data[:1]), "unlabelled", like)
    except (UsageError, TypeError, RuntimeError, IndexError):
        return True
    return kind_of(one.inputs) != kind_of(like.inputs)


def _written(form: Form | None) -> str:
    if form is None:
        return "none"
    shape = " and ".join(f"{tuple(leaf.shape[1:])} of {leaf.dtype}" for leaf in leaves(form))
    return f"{shape} by the names {', '.join(form)}" if isinstance(form, dict) else shape
