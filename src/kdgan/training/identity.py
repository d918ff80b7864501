"""Fingerprints of data, modules and functions of a caller's own, which tell them from others of the same form."""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import random
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.feed import Feed
from kdgan.data.forms import Form, leaves
from kdgan.data.heldout import HeldOut
from kdgan.data.semi import Examples, Semi
from kdgan.data.stream import LoaderFeed, Stream
from kdgan.errors import UsageError, wrong
from kdgan.losses import Family
from kdgan.methods import METHODS, Method, find, hyperparameters, name_of
from kdgan.references import fingerprint, is_installed, module_of, reference_to
from kdgan.training.config import Training

_OF_ANY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that every module has: its parts, mode and hooks."""
_AGAIN = 8
"""Batches that are read a second time, to see whether they are the same."""


class LeavingOut(nn.Module):
    """A module of which some attributes tell nothing of what it is.

    Attributes:
        left_out: their names.
    """

    left_out: ClassVar[tuple[str, ...]] = ()


def of_call(
    data: Examples,
    held_out: Mapping[str, HeldOut],
    players: Mapping[str, nn.Module],
    *,
    training: Training,
    family: Family,
    augment: Augmentation | None,
    metrics: Mapping[str, object],
    feeds: Iterable[Feed],
    updates: Mapping[int, int],
    weights: Iterable[str],
) -> dict[str, Any]:
    """All of a call with players and data of a caller's own that its results depend on, but for the method: as JSON
    holds it.

    Args:
        data: what is learned from.
        held_out: what players are judged by, or chosen, by name.
        players: by role.
        training: how they are trained.
        family: what logits are logits of.
        augment: other views of inputs, or None.
        metrics: by name.
        feeds: two of one seed.
        updates: how many batches are read, by the seed of their order and views.
        weights: roles of players whose weights are part of it: others start anywhere, or anew from a seed.

    Raises:
        UsageError: for what a folder cannot keep, or data that are not the same when they are read again.
    """
    check_repeatable(feeds, training.steps)
    for role, module in players.items():
        check_kept(module, role)
    return {
        "training": asdict(training),
        "family": of_family(family),
        "augment": of_object(augment),
        "metrics": {name: of_object(metric) for name, metric in metrics.items()},
        "data": {
            "train": of_examples(data, training.batch, updates),
            **{name: of_held_out(each) for name, each in held_out.items()},
        },
        "weights": {role: of_tensors(players[role].state_dict().values()) for role in sorted(weights)},
        "players": {role: of_form(module) for role, module in players.items()},
    }


def of_method(method: str | type[Method], hyper: Mapping[str, Any]) -> dict[str, Any]:
    """A method with the code of one of the caller's own, and all its hyperparameters."""
    kind, name = find(method), name_of(method)
    return {
        "method": name,
        "code": None if name in METHODS else of_object(kind),
        "hyper": {key: of_object(value) for key, value in {**hyperparameters(kind), **hyper}.items()},
    }


def of_data(data: Batch) -> str:
    """A hash of the tensors, and of a teacher's logits of them where they were recorded."""
    parts: list[Form] = [part for part in data.parts() if part is not None]
    if data.recorded and data.teacher_logits is not None:
        parts.append(data.teacher_logits)
    named = [part for part in parts if isinstance(part, dict)]
    found = of_tensors(leaf for part in parts for leaf in leaves(part))
    return found if not named else f"{found} {[list(part) for part in named]}"


def of_held_out(data: HeldOut) -> str:
    """A hash of the batches."""
    found = [of_data(batch) for batch in data]
    return (
        found[0] if len(found) == 1 else hashlib.blake2b("".join(found).encode(), digest_size=8).hexdigest()
    )


def of_examples(data: Examples, size: int, updates: Mapping[int, int]) -> Any:
    """A hash of what is learned from; of both kinds where some have no labels.

    Args:
        data: the examples.
        size: examples per batch, of a stream that has none of its own.
        updates: how many batches are read for a seed.
    """
    if isinstance(data, Semi):
        return [of_examples(part, size, updates) for part in (data.labelled, data.unlabelled)]
    return of_data(data) if isinstance(data, Batch) else of_stream(data, size, updates)


