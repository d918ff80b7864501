"""Whether players and data fit, found before training rather than by a traceback in its midst."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kdgan.data.batch import Batch
from kdgan.data.forms import Form
from kdgan.data.targets import Kind, check_batch
from kdgan.errors import RunError, UsageError, one_line, wrong
from kdgan.methods.player import arguments, called_with, evaluating, forward


def check_choices(augment: object, **choices: object) -> None:
    """Raises a UsageError for views that are no function, and for a choice that is neither True nor False; None leaves
    it to the program whether the teacher is trained."""
    if augment is not None and not callable(augment):
        raise wrong(f"augment must be a function of inputs and a generator, not {type(augment).__name__}")
    for name, value in choices.items():
        if not isinstance(value, bool | np.bool_) and not (name == "teacher_trained" and value is None):
            raise wrong(f"{name} must be True or False, not {value!r:.60}")


def check_modules(modules: Mapping[str, object]) -> None:
    """Raises a UsageError unless players are networks whose weights have values, and none shares one with another."""
    for role, module in modules.items():
        if not isinstance(module, nn.Module):
            kind = (
                f"the class {module.__name__}: make one" if inspect.isclass(module) else type(module).__name__
            )
            raise wrong(f"the {role} must be a torch.nn.Module, not {kind}")
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
            if is_lazy(tensor):
                raise UsageError(
                    f"{name} of the {role} has no shape yet (a lazy module): call it on a batch first"
                )
            if tensor.is_meta:
                raise UsageError(f"{name} of the {role} has no values (the meta device): load them first")
    owners: dict[int, str] = {}
    for role, module in modules.items():
        assert isinstance(module, nn.Module)
        for name, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
            if tensor.layout != torch.strided or not tensor.numel():
                continue
            other = owners.setdefault(tensor.untyped_storage().data_ptr(), role)
            if other != role:
                # Players with a layer, or memory, in common would train each other.
                raise UsageError(f"{other} and {role} share {name}: give one of them a copy (copy.deepcopy)")


def check_players(
    modules: Mapping[str, nn.Module], batch: Batch, what: str = "train", kind: Kind | None = None
) -> int:
    """Calls every player with a few examples, in `eval()` mode.

    Args:
        modules: by role.
        batch: on the device of the players.
        what: name of the data in messages.
        kind: of task, which targets are held to; None leaves them aside.

    Returns:
        K, the number of classes that they agree on.

    Raises:
        UsageError: if a player cannot be called, gives no logits `(B, K)`, or scores other classes than the
            student, if players share a parameter, or if a target is none of the K classes or no distribution.
    """
    check_modules(modules)
    few = batch.pieces()[0][:2].copy()
    classes = {role: _classes(role, module, few, what) for role, module in modules.items()}
    role, count = next(iter(classes.items()))
    for other, theirs in classes.items():
        if theirs != count:
            raise UsageError(
                f"the {role} scores {count} classes and the {other} {theirs}: all players must score the same, unless "
                "teacher_classes says which is which"
            )
    if kind is not None:
        check_batch(batch, classes=count, what=what, role=role, kind=kind)
    return count


def _classes(role: str, module: nn.Module, few: Batch, what: str) -> int:
    positional, named = arguments(role, few, called_with(module))
    try:
        inspect.signature(module.forward).bind(*positional, **named)
    except ValueError:
        pass  # what is traced has no signature
    except TypeError as error:
        called, why = _call(role, few, called_with(module)), f"{what} has no privileged information"
        if role == "student":
            why = "that is what it is called with, and never with privileged information"
        elif few.privileged is not None:
            why = f"{what} has privileged information, which it is called with, too; let it take that, or leave it out"
            if role == "teacher":
                why += ", or say teacher_sees='inputs'"
        raise wrong(f"the {role} cannot be called as {called} ({error}): {why}") from error
    try:
        with evaluating(module):
            logits = forward(role, module, few)
    except RunError as error:
        shapes = " and ".join(f"{tuple(part.shape)}" for part in (*positional, *named.values()))
        raise wrong(
            f"the {role} fails on a batch of shape {shapes} of {what}: {type(error.__cause__).__name__}: "
            f"{one_line(str(error.__cause__))}{_types(module, few)}"
        ) from error
    if role == "teacher":
        check_teacher(logits, what)
    return logits.shape[1]


def check_teacher(logits: Tensor, what: str) -> None:
    """Raises a UsageError unless a teacher's logits are finite: not every loss is, where a class has none."""
    bad = logits[~logits.isfinite()]
    if len(bad):
        raise UsageError(
            f"the teacher gives logits of {what} that are not finite ({bad[0].item():g}): give a class that it rules "
            "out a low but finite one, such as -100"
        )


def _call(role: str, few: Batch, sees: str) -> str:
    """A player's call as it is written, see `kdgan.methods.player.arguments`."""
    known, parts = few.privileged, [_written(few.inputs, "inputs")]
    if known is not None and role != "student" and sees != "inputs":
        by_name = isinstance(few.inputs, dict) and not isinstance(known, dict) and sees == "both"
        more = "privileged=privileged" if by_name else _written(known, "privileged")
        parts = [more] if sees == "privileged" else [*parts, more]
    return f"{role}({', '.join(parts)})"


def _written(form: Form, name: str) -> str:
    """A call's argument as it is written."""
    if isinstance(form, dict):
        return f"**{name} with {', '.join(form)}"
    return f"*{name}" if isinstance(form, tuple) else name


def _types(module: nn.Module, few: Batch) -> str:
    """A word about inputs that are of another type than the weights."""
    if not isinstance(few.inputs, Tensor):
        return ""
    given = few.inputs.dtype
    weights = next((p.dtype for p in module.parameters() if p.is_floating_point()), given)
    if weights == given:
        return ""
    if given == torch.uint8:
        return "; inputs are torch.uint8: scale them to real numbers, as by x.float() / 255"
    return f"; inputs are {given}, its weights {weights}"
