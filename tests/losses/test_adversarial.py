"""Discriminator and generator losses: values, gradients, and what each estimator of them promises."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kdgan.losses import (
    ESTIMATORS,
    concrete,
    discriminator_loss,
    generated_labels,
    generator_loss,
    pseudo_labels,
)
from support import refused

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LEADING = [(), (3,), (2, 3)]
LABELS = [2, 10, 200]
SAMPLED = ["concrete", "reinforce", "reinforce-baseline"]
UNBIASED = ["reinforce", "reinforce-baseline"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int, scale: float = 3.0) -> Tensor:
    return (torch.randn(shape, generator=seeded(seed), dtype=torch.float64) * scale).to(dtype)


def log_accepts(g: float) -> float:
    """log sigmoid(g)."""
    return -math.log1p(math.exp(-g)) if g > 0 else g - math.log1p(math.exp(g))


def naive_discriminator(scores: list[float], real: list[float], fake: list[float]) -> float:
    total = 0.0
    for g, r, f in zip(scores, real, fake, strict=True):
        total -= r * log_accepts(g) + f * log_accepts(-g)
    return total


def naive_generator(logits: list[float], scores: list[float]) -> float:
    top = max(logits)
    weights = [math.exp(v - top) for v in logits]
    return sum(w / sum(weights) * log_accepts(-g) for w, g in zip(weights, scores, strict=True))


def by_row(f: Callable[..., float], *tensors: Tensor) -> Tensor:
    """f of each example's lists of floats, in the shape of the examples."""
    k = tensors[0].shape[-1]
    lists = [t.detach().double().reshape(-1, k).tolist() for t in tensors]
    values = [f(*rows) for rows in zip(*lists, strict=True)]
    return torch.tensor(values, dtype=torch.float64).reshape(tensors[0].shape[:-1])


