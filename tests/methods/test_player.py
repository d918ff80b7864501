"""One network of a game: how it is called, what it minimises, and how fast it learns."""

import copy
import math
from collections import UserDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from by_hand import B, F, K, Peculiar, Recorder, batch, gradients, player, same, weights_of
from kdgan.data import Batch
from kdgan.data.forms import leaves
from kdgan.methods import Optimization, Player
from kdgan.methods.player import arguments, evaluating, forward, total
from support import refused

STEADY = Optimization(lr=0.01, schedule="constant")


def test_the_learning_rate_rises_then_falls() -> None:
    learning = Optimization(lr=2.0, warmup=0.1)
    assert learning.rate(0.05) == pytest.approx(1.0)
    assert learning.rate(0.1) == pytest.approx(2.0)
    assert learning.rate(0.55) == pytest.approx(1.0)
    assert learning.rate(1 - 1e-9) == pytest.approx(0.0, abs=1e-9)
    assert learning.rate(0.0) > 0
    assert {Optimization(lr=2.0, schedule="constant").rate(p) for p in (0.0, 0.05, 0.9)} == {2.0}
    assert Optimization(lr=2.0, warmup=0.0).rate(0.0) == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"lr": -1.0},
        {"lr": float("nan")},
        {"weight_decay": -0.1},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"schedule": "linear"},
    ],
)
def test_bad_optimizations_are_refused(wrong: dict[str, Any]) -> None:
    with refused(next(iter(wrong.values()))):
        Optimization(**wrong)


def test_terms_are_weighted_and_reported_as_they_are() -> None:
    """One step down the mean of the weighted sum; what comes back are the means without weights."""
    owned = Player("student", player("student"), STEADY)
    logits = owned(batch())
    first, second = logits.square().sum(1), logits[:, 0]
    terms = {"first": (0.5, first), "second": (3.0, second)}
    torch.testing.assert_close(total(terms), 0.5 * first + 3 * second)
    expected = torch.autograd.grad(
        (0.5 * first + 3 * second).sum() / B, list(owned.module.parameters()), retain_graph=True
    )
    losses = owned.learn(terms, 0.5)
    torch.testing.assert_close(gradients(owned.module), torch.cat([g.flatten() for g in expected]))
    for name, values in (("first", first), ("second", second)):
        torch.testing.assert_close(losses[name], values.detach().mean())
        assert not losses[name].requires_grad


@pytest.mark.parametrize("weight", [1.0, 0.25, 0.0])
def test_a_single_term_is_reported_without_its_weight(weight: float) -> None:
    owned = Player("student", player("student"), STEADY)
    values = owned(batch()).square().sum(1)
    assert owned.learn({"it": (weight, values)}, 0.5)["it"].item() == pytest.approx(values.mean().item())


def test_each_step_goes_down_the_mean_of_its_own_batch() -> None:
    """Whatever the size and the type of the batch before."""
    owned = Player("student", player("student"), Optimization(lr=1e-12, schedule="constant"))
    data = batch()
    for rows, kind in ((B, torch.float64), (2, torch.float64), (2, torch.float32), (B, torch.float32)):
        values = owned(data[:rows]).square().sum(1).to(kind)
        parameters = list(owned.module.parameters())
        expected = torch.autograd.grad(values.sum() / rows, parameters, retain_graph=True)
        owned.learn({"it": (1.0, values)}, 0.5)
        torch.testing.assert_close(gradients(owned.module), torch.cat([g.flatten() for g in expected]))


def test_a_step_is_one_of_adamw_at_the_rate_of_the_schedule() -> None:
    learning = Optimization(lr=0.1, weight_decay=0.2, warmup=0.5)
    module = nn.Linear(2, 2, bias=False)
    before = module.weight.detach().clone()
    owned = Player("student", module, learning)
    owned.learn({"it": (1.0, (module.weight * torch.tensor([[1.0], [-1.0]])).sum(1))}, 0.25)
    # The first step of Adam has the size of the rate, here half of the highest, whatever the gradient's is.
    moved = before * (1 - 0.05 * 0.2) - 0.05 * torch.tensor([[1.0], [-1.0]])
    torch.testing.assert_close(module.weight.detach(), moved, rtol=1e-5, atol=1e-6)


def test_a_kept_player_is_called_in_evaluation_and_without_gradient() -> None:
    torch.manual_seed(0)
    module = Peculiar().train()
    before = weights_of(module)
    kept = Player("teacher", module, None)
    assert not kept.learns
    first, second = kept(batch()), kept(batch())
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert same(module, before)
    assert not module.training
    assert "optimizer" not in kept.state_dict()


def test_a_learner_is_called_in_training_and_with_gradient_unless_none_is_asked_for() -> None:
    learner = Player("teacher", Peculiar().eval(), STEADY)
    assert learner(batch()).requires_grad
    assert learner.module.training
    with torch.no_grad():
        assert not learner(batch()).requires_grad


