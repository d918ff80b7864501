"""Every ready-made metric against its definition, written out in plain Python on float64."""

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from kdgan.tasks import scores
from kdgan.tasks.metrics import METRICS, Kind, metric
from support import refused

Rows = Sequence[Sequence[float]]


def probabilities(row: Sequence[float]) -> list[float]:
    powers = [math.exp(value - max(row)) for value in row]
    return [power / math.fsum(powers) for power in powers]


def named(row: Sequence[float]) -> int:
    return max(range(len(row)), key=lambda label: row[label])  # of equal ones the first


def f1(true: Sequence[bool], said: Sequence[bool]) -> float:
    both = sum(a and b for a, b in zip(true, said, strict=True))
    return 2 * both / (sum(true) + sum(said))


def area(true: Sequence[bool], values: Sequence[float]) -> float:
    """Share of pairs of a true and a false one in which the true one has more; half for a tie."""
    yes = [value for value, each in zip(values, true, strict=True) if each]
    no = [value for value, each in zip(values, true, strict=True) if not each]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(yes, no)]
    return sum(pairs) / len(pairs)


def precision(true: Sequence[bool], values: Sequence[float]) -> float:
    """Over the true ones the share of true ones among all with as much or more."""
    found = []
    for value, each in zip(values, true, strict=True):
        if each:
            above = [other for v, other in zip(values, true, strict=True) if v >= value]
            found.append(sum(above) / len(above))
    return math.fsum(found) / len(found)


def calibration(confidence: Sequence[float], right: Sequence[bool]) -> float:
    total = 0.0
    for low in range(15):
        rows = [i for i, value in enumerate(confidence) if low / 15 < value <= (low + 1) / 15]
        if rows:
            mean = math.fsum(confidence[i] for i in rows) / len(rows)
            total += len(rows) / len(right) * abs(mean - sum(right[i] for i in rows) / len(rows))
    return total


def columns(rows: Rows) -> list[tuple[float, ...]]:
    return list(zip(*rows, strict=True))


def of_classes(z: Rows, y: Sequence[int]) -> dict[str, float]:
    n, k = len(z), len(z[0])
    p = [probabilities(row) for row in z]
    said, occurs = [named(row) for row in z], sorted(set(y))
    right = [a == b for a, b in zip(said, y, strict=True)]
    of = {label: [each == label for each in y] for label in occurs}
    both = [label for label in occurs if not all(of[label])]
    return {
        "accuracy": 100 * sum(right) / n,
        "balanced_accuracy": 100
        * sum(sum(right[i] for i in range(n) if y[i] == label) / sum(of[label]) for label in occurs)
        / len(occurs),
        "f1_macro": 100 * sum(f1(of[k], [s == k for s in said]) for k in occurs) / len(occurs),
        "auroc": 100 * sum(area(of[k], columns(p)[k]) for k in both) / len(both) if both else math.nan,
        "average_precision": 100 * sum(precision(of[k], columns(p)[k]) for k in occurs) / len(occurs),
        "log_loss": -math.fsum(math.log(p[i][y[i]]) for i in range(n)) / n,
        "brier": math.fsum((p[i][j] - (y[i] == j)) ** 2 for i in range(n) for j in range(k)) / n,
        "ece": 100 * calibration([max(row) for row in p], right),
        "top5": 100 * sum(y[i] in sorted(range(k), key=lambda j: (-z[i][j], j))[:5] for i in range(n)) / n,
    }


