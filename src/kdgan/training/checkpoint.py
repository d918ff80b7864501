"""Trees of tensors and plain values as one safetensors file: no pickle, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from kdgan.data.seeds import random_state as random_state
from kdgan.data.seeds import restore_random_state as restore_random_state
from kdgan.errors import UsageError, wrong
from kdgan.files import replacing
from kdgan.stored import Stored, as_kind, from_json

_TENSOR, _CHANNELS_LAST, _PAIRS, _FLOAT = "__tensor__", "channels_last", "__pairs__", "__float__"
_TREE = "tree"


def save(path: Path, tree: dict[str, Any]) -> None:
    """Writes nested dictionaries, lists, numbers, strings, None and tensors to `path`, replacing it in one move.

    Raises:
        TypeError: for a value of any other type.
        OSError: if the file cannot be written; what was at `path` before is then still there.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, "", tensors, set())
    with replacing(path) as temporary:
        try:
            tree_json = json.dumps(skeleton)
            # One note alone, as the library writes several in any order.
            write_tensors(tensors, temporary, {_TREE: f"{_sha256(tree_json, tensors)} {tree_json}"})
        except SafetensorError as error:
            # The library wraps what the system said, such as a full disk, in an error of its own.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            code = int(number[1])
            raise OSError(code, os.strerror(code), str(path)) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


def write_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Writes a safetensors file that may be read by whom other new files here may be: the library's are for their owner
    alone, so that a server, say, could not load a student."""
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=metadata)
    path.chmod(mode)


def load(path: Path, kind: type[Stored], remedy: str = "delete it to start anew") -> Stored:
    """The tree that `save` wrote as `kind` says, see `kdgan.stored`; tensors on the CPU.

    Args:
        path: of the file.
        kind: type of the tree.
        remedy: what to do about a damaged file, for the message.

    Raises:
        UsageError: if the file is damaged, was written by something else, or holds another tree.
    """
    wrong_file = f"{path} is no file of kdgan, or is damaged: {remedy}"
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        if path.exists() and not os.access(path, os.R_OK):  # which the library calls missing
            raise wrong(f"{path} cannot be read: {os.strerror(errno.EACCES)}") from error
        raise wrong(wrong_file) from error
    found, _, skeleton = notes.get(_TREE, "").partition(" ")
    if found != _sha256(skeleton, tensors):
        raise wrong(wrong_file)
    try:
        tree = _fill(from_json(skeleton, Any, str(path)), tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise wrong(wrong_file) from error
    try:
        return as_kind(tree, kind, "it")
    except UsageError as error:
        raise wrong(f"{wrong_file} ({error})") from error


def is_own(path: Path) -> bool:
    """Whether a file looks like one that `save` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            return _TREE in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def check_state(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Checks that weights and buffers fit a module, before they are put into it.

    Raises:
        UsageError: naming the first that is missing, too many, or of another shape or type.
    """
    own = module.state_dict()
    for name in (*own, *state):
        mine, theirs = own.get(name), state.get(name)
        if mine is None or theirs is None:
            raise wrong(
                f"{what} belongs to another network: {name} is only {'there' if mine is None else 'here'}"
            )
        if not isinstance(mine, Tensor):
            continue  # what a module of one's own keeps besides
        if (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
            raise wrong(
                f"{what} belongs to another network: {name} is {tuple(theirs.shape)} of {theirs.dtype} there and "
                f"{tuple(mine.shape)} of {mine.dtype} here"
            )


def check_moments(
    optimizer: Optimizer | None, state: Mapping[str, Any] | None, what: str, *, own: bool = False
) -> None:
    """Checks that what an optimizer remembered fits the weights that it has now.

    Args:
        optimizer: of a player, or None.
        state: what was kept of it.
        what: name of the file in messages.
        own: whether it is one of the caller's, which remembers in forms of its own.

    Raises:
        UsageError: if it does not.
    """
    weights = (
        [] if optimizer is None else [each for group in optimizer.param_groups for each in group["params"]]
    )
    kept: Any = {} if state is None else state.get("state")
    fits = (
        (optimizer is None) == (state is None)
        and isinstance(kept, dict)
        and {*kept} <= {*range(len(weights))}
    )
    for place, weight in enumerate(weights if fits else ()):
        moments = kept.get(place, {})
        fits = fits and isinstance(moments, dict)
        for each in moments.values() if fits and not own else ():
            fits = fits and isinstance(each, Tensor) and (each.ndim == 0 or each.shape == weight.shape)
    if not fits:
        raise wrong(f"{what} belongs to another run: what its optimizer remembers does not fit the weights")


def _sha256(tree: str, tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _strip(value: Any, name: str, tensors: dict[str, Tensor], places: set[int]) -> Any:
    """`value` with each tensor replaced by its name; the tensors themselves go into `tensors`."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = _apart(value.detach(), places)
        return {_TENSOR: key, _CHANNELS_LAST: _is_channels_last(value)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _strip(item, f"{name}/{key}", tensors, places) for key, item in value.items()}
        # JSON would turn the whole numbers by which optimizers keep their state into strings.
        return {
            _PAIRS: [[key, _strip(item, f"{name}/{key}", tensors, places)] for key, item in value.items()]
        }
    if isinstance(value, list | tuple):
        return [_strip(item, f"{name}/{index}", tensors, places) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}  # for which JSON has no form
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def _apart(value: Tensor, places: set[int]) -> Tensor:
    """The tensor on the CPU in plain order; a copy where it shares memory with another, which safetensors refuses."""
    found = value.to("cpu").contiguous()
    is_alone = found.untyped_storage().nbytes() == found.nbytes and found.nbytes
    if not is_alone or found.data_ptr() in places:
        return found.clone()
    places.add(found.data_ptr())
    return found


def _fill(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_fill(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        tensor = tensors[value[_TENSOR]]
        return tensor.to(memory_format=torch.channels_last) if value[_CHANNELS_LAST] else tensor
    if _FLOAT in value:
        return float(value[_FLOAT])
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
