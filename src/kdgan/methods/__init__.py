"""One file per method, in the paper's symbols; every method works in anyone's loop."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Unpack

from torch import nn

from kdgan.errors import KdganError, UsageError, wrong
from kdgan.methods.base import Learning as Learning
from kdgan.methods.base import Method as Method
from kdgan.methods.base import Parameter as Parameter
from kdgan.methods.base import SearchSpace as SearchSpace
from kdgan.methods.base import Shared as Shared
from kdgan.methods.base import Signals as Signals
from kdgan.methods.codis import Codis as Codis
from kdgan.methods.codis import Codis3 as Codis3
from kdgan.methods.distn import Distn as Distn
from kdgan.methods.features import Features as Features
from kdgan.methods.fixmatch import FixMatch as FixMatch
from kdgan.methods.kdgan import KDGAN as KDGAN
from kdgan.methods.mimic import Mimic as Mimic
from kdgan.methods.mimic import Noisy as Noisy
from kdgan.methods.nagan import NaGAN as NaGAN
from kdgan.methods.player import Losses as Losses
from kdgan.methods.player import Optimization as Optimization
from kdgan.methods.player import Player as Player
from kdgan.methods.player import Terms as Terms
from kdgan.methods.pretraining import DiscriminatorPretraining as DiscriminatorPretraining
from kdgan.methods.pretraining import pretraining as pretraining
from kdgan.methods.selftrain import SelfTrain as SelfTrain
from kdgan.methods.supervised import Supervised as Supervised
from kdgan.references import find_object, is_reference

CONTROL = Supervised.name
"""The method that every other is compared with: no teacher."""


def _imported() -> list[type[Method]]:
    return [each for each in globals().values() if inspect.isclass(each) and issubclass(each, Method)]


METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {
        kind.name: kind
        for kind in sorted((each for each in _imported() if each.name), key=lambda kind: kind.cost)
    }
)
"""The methods that are imported above, by their name in options and results: the cheapest, the control, first."""


def find(method: str | type[Method]) -> type[Method]:
    """The method of that name, or of that reference `module:Class`; a class is itself.

    Raises:
        UsageError: if there is none, listing those there are.
    """
    if isinstance(method, str) and not is_reference(method):
        if method not in METHODS:
            raise wrong(
                f"unknown method {method!r:.60}: choose from {', '.join(METHODS)}, or write module:Class for your own"
            )
        return METHODS[method]
    kind = find_object(method) if isinstance(method, str) else method
    if not (inspect.isclass(kind) and issubclass(kind, Method)):
        raise wrong(f"{method!r:.60} is no method: a method is a subclass of kdgan.methods.Method")
    _check_own(kind)
    return kind


def _check_own(kind: type[Method]) -> None:
    name = kind.__qualname__
    if kind.__name__ in METHODS:
        raise UsageError(
            f"method {name} has the name of one of kdgan's own, which results would confuse: rename it"
        )
    unknown = sorted({*kind.trains, *kind.pretrained} - set(kind.roles))
    if unknown and "student" in kind.roles:
        raise UsageError(
            f"method {name} trains a {unknown[0]} that is not among its roles {', '.join(kind.roles)}"
        )
    if not isinstance(kind.description, str) or not isinstance(kind.cost, int | float) or kind.cost <= 0:
        raise UsageError(f"description of method {name} must be text and cost a number above 0")


def name_of(method: str | type[Method]) -> str:
    """Name of a method in results: its own name if it is one of `METHODS`, else `module:Class`."""
    if isinstance(method, str):
        return method
    if METHODS.get(method.name) is method:
        return method.name
    return f"{method.__module__}:{method.__qualname__}"


def described(method: type[Method]) -> str:
    """Description of a method, in a sentence."""
    own: str = vars(method).get("description", "")  # not what it has from the method that it is a variant of
    text = vars(method).get("__doc__") or "A method of your own."
    return own or inspect.cleandoc(text).partition("\n")[0]


def hyperparameters(method: str | type[Method]) -> dict[str, Any]:
    """The hyperparameters of a method with their defaults."""
    parameters = inspect.signature(find(method)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in ("role",)}


OWN_SETTINGS = ("lr", "teacher_lr", "student_pretraining", "teacher_steps", "teacher_every")
"""Fields of `kdgan.Training` that a method may have to itself beside its hyperparameters; all others are shared."""


def looks_at(method: str | type[Method], name: str) -> bool:
    """Whether a method looks at a hyperparameter, or at an option; what is neither it refuses itself."""
    kind = find(method)
    trains, pretrained = {*kind.trains}, {*kind.pretrained}
    self_trains = kind.uses_unlabelled and bool(pretrained & {"teacher", "peer"})
    used = {
        "teacher_lr": bool(trains & {"teacher", "peer"}),
        "student_pretraining": "student" in pretrained,
        "teacher_steps": bool(pretrained - {"student"}),
        "teacher_every": len(trains) > 1,
        "labelled_share": kind.uses_unlabelled,
        "self_training": self_trains,
        "rounds": self_trains,
        "round_steps": self_trains,
        "discriminator": "discriminator" in kind.roles,
    }
    return name in hyperparameters(kind) or used.get(name.removeprefix("make_"), True)


def check_use(methods: Sequence[str | type[Method]], options: Mapping[str, object]) -> None:
    """Raises a UsageError for an option that is given, and not None, but that none of these methods looks at."""
    for name, value in options.items():
        if value is not None and not any(looks_at(method, name) for method in methods):
            names = [name_of(method) for method in methods]
            who = f"method {names[0]} has no" if len(names) == 1 else f"none of {', '.join(names)} has a"
            raise UsageError(f"{who} use for {name}: leave it out, or choose another method")


def create(
    method: str | type[Method],
    modules: Mapping[str, nn.Module],
    hyper: Mapping[str, Any] | None = None,
    **shared: Unpack[Shared],
) -> Method:
    """A method over those of `modules` that it needs, by role.

    Raises:
        UsageError: for an unknown method or hyperparameter, a value out of range, or a missing player.
    """
    kind: Any = find(method)
    check_hyperparameters(kind, hyper or {})
    missing = [role for role in kind.roles if role not in modules]
    if missing:
        raise UsageError(f"method {name_of(method)} needs a {missing[0]}")
    try:
        made: Method = kind(*(modules[role] for role in kind.roles), **(hyper or {}), **shared)
    except KdganError:
        raise
    except (Exception, SystemExit) as error:  # the code may be somebody's own
        raise wrong(f"method {name_of(method)} cannot be made: {error}") from error
    return made


def check_hyperparameters(kind: type[Method], hyper: Mapping[str, Any]) -> None:
    """Raises a UsageError for a hyperparameter that a method does not have, or a value of another type."""
    known, name = hyperparameters(kind), name_of(kind)
    if not isinstance(hyper, Mapping):
        raise wrong(f"hyper must be hyperparameters by name, {{name: value}}, not {type(hyper).__name__}")
    for key, value in hyper.items():
        if key not in known:
            raise wrong(
                f"method {name} has no hyperparameter {key!r:.60}: it has {', '.join(known) or 'none'}"
            )
        kind_of = type(known[key])
        if isinstance(value, int | float) and not abs(value) < 1e30:
            raise UsageError(
                f"{key} of method {name} must be a finite number below 1e30, not {str(value)[:40]}"
            )
        if known[key] is None or (callable(value) and kind_of is str):
            continue  # whatever a method of one's own takes; a loss of one's own in place of a name
        if not isinstance(value, int | float if kind_of is float else kind_of) or (
            isinstance(value, bool) and kind_of is not bool
        ):
            expected = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
            raise wrong(
                f"{key} of method {name} must be {expected.get(kind_of, kind_of.__name__)}, not {value!r:.60}"
            )
