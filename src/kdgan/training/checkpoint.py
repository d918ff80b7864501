"""Trees of tensors and plain values as one safetensors file: no pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdgan.data.seeds import random_state as random_state
from kdgan.data.seeds import restore_random_state as restore_random_state
from kdgan.errors import UsageError
from kdgan.files import replacing

_TENSOR, _CHANNELS_LAST, _PAIRS = "__tensor__", "channels_last", "__pairs__"


def save(path: Path, tree: dict[str, Any]) -> None:
    """Writes nested dictionaries, lists, numbers, strings, None and tensors to `path`, replacing it in one move.

    Raises:
        TypeError: for a value of any other type.
        OSError: if the file cannot be written; what was at `path` before is then still there.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, "", tensors)
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"tree": json.dumps(skeleton)})
        except SafetensorError as error:
            # The library wraps what the system said, such as a full disk, in an error of its own.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            code = int(number[1])
            raise OSError(code, os.strerror(code), str(path)) from error


def load(path: Path) -> dict[str, Any]:
    """The tree that `save` wrote, tensors on the CPU; tuples have become lists.

    Raises:
        UsageError: if the file is damaged or was written by something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})["tree"])
            tree: dict[str, Any] = _fill(skeleton, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no checkpoint of kdgan, or is damaged: delete it to start anew"
        ) from error
    return tree


def _strip(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` with each tensor replaced by its name; the tensors themselves go into `tensors`."""
    if isinstance(value, Tensor):
        # A copy of its own for each: safetensors takes no two tensors that share memory.
        key = str(len(tensors))
        tensors[key] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: key, _CHANNELS_LAST: _is_channels_last(value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _strip(item, f"{name}/{key}", tensors) for key, item in value.items()}
        # JSON would turn the whole numbers by which optimizers keep their state into strings.
        return {_PAIRS: [[key, _strip(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_strip(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def _fill(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_fill(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        tensor = tensors[value[_TENSOR]]
        return tensor.to(memory_format=torch.channels_last) if value[_CHANNELS_LAST] else tensor
    if _PAIRS in value:
        return {key: _fill(item, tensors) for key, item in value[_PAIRS]}
    return {key: _fill(item, tensors) for key, item in value.items()}


def _is_channels_last(value: Tensor) -> bool:
    # Files hold tensors in plain order, but a fused optimizer walks weights and moments side by side in memory:
    # moments that came back in another layout than their weights would belong to the wrong ones.
    return (
        value.ndim == 4
        and not value.is_contiguous()
        and value.is_contiguous(memory_format=torch.channels_last)
    )
