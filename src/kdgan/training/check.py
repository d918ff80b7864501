"""Whether players and data fit, found before training rather than by a traceback in its midst."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import nn

from kdgan.data.batch import Batch
from kdgan.errors import UsageError
from kdgan.methods.player import evaluating, forward


def check_players(modules: Mapping[str, nn.Module], batch: Batch) -> int:
    """Calls every player with a few examples, in `eval()` mode.

    Args:
        modules: by role.
        batch: on the device of the players.

    Returns:
        K, the number of classes that they agree on.

    Raises:
        UsageError: if a player cannot be called, gives no logits `(B, K)`, or scores other classes than the
            student, if players share a parameter, or if a target is none of the K classes or no distribution.
    """
    _check_apart(modules)
    few = batch[:2]
    classes = {role: _classes(role, module, few) for role, module in modules.items()}
    role, count = next(iter(classes.items()))
    for other, theirs in classes.items():
        if theirs != count:
            raise UsageError(
                f"the {role} scores {count} classes and the {other} {theirs}: all players must score the same"
            )
    if count < 2:
        raise UsageError(f"the {role} gives one score: two classes need logits (B, 2), one for each")
    targets = batch.targets
    if targets.ndim == 2 and targets.shape[1] != count:
        raise UsageError(f"targets weigh {targets.shape[1]} labels, but the {role} scores {count} classes")
    if targets.ndim == 1 and len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < count:
        raise UsageError(
            f"targets lie in {int(targets.min())}..{int(targets.max())}, but the {role} scores {count} classes, "
            f"0..{count - 1}"
        )
    if targets.ndim == 2 and len(targets):
        bad = ((targets < 0).any(1) | ((targets.sum(1) - 1).abs() > 1e-3)).nonzero()
        if len(bad):
            raise UsageError(
                f"targets of example {int(bad[0])} are no distribution over labels: they must be at least 0 and sum "
                f"to 1, and sum to {targets[bad[0, 0]].sum().item():g}"
            )
    return count


def _check_apart(modules: Mapping[str, nn.Module]) -> None:
    """Players with a layer in common would train each other."""
    owners: dict[int, str] = {}
    for role, module in modules.items():
        for name, parameter in module.named_parameters():
            other = owners.setdefault(id(parameter), role)
            if other != role:
                raise UsageError(f"{other} and {role} share {name}: give one of them a copy (copy.deepcopy)")


def _classes(role: str, module: nn.Module, few: Batch) -> int:
    arguments = [few.inputs] if role == "student" or few.privileged is None else [few.inputs, few.privileged]
    try:
        inspect.signature(module.forward).bind(*arguments)
    except TypeError as error:
        called = f"{role}(inputs{', privileged' if len(arguments) == 2 else ''})"
        why = "the data have no privileged information" if few.privileged is None else "the data have some"
        raise UsageError(f"the {role} cannot be called as {called} ({error}): {why}") from error
    try:
        with evaluating(module):
            logits = forward(role, module, few)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = " and ".join(str(tuple(argument.shape)) for argument in arguments)
        line = " ".join(str(error).split())
        raise UsageError(f"the {role} fails on a batch of shape {shapes}: {line}") from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(few):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UsageError(
            f"the {role} must give logits of shape ({len(few)}, K) for {len(few)} examples, not {found}"
        )
    return logits.shape[1]