def of_stream(data: Stream, size: int, updates: Mapping[int, int]) -> str:
    """A hash of what a stream gives in its first pass, or in all updates where they are less than a pass.

    Args:
        data: the stream.
        size: examples per batch, where it has none of its own.
        updates: how many batches of it are read for a seed; one whole pass tells of all of them.
    """
    found: list[str] = []
    for seed, count in updates.items():
        feed = LoaderFeed(data, size, seed=seed, device=torch.device("cpu"))
        read = list(itertools.islice(iter(feed.within_pass, None), count))
        found += [of_data(batch) for batch in read]
        if len(read) < count:
            break
    return hashlib.blake2b("".join(found).encode(), digest_size=8).hexdigest()


def check_repeatable(feeds: Iterable[Feed], updates: int) -> None:
    """Raises a UsageError unless two feeds of one seed give the same, so that a stopped run may go on."""
    one, other = feeds
    steps = range(min(_AGAIN, updates))
    # One after the other, as in a run that was stopped and one that goes on.
    if [of_data(one(step)) for step in steps] != [of_data(other(step)) for step in steps]:
        raise UsageError(
            "train gives other batches when it is read again with the same seed, so that a stopped run cannot go on as "
            "if it never stopped: leave folder out, or draw views from generators of torch, numpy or Python, global "
            "ones or those that the data hold, and remember nothing from one reading to the next"
        )


def of_family(family: Family) -> dict[str, Any]:
    """What logits are logits of, and the settings of the supervised loss."""
    weights = None if family.class_weights is None else of_tensors([family.class_weights])
    return {
        "kind": family.name,
        "label_smoothing": family.smoothing,
        "class_weights": weights,
        "loss": of_object(family.loss),
    }