def one_hot(indices: Tensor, k: int) -> Tensor:
    return torch.zeros(*indices.shape, k, dtype=torch.float64).scatter(-1, indices[..., None], 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
def test_discriminator_loss_matches_plain_loops(
    weights: bool, leading: tuple[int, ...], k: int, dtype: torch.dtype
) -> None:
    scores, fake = draw((*leading, k), dtype, 1), draw((*leading, k), torch.float64, 2).softmax(-1).to(dtype)
    if weights:
        targets = draw((*leading, k), torch.float64, 3).softmax(-1).to(dtype)
        real = targets.double()
    else:
        targets = torch.randint(k, leading, generator=seeded(4))
        real = one_hot(targets, k)

    value = discriminator_loss(scores, targets, fake)

    assert value.shape == leading
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    expected = by_row(naive_discriminator, scores, real, fake)
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_discriminator_loss_takes_indices_of_every_integer_type(kind: torch.dtype) -> None:
    scores, fake = draw((3, 5), torch.float64, 5), torch.full((3, 5), 0.2, dtype=torch.float64)
    targets = torch.tensor([4, 0, 2])
    expected = by_row(naive_discriminator, scores, one_hot(targets, 5), fake)
    torch.testing.assert_close(discriminator_loss(scores, targets.to(kind), fake), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", LEADING)
def test_the_exact_generator_loss_matches_plain_loops(
    leading: tuple[int, ...], k: int, dtype: torch.dtype
) -> None:
    logits, scores = draw((*leading, k), dtype, 6), draw((*leading, k), dtype, 7)

    value = generator_loss(logits, scores)

    assert value.shape == leading
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    expected = by_row(naive_generator, logits, scores)
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("estimator", SAMPLED)
def test_a_sampled_generator_loss_is_the_value_of_one_label(
    estimator: str, leading: tuple[int, ...], k: int, dtype: torch.dtype
) -> None:
    logits, scores = draw((*leading, k), dtype, 8), draw((*leading, k), dtype, 9)

    value = generator_loss(logits, scores, estimator=estimator, generator=seeded(10))

    assert value.shape == leading
    labels = pseudo_labels(logits, generator=seeded(10))
    expected = by_row(
        lambda z, s: next(log_accepts(-g) for w, g in zip(z, s, strict=True) if w == 1), labels, scores
    )
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)
    assert (value <= 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_generator_loss_at_extreme_logits(tau: float, estimator: str, dtype: torch.dtype) -> None:
    rows = [[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4] * 3, [0.0, 0.0, 1e4], [0.0, 1.0, 2.0]]
    logits = torch.tensor([a for a in rows for _ in rows], dtype=dtype, requires_grad=True)
    scores = torch.tensor([b for _ in rows for b in rows], dtype=dtype)

    value = generator_loss(logits, scores, estimator=estimator, tau=tau, generator=seeded(11))
    value.sum().backward()

    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert value.isfinite().all()
    assert (value <= 0).all()
    if estimator == "exact":
        expected = by_row(naive_generator, logits, scores)
        torch.testing.assert_close(value.detach().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_discriminator_loss_at_extreme_scores(dtype: torch.dtype) -> None:
    high = 1e4
    scores = torch.tensor([[high, -high], [-high, high], [high, high]], dtype=dtype, requires_grad=True)
    fake = torch.tensor([[0.5, 0.5]] * 3, dtype=dtype)
    top = scores.detach()[0, 0].item()
    for targets in (torch.tensor([0, 0, 1]), torch.tensor([[1, 0], [1, 0], [0, 1]], dtype=dtype)):
        scores.grad = None
        value = discriminator_loss(scores, targets, fake)
        value.sum().backward()
        expected = torch.tensor([0.5 * top, 1.5 * top, top], dtype=torch.float64)
        torch.testing.assert_close(value.detach().double(), expected)
        # σ(g) of the fake, −σ(−g) of the true one.
        gradient = torch.tensor([[0.5, 0.0], [-1.0, 0.5], [0.5, 0.5]], dtype=dtype)
        torch.testing.assert_close(scores.grad, gradient)


def test_losses_pass_gradcheck() -> None:
    logits, scores = draw((3, 4), torch.float64, 12), draw((3, 4), torch.float64, 13)
    fake = logits.softmax(-1)
    assert torch.autograd.gradcheck(lambda a: generator_loss(a, scores), (logits.clone().requires_grad_(),))
    for targets in (torch.tensor([0, 3, 1]), scores.softmax(-1)):
        assert torch.autograd.gradcheck(
            lambda g, t=targets: discriminator_loss(g, t, fake), (scores.clone().requires_grad_(),)
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_in_every_type_are_those_of_float64(dtype: torch.dtype) -> None:
    logits, scores = draw((4, 10), dtype, 14), draw((4, 10), dtype, 15)
    fake, targets = logits.softmax(-1), torch.tensor([1, 2, 3, 9])
    eps = max(torch.finfo(dtype).eps, 1e-7) * 4
    for loss, at in (
        (lambda a: generator_loss(a, scores.to(a.dtype)), logits),
        (lambda g: discriminator_loss(g, targets, fake.to(g.dtype)), scores),
    ):
        narrow, wide = at.clone().requires_grad_(), at.double().requires_grad_()
        loss(narrow).sum().backward()
        loss(wide).sum().backward()
        assert narrow.grad is not None
        assert narrow.grad.dtype == dtype
        torch.testing.assert_close(narrow.grad.double(), wide.grad, rtol=eps, atol=eps)


def test_the_discriminator_loss_trains_the_discriminator_alone() -> None:
    scores, fake, targets = (draw((3, 4), torch.float64, s).requires_grad_() for s in (16, 17, 18))
    discriminator_loss(scores, targets.softmax(-1).detach(), fake.softmax(-1)).sum().backward()
    assert fake.grad is None
    assert scores.grad is not None
    assert scores.grad.abs().sum() > 0.01


@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
def test_the_generator_loss_trains_the_generator_alone(estimator: str) -> None:
    logits, scores = (draw((3, 4), torch.float64, s).requires_grad_() for s in (19, 20))
    generator_loss(logits, scores, estimator=estimator, generator=seeded(21)).sum().backward()
    assert scores.grad is None
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0.01
    # A softmax does not feel a shift of all its logits.
    torch.testing.assert_close(logits.grad.sum(-1), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)


def sampled_gradients(
    logits: Tensor, scores: Tensor, estimator: str, *, games: int, tau: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Values `(games, B)` and gradients `(games, B, K)` of many independent draws for the same logits."""
    many = logits.expand(games, *logits.shape).clone().requires_grad_()
    value = generator_loss(many, scores.expand_as(many), estimator=estimator, tau=tau, generator=seeded(seed))
    value.sum().backward()
    assert many.grad is not None
    return value.detach(), many.grad


def exact_gradient(logits: Tensor, scores: Tensor) -> Tensor:
    """p_k · (v_k − E[v]) by hand, with v = log(1 − p_d)."""
    p, v = logits.softmax(-1), (1 - scores.sigmoid()).log()
    return p * (v - (p * v).sum(-1, keepdim=True))


def standard_errors(sample: Tensor, truth: Tensor) -> float:
    """The largest distance of the mean over the first axis from `truth`, in standard errors."""
    error = sample.std(0) / math.sqrt(len(sample))
    return float(((sample.mean(0) - truth) / error).abs().max())


def test_the_exact_gradient_is_the_one_by_hand() -> None:
    logits, scores = draw((3, 5), torch.float64, 22), draw((3, 5), torch.float64, 23)
    _, gradients = sampled_gradients(logits, scores, "exact", games=1)
    torch.testing.assert_close(gradients[0], exact_gradient(logits, scores))


@pytest.mark.parametrize("estimator", UNBIASED)
@pytest.mark.parametrize("examples", [2, 4])
def test_score_function_gradients_are_unbiased(examples: int, estimator: str) -> None:
    logits, scores = draw((examples, 5), torch.float64, 24, 1.0), draw((examples, 5), torch.float64, 25)
    _, gradients = sampled_gradients(logits, scores, estimator, games=20_000)
    assert standard_errors(gradients, exact_gradient(logits, scores)) < 4


@pytest.mark.parametrize("estimator", SAMPLED)
def test_forward_values_are_unbiased_samples(estimator: str) -> None:
    logits, scores = draw((2, 5), torch.float64, 26, 1.0), draw((2, 5), torch.float64, 27)
    values, _ = sampled_gradients(logits, scores, estimator, games=20_000, tau=0.7)
    assert standard_errors(values, by_row(naive_generator, logits, scores)) < 4


def test_a_baseline_lowers_the_variance() -> None:
    logits = draw((4, 5), torch.float64, 28, 1.0)
    scores = 5 + draw((4, 5), torch.float64, 29, 0.5)  # D accepts everything: log(1 − p_d) is far from 0
    without, having = (
        sampled_gradients(logits, scores, name, games=5_000)[1].var(0).sum() for name in UNBIASED
    )
    assert having < 0.2 * without


def test_the_baseline_is_the_mean_of_the_other_examples_of_the_same_game() -> None:
    logits, scores = draw((2, 3, 4), torch.float64, 30), draw((2, 3, 4), torch.float64, 31)
    player = logits.clone().requires_grad_()
    generator_loss(player, scores, estimator="reinforce-baseline", generator=seeded(32)).sum().backward()

    labels = pseudo_labels(logits, generator=seeded(32))
    values = (labels * (1 - scores.sigmoid()).log()).sum(-1).tolist()
    expected = torch.empty_like(logits)
    for game in range(2):
        for i in range(3):
            others = [values[game][j] for j in range(3) if j != i]
            advantage = values[game][i] - sum(others) / len(others)
            expected[game, i] = (labels[game, i] - logits[game, i].softmax(-1)) * advantage
    torch.testing.assert_close(player.grad, expected)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1, 4)])
def test_a_lone_example_has_no_baseline(shape: tuple[int, ...]) -> None:
    logits, scores = draw(shape, torch.float64, 33), draw(shape, torch.float64, 34)
    gradients = []
    for estimator in UNBIASED:
        player = logits.clone().requires_grad_()
        generator_loss(player, scores, estimator=estimator, generator=seeded(35)).sum().backward()
        gradients.append(player.grad)
    torch.testing.assert_close(*gradients)


def test_a_falling_tau_trades_bias_for_variance() -> None:
    logits, scores = draw((1, 4), torch.float64, 36, 1.0), draw((1, 4), torch.float64, 37, 2.0)
    truth = exact_gradient(logits, scores)
    bias, variance = [], []
    for tau in (5.0, 1.0, 0.3):
        _, gradients = sampled_gradients(logits, scores, "concrete", games=20_000, tau=tau)
        bias.append(float((gradients.mean(0) - truth).norm()))
        variance.append(float(gradients.var(0).sum()))
    assert bias[0] > 1.5 * bias[1] > 1.5**2 * bias[2], bias
    assert 3 * variance[0] < variance[1] < variance[2] / 3, variance
    assert bias[0] > 0.5 * truth.norm()  # the bias is real: no standard error explains it


def test_straight_through_is_discrete_forward_and_concrete_backward() -> None:
    logits, scores = draw((3, 4), torch.float64, 38), draw((3, 4), torch.float64, 39)
    through, soft = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = generator_loss(through, scores, estimator="concrete", tau=0.7, generator=seeded(40))
    value.sum().backward()

    weights = concrete(soft, tau=0.7, generator=seeded(40))
    rejected = (1 - scores.sigmoid()).log()
    (weights * rejected).sum().backward()

    torch.testing.assert_close(through.grad, soft.grad)
    torch.testing.assert_close(value.detach(), rejected[torch.arange(3), weights.argmax(-1)])


@pytest.mark.parametrize("estimator", SAMPLED)
def test_a_generator_makes_draws_repeatable(estimator: str) -> None:
    logits, scores = draw((50, 4), torch.float64, 41, 0.5), draw((50, 4), torch.float64, 42)
    first, again, other = (
        generator_loss(logits, scores, estimator=estimator, generator=seeded(s)) for s in (43, 43, 44)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_generated_labels_are_the_distribution_or_samples_of_it() -> None:
    logits = draw((20, 4), torch.float64, 45, 1.0).requires_grad_()
    whole = generated_labels(logits)
    assert not whole.requires_grad
    torch.testing.assert_close(whole, logits.detach().softmax(-1))
    for estimator in SAMPLED:
        sample = generated_labels(logits, estimator=estimator, generator=seeded(46))
        assert not sample.requires_grad
        assert torch.equal(sample, pseudo_labels(logits, generator=seeded(46)))


def test_labels_of_half_precision_logits_are_not_rounded() -> None:
    logits = draw((5, 10), torch.bfloat16, 47)
    torch.testing.assert_close(generated_labels(logits), logits.float().softmax(-1))


def test_shapes_that_differ_are_refused() -> None:
    with refused("(3, 5)"):
        discriminator_loss(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long), torch.zeros(3, 5))
    for estimator in ESTIMATORS:
        with refused("(2, 4)"):
            generator_loss(torch.zeros(3, 4), torch.zeros(2, 4), estimator=estimator)


@pytest.mark.parametrize(
    "targets",
    [torch.zeros(1, dtype=torch.long), torch.zeros(2, dtype=torch.long), torch.ones(4), torch.ones(3, 1)],
    ids=["one index", "two indices", "weights of no batch", "one weight"],
)
def test_targets_of_other_examples_are_refused(targets: Tensor) -> None:
    """Broadcast, they would give a wrong loss in silence."""
    with refused("(3, 4)"):
        discriminator_loss(torch.zeros(3, 4), targets, torch.zeros(3, 4))


def test_unknown_estimators_are_refused_with_the_known_ones() -> None:
    logits = torch.zeros(3, 4)
    for call in (generator_loss, lambda a, b, estimator: generated_labels(a, estimator=estimator)):
        with refused("'gumbel'", *ESTIMATORS):
            call(logits, logits, estimator="gumbel")


def test_the_concrete_estimator_refuses_a_bad_tau() -> None:
    with refused("tau 0"):
        generator_loss(torch.zeros(3, 4), torch.zeros(3, 4), estimator="concrete", tau=0.0)


@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
def test_a_label_that_cannot_be_is_never_drawn_and_has_no_gradient(estimator: Any) -> None:
    """Its logit is -inf; the others have that of two labels alone."""
    values, gradients = [], []
    for row in ([1.0, 0.0, -math.inf], [1.0, 0.0]):
        logits = torch.tensor([row] * 400, dtype=torch.float64, requires_grad=True)
        scores = torch.tensor([[0.5, -2.0, 30.0][: len(row)]] * 400, dtype=torch.float64)
        loss = generator_loss(logits, scores, estimator=estimator, generator=seeded(3))
        loss.sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert (logits.grad[:, 2:] == 0).all()
        values.append(loss.mean().item())
        gradients.append(logits.grad[:, :2].mean(0))
    exact = estimator == "exact"
    assert values[0] == pytest.approx(values[1], abs=1e-12 if exact else 0.15)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-12 if exact else 0.1, rtol=0)
