"""Random generators that data and views of a caller's own draw from, besides the global ones: found and seeded."""

from __future__ import annotations

import functools
import random
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from kdgan.references import is_installed, module_of

Generator: TypeAlias = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_PLAIN = (str, bytes, int, float, complex, bool, type(None), Tensor, np.ndarray, nn.Module)
_MOST_IN_ONE, _MOST = 256, 10_000
"""Parts of one list or mapping, and objects in all, up to which generators are looked for: not among examples."""


def generators_in(*holders: object) -> list[Generator]:
    """The generators that objects hold, however deep, or that their functions find where they were defined.

    The global ones of Python, numpy and torch are not among them.
    """
    known = {id(random._inst), id(np.random.mtrand._rand), id(torch.default_generator)}
    seen: dict[int, object] = {}
    found: list[Generator] = []
    waiting = list(reversed(holders))
    while waiting and len(seen) < _MOST:
        value = waiting.pop()
        if id(value) in seen or id(value) in known:
            continue
        seen[id(value)] = value  # and kept, or another object might get its place
        if isinstance(value, random.SystemRandom):
            continue  # which has no state
        if isinstance(value, _KINDS):
            found.append(value)
        else:
            waiting += reversed(list(_parts(value)))
    return found


def seed_generator(generator: Generator, seed: int) -> None:
    """Seeds a generator of any kind with 32 bits."""
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        kind: Any = type(generator.bit_generator)
        generator.bit_generator.state = kind(seed).state
    else:
        generator.seed(seed)


def state_of(generator: Generator) -> Callable[[], None]:
    """What puts a generator of any kind back to where it is at present."""
    kept: Any = generator  # each kind writes its state otherwise
    if isinstance(generator, torch.Generator | np.random.RandomState):
        return functools.partial(kept.set_state, generator.get_state())
    if isinstance(generator, random.Random):
        return functools.partial(kept.setstate, generator.getstate())
    return functools.partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)


def _parts(value: Any) -> Iterable[Any]:
    """What an object consists of, as far as a generator may be among it."""
    if isinstance(value, _PLAIN):
        return vars(value).values() if isinstance(value, nn.Module) else ()
    if isinstance(value, Mapping):
        return [*value.values()] if len(value) <= _MOST_IN_ONE else ()
    if isinstance(value, list | tuple | set | frozenset):
        return value if len(value) <= _MOST_IN_ONE else ()
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, types.MethodType | types.BuiltinMethodType):
        return [value.__self__, getattr(value, "__func__", None)]
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    if isinstance(value, type | types.ModuleType):
        return ()
    return [*getattr(value, "__dict__", {}).values(), *_of_class(type(value))]


def _of_class(kind: type) -> Iterator[Any]:
    """Attributes and methods of a class of one's own."""
    for each in kind.__mro__:
        if each is not object and not is_installed(module_of(each)):
            yield from vars(each).values()


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    """What a function was made with and, of one's own, what it finds by name in its module."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        if cell != types.CellType():  # not one that is still empty
            yield cell.cell_contents
    if is_installed(module_of(function)):
        return
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)
        waiting += [each for each in code.co_consts if isinstance(each, types.CodeType)]
