"""Optimizers and schedulers of a caller's own, for a player."""

import copy
import functools
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, Adam, AdamW, Optimizer, RMSprop, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from kdgan.data import Batch
from kdgan.losses import cross_entropy
from kdgan.methods import Optimization, Player
from kdgan.methods.optimizers import factories_by_role, like, own_optimizer, own_scheduler
from kdgan.training import checkpoint
from support import refused
from tiny import weights

DATA = Batch(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def learn(player: Player, steps: int, total: int = 20, start: int = 0) -> None:
    for step in range(start, start + steps):
        player.learn({"label": (1.0, cross_entropy(player(DATA), DATA.targets))}, step / total)


def in_groups(parameters: list[nn.Parameter]) -> Optimizer:
    matrices = [each for each in parameters if each.ndim > 1]
    others = [each for each in parameters if each.ndim == 1]
    return SGD(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "lr": 0.5}], lr=0.1, momentum=0.9
    )


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "groups": in_groups,
    "adam": functools.partial(Adam, lr=0.02),
    "amsgrad": functools.partial(AdamW, lr=0.02, amsgrad=True, foreach=True),
    "rmsprop": functools.partial(RMSprop, lr=0.01, centered=True, momentum=0.5),
    "adafactor": functools.partial(Adafactor, lr=0.05),
}
SCHEDULERS: dict[str, Callable[[Optimizer], LRScheduler]] = {
    "steps": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5, 9], gamma=0.5),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=21),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "in turn": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, total_iters=4), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[4]
    ),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_learns_as_in_a_loop_of_ones_own(name: str) -> None:
    """The plain loop of torch, with the same functions."""
    player = Player(
        "student", network(), Optimization(optimizer=OPTIMIZERS[name], scheduler=SCHEDULERS["steps"])
    )
    learn(player, 8)
    module = network()
    optimizer = OPTIMIZERS[name](list(module.parameters()))
    scheduler = SCHEDULERS["steps"](optimizer)
    for _ in range(8):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(DATA.inputs), DATA.targets).backward()
        optimizer.step()
        scheduler.step()
    torch.testing.assert_close(weights(player.module), weights(module))
    assert player.optimizer is not None
    rates = [group["lr"] for group in player.optimizer.param_groups]
    assert rates == [group["lr"] for group in optimizer.param_groups]


def test_an_optimizer_keeps_the_rates_that_it_was_made_with() -> None:
    player = Player("student", network(), Optimization(lr=9.0, optimizer=in_groups))
    assert player.optimizer is not None
    for start in (0, 3):
        learn(player, 3, start=start)
        assert [group["lr"] for group in player.optimizer.param_groups] == [0.1, 0.5]


def test_a_scheduler_alone_follows_the_rate_of_the_default() -> None:
    player = Player("student", network(), Optimization(lr=0.4, scheduler=SCHEDULERS["steps"]))
    assert isinstance(player.optimizer, AdamW)
    seen = []
    for step in range(6):
        seen.append(player.optimizer.param_groups[0]["lr"])
        learn(player, 1, start=step)
    assert seen == [0.4, 0.4, 0.2, 0.2, 0.2, 0.05]


@pytest.mark.parametrize(
    ("name", "schedule"),
    # One has no momentum for the other to cycle.
    [pair for pair in itertools.product(OPTIMIZERS, SCHEDULERS) if pair != ("adafactor", "one cycle")],
)
def test_what_is_kept_goes_on_bit_for_bit(tmp_path: Path, name: str, schedule: str) -> None:
    how = Optimization(optimizer=OPTIMIZERS[name], scheduler=SCHEDULERS[schedule])
    whole = Player("student", network(), how)
    learn(whole, 14)
    first = Player("student", network(), how)
    learn(first, 6)
    checkpoint.save(tmp_path / "state", first.state_dict())
    again = Player("student", network(), how)
    again.load_state_dict(checkpoint.load(tmp_path / "state", dict[str, Any]))
    learn(again, 8, start=6)
    assert torch.equal(weights(again.module), weights(whole.module))
    assert again.scheduler is not None
    assert again.scheduler.get_last_lr() == whole.scheduler.get_last_lr()  # type: ignore[union-attr]


