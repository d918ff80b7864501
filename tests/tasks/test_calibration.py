"""Temperature scaling against a search by hand, and what is measured of a student's probabilities."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax

from kdgan.tasks.calibration import of_distribution, temperature
from kdgan.tasks.run import task_of
from kdgan.training.evaluate import logits_of
from tiny import DIGITS, TAGS, changed, train


def example(
    seed: int, count: int = 200, classes: int = 4, scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes))
    chances = np.exp(log_softmax(logits, axis=1))
    targets = np.array([rng.choice(classes, p=chance) for chance in chances])
    return torch.from_numpy(scale * logits).float(), torch.from_numpy(targets)


def loss(logits: torch.Tensor, targets: torch.Tensor, at: float) -> float:
    """Log loss at a temperature, in numpy."""
    found = log_softmax(logits.double().numpy() / at, axis=1)
    if targets.ndim == 1:
        return float(-found[np.arange(len(found)), targets.numpy()].mean())
    return float(-(targets.double().numpy() * found).sum(1).mean())


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0, 20.0])
def test_the_temperature_has_the_least_log_loss(scale: float) -> None:
    logits, targets = example(0, scale=scale)
    found = temperature(logits, targets)
    grid: NDArray[np.float64] = np.geomspace(0.02, 100, 4001)
    losses = [loss(logits, targets, at) for at in grid]
    best = float(grid[int(np.argmin(losses))])
    assert found == pytest.approx(best, rel=3e-3)
    assert loss(logits, targets, found) <= min(losses) + 1e-12


def test_the_slope_is_zero_at_the_temperature() -> None:
    # The derivative by the inverse temperature is mean expected logit minus mean true logit.
    logits, targets = example(1)
    found = temperature(logits, targets)
    exact = logits.double().numpy()
    chances = np.exp(log_softmax(exact / found, axis=1))
    slope = (chances * exact).sum(1).mean() - exact[np.arange(len(exact)), targets.numpy()].mean()
    assert slope == pytest.approx(0, abs=1e-5)


@given(st.floats(0.1, 10), st.integers(0, 5))
def test_the_temperature_scales_with_the_logits(factor: float, seed: int) -> None:
    logits, targets = example(seed, count=60, scale=1.5)
    before, after = temperature(logits.double(), targets), temperature(factor * logits.double(), targets)
    assert after == pytest.approx(factor * before, rel=1e-4)


def test_label_weights_have_a_temperature_too() -> None:
    logits, targets = example(2, classes=5)
    weights = torch.eye(5)[targets]
    assert temperature(logits, weights) == pytest.approx(temperature(logits, targets), rel=1e-5)
    halves = (weights + torch.eye(5)[(targets + 1) % 5]) / 2
    found = temperature(logits, halves)
    for other in (0.9 * found, 1.1 * found):
        assert loss(logits, halves, found) < loss(logits, halves, other)


def test_a_temperature_has_bounds() -> None:
    logits = torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    assert temperature(logits, torch.tensor([0, 1])) is None
    assert temperature(logits, torch.tensor([1, 0])) is None
    names = ("log_loss", "brier", "ece")
    right = (logits, torch.tensor([0, 1]))
    assert list(of_distribution(names, "classes", example(3), right)) == [*names]


def test_few_logits_that_are_far_off_do_not_hide_the_least_loss() -> None:
    torch.manual_seed(0)
    targets, logits = torch.randint(0, 10, (300,)), torch.randn(300, 10)
    logits[torch.arange(300), targets] += 2
    logits[:5] *= 30
    at = temperature(logits, targets)
    assert at is not None
    assert loss(logits, targets, at) <= min(loss(logits, targets, other) for other in (0.5, 1.0, 10.0, 90.0))


def test_infinite_logits_are_sure_at_any_temperature() -> None:
    logits = torch.tensor([[math.inf, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, -math.inf]])
    assert temperature(logits, torch.tensor([0, 0, 0, 1, 0])) == pytest.approx(2 / math.log(2), rel=1e-4)


def test_scaled_metrics_are_those_of_divided_logits() -> None:
    test, validation = example(3), example(4)
    found = of_distribution(("log_loss", "brier", "ece"), "classes", test, validation)
    assert list(found) == ["log_loss", "brier", "ece", "log_loss_scaled", "brier_scaled", "ece_scaled"]
    at = temperature(*validation)
    for name, divisor in (("", 1.0), ("_scaled", at)):
        chances = np.exp(log_softmax(test[0].double().numpy() / divisor, axis=1))
        true = np.eye(4)[test[1].numpy()]
        assert found[f"log_loss{name}"] == pytest.approx(-np.log((chances * true).sum(1)).mean())
        assert found[f"brier{name}"] == pytest.approx(((chances - true) ** 2).sum(1).mean())
        sure, right = chances.max(1), chances.argmax(1) == test[1].numpy()
        error = sum(
            abs((sure[there] - right[there]).sum())
            for low in range(15)
            if (there := (sure > low / 15) & (sure <= (low + 1) / 15)).any()
        )
        assert found[f"ece{name}"] == pytest.approx(100 * error / len(sure))
    # Logits three times too large are put right.
    assert found["log_loss_scaled"] < found["log_loss"]
    assert found["ece_scaled"] < found["ece"]


def test_without_validation_nothing_is_scaled() -> None:
    assert set(of_distribution(("log_loss", "ece"), "classes", example(5), None)) == {"log_loss", "ece"}


def test_a_run_records_them_of_its_last_step(tmp_path: Path) -> None:
    metrics = train(tmp_path, method="supervised").metrics
    task = task_of(DIGITS, None)
    student = task.load(tmp_path / "run" / "student.safetensors").module
    at = temperature(logits_of(student, task.validation), task.validation.targets)
    logits = logits_of(student, task.test)
    assert metrics["log_loss"] == pytest.approx(loss(logits, task.test.targets, 1.0))
    assert metrics["log_loss_scaled"] == pytest.approx(loss(logits, task.test.targets, at))
    assert metrics["brier"] > 0


def test_all_labels_leave_nothing_to_fit_a_temperature_on(tmp_path: Path) -> None:
    full = len(task_of(DIGITS, None).validation) + len(task_of(changed(DIGITS, labels=None), None).train)
    metrics = train(tmp_path, method="supervised", labels=full).metrics
    assert "brier" in metrics
    assert not [name for name in metrics if name.endswith("_scaled")]


def test_of_tags_it_is_the_cross_entropy_to_the_true_distribution(tmp_path: Path) -> None:
    metrics = train(tmp_path, base=TAGS, method="supervised").metrics
    task = task_of(TAGS, None)
    student = task.load(tmp_path / "run" / "student.safetensors").module
    logits, targets = logits_of(student, task.test), task.test.targets
    chances = log_softmax(logits.double().numpy(), axis=1)
    expected = [-chances[row][tags > 0].mean() for row, tags in enumerate(targets.numpy())]
    assert metrics["log_loss"] == pytest.approx(np.mean(expected))
    at = temperature(logits_of(student, task.validation), task.validation.targets)
    expected_scaled = None if at is None else pytest.approx(loss(logits, targets, at))
    assert metrics.get("log_loss_scaled") == expected_scaled
