"""One file per method, in the paper's symbols; every method works in anyone's loop."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from kdgan.errors import UsageError
from kdgan.methods.base import Learning, Losses, Method, check_range
from kdgan.methods.codis import Codis, Codis3
from kdgan.methods.distn import Distn
from kdgan.methods.kdgan import KDGAN
from kdgan.methods.mimic import Mimic, Noisy
from kdgan.methods.nagan import NaGAN
from kdgan.methods.player import Optimization, Player
from kdgan.methods.pretraining import Contrast, pretraining
from kdgan.methods.supervised import Supervised

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {
        "supervised": Supervised,
        "distn": Distn,
        "mimic": Mimic,
        "noisy": Noisy,
        "codis": Codis,
        "codis3": Codis3,
        "nagan": NaGAN,
        "kdgan": KDGAN,
    }
)
"""Every method by its name in options and results, the control first."""

_NOT_TUNED = ("optimization", "seed", "role", "peer")


def find(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        UsageError: if there is none, listing those there are.
    """
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}: choose from {', '.join(METHODS)}")
    return METHODS[name]


def hyperparameters(name: str) -> dict[str, Any]:
    """The hyperparameters of a method with their defaults."""
    parameters = inspect.signature(find(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in _NOT_TUNED}


def create(
    name: str,
    modules: Mapping[str, nn.Module],
    hyper: Mapping[str, Any] | None = None,
    *,
    optimization: Learning = Optimization(),
    seed: int = 0,
    reach: float = 0.0,
    interval: int = 1,
) -> Method:
    """A method over those of `modules` that it needs, by role, with its `reach` and `interval`.

    Raises:
        UsageError: for an unknown method or hyperparameter, a negative reach, an interval below 1, or a missing player.
    """
    kind: Any = find(name)
    known = hyperparameters(name)
    for key in hyper or {}:
        if key not in known:
            raise UsageError(
                f"method {name} has no hyperparameter {key!r}: it has {', '.join(known) or 'none'}"
            )
    for key, value in (hyper or {}).items():
        kind_of = type(known[key])
        if not isinstance(value, int | float if kind_of is float else kind_of) or isinstance(value, bool):
            expected = {float: "a number", int: "a whole number", str: "text"}[kind_of]
            raise UsageError(f"{key} of method {name} must be {expected}, not {value!r}")
    missing = [role for role in kind.roles if role not in modules]
    if missing:
        raise UsageError(f"method {name} needs a {missing[0]}")
    players = [modules[role] for role in kind.roles]
    check_range("reach", reach, 0)
    check_range("interval", interval, 1)
    method: Method = kind(*players, **(hyper or {}), optimization=optimization, seed=seed)
    method.reach, method.interval = reach, interval
    return method


__all__ = [
    "KDGAN",
    "METHODS",
    "Codis",
    "Codis3",
    "Contrast",
    "Distn",
    "Learning",
    "Losses",
    "Method",
    "Mimic",
    "NaGAN",
    "Noisy",
    "Optimization",
    "Player",
    "Supervised",
    "create",
    "find",
    "hyperparameters",
    "pretraining",
]
