"""Fingerprints of data, modules and functions of a caller's own, which tell them from others of the same form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kdgan.data.batch import Batch
from kdgan.errors import wrong
from kdgan.references import fingerprint, reference_to


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


def plain(value: object) -> Any:
    """A value as JSON gives it back; functions and classes by where they are found, members of an Enum by name.

    Raises:
        UsageError: for any other object.
    """

    def named(each: object) -> Any:
        if isinstance(each, Enum):
            return each.name
        if callable(each):
            return reference_to(each)
        raise wrong(f"a setting must be a number, text, true or false, or a function, not {each!r}")

    return json.loads(json.dumps(value, default=named))


def of_object(value: object) -> Any:
    """The name and a hash of a function, or of something else that can be called; any other value is itself."""
    if not callable(value):
        return plain(value)
    return f"{getattr(value, '__qualname__', type(value).__qualname__)} {fingerprint(value)}"