def of_bits(z: Rows, y: Rows) -> dict[str, float]:
    flat = [(a, b == 1) for row, labels in zip(z, y, strict=True) for a, b in zip(row, labels, strict=True)]
    yes = [1 / (1 + math.exp(-a)) for a, _ in flat]
    true = [[each == 1 for each in column] for column in columns(y)]
    values = columns(z)
    occurs = [k for k, column in enumerate(true) if any(column)]
    both = [k for k in occurs if not all(true[k])]
    right = [(a > 0) == b for a, b in flat]
    return {
        "accuracy": 100 * sum(right) / len(flat),
        "f1_macro": 100 * sum(f1(true[k], [v > 0 for v in values[k]]) for k in occurs) / len(occurs),
        "auroc": 100 * sum(area(true[k], values[k]) for k in both) / len(both),
        "average_precision": 100 * sum(precision(true[k], values[k]) for k in occurs) / len(occurs),
        "log_loss": -math.fsum(math.log(p if b else 1 - p) for p, (_, b) in zip(yes, flat, strict=True))
        / len(flat),
        "brier": math.fsum((p - b) ** 2 for p, (_, b) in zip(yes, flat, strict=True)) / len(flat),
        "ece": 100 * calibration([max(p, 1 - p) for p in yes], right),
    }


def drawn(seed: int, n: int, k: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, k, generator=generator, dtype=torch.float64), generator


@pytest.mark.parametrize(("seed", "n", "k"), [(0, 40, 7), (1, 90, 9), (2, 25, 6), (3, 1, 6), (4, 60, 40)])
@pytest.mark.parametrize("at_once", [2**22, 21])
def test_classes_by_hand(monkeypatch: pytest.MonkeyPatch, seed: int, n: int, k: int, at_once: int) -> None:
    monkeypatch.setattr(scores, "AT_ONCE", at_once)
    logits, generator = drawn(seed, n, k)
    targets = torch.randint(0, k - 1, (n,), generator=generator)  # the last class never occurs
    expected = of_classes(logits.tolist(), targets.tolist())
    assert expected.keys() == METRICS.keys()
    for name, value in expected.items():
        if not math.isnan(value):
            assert metric(name, "classes", k)(logits, targets) == pytest.approx(
                value, rel=1e-10, abs=1e-10
            ), name


@pytest.mark.parametrize("seed", range(4))
def test_two_classes_with_ties_by_hand(seed: int) -> None:
    logits, generator = drawn(seed, 50, 2)
    logits = logits.round()
    targets = torch.randint(0, 2, (50,), generator=generator)
    expected = of_classes((logits / 1).tolist(), targets.tolist())
    # By difference, of which equal ones are exactly so.
    margins = (logits[:, 1] - logits[:, 0]).tolist()
    areas = [area([y == k for y in targets.tolist()], [s * m for m in margins]) for k, s in ((0, -1), (1, 1))]
    expected["auroc"] = 50 * sum(areas)
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "log_loss", "brier", "ece"):
        assert metric(name, "classes", 2)(logits, targets) == pytest.approx(expected[name], rel=1e-10), name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rounded", [False, True])
def test_bits_by_hand(seed: int, rounded: bool) -> None:
    logits, generator = drawn(seed, 40, 6)
    logits = logits.round() if rounded else logits
    targets = (torch.rand(40, 6, generator=generator) > 0.7).double()
    targets[:, 0], targets[:, 1] = 0, 1  # one label never, and one always
    expected = of_bits(logits.tolist(), targets.tolist())
    for name, value in expected.items():
        assert metric(name, "multilabel")(logits, targets) == pytest.approx(value, rel=1e-10), name


@pytest.mark.parametrize("form", [(40, 1), (40,)])
def test_one_logit_by_hand(form: tuple[int, ...]) -> None:
    logits, generator = drawn(5, 40, 1)
    targets = (torch.rand(40, 1, generator=generator) > 0.6).double()
    expected = of_bits(logits.tolist(), targets.tolist())
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    as_classes = of_classes(two.tolist(), targets.squeeze(1).long().tolist())
    expected |= {name: as_classes[name] for name in ("balanced_accuracy", "f1_macro")}
    for name in ("accuracy", "log_loss", "ece"):
        assert expected[name] == pytest.approx(as_classes[name])
    for name, value in expected.items():
        assert metric(name, "binary")(logits, targets.reshape(form)) == pytest.approx(value, rel=1e-10), name


