"""Optimizers and schedulers of a caller's own: made by a function for each player, checked, kept and put back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from kdgan.errors import KdganError, UsageError, wrong

OptimizerFactory: TypeAlias = Callable[[list[nn.Parameter]], Optimizer]
"""Makes the optimizer of a player of the list of its parameters that require gradient; in groups, if it likes."""
SchedulerFactory: TypeAlias = Callable[[Optimizer], LRScheduler]
"""Makes the scheduler of a player of its optimizer; it is stepped after each step of the optimizer."""
ROLES = ("student", "teacher", "peer", "discriminator")
"""Players that may have one of their own, beside those of a method of one's own; the control has the student's."""


def factories_by_role(given: Any, what: str, roles: Sequence[str] = ROLES) -> dict[str, Callable[..., Any]]:
    """The function for each role, of one for all or some by role.

    Args:
        given: by the caller; None for none.
        what: they make.
        roles: of the method, beside the usual ones.

    Raises:
        UsageError: for what is no function, or a role that there is not.
    """
    if given is None:
        return {}
    known = dict.fromkeys((*ROLES, *roles))
    found = dict(given) if isinstance(given, Mapping) else dict.fromkeys(known, given)
    for role, factory in found.items():
        if role not in known:
            raise wrong(f"{what} has a function for {role!r:.60}, which is no player: say {', '.join(known)}")
        if isinstance(factory, Optimizer | LRScheduler):
            raise wrong(
                f"{what} must be functions that make them, as each player has its own: give a function, not this "
                f"{type(factory).__name__}"
            )
        if not callable(factory):
            raise wrong(f"{what} must be a function, or functions by role, not {type(factory).__name__}")
    return found


def own_optimizer(factory: OptimizerFactory, parameters: Sequence[nn.Parameter], role: str) -> Optimizer:
    """The optimizer that a function makes.

    Raises:
        UsageError: if it makes none, one that needs a closure, or one over other weights than those of the player.
    """
    try:
        made = factory(list(parameters))
    except KdganError:
        raise
    except Exception as error:
        raise wrong(
            f"the optimizer of the {role} cannot be made ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(made, Optimizer):
        raise wrong(
            f"the function for the optimizer of the {role} must give a torch.optim.Optimizer, not {type(made).__name__}"
        )
    closure = inspect.signature(type(made).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UsageError(
            f"{type(made).__name__} evaluates the loss several times in a step, which the {role} cannot: choose another"
        )
    mine = {id(parameter) for parameter in parameters}
    theirs = {id(parameter) for group in made.param_groups for parameter in group["params"]}
    if theirs - mine:
        raise UsageError(
            f"the optimizer of the {role} has weights that are not those it was given: each player, the control too, "
            "has its own"
        )
    if mine - theirs:
        raise UsageError(
            f"the optimizer of the {role} leaves out {len(mine - theirs)} of {len(mine)} weights: "
            "requires_grad_(False) is for those that are to stay"
        )
    return made


def own_scheduler(factory: SchedulerFactory, optimizer: Optimizer, role: str) -> LRScheduler:
    """The scheduler that a function makes.

    Raises:
        UsageError: if it makes none, one of another optimizer, or one that needs to see a metric.
    """
    try:
        made = factory(optimizer)
    except KdganError:
        raise
    except Exception as error:
        raise wrong(
            f"the scheduler of the {role} cannot be made ({type(error).__name__}: {error})"
        ) from error
    if isinstance(made, ReduceLROnPlateau):
        raise UsageError(
            f"ReduceLROnPlateau waits for a metric, and the scheduler of the {role} follows its steps: choose another"
        )
    if not isinstance(made, LRScheduler):
        raise wrong(
            f"the function for the scheduler of the {role} must give a torch.optim.lr_scheduler.LRScheduler, not "
            f"{type(made).__name__}"
        )
    if made.optimizer is not optimizer:
        raise UsageError(
            f"the scheduler of the {role} is of another optimizer than the one that it was given"
        )
    return made


def put_back(optimizer: Optimizer, state: Mapping[str, Any], *, groups: bool) -> None:
    """Puts back what an optimizer's `state_dict` gave, bit for bit.

    Args:
        optimizer: over the same weights.
        state: of tensors and plain values.
        groups: whether rates and the like come from it, too, or stay as they are.
    """
    now = optimizer.state_dict()["param_groups"]
    if groups:
        now = [
            {name: like(then.get(name, value), value) for name, value in {**then, **group}.items()}
            for group, then in zip(now, state["param_groups"], strict=True)
        ]
    optimizer.load_state_dict({**state, "param_groups": now})
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    for place, weight in enumerate(weights):
        for name, value in optimizer.state.get(weight, {}).items():
            if not isinstance(value, Tensor):
                continue
            kept = state["state"][place][name]
            if value.shape == weight.shape and value.stride() != weight.stride():
                # In the order of the weights, or sums would come out in other last bits than without a stop.
                value = torch.empty_like(weight, dtype=kept.dtype).copy_(kept)
            elif value.dtype != kept.dtype:
                value = kept.to(value.device)  # torch gives it the type of the weight
            optimizer.state[weight][name] = value


def take_up(scheduler: LRScheduler, state: Mapping[str, Any]) -> None:
    """Puts back what a scheduler's `state_dict` gave; what was a tuple or a counter is one again."""
    scheduler.load_state_dict(cast("dict[str, Any]", like(dict(state), scheduler.state_dict())))


def like(value: Any, example: Any) -> Any:
    """A value that went through JSON, of the types of an example of it."""
    if isinstance(value, list) and isinstance(example, list | tuple):
        parts = [like(part, other) for part, other in zip(value, example, strict=False)]
        return type(example)([*parts, *value[len(parts) :]])
    if isinstance(value, dict) and isinstance(example, dict):
        found = {name: like(part, example.get(name)) for name, part in value.items()}
        return found if type(example) is dict else type(example)(found)
    return value