def test_moments_of_another_type_than_the_weights_are_kept_as_they_are() -> None:
    class Exact(Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {})

        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for each in group["params"]:
                    state = self.state[each]
                    state["sum"] = state.get("sum", torch.zeros_like(each, dtype=torch.float64)) + each.grad
                    state["count"] = state.get("count", 0) + 1
                    each.data -= (0.1 * state["sum"]).to(each.dtype)

    def made() -> Player:
        return Player("student", network(), Optimization(optimizer=Exact))

    one, other = made(), made()
    learn(one, 3)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert one.optimizer is not None
    assert other.optimizer is not None
    for mine, theirs in zip(one.optimizer.state.values(), other.optimizer.state.values(), strict=True):
        assert theirs["sum"].dtype == torch.float64
        assert torch.equal(mine["sum"], theirs["sum"])
        assert theirs["count"] == 3


def fails(parameters: Any) -> Any:
    raise KeyError("lr")


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        (lambda p: None, ("must give a torch.optim.Optimizer, not NoneType",)),
        (fails, ("cannot be made", "KeyError: 'lr'")),
        (lambda p: torch.optim.LBFGS(p), ("LBFGS evaluates the loss several times",)),
        (lambda p: SGD(network().parameters(), lr=0.1), ("not those it was given", "control")),
        (lambda p: SGD(p[:1], lr=0.1), ("leaves out 3 of 4 weights", "requires_grad_(False)")),
    ],
)
def test_functions_that_make_no_optimizer(factory: Any, parts: tuple[str, ...]) -> None:
    with refused("student", *parts):
        own_optimizer(factory, list(network().parameters()), "student")


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        (lambda o: 0.1, ("must give a torch.optim.lr_scheduler.LRScheduler, not float",)),
        (fails, ("cannot be made", "KeyError: 'lr'")),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o), ("waits for a metric",)),
        (lambda o: lr_scheduler.ConstantLR(SGD(network().parameters(), lr=1.0)), ("of another optimizer",)),
    ],
)
def test_functions_that_make_no_scheduler(factory: Any, parts: tuple[str, ...]) -> None:
    with refused("student", *parts):
        own_scheduler(factory, SGD(network().parameters(), lr=0.1), "student")


def test_one_for_all_or_some_by_role() -> None:
    assert factories_by_role(None, "optimizers") == {}
    assert set(factories_by_role(SGD, "optimizers")) == {"student", "teacher", "peer", "discriminator"}
    assert factories_by_role({"teacher": SGD}, "optimizers") == {"teacher": SGD}
    assert "critic" in factories_by_role(SGD, "optimizers", ("student", "critic"))
    assert factories_by_role({"critic": SGD}, "optimizers", ("student", "critic")) == {"critic": SGD}
    with refused("optimizers has a function for 'control'", "no player", "student"):
        factories_by_role({"control": SGD}, "optimizers")
    with refused("optimizers must be functions that make them", "SGD"):
        factories_by_role(SGD(network().parameters(), lr=0.1), "optimizers")
    with refused("schedulers must be a function", "float"):
        factories_by_role({"student": 0.1}, "schedulers")


def test_values_have_their_types_again() -> None:
    example = {"betas": (0.9, 0.99), "milestones": Counter([3, 3]), "rates": [1.0], "inner": [{"a": (1,)}]}
    read = {"betas": [0.5, 0.6], "milestones": {4: 1}, "rates": [2.0, 3.0], "inner": [{"a": [2]}], "new": [1]}
    found = like(read, example)
    assert found == {
        "betas": (0.5, 0.6), "milestones": Counter([4]), "rates": [2.0, 3.0], "inner": [{"a": (2,)}], "new": [1],
    }  # fmt: skip
    assert type(found["milestones"]) is Counter


def test_an_update_that_fails_is_one_line() -> None:
    class Broken(SGD):
        def step(self, closure: Any = None) -> Any:
            raise ZeroDivisionError("no step")

    player = Player("student", network(), Optimization(optimizer=lambda p: Broken(p, lr=0.1)))
    with pytest.raises(
        RuntimeError, match="an update of the student fails with ZeroDivisionError: no step"
    ) as caught:
        learn(player, 1)
    assert len(str(caught.value).splitlines()) == 1


def clipped(norm: float | None) -> Tensor:
    player = Player("student", network(), Optimization(clip=norm, optimizer=lambda p: SGD(p, lr=1.0)))
    before = weights(player.module)
    learn(player, 1)
    return weights(player.module) - before


def test_a_gradient_is_clipped_to_its_norm_over_all_weights() -> None:
    free = clipped(None)
    norm = free.norm().item()
    torch.testing.assert_close(clipped(norm / 4).norm().item(), norm / 4, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(clipped(norm / 4) * 4, free, rtol=1e-3, atol=1e-6)
    assert torch.equal(clipped(norm * 2), free)
