"""The one door for values that are read back from files: JSON, and what checkpoints hold, checked against a type before
anything is made of it. Imports nothing heavy."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kdgan.errors import wrong

Stored = TypeVar("Stored")
MOST_BYTES = 2**28
"""Bound of a file that is read whole, such as one of JSON."""


def read_json(path: Path, kind: type[Stored]) -> Stored:
    """The value in a JSON file, as `kind` says: a dataclass, a TypedDict, or a container of plain types.

    Raises:
        UsageError: for a file that cannot be read or is too large, holds no JSON, or another value.
    """
    try:
        content = content_of(path)
    except OSError as error:
        raise wrong(f"{path} cannot be read: {error.strerror or error}") from error
    return from_json(content, kind, str(path))


def content_of(path: Path) -> bytes:
    """The content of a file that is read whole.

    Raises:
        UsageError: for one that is too large, or without an end, as a device may be.
        OSError: for one that cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise wrong(f"{path} is larger than the {MOST_BYTES / 2**20:.0f} MiB that such a file may have")
    return content


def from_json(content: bytes | str, kind: type[Stored], what: str) -> Stored:
    """The same of a JSON text; `what` it is, for the message.

    Raises:
        UsageError: as `read_json`.
    """
    try:
        # Python's own reader, as names of files may hold bytes that are no UTF-8, which it writes as half pairs.
        read = json.loads(content, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_each_once)
        return msgspec.convert(read, kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise wrong(f"{what} is damaged, or was written by something else: {error}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, in which no name may stand twice: which of its values was meant, nobody knows."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{twice[:60]!r} stands there twice")
    return found


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:40]} is no finite number")
    return value


def as_kind(value: Any, kind: type[Stored], what: str) -> Stored:
    """A value of plain types and tensors as `kind` says; `what` it is, for the message.

    Raises:
        UsageError: if it is another.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors, which are asked for what they are not
            return msgspec.convert(value, kind)
    except Exception as error:  # of any kind: the value may be anything
        raise wrong(f"{what} is damaged, or was written by something else: {error}") from error