def test_only_a_kept_teacher_is_read_from_the_batch() -> None:
    data = batch()
    ahead = torch.zeros(B, K)
    object.__setattr__(data, "teacher_logits", ahead)
    assert Player("teacher", player("teacher"), None)(data) is ahead
    for role, learning in (("teacher", STEADY), ("discriminator", None), ("student", STEADY)):
        assert Player(role, player(role), learning)(data) is not ahead


def test_parameters_that_ask_for_no_gradient_stay() -> None:
    module = player("student")
    module[1].requires_grad_(False)
    before = weights_of(module)
    owned = Player("student", module, STEADY)
    owned.learn({"it": (1.0, owned(batch()).square().sum(1))}, 0.5)
    assert same(module[1], {name: before[f"1.{name}"] for name in ("weight", "bias")})
    assert not same(module, before)


def test_a_player_that_cannot_learn_is_refused_unless_it_is_kept() -> None:
    for module in (player("teacher").requires_grad_(False), nn.Identity()):
        with refused("the teacher", "requires gradient"):
            Player("teacher", module, STEADY)
        assert not Player("teacher", module, None).learns


def test_a_saved_player_goes_on() -> None:
    def learn(owned: Player) -> None:
        owned.learn({"it": (1.0, owned(batch()).square().sum(1))}, 0.5)

    one = Player("student", player("student"), STEADY)
    learn(one)
    other = Player("student", player("student"), STEADY)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for owned in (one, other):
        learn(owned)
    assert same(other.module, weights_of(one.module))


def test_evaluating_puts_every_mode_back() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(F), nn.Dropout()))
    module[1].eval()
    module[1][1].train()
    modes = [part.training for part in module.modules()]
    with evaluating(module):
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
    assert [part.training for part in module.modules()] == modes
    assert torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), evaluating(module):
        math.log(1 / 0)
    assert [part.training for part in module.modules()] == modes


@pytest.mark.parametrize("role", ["student", "teacher", "discriminator", "peer"])
def test_privileged_information_is_for_all_but_the_student(role: str) -> None:
    seen = Recorder(player(role, privileged=True))
    data = batch(privileged=True)
    forward(role, seen, data)
    assert len(seen.calls[0]) == (1 if role == "student" else 2)


class Output:
    """As models of transformers give it."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


ONE, TWO = torch.zeros(2, 3), torch.ones(2, 4)


@pytest.mark.parametrize(
    ("inputs", "known", "sees", "positional", "named"),
    [
        (ONE, None, "both", [ONE], {}),
        (ONE, TWO, "both", [ONE, TWO], {}),
        (ONE, TWO, "inputs", [ONE], {}),
        (ONE, TWO, "privileged", [TWO], {}),
        ((ONE, TWO), None, "both", [ONE, TWO], {}),
        ((ONE, TWO), (TWO,), "both", [ONE, TWO, TWO], {}),
        ({"a": ONE}, None, "both", [], {"a": ONE}),
        ({"a": ONE}, TWO, "both", [], {"a": ONE, "privileged": TWO}),
        ({"a": ONE}, {"b": TWO}, "both", [], {"a": ONE, "b": TWO}),
        ({"a": ONE}, {"a": TWO}, "privileged", [], {"a": TWO}),
        (ONE, {"b": TWO}, "both", [ONE], {"b": TWO}),
    ],
)
def test_what_a_player_is_called_with(
    inputs: Any, known: Any, sees: str, positional: list[Tensor], named: dict[str, Tensor]
) -> None:
    batch = Batch(inputs, torch.tensor([0, 1]), known)
    found, by_name = arguments("teacher", batch, sees)
    assert all(a is b for a, b in zip(found, positional, strict=True))
    assert by_name.keys() == named.keys()
    assert all(by_name[name] is named[name] for name in named)
    alone, alone_by_name = arguments("student", batch, sees)
    assert (*alone, *alone_by_name.values()) == tuple(leaves(batch.inputs))


def test_calls_that_nobody_can_make() -> None:
    labels = torch.tensor([0, 1])
    with refused("both have 'a'", "teacher_sees='privileged'"):
        arguments("teacher", Batch({"a": ONE}, labels, {"a": TWO}))
    with refused("inputs by name need privileged information by name"):
        arguments("teacher", Batch({"a": ONE}, labels, (TWO, TWO)))
    with refused("the teacher sees privileged information alone, and there is none"):
        arguments("teacher", Batch(ONE, labels), "privileged")


@pytest.mark.parametrize(
    "wrapped",
    [lambda x: x, lambda x: {"logits": x, "loss": None}, lambda x: UserDict(logits=x), Output],
)
def test_logits_may_lie_in_an_object_or_a_mapping(wrapped: Any) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return wrapped(x)

    assert forward("student", Net(), Batch(ONE, torch.tensor([0, 1]))) is ONE
