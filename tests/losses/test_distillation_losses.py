"""Distillation losses and cross-entropy against plain Python in float64."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgan.losses import cross_entropy, discriminator_loss, distance, js, kl, l2
from support import refused

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LEADING = [(), (3,), (2, 3)]
LABELS = [2, 10, 200]
DISTANCES = [("l2", 1.0), ("kl", 1.0), ("kl", 4.0), ("js", 1.0), ("js", 2.5)]
few = settings(max_examples=30, database=None, derandomize=True)


def log_softmax(row: list[float]) -> list[float]:
    top = max(row)
    total = math.log(sum(math.exp(v - top) for v in row))
    return [v - top - total for v in row]


def naive_l2(player: list[float], target: list[float], temperature: float) -> float:
    return sum((a - b) ** 2 for a, b in zip(player, target, strict=True)) / len(player)


def naive_kl(player: list[float], target: list[float], temperature: float) -> float:
    log_p = log_softmax([v / temperature for v in player])
    log_q = log_softmax([v / temperature for v in target])
    return temperature**2 * sum(math.exp(b) * (b - a) for a, b in zip(log_p, log_q, strict=True))


def naive_js(player: list[float], target: list[float], temperature: float) -> float:
    p = [math.exp(v) for v in log_softmax([v / temperature for v in player])]
    q = [math.exp(v) for v in log_softmax([v / temperature for v in target])]
    total = 0.0
    for a, b in zip(p, q, strict=True):
        middle = (a + b) / 2
        total += a * math.log(a / middle) / 2 if a > 0 else 0.0
        total += b * math.log(b / middle) / 2 if b > 0 else 0.0
    return temperature**2 * total


NAIVE: dict[str, Callable[..., float]] = {"l2": naive_l2, "kl": naive_kl, "js": naive_js}


def by_row(f: Callable[..., float], logits: Tensor, other: Tensor, *rest: float) -> Tensor:
    """f of each example's two lists of floats, in the shape of the examples."""
    k = logits.shape[-1]
    rows = zip(
        logits.detach().double().reshape(-1, k).tolist(), other.double().reshape(-1, k).tolist(), strict=True
    )
    values = [f(a, b, *rest) for a, b in rows]
    return torch.tensor(values, dtype=torch.float64).reshape(logits.shape[:-1])


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int, scale: float = 3.0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values * scale).to(dtype)


def computed_in(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize(("name", "temperature"), DISTANCES)
def test_distances_match_plain_loops(
    name: str, temperature: float, leading: tuple[int, ...], k: int, dtype: torch.dtype
) -> None:
    logits, target = draw((*leading, k), dtype, 1), draw((*leading, k), dtype, 2)

    value = distance(name, temperature=temperature)(logits, target)

    assert value.shape == leading
    assert value.dtype == computed_in(dtype)
    expected = by_row(NAIVE[name], logits, target, temperature)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance * temperature**2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "temperature"), DISTANCES)
def test_distances_at_extreme_logits_are_right_and_finite(
    name: str, temperature: float, dtype: torch.dtype
) -> None:
    high = 1e4
    rows = [
        [high, -high, 0, 1],
        [high, high, -high, -high],
        [-high] * 4,
        [0, 0, 0, high],
        [high, 0, -high, 0],
    ]
    pairs = [(a, b) for a in rows for b in rows]
    logits = torch.tensor([a for a, _ in pairs], dtype=dtype, requires_grad=True)
    target = torch.tensor([b for _, b in pairs], dtype=dtype)

    value = distance(name, temperature=temperature)(logits, target)
    value.sum().backward()

    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    expected = by_row(NAIVE[name], logits, target, temperature)
    torch.testing.assert_close(value.detach().double(), expected, rtol=1e-5, atol=2e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "temperature"), DISTANCES)
def test_gradients_in_every_type_are_those_of_float64(
    name: str, temperature: float, dtype: torch.dtype
) -> None:
    logits, target = draw((4, 10), dtype, 3).requires_grad_(), draw((4, 10), dtype, 4)
    wide = logits.detach().double().requires_grad_()
    loss = distance(name, temperature=temperature)

    loss(logits, target).sum().backward()
    loss(wide, target.double()).sum().backward()

    assert logits.grad is not None
    assert wide.grad is not None
    assert logits.grad.dtype == dtype
    eps = max(torch.finfo(dtype).eps, 1e-7) * 4
    torch.testing.assert_close(logits.grad.double(), wide.grad, rtol=eps, atol=eps)


