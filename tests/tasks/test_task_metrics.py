"""Numbers from logits and targets."""

from typing import Any

import pytest
import torch

from kdgan.errors import UsageError
from kdgan.tasks.choice import evaluated, named
from kdgan.tasks.metrics import majority
from kdgan.tasks.scores import accuracy, balanced_accuracy
from support import refused
from tiny import broken, count, nan, thrice

LOGITS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])


def test_accuracy_is_the_share_of_examples_whose_likeliest_label_is_true() -> None:
    assert accuracy(LOGITS, torch.tensor([0, 1, 2, 1])) == 100
    assert accuracy(LOGITS, torch.tensor([0, 1, 0, 0])) == 50
    assert accuracy(LOGITS, torch.tensor([1, 2, 0, 2])) == 0
    assert accuracy(LOGITS, torch.eye(3)[torch.tensor([0, 1, 0, 0])]) == 50


def test_of_label_weights_the_largest_is_the_true_one() -> None:
    logits = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    # That the other label has some weight, too, makes it no true one.
    assert accuracy(logits, torch.tensor([[0.95, 0.05], [0.05, 0.95]])) == 100
    assert accuracy(logits, torch.tensor([[0.05, 0.95], [0.95, 0.05]])) == 0
    assert accuracy(logits, torch.tensor([[0.95, 0.05], [0.95, 0.05]])) == 50
    assert accuracy(logits, torch.tensor([[0.5, 0.5], [0.95, 0.05]])) == 50


def test_of_tags_with_equal_weights_each_is_a_true_one() -> None:
    third, half = 1 / 3, 1 / 2
    targets = torch.tensor([[third, third, third], [0, half, half], [half, half, 0], [1, 0, 0]])
    assert accuracy(LOGITS, targets) == 50
    many = torch.zeros(1, 7)
    many[0, :3] = 1
    weights = many / many.sum(1, keepdim=True)
    for chosen in range(7):
        assert accuracy(torch.eye(7)[chosen : chosen + 1], weights) == (100 if chosen < 3 else 0)


def test_metrics_of_ones_own_by_name_and_by_reference() -> None:
    def mine(logits: Any, targets: Any) -> float:
        return 1.0

    assert named({"mine": mine}) == {"mine": mine}
    found = named(["tiny:count", "tiny:thrice"])
    assert list(found) == ["count", "thrice"]
    assert found["count"] is count
    assert found["thrice"] is thrice
    assert named(()) == named({}) == {}
    targets = torch.tensor([0, 1, 2, 1])
    assert evaluated({**found, "mine": mine}, LOGITS, targets) == {"count": 4, "thrice": 0.75, "mine": 1.0}
    assert isinstance(evaluated(found, LOGITS, targets)["count"], float)
    # A number in a tensor is a number.
    assert evaluated({"mean": lambda logits, targets: logits.mean()}, LOGITS, targets) == {
        "mean": pytest.approx(LOGITS.mean().item())
    }


def test_metrics_that_are_none() -> None:
    for reference, part in (
        ("tiny:nothing", "cannot import tiny:nothing"),
        ("nowhere:count", "cannot import nowhere:count"),
        ("count", "write module:name"),
        ("tiny:DIGITS", "tiny:DIGITS is a Config: expected a function"),
    ):
        with refused(part):
            named([reference])
    with refused("metric mine is no function of logits and targets, but int"):
        named({"mine": 3})  # type: ignore[dict-item]


def test_a_name_is_of_one_metric_alone() -> None:
    with refused("metric accuracy has the name of another one"):
        named({"accuracy": lambda logits, targets: 1.0}, taken=["accuracy"])
    with refused("metric count has the name of another one"):
        named(["tiny:count", "tiny:count"])


def test_metrics_that_give_no_number() -> None:
    targets = torch.tensor([0, 1, 2, 1])
    for metric, part in (
        (nan, "gives nan, which is no finite number"),
        (lambda logits, targets: float("inf"), "gives inf"),
        (lambda logits, targets: "good", "fails (ValueError"),
        (lambda logits: 1.0, "fails (TypeError"),
        (lambda logits, targets: logits, "fails ("),
        (broken, "fails (RuntimeError: no such thing"),
    ):
        with pytest.raises(UsageError) as caught:
            evaluated({"mine": metric}, LOGITS, targets)
        assert "metric mine " in str(caught.value)
        assert part in str(caught.value)


def test_what_always_naming_the_largest_class_gives() -> None:
    assert majority(torch.tensor([0, 1, 1, 2])) == 50
    assert majority(torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.7, 0.3]])) == 75
    logits = torch.eye(3)[torch.tensor([1, 1, 1, 1])]
    assert balanced_accuracy(logits, torch.tensor([0, 1, 1, 1])) == 50
    assert balanced_accuracy(logits, torch.tensor([1, 1, 1, 1])) == 100