def of_tensors(tensors: Iterable[Tensor]) -> str:
    """A hash of their values, in order."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(_bytes(tensor))
    return found.hexdigest()


def check_kept(module: nn.Module, role: str) -> None:
    """Raises a UsageError unless the state of a network is of tensors alone, which a folder can keep."""
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor) or value.is_quantized or value.layout != torch.strided:
            raise wrong(
                f"{name} of the {role} is no plain tensor, and folder= can keep no other: leave it out"
            )


def of_form(module: nn.Module) -> str:
    """What a network is, but for the values of what learns: layers with their settings and code, shapes, and types."""
    found = _Content(values=False)
    for name, part in module.named_modules():
        home = type(part).__module__
        # A learner that is in eval mode is put into train mode with all its parts; otherwise some may stay in eval.
        found.add([name, home, type(part).__qualname__, part.training or not module.training])
        if isinstance(code := getattr(part, "code", None), str):
            found.add(code)  # of a scripted or traced one
        if home.startswith(("torch._dynamo.", "torch.jit.")):
            continue
        if not home.startswith(("torch.", "kdgan.")):
            code_of = _Content()
            code_of.add(type(part))
            found.add(code_of.digest())
        hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
        own = {
            key: value
            for key, value in vars(part).items()
            if key not in (*_OF_ANY_MODULE, *(part.left_out if isinstance(part, LeavingOut) else ()))
            and not (key[:1] == "_" and home.startswith("torch."))
        }
        settings = _Content()
        settings.add([own, hooks])
        found.add(settings.digest())
    for name, tensor in module.named_parameters():
        found.add([name, tensor, tensor.requires_grad])
    # What nothing learns is, with its values, part of what the network is.
    fixed = {name: tensor for name, tensor in module.named_parameters() if not tensor.requires_grad}
    kept = _Content()
    kept.add({**fixed, **dict(module.named_buffers())})
    found.add(kept.digest())
    count = sum(parameter.numel() for parameter in module.parameters())
    return f"{type(module).__name__}, {count} parameters, {found.digest()}"


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
    """The name and a hash of a function, or of something else that can be called, with all that it was made with; any
    other value is itself."""
    if not callable(value):
        return plain(value)
    found = _Content()
    found.add(value)
    return f"{getattr(value, '__qualname__', type(value).__qualname__)} {found.digest()}"


class _Content:
    """A hash of objects and of all that is in them, wherever they lie in memory.

    Args:
        values: whether the values of tensors are part of it, or only their shapes and types.
    """

    def __init__(self, *, values: bool = True) -> None:
        self.values, self.hash = values, hashlib.sha256()
        self.seen: dict[int, object] = {}

    def digest(self) -> str:
        """Of all that was added."""
        return self.hash.hexdigest()[:16]

    def add(self, value: object) -> None:
        """One more object."""
        self._write(f"<{type(value).__module__}.{type(value).__qualname__}")
        if id(value) in self.seen:
            self._write("again")
        else:
            if isinstance(value, list | dict) or hasattr(value, "__dict__"):  # others are in no circle
                self.seen[id(value)] = value  # and kept, or another object might get its place
            for part in self._parts(value):
                if isinstance(part, bytes):
                    self.hash.update(part)
                else:
                    self.add(part)
        self._write(">")

    def _write(self, text: str) -> None:
        self.hash.update(text.encode(errors="replace"))

    def _parts(self, value: Any) -> Iterable[Any]:
        """What it consists of: bytes, and other objects."""
        if isinstance(value, Tensor):
            about = f"{value.dtype} {tuple(value.shape)}".encode()
            return [about, _bytes(value)] if self.values and value.layout == torch.strided else [about]
        if isinstance(value, np.ndarray) and value.dtype != object:
            return [f"{value.dtype} {value.shape}".encode(), value.tobytes() if self.values else b""]
        if isinstance(value, Mapping):
            return itertools.chain.from_iterable(value.items())
        if isinstance(value, list | tuple):
            return value
        if isinstance(value, set | frozenset):
            return [repr(sorted(map(_written, value))).encode()]
        if isinstance(value, functools.partial):
            return [value.func, value.args, value.keywords]
        if isinstance(value, types.MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, types.FunctionType):
            return [fingerprint(value).encode(), value.__name__.encode(), *_surroundings(value)]
        if isinstance(value, type):
            about = f"{value.__module__} {value.__qualname__} {fingerprint(value)}".encode()
            return [
                about,
                *(_attributes(kind) for kind in value.__mro__ if not is_installed(module_of(kind))),
            ]
        if isinstance(value, types.ModuleType):
            return [value.__name__.encode()]
        if isinstance(value, torch.Generator):
            return [value.get_state()]
        if isinstance(value, random.Random):
            return value.getstate()
        if isinstance(value, np.random.Generator):
            return [value.bit_generator.state]
        return self._of_instance(value)

    def _of_instance(self, value: Any) -> Iterable[Any]:
        slots = [
            name
            for kind in type(value).__mro__
            for name in np.atleast_1d(getattr(kind, "__slots__", ())).tolist()
        ]
        inside = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        inside |= getattr(value, "__dict__", {})
        kind = [] if type(value).__module__ == "builtins" else [type(value)]
        if isinstance(value, Enum) or not inside:
            return [*kind, _written(value).encode(errors="replace")]
        return [*kind, inside]


def _attributes(kind: type) -> dict[str, Any]:
    """Methods and other attributes that a class itself has."""
    return {
        name: value for name, value in vars(kind).items() if not (name[:2] == "__" and name not in _METHODS)
    }


_METHODS = ("__call__", "__init__", "__new__", "__getitem__", "__len__", "__iter__", "__next__")


def _surroundings(function: types.FunctionType) -> list[Any]:
    """What a function was made with and, in a program of one's own, what it and the functions within it find in its
    module, by name."""
    kept = inspect.getclosurevars(function).nonlocals
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    there = function.__globals__
    found = (
        {}
        if is_installed(module_of(function))
        else {name: there[name] for name in sorted(names) if name in there}
    )
    return [function.__defaults__, function.__kwdefaults__, dict(kept), found]


def _written(value: object) -> str:
    # Where an object lies in memory tells nothing about it.
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _bytes(tensor: Tensor) -> bytes:
    """The values as they lie in memory row by row."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