@pytest.mark.parametrize(("name", "temperature"), DISTANCES)
def test_distances_pass_gradcheck_and_give_the_target_nothing(name: str, temperature: float) -> None:
    loss = distance(name, temperature=temperature)
    logits, target = draw((3, 4), torch.float64, 5), draw((3, 4), torch.float64, 6)
    assert torch.autograd.gradcheck(lambda a: loss(a, target), (logits.clone().requires_grad_(),))

    player, followed = logits.clone().requires_grad_(), target.clone().requires_grad_()
    loss(player, followed).sum().backward()
    assert followed.grad is None
    assert player.grad is not None
    assert player.grad.abs().sum() > 0.01


def test_l2_is_a_mean_over_labels() -> None:
    logits, target = draw((3, 5), torch.float64, 7), draw((3, 5), torch.float64, 8)
    tiled = l2(logits.repeat(1, 40), target.repeat(1, 40))
    torch.testing.assert_close(tiled, l2(logits, target))


@few
@given(
    rows=st.integers(2, 6).flatmap(
        lambda k: st.tuples(*[st.lists(st.floats(-1e4, 1e4), min_size=k, max_size=k)] * 2)
    ),
    temperature=st.floats(0.1, 20),
    shift=st.floats(-100, 100),
)
def test_divergences_are_what_the_name_says(
    rows: tuple[list[float], list[float]], temperature: float, shift: float
) -> None:
    a, b = (torch.tensor(row, dtype=torch.float64) for row in rows)
    square = temperature**2
    tiny = 1e-8 * square
    for loss in (kl, js):
        assert loss(a, a, temperature=temperature) == 0 or loss is js
        assert abs(loss(a, a, temperature=temperature)) <= tiny
        value = loss(a, b, temperature=temperature)
        assert value >= -tiny
        shifted = loss(a + shift, b - shift, temperature=temperature)
        torch.testing.assert_close(shifted, value, rtol=1e-7, atol=tiny)
        torch.testing.assert_close(loss(a.flip(0), b.flip(0), temperature=temperature), value)
    both = js(a, b, temperature=temperature), js(b, a, temperature=temperature)
    torch.testing.assert_close(*both)
    assert both[0] <= square * math.log(2) * (1 + 1e-12)


def test_js_reaches_its_bound_and_kl_is_not_symmetric() -> None:
    a, b = torch.tensor([200.0, 0.0, 0.0]), torch.tensor([0.0, 200.0, 0.0])
    assert js(a, b).item() == pytest.approx(math.log(2))
    assert js(a, b, temperature=2.0).item() == pytest.approx(4 * math.log(2))
    mild = torch.tensor([1.0, 0.0, 0.0])
    assert kl(mild, a).item() != pytest.approx(kl(a, mild).item(), rel=0.1)


def test_kl_is_taken_from_the_target_to_the_player() -> None:
    """KL(q‖p) with q the target: the gradient in the player's logits is p − q."""
    logits, target = draw((3, 5), torch.float64, 9).requires_grad_(), draw((3, 5), torch.float64, 10)
    kl(logits, target).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - target.softmax(-1))


def test_the_factor_t_squared_keeps_gradients_in_size() -> None:
    logits, target = draw((8, 10), torch.float64, 11, scale=1.0), draw((8, 10), torch.float64, 12, scale=1.0)
    sizes = []
    for temperature in (1.0, 4.0, 30.0, 1000.0):
        player = logits.clone().requires_grad_()
        kl(player, target, temperature=temperature).sum().backward()
        assert player.grad is not None
        sizes.append(player.grad.norm().item())
    assert max(sizes) / min(sizes) < 2
    assert sizes[3] == pytest.approx(sizes[2], rel=0.1)

    # High temperature makes it l2 of the centred logits, halved (Hinton et al. 2015, Eq. 4).
    centred = [v - v.mean(-1, keepdim=True) for v in (logits, target)]
    value = kl(logits, target, temperature=1e4)
    torch.testing.assert_close(value, l2(*centred) / 2, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_matches_plain_loops(
    smoothing: float, weights: bool, leading: tuple[int, ...], k: int, dtype: torch.dtype
) -> None:
    logits = draw((*leading, k), dtype, 13)
    indices = torch.randint(k, leading, generator=torch.Generator().manual_seed(14))
    if weights:
        targets = draw((*leading, k), torch.float64, 15).softmax(-1).to(dtype)
        rows = targets.double()
    else:
        targets = indices
        rows = torch.zeros(*leading, k, dtype=torch.float64).scatter(-1, indices[..., None], 1.0)

    value = cross_entropy(logits, targets, smoothing=smoothing)

    def naive(player: list[float], target: list[float]) -> float:
        smooth = [(1 - smoothing) * t + smoothing / k for t in target]
        return -sum(t * v for t, v in zip(smooth, log_softmax(player), strict=True))

    assert value.shape == leading
    assert value.dtype == computed_in(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(value.double(), by_row(naive, logits, rows), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_cross_entropy_takes_indices_of_every_integer_type(kind: torch.dtype) -> None:
    logits, indices = draw((3, 5), torch.float64, 16), torch.tensor([4, 0, 2])
    expected = -logits.log_softmax(-1)[torch.arange(3), indices]
    torch.testing.assert_close(cross_entropy(logits, indices.to(kind)), expected)


def one_hot(indices: Tensor, k: int) -> Tensor:
    """Label weights that say the same as indices."""
    return torch.zeros(*indices.shape, k).scatter(-1, indices[..., None], 1.0)


@pytest.mark.parametrize("leading", [(50,), (4, 25)])
def test_indices_give_to_the_bit_what_one_hot_labels_give(leading: tuple[int, ...]) -> None:
    k = 11
    indices = torch.randint(k, leading, generator=torch.Generator().manual_seed(20))
    fake = draw((*leading, k), torch.float32, 21).softmax(-1)
    for loss in (cross_entropy, lambda logits, targets: discriminator_loss(logits, targets, fake)):
        results = []
        for targets in (indices, one_hot(indices, k)):
            logits = draw((*leading, k), torch.float32, 22).requires_grad_()
            value = loss(logits, targets)
            (value * draw(leading, torch.float32, 23)).sum().backward()
            results.append((value.detach(), logits.grad))
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)


def test_a_label_that_cannot_be_is_worth_no_notice_unless_it_is_the_true_one() -> None:
    logits = torch.tensor([[1.0, 0.0, -math.inf]])
    value = cross_entropy(logits, torch.tensor([0]))
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(logits, torch.tensor([0]))[None])
    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)
    assert value.item() == pytest.approx(0.3133, abs=1e-4)
    assert cross_entropy(logits, torch.tensor([2])).item() == math.inf


