"""Which metrics are measured, and in what order."""

import math
from typing import Any

import pytest
import torch

from kdgan.errors import UsageError
from kdgan.tasks.choice import chosen, evaluated, in_order, named
from support import refused
from tiny import broken, count, nan, thrice

LOGITS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])


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


def test_ready_made_ones_by_name_beside_ones_own() -> None:
    assert list(named(["ece", "tiny:count", thrice])) == ["ece", "count", "thrice"]
    assert named(["ece"]) == {"ece": None}
    with refused("there is no metric acuracy: take accuracy, balanced_accuracy,", "module:name"):
        named(["acuracy"])
    for given in ({"ece": thrice}, {"MAP": thrice}):
        with refused("has the name of another one"):
            named(given)
    with refused("metric ece has the name of another one"):
        named(["ece", "ece"])
    with refused("metric ece is no function"):
        named({"ece": None})  # type: ignore[dict-item]


def test_the_first_is_what_counts() -> None:
    usual = ("accuracy", "balanced_accuracy")
    assert in_order([], usual) == usual
    assert in_order(["mine"], usual) == ("mine", *usual)
    assert in_order(["ece", "mine"], usual) == ("ece", "mine", *usual)
    assert in_order(["mine", "balanced_accuracy"], usual) == ("mine", "balanced_accuracy", "accuracy")


def test_the_name_says_that_less_is_better() -> None:
    assert list(named({"-mine": thrice})) == ["-mine"]
    assert named(["-tiny:thrice", "-tiny:count"]) == {"-thrice": thrice, "-count": count}
    for given in ({"-": thrice}, {"-ece": thrice}, {"-MAP": thrice}, {"-step": thrice}):
        with refused("call it otherwise"):
            named(given)
    with refused("there is no metric -ece"):
        named(["-ece"])


def test_a_report_shows_what_was_asked_for_or_what_suits_the_task() -> None:
    even, uneven = torch.tensor([0, 1, 2, 1, 0, 2]), torch.tensor([0, 0, 0, 0, 0, 1])
    bits = (torch.eye(3)[even], torch.eye(3)[even][:, :1])
    assert list(chosen({}, "classes", 3, even)) == ["accuracy", "log_loss", "ece"]
    assert list(chosen({}, "classes", 3, uneven)) == ["accuracy", "balanced_accuracy", "log_loss", "ece"]
    assert list(chosen({}, "multilabel", 3, bits[0])) == ["average_precision", "f1_macro", "log_loss"]
    assert list(chosen({}, "binary", 1, bits[1])) == ["accuracy", "auroc", "average_precision", "log_loss"]
    assert list(chosen(named(["ece", "tiny:count"]), "classes", 3, even)) == ["ece", "count", "accuracy"]
    assert list(chosen(named({"mine": count}), "classes", 3, even)) == ["mine", "accuracy", "log_loss", "ece"]


def test_what_is_not_defined_for_the_data_is_left_out_or_refused_if_it_was_asked_for() -> None:
    ones = torch.ones(4, 1)
    assert list(chosen({}, "binary", 1, ones)) == ["accuracy", "average_precision", "log_loss"]
    with refused("metric auroc: it is not defined here"):
        chosen(named(["auroc"]), "binary", 1, ones)
    with refused("metric top5 makes no sense for 3 classes"):
        chosen(named(["top5"]), "classes", 3, torch.tensor([0, 1, 2]))


def test_a_sure_mistake_has_a_finite_loss() -> None:
    metrics = chosen({}, "classes", 2, torch.tensor([0, 1]))
    found = evaluated(metrics, torch.tensor([[torch.inf, 0.0], [torch.inf, 0.0]]), torch.tensor([0, 1]))
    assert found == {"accuracy": 50, "log_loss": pytest.approx(1074 / 2 * math.log(2)), "ece": 50}
