"""Fingerprints of data, modules and functions of a caller's own, which tell them from others of the same form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kdgan.data.batch import Batch


def of_data(data: Batch | DataLoader[Any]) -> str | None:
    """A hash of the tensors; None for a loader, which may give others at every look."""
    if not isinstance(data, Batch):
        return None
    return of_tensors(part for part in (data.inputs, data.targets, data.privileged) if part is not None)


def of_tensors(tensors: Iterable[Tensor]) -> str:
    """A hash of their values, in order."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def of_object(value: object) -> Any:
    """The name of a function, or of the class of something that can be called; any other value is itself."""
    return getattr(value, "__qualname__", type(value).__qualname__) if callable(value) else value