def _without_impossible(p: list[float], q: list[float]) -> float:
    """KL(p ‖ q) by its definition, where 0 · log 0 = 0."""
    return math.fsum(
        one * (math.log(one) - (math.log(other) if other else -math.inf))
        for one, other in zip(p, q, strict=True)
        if one
    )


def _probabilities(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(each / temperature) for each in logits]
    return [each / math.fsum(weights) for each in weights]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([1.0, 0.0, -math.inf], [0.3, 0.7, -math.inf]),  # both cannot be
        ([0.5, 0.2, 0.3], [1.0, -math.inf, 0.0]),  # the one that is followed cannot be
        ([1.0, 0.0, -math.inf], [0.5, 0.2, 0.3]),  # the one that learns cannot be
        ([1.0, 0.0, -math.inf], [0.5, -math.inf, 0.2]),
    ],
)
def test_labels_that_cannot_be_have_probability_0_in_every_divergence(
    mine: list[float], theirs: list[float], temperature: float
) -> None:
    p, q = _probabilities(theirs, temperature), _probabilities(mine, temperature)
    middle = [(one + other) / 2 for one, other in zip(p, q, strict=True)]
    expected = {
        kl: _without_impossible(p, q),
        js: (_without_impossible(p, middle) + _without_impossible(q, middle)) / 2,
    }
    for loss, value in expected.items():
        logits = torch.tensor([mine], dtype=torch.float64, requires_grad=True)
        found = loss(logits, torch.tensor([theirs], dtype=torch.float64), temperature=temperature)
        assert found.item() == pytest.approx(temperature**2 * value)
        (gradient,) = torch.autograd.grad(found.sum(), logits)
        assert gradient.isfinite().all()
        # That of the logits which are finite, by finite differences where the value is one.
        for place in range(3) if math.isfinite(value) else ():
            if mine[place] == -math.inf:
                assert gradient[0, place] == 0
                continue
            values = []
            for step in (1e-5, -1e-5):
                moved = [each + step * (k == place) for k, each in enumerate(mine)]
                moved_q = _probabilities(moved, temperature)
                moved_m = [(one + other) / 2 for one, other in zip(p, moved_q, strict=True)]
                values.append(
                    _without_impossible(p, moved_q)
                    if loss is kl
                    else (_without_impossible(p, moved_m) + _without_impossible(moved_q, moved_m)) / 2
                )
            slope = temperature**2 * (values[0] - values[1]) / 2e-5
            assert gradient[0, place].item() == pytest.approx(slope, abs=1e-7)


def test_weights_of_0_count_nothing_of_labels_that_cannot_be() -> None:
    logits = torch.tensor([[1.0, 0.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    value = cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64))
    assert value.item() == pytest.approx(0.5 * math.log(1 + math.exp(-1)) + 0.5 * math.log(1 + math.e))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    share = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(gradient, torch.tensor([[share - 0.5, 0.5 - share, 0.0]], dtype=torch.float64))
    assert cross_entropy(logits, torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)).item() == math.inf