def test_of_soft_labels_the_likeliest_counts_and_log_loss_and_brier_take_the_weights() -> None:
    logits, generator = drawn(6, 30, 7)
    weights = torch.rand(30, 7, generator=generator, dtype=torch.float64)
    weights /= weights.sum(1, keepdim=True)
    expected = of_classes(logits.tolist(), weights.argmax(1).tolist())
    p = [probabilities(row) for row in logits.tolist()]
    pairs = [(a, b) for row, w in zip(p, weights.tolist(), strict=True) for a, b in zip(row, w, strict=True)]
    expected["log_loss"] = -math.fsum(b * math.log(a) for a, b in pairs) / 30
    expected["brier"] = math.fsum((a - b) ** 2 for a, b in pairs) / 30
    for name, value in expected.items():
        assert metric(name, "classes", 7)(logits, weights) == pytest.approx(value, rel=1e-10), name


def test_where_labels_are_equally_likely_each_is_right_or_it_is_refused() -> None:
    logits = torch.eye(6)[[0, 1]] * 3
    weights = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0]])
    assert metric("accuracy", "classes", 6)(logits, weights) == 50
    assert metric("top5", "classes", 6)(logits, weights) == 100
    confidence = math.exp(3) / (math.exp(3) + 5)
    assert metric("ece", "classes", 6)(logits, weights) == pytest.approx(100 * abs(confidence - 0.5))
    for name in ("balanced_accuracy", "f1_macro", "auroc", "average_precision"):
        with refused(f"metric {name}", "of 2 examples several labels are equally likely"):
            metric(name, "classes", 6)(logits, weights)
    half = torch.tensor([[0.5], [1.0]])
    assert metric("accuracy", "binary")(torch.tensor([[-1.0], [1.0]]), half) == 100
    for kind in ("binary", "multilabel"):
        for name in ("f1_macro", "auroc", "average_precision"):
            with refused(f"metric {name}"):
                metric(name, kind)(torch.zeros(2, 1), half)


def test_very_sure_networks_are_no_trouble() -> None:
    y = torch.tensor([0, 1, 1])
    sure = torch.tensor([[900.0, 0.0], [0.0, 800.0], [700.0, 0.0]])
    assert metric("log_loss", "classes")(sure, y) == pytest.approx(700 / 3)  # no clipping
    assert metric("log_loss", "binary")(sure[:, 1:] - sure[:, :1], y.double()) == pytest.approx(700 / 3)
    # Probabilities of 1 that are equal in any float are not equally sure: all pairs but one are in order.
    ranked = torch.tensor([[0.0, 900.0], [0.0, 800.0], [0.0, 700.0]])
    assert metric("auroc", "classes")(ranked, torch.tensor([1, 0, 0])) == 100
    wide = torch.tensor([[900.0, 1, 0], [800.0, 1, 0], [700.0, 1, 0]])
    assert metric("auroc", "classes")(wide, torch.tensor([0, 0, 1])) > 50


@pytest.mark.parametrize("name", [name for name in METRICS if name != "top5"])
def test_infinite_logits_are_the_limit_of_large_ones(name: str) -> None:
    infinity = math.inf
    y = torch.tensor([0, 1, 2, 2])
    limit = torch.tensor([[infinity, 0, 1], [-infinity, 1, 0], [1, 0, 2], [-infinity, -infinity, 0]])
    near = limit.clamp(-1e4, 1e4)
    found = metric(name, "classes", 3)(limit, y)
    assert found == pytest.approx(metric(name, "classes", 3)(near, y), abs=1e-9)
    if name != "balanced_accuracy":
        bits = torch.nn.functional.one_hot(y, 3).double()
        limit = torch.tensor([[infinity, 0, -1], [-infinity, 1, -infinity], [-1, 0, 2], [-1, -infinity, 0]])
        near = limit.clamp(-1e4, 1e4)
        assert metric(name, "multilabel")(limit, bits) == pytest.approx(
            metric(name, "multilabel")(near, bits)
        )


