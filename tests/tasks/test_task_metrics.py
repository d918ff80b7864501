"""Numbers from logits and targets."""

import pickle
import subprocess
import sys

import pytest
import torch

from kdgan.errors import Diverged
from kdgan.tasks.choice import evaluated
from kdgan.tasks.metrics import DEFAULTS, METRICS, Kind, best, less_is_better, majority, metric, with_label
from kdgan.tasks.scores import accuracy, balanced_accuracy
from support import refused

NAN = float("nan")
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


def test_what_always_naming_the_largest_class_gives() -> None:
    assert majority(torch.tensor([0, 1, 1, 2])) == 50
    assert majority(torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.7, 0.3]])) == 75
    logits = torch.eye(3)[torch.tensor([1, 1, 1, 1])]
    assert balanced_accuracy(logits, torch.tensor([0, 1, 1, 1])) == 50
    assert balanced_accuracy(logits, torch.tensor([1, 1, 1, 1])) == 100


KINDS: tuple[Kind, ...] = ("classes", "binary", "multilabel")


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_suit_their_kind(kind: Kind) -> None:
    assert set(DEFAULTS[kind]) <= METRICS.keys()
    for name in DEFAULTS[kind]:
        metric(name, kind)


def test_a_metric_that_makes_no_sense_for_a_task_names_those_that_do() -> None:
    for name, kind, classes, what in (
        ("top5", "binary", 1, "one logit: take accuracy, balanced_accuracy"),
        ("top5", "multilabel", 9, "several labels: take accuracy, f1_macro"),
        ("top5", "classes", 5, "5 classes: take accuracy"),
        ("balanced_accuracy", "multilabel", 9, "several labels: take accuracy"),
    ):
        with refused(f"metric {name} makes no sense for {what}"):
            metric(name, kind, classes)  # type: ignore[arg-type]
    with refused("there is no metric 'acuracy': take accuracy,"):
        metric("acuracy", "classes")
    assert metric("top5", "classes", 6)(torch.eye(6), torch.arange(6)) == 100


def test_rows_without_a_label_are_left_out() -> None:
    y = torch.tensor([0, -1, 2, -1])
    assert metric("accuracy", "classes")(LOGITS, y) == 100
    for rows, targets in ((LOGITS[::2], y[::2]),):
        for name in ("accuracy", "log_loss", "ece", "balanced_accuracy"):
            assert metric(name, "classes")(LOGITS, y) == metric(name, "classes")(rows, targets)
    weights = torch.tensor([[1.0, 0, 0], [NAN, NAN, NAN], [0, 0, 1.0], [NAN, NAN, NAN]])
    assert torch.equal(with_label(LOGITS, weights)[0], LOGITS[::2])
    bits = torch.tensor([1.0, NAN, 0.0, NAN])
    assert metric("log_loss", "binary")(LOGITS[:, :1], bits) == metric("log_loss", "binary")(
        LOGITS[::2, :1], bits[::2]
    )
    assert evaluated({"n": lambda logits, targets: len(logits)}, LOGITS, y) == {"n": 2}
    assert majority(y) == 50
    # What stands for no label in a Batch does so here.
    assert metric("log_loss", "classes")(LOGITS, y.where(y != -1, -100)) == metric("log_loss", "classes")(
        LOGITS, y
    )
    rows = torch.tensor([[1, 0, 1], [-1, -1, -1], [0, 1, 0], [0, 0, 1]])
    assert torch.equal(with_label(LOGITS, rows)[1], rows[[0, 2, 3]])
    for none in (torch.full((4,), -1), torch.full((4,), NAN), torch.full((4, 3), NAN)):
        with refused("no example has a label"):
            with_label(LOGITS, none)
        with refused("no example has a label"):
            evaluated({"n": lambda logits, targets: len(logits)}, LOGITS, none)
    weights[1, 0] = 0.5
    with refused("NaN in part"):
        with_label(LOGITS, weights)


def test_what_is_no_target_or_no_logit_is_never_a_number() -> None:
    for kind, logits, targets, part in (
        ("classes", LOGITS, torch.tensor([0, 1, 3, 0]), "from 0 to 2"),
        ("classes", LOGITS, torch.tensor([0, 1, -2, 0]), "from 0 to 2"),
        ("classes", LOGITS, torch.zeros(4), "whole numbers"),
        ("classes", LOGITS, torch.zeros(4, 2), "do not fit"),
        ("classes", LOGITS, torch.zeros(3).long(), "do not fit"),
        ("binary", LOGITS, torch.zeros(4), "do not fit"),
        ("binary", LOGITS[:, :1], torch.tensor([0.0, 1, 2, 1]), "from 0 to 1"),
        ("multilabel", LOGITS, torch.zeros(4), "do not fit"),
        ("multilabel", LOGITS, torch.full((4, 3), -1.0), "from 0 to 1"),
    ):
        with refused(part):
            metric("log_loss", kind)(logits, targets)  # type: ignore[arg-type]
    spoilt = LOGITS.clone()
    spoilt[1, 1] = NAN
    for found in (spoilt, torch.full((4, 3), -torch.inf)):
        with pytest.raises(Diverged, match="NaN"):
            metric("accuracy", "classes")(found, torch.tensor([0, 1, 2, 1]))


def test_less_is_better_for_losses() -> None:
    assert [name for name in METRICS if less_is_better(name)] == ["log_loss", "brier", "ece"]
    assert less_is_better("teacher/log_loss")
    assert not less_is_better("mine")
    assert (best("ece", [3.0, 1.0, 2.0]), best("accuracy", [3.0, 1.0, 2.0])) == (1.0, 3.0)


def test_always_saying_what_is_more_frequent() -> None:
    assert majority(torch.tensor([[1.0], [0.0], [0.0], [0.0]]), "binary") == 75
    assert majority(torch.tensor([1.0, 0.0, 0.0, NAN]), "binary") == pytest.approx(200 / 3)
    assert majority(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "multilabel") == 75


def test_metrics_can_go_to_other_processes() -> None:
    found = pickle.loads(pickle.dumps(metric("ece", "classes", 3)))  # noqa: S301 - our own
    assert found(LOGITS, torch.tensor([0, 1, 2, 1])) == metric("ece", "classes")(
        LOGITS, torch.tensor([0, 1, 2, 1])
    )


def test_scikit_learn_is_imported_by_those_that_use_it() -> None:
    code = "import sys, kdgan.tasks.metrics, kdgan.tasks.choice; print(any('sklearn' in name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