@pytest.mark.parametrize("label", [-100, -1, 3, 2**40])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_that_are_none_of_the_k_are_never_skipped(label: int, smoothing: float) -> None:
    """-100 means nothing here, as it does to torch unless it is told otherwise."""
    logits, targets = torch.zeros(2, 3), torch.tensor([0, label])
    with refused("a target is none of the 3 classes that are scored", "out of bounds"):
        cross_entropy(logits, targets, smoothing=smoothing)
    with refused("a target is none of the 3 classes that are scored", "out of bounds"):
        discriminator_loss(logits, targets, torch.full((2, 3), 1 / 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_at_extreme_logits(dtype: torch.dtype) -> None:
    high = 1e4
    logits = torch.tensor(
        [[high, -high, 0], [-high, high, high], [high] * 3], dtype=dtype, requires_grad=True
    )
    top = logits.detach()[0, 0].item()
    for targets in (torch.tensor([1, 0, 2]), torch.eye(3, dtype=dtype)[[1, 0, 2]]):
        logits.grad = None
        value = cross_entropy(logits, targets)
        value.sum().backward()
        expected = torch.tensor([2 * top, 2 * top + math.log(2), math.log(3)], dtype=torch.float64)
        torch.testing.assert_close(value.detach().double(), expected, rtol=1e-6, atol=2e-3)
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_passes_gradcheck_and_gives_targets_nothing(smoothing: float) -> None:
    logits = draw((3, 4), torch.float64, 17).requires_grad_()
    weights = draw((3, 4), torch.float64, 18).softmax(-1)
    for targets in (torch.tensor([0, 3, 1]), weights):
        assert torch.autograd.gradcheck(
            lambda a, t=targets: cross_entropy(a, t, smoothing=smoothing), (logits,)
        )


@pytest.mark.parametrize("loss", [l2, kl, js])
@pytest.mark.parametrize("shape", [(3, 5), (4,), (1, 4), (2, 3, 4)])
def test_logits_of_other_shapes_are_refused(loss: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    with refused(str(shape)):
        loss(torch.zeros(3, 4), torch.zeros(shape))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_bad_temperatures_are_refused(temperature: float) -> None:
    logits = torch.zeros(3, 4)
    for call in (
        lambda: kl(logits, logits, temperature=temperature),
        lambda: js(logits, logits, temperature=temperature),
        lambda: distance("kl", temperature=temperature),
    ):
        with refused(f"temperature {temperature}"):
            call()


def test_unknown_distances_are_refused_with_the_known_ones() -> None:
    with refused("'cosine'", "l2", "kl", "js", "module:function"):
        distance("cosine")


# A loss of one's own


def absolute(logits: Tensor, target: Tensor) -> Tensor:
    """The mean absolute difference."""
    return (logits - target).abs().mean(-1)


@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_a_loss_of_ones_own_is_taken_as_it_is(leading: tuple[int, ...]) -> None:
    logits, target = draw((*leading, 5), torch.float64, 24), draw((*leading, 5), torch.float64, 25)
    for loss in (distance(absolute), distance(f"{__name__}:absolute"), distance(absolute, temperature=9.0)):
        torch.testing.assert_close(loss(logits, target), absolute(logits, target))
    torch.testing.assert_close(distance("kdgan.losses:l2")(logits, target), l2(logits, target))


def test_a_loss_of_ones_own_gives_the_target_nothing() -> None:
    player, followed = (draw((3, 4), torch.float64, seed).requires_grad_() for seed in (26, 27))
    distance(absolute)(player, followed).sum().backward()
    assert followed.grad is None
    assert player.grad is not None
    assert player.grad.abs().sum() > 0.01


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (lambda logits, target: (logits - target).square(), "(3, 4)"),
        (lambda logits, target: (logits - target).square().mean(), "()"),
        (lambda logits, target: (logits - target).square().mean(0), "(4,)"),
        (lambda logits, target: (logits - target).square().mean(1, keepdim=True), "(3, 1)"),
        (lambda logits, target: 0.0, "float"),
        (lambda logits, target: None, "NoneType"),
    ],
)
def test_a_loss_of_ones_own_must_give_one_value_per_example(loss: Callable[..., Tensor], found: str) -> None:
    with refused("one value per example, (3,)", f"not {found}"):
        distance(loss)(torch.zeros(3, 4), torch.zeros(3, 4))


def test_a_loss_that_is_not_there_is_refused_at_once() -> None:
    with refused("cannot import kdgan.losses:l3"):
        distance("kdgan.losses:l3")


def test_what_is_no_function_is_refused_at_once() -> None:
    with refused("math:pi"):
        distance("math:pi")