def test_a_true_label_of_probability_0_has_the_loss_of_the_least_probability_of_float64() -> None:
    logits = torch.tensor([[math.inf, 0.0], [0.0, 1.0]])
    most = 1074 * math.log(2)
    right = math.log1p(math.exp(-1))
    assert metric("log_loss", "classes")(logits, torch.tensor([1, 1])) == pytest.approx((most + right) / 2)
    for value in (-math.inf, -1e4):
        of_one, of_two = torch.tensor([[value]]), torch.tensor([[value, 0.0]])
        assert metric("log_loss", "binary")(of_one, torch.ones(1)) == pytest.approx(most)
        assert metric("log_loss", "binary")(-of_one, torch.zeros(1)) == pytest.approx(most)
        assert metric("log_loss", "classes")(of_two, torch.tensor([0])) == pytest.approx(most)
        weights = torch.tensor([[0.25, 0.75]])
        assert metric("log_loss", "classes")(of_two, weights) == pytest.approx(most / 4)
    assert metric("log_loss", "classes")(logits[:1], torch.tensor([0])) == 0
    assert math.copysign(1, metric("log_loss", "classes")(logits[:1], torch.tensor([0]))) == 1


CONSTANT: dict[Kind, tuple[Tensor, Tensor]] = {
    "classes": (torch.randn(5, 6), torch.full((5,), 2)),
    "binary": (torch.randn(5, 1), torch.ones(5, 1)),
    "multilabel": (torch.randn(5, 3), torch.ones(5, 3)),
}


@pytest.mark.parametrize("kind", CONSTANT)
def test_one_class_alone_has_no_area_under_a_curve(kind: Kind) -> None:
    logits, targets = CONSTANT[kind]
    with refused("metric auroc: it is not defined here"):
        metric("auroc", kind)(logits, targets)
    assert metric("average_precision", kind)(logits, targets) == 100
    if kind != "classes":
        for name in ("average_precision", *(["f1_macro"] if kind == "multilabel" else [])):
            with refused(f"metric {name}: it is not defined here"):
                metric(name, kind)(logits, 0 * targets)


@pytest.mark.parametrize("kind", ["classes", "binary", "multilabel"])
def test_a_constant_network_tells_nothing_apart(kind: Kind) -> None:
    k = 1 if kind == "binary" else 8
    logits = torch.zeros(16, k)
    y = torch.arange(16) % 8
    targets = {"binary": (y[:, None] < 4).double(), "multilabel": torch.eye(8)[y]}.get(kind, y)
    assert metric("auroc", kind)(logits, targets) == pytest.approx(50)
    chance = {"binary": math.log(2), "multilabel": math.log(2), "classes": math.log(8)}[kind]
    assert metric("log_loss", kind)(logits, targets) == pytest.approx(chance)
    if kind == "classes":
        assert metric("top5", kind, 8)(logits, targets) == 62.5  # not all of them, though all are tied


HALF: list[Callable[[Tensor], Tensor]] = [Tensor.half, Tensor.bfloat16, Tensor.float]


@pytest.mark.parametrize("cast", HALF)
def test_logits_of_any_precision_are_judged_in_float64(cast: Callable[[Tensor], Tensor]) -> None:
    logits, generator = drawn(8, 60, 7)
    targets = torch.randint(0, 7, (60,), generator=generator)
    for name in METRICS:
        given = cast(logits)
        assert metric(name, "classes", 7)(given, targets) == metric(name, "classes", 7)(
            given.double(), targets
        )


def test_ties_are_ties_whichever_order_classes_have() -> None:
    """One class's logit beside the same others in another order: by hand it is half right."""
    logits = torch.tensor([[-0.1, 1.6, -1.3, -0.7], [-0.1, -1.3, -0.7, 1.6]])
    assert scores.auroc(logits, torch.tensor([0, 1])) == 25.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        others = torch.randn(4, generator=generator, dtype=torch.float64)
        rows = torch.stack(
            [
                torch.cat([torch.tensor([0.3]), others[torch.randperm(4, generator=generator)]])
                for _ in range(30)
            ]
        )
        assert len(scores.log_odds(rows)[:, 0].unique()) == 1
