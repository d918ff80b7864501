"""Looks at logits, against scikit-learn and counting by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, confusion_matrix
from torch import Tensor

from kdgan.tasks.diagnosis import by_label, confusion, distances, over_examples, reliability
from kdgan.tasks.metrics import metric


def drawn(count: int, classes: int, seed: int = 0, sure: float = 2.0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (count,), generator=draw)
    logits = sure * torch.randn(count, classes, generator=draw)
    return logits + sure * torch.nn.functional.one_hot(targets, classes), targets


def test_bins_of_a_reliability_diagram_by_hand() -> None:
    chances = torch.tensor(
        [[0.9, 0.1], [0.92, 0.08], [0.4, 0.6], [0.61, 0.39], [0.5, 0.5]], dtype=torch.float64
    )
    found = reliability(chances.log(), torch.tensor([0, 1, 1, 1, 0]))
    # Of fifteen bins, 0.5 is in the eighth (7/15, 8/15], 0.6 in the ninth, 0.61 in the tenth, 0.9 and 0.92 in the
    # fourteenth (13/15, 14/15].
    assert found.count.tolist() == [0] * 7 + [1, 1, 1, 0, 0, 0, 2, 0]
    assert found.accuracy[[7, 8, 9, 13]].tolist() == [1, 1, 0, 0.5]
    assert found.confidence[[7, 8, 9, 13]] == pytest.approx([0.5, 0.6, 0.61, 0.91])
    assert np.isnan(found.accuracy[0])
    assert found.ece == pytest.approx(100 * (0.5 + 0.4 + 0.61 + 2 * 0.41) / 5)


def test_bins_of_many_examples_give_the_calibration_error() -> None:
    logits, targets = drawn(2000, 5)
    found = reliability(logits, targets)
    sure, named = logits.double().softmax(1).max(1)
    for place in range(15):
        inside = (sure > place / 15) & (sure <= (place + 1) / 15)
        assert found.count[place] == inside.sum()
        if inside.any():
            assert found.confidence[place] == pytest.approx(sure[inside].mean().item())
            right = (named == targets)[inside].double().mean().item()
            assert found.accuracy[place] == pytest.approx(right)
    full = found.count > 0
    gaps = found.count[full] * np.abs(found.accuracy[full] - found.confidence[full])
    assert found.ece == pytest.approx(100 * gaps.sum() / 2000)


def test_confusions_are_those_of_scikit_learn() -> None:
    logits, targets = drawn(500, 7)
    expected = confusion_matrix(targets.numpy(), logits.argmax(1).numpy(), labels=range(7))
    assert (confusion(logits, targets) == expected).all()
    weights = torch.nn.functional.one_hot(targets, 7).double()
    assert (confusion(logits, weights) == expected).all()


def test_average_precision_of_each_label_is_that_of_scikit_learn() -> None:
    draw = torch.Generator().manual_seed(3)
    logits, bits = torch.randn(200, 4, generator=draw), torch.rand(200, 4, generator=draw) < 0.3
    bits[:, 3] = False
    found, count = by_label(logits, bits / bits.sum(1, keepdim=True).clamp(min=1))
    chances = logits.double().softmax(1).numpy()
    for label in range(3):
        expected = 100 * average_precision_score(bits[:, label].numpy(), chances[:, label])
        assert found[label] == pytest.approx(expected)
    assert np.isnan(found[3])
    assert count.tolist() == bits.sum(0).tolist()


def test_distances_of_players() -> None:
    one = torch.tensor([[0.5, 0.5, 1e-30], [1, 1e-30, 1e-30], [0.2, 0.3, 0.5]], dtype=torch.float64).log()
    other = torch.tensor([[0.5, 0.5, 1e-30], [1e-30, 1, 1e-30], [0.5, 0.3, 0.2]], dtype=torch.float64).log()
    assert distances(one, other).tolist() == pytest.approx([0, 1, 0.3])
    assert torch.equal(distances(one, other), distances(other, one))


def measured(logits: Tensor, targets: Tensor) -> dict[str, float]:
    return {name: metric(name, "classes")(logits, targets) for name in ("accuracy", "log_loss", "ece")}


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    logits, targets = drawn(300, 4)
    found = over_examples(measured, {"student": logits}, targets)[("student",)]["accuracy"]
    n, z = 300, 1.959963984540054
    p = (logits.argmax(1) == targets).double().mean().item()
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert found.value == pytest.approx(100 * p)
    assert (found.low, found.high) == (
        pytest.approx(100 * (middle - half)),
        pytest.approx(100 * (middle + half)),
    )
    # Ten of ten right do not say that it is always right.
    certain = over_examples(measured, {"student": 9 * torch.eye(4)[targets[:10]]}, targets[:10])
    value = certain[("student",)]["accuracy"]
    assert (value.value, value.high) == (100, pytest.approx(100))
    assert value.low is not None
    assert 60 < value.low < 75


def test_other_intervals_are_as_wide_as_the_spread_of_examples_says() -> None:
    logits, targets = drawn(600, 4)
    other = drawn(600, 4, seed=1)[0]
    found = over_examples(measured, {"a": logits, "b": other}, targets, [("a", "b")])
    losses = [
        torch.nn.functional.cross_entropy(each.double(), targets, reduction="none")
        for each in (logits, other)
    ]
    for names, each in ((("a",), losses[0]), (("a", "b"), losses[0] - losses[1])):
        value = found[names]["log_loss"]
        assert value.value == pytest.approx(each.mean().item())
        assert value.low is not None
        assert value.high is not None
        half = 1.96 * each.std().item() / math.sqrt(600)
        assert (value.high - value.low) / 2 == pytest.approx(half, rel=0.12)
    assert found == over_examples(measured, {"a": logits, "b": other}, targets, [("a", "b")])


def test_a_calibration_error_lies_within_its_interval() -> None:
    for seed in range(3):
        logits, targets = drawn(400, 3, seed=seed, sure=1.0)
        value = over_examples(measured, {"a": logits}, targets)[("a",)]["ece"]
        assert value.low is not None
        assert value.high is not None
        assert 0 <= value.low <= value.value <= value.high <= 100


def test_a_metric_that_few_resamples_have_gets_no_interval() -> None:
    targets = torch.tensor([0] * 30 + [1])
    logits = torch.randn(31, 2, generator=torch.Generator().manual_seed(0))

    def auroc(logits: Tensor, targets: Tensor) -> dict[str, float]:
        return {"auroc": metric("auroc", "classes")(logits, targets)}

    value = over_examples(auroc, {"a": logits}, targets)[("a",)]["auroc"]
    assert value.low is not None  # two of three resamples have the rare one
    only = over_examples(auroc, {"a": logits[29:]}, targets[29:])[("a",)]["auroc"]
    assert only.value in (0, 100)
