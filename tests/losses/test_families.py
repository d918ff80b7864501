"""Families of losses: one class among K, and K labels of which each is on or off, against plain Python in float64."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgan.errors import RunError
from kdgan.losses import (
    ESTIMATORS,
    Bernoulli,
    Categorical,
    Family,
    cross_entropy,
    discriminator_loss,
    distance,
    generated_labels,
    generator_loss,
    l2,
)
from support import refused

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LABELS = [1, 2, 10]
SAMPLED = ["concrete", "reinforce", "reinforce-baseline"]
FAMILIES = [Categorical(), Bernoulli()]
few = settings(max_examples=30, database=None, derandomize=True)
numbers = st.floats(-30, 30)
shares = st.floats(0, 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int, scale: float = 3.0) -> Tensor:
    return (torch.randn(shape, generator=seeded(seed), dtype=torch.float64) * scale).to(dtype)


def part(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    """Probabilities that labels are on."""
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def log_on(logit: float) -> float:
    """log σ(logit)."""
    return -math.log1p(math.exp(-logit)) if logit > 0 else logit - math.log1p(math.exp(logit))


def on(logit: float) -> float:
    return math.exp(log_on(logit))


def naive_supervised(logit: float, u: float, smoothing: float = 0.0, weight: float = 1.0) -> float:
    u = (1 - smoothing) * u + smoothing / 2
    return -weight * u * log_on(logit) - (1 - u) * log_on(-logit)


def naive_kl(logit: float, target: float, t: float) -> float:
    p, q = on(logit / t), on(target / t)
    return t**2 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)))


def naive_js(logit: float, target: float, t: float) -> float:
    total = 0.0
    for sign in (1, -1):
        p, q = on(sign * logit / t), on(sign * target / t)
        m = (p + q) / 2
        total += p * math.log(p / m) / 2 + q * math.log(q / m) / 2
    return t**2 * total


def naive_discriminator(g: float, u: float, f: float) -> float:
    """Both outcomes of the label, each judged by its own p_d."""
    total = 0.0
    for z, true, fake in ((1, u, f), (0, 1 - u, 1 - f)):
        judged = (2 * z - 1) * g
        total -= true * log_on(judged) + fake * log_on(-judged)
    return total


def naive_generator(logit: float, g: float) -> float:
    return on(logit) * log_on(-g) + on(-logit) * log_on(g)


def by_label(f: Callable[..., float], *tensors: Tensor, rest: tuple[float, ...] = ()) -> Tensor:
    """The mean over labels of f of each label's numbers, in the shape of the examples."""
    lists = [tensor.detach().double().flatten().tolist() for tensor in tensors]
    values = torch.tensor([f(*each, *rest) for each in zip(*lists, strict=True)], dtype=torch.float64)
    return values.view(tensors[0].shape).mean(-1)


def close(value: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)


# Labels, each on or off: against plain loops


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_supervised_loss_of_labels(smoothing: float, k: int, dtype: torch.dtype) -> None:
    logits, u = draw((5, k), dtype, 1), part((5, k), dtype, 2)
    expected = by_label(naive_supervised, logits, u, rest=(smoothing,))
    close(Bernoulli(smoothing=smoothing).supervised(logits, u), expected, dtype)
    close(Bernoulli().supervised(logits, u, smoothing=smoothing), expected, dtype)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_labels_are_on_and_off_in_any_type(kind: torch.dtype) -> None:
    logits, u = draw((4, 3), torch.float64, 3), part((4, 3), torch.float64, 4).round()
    expected = by_label(naive_supervised, logits, u)
    torch.testing.assert_close(Bernoulli().supervised(logits, u.to(kind)), expected)
    scores, fake = draw((4, 3), torch.float64, 5), part((4, 3), torch.float64, 6)
    expected = by_label(naive_discriminator, scores, u, fake)
    torch.testing.assert_close(Bernoulli().discriminator_loss(scores, u.to(kind), fake), expected)


def test_the_weight_of_a_label_is_that_of_its_being_on() -> None:
    logits, u = draw((4, 3), torch.float64, 7), part((4, 3), torch.float64, 8)
    weights = torch.tensor([0.5, 1.0, 7.0])
    expected = by_label(
        lambda logit, true, weight: naive_supervised(logit, true, 0.1, weight),
        logits,
        u,
        weights.expand(4, 3),
    )
    family = Bernoulli(class_weights=weights, smoothing=0.1)
    torch.testing.assert_close(family.supervised(logits, u), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize(("name", "naive"), [("kl", naive_kl), ("js", naive_js)])
@pytest.mark.parametrize("t", [1.0, 4.0])
def test_distances_of_labels(
    t: float, name: str, naive: Callable[..., float], k: int, dtype: torch.dtype
) -> None:
    logits, target = draw((5, k), dtype, 9), draw((5, k), dtype, 10)
    value = Bernoulli().distance(name, temperature=t)(logits, target)
    close(value, by_label(naive, logits, target, rest=(t,)), dtype)


@pytest.mark.parametrize("chosen", ["l2", lambda a, b: (a - b).abs().sum(-1)], ids=["l2", "own"])
@pytest.mark.parametrize("family", FAMILIES, ids=["classes", "labels"])
def test_distances_of_logits_are_the_same_for_all(family: Family, chosen: str) -> None:
    logits, target = draw((5, 4), torch.float64, 11), draw((5, 4), torch.float64, 12)
    assert torch.equal(family.distance(chosen)(logits, target), distance(chosen)(logits, target))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
def test_the_discriminator_loss_of_labels(leading: tuple[int, ...], k: int, dtype: torch.dtype) -> None:
    scores, u, fake = (
        draw((*leading, k), dtype, 13),
        part((*leading, k), dtype, 14),
        part((*leading, k), dtype, 15),
    )
    value = Bernoulli().discriminator_loss(scores, u, fake)
    close(value, by_label(naive_discriminator, scores, u, fake), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", LABELS)
@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
def test_the_exact_generator_loss_of_labels(leading: tuple[int, ...], k: int, dtype: torch.dtype) -> None:
    logits, scores = draw((*leading, k), dtype, 16), draw((*leading, k), dtype, 17)
    close(Bernoulli().generator_loss(logits, scores), by_label(naive_generator, logits, scores), dtype)


def exact_gradient(logits: Tensor, scores: Tensor) -> Tensor:
    """−g·p·(1 − p) / K by hand: what D believes of a label raises it."""
    p = logits.sigmoid()
    return -scores * p * (1 - p) / logits.shape[-1]


def test_the_exact_gradient_of_labels_is_the_one_by_hand() -> None:
    logits, scores = draw((3, 5), torch.float64, 18).requires_grad_(), draw((3, 5), torch.float64, 19)
    Bernoulli().generator_loss(logits, scores).sum().backward()
    torch.testing.assert_close(logits.grad, exact_gradient(logits.detach(), scores))


def sampled(
    logits: Tensor, scores: Tensor, estimator: str, games: int, tau: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Values and gradients of many independent draws."""
    many = logits.expand(games, *logits.shape).clone().requires_grad_()
    value = Bernoulli().generator_loss(
        many, scores.expand_as(many), estimator=estimator, tau=tau, generator=seeded(20)
    )
    value.sum().backward()
    assert many.grad is not None
    return value.detach(), many.grad


def standard_errors(sample: Tensor, truth: Tensor) -> float:
    return float(((sample.mean(0) - truth) / (sample.std(0) / math.sqrt(len(sample)))).abs().max())


@pytest.mark.parametrize("estimator", SAMPLED)
def test_sampled_values_of_labels_are_unbiased(estimator: str) -> None:
    logits, scores = draw((2, 3), torch.float64, 21, 1.0), draw((2, 3), torch.float64, 22)
    values, _ = sampled(logits, scores, estimator, 20_000, tau=0.7)
    assert standard_errors(values, by_label(naive_generator, logits, scores)) < 4


@pytest.mark.parametrize("estimator", ["reinforce", "reinforce-baseline"])
def test_score_function_gradients_of_labels_are_unbiased(estimator: str) -> None:
    logits, scores = draw((3, 4), torch.float64, 23, 1.0), draw((3, 4), torch.float64, 24)
    _, gradients = sampled(logits, scores, estimator, 20_000)
    assert standard_errors(gradients, exact_gradient(logits, scores)) < 4


def test_the_baseline_is_of_the_same_label_in_other_examples() -> None:
    """Labels differ so much in what D says of them that only their own mean is of use."""
    logits = draw((6, 2), torch.float64, 25, 0.3)
    scores = torch.tensor([[8.0, -8.0]], dtype=torch.float64).expand(6, 2)
    lone = logits[:1].clone().requires_grad_(), logits[:1].clone().requires_grad_()
    for player, estimator in zip(lone, ("reinforce", "reinforce-baseline"), strict=True):
        Bernoulli().generator_loss(
            player, scores[:1], estimator=estimator, generator=seeded(26)
        ).sum().backward()
    # One example has no others, though it has two labels.
    assert torch.equal(lone[0].grad, lone[1].grad)

    # All of one label in agreement leave nothing to learn from, whatever the other label is worth.
    agreed = torch.full((6, 2), 40.0, dtype=torch.float64).requires_grad_()
    Bernoulli().generator_loss(
        agreed, scores, estimator="reinforce-baseline", generator=seeded(27)
    ).sum().backward()
    torch.testing.assert_close(agreed.grad, torch.zeros_like(agreed), rtol=0, atol=1e-12)

    plain, based = (
        sampled(logits, scores, e, 4_000)[1].var(0).sum() for e in ("reinforce", "reinforce-baseline")
    )
    assert based < plain


@pytest.mark.parametrize("estimator", SAMPLED)
def test_generated_labels_are_bits_of_the_right_frequency(estimator: str) -> None:
    logits = draw((1, 3), torch.float64, 28, 1.0).requires_grad_()
    bits = Bernoulli().generated_labels(logits.expand(20_000, 3), estimator=estimator, generator=seeded(29))
    assert not bits.requires_grad
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert standard_errors(bits, logits.detach().sigmoid().squeeze(0)) < 4
    # They are independent of each other.
    assert (torch.corrcoef(bits.T) - torch.eye(3)).abs().max() < 0.03


def test_generated_labels_are_probabilities_where_the_expectation_is_exact() -> None:
    logits = draw((4, 3), torch.bfloat16, 30).requires_grad_()
    shown = Bernoulli().generated_labels(logits)
    assert not shown.requires_grad
    torch.testing.assert_close(shown, logits.detach().float().sigmoid())


@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_labels_at_extreme_logits(dtype: torch.dtype, estimator: str) -> None:
    values = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype)
    logits = values.repeat(9, 1).view(9, 3).requires_grad_()
    other = torch.cat([values.roll(shift, 1) for shift in range(3)] * 3)
    family, u = Bernoulli(), torch.tensor([[0.0, 1.0, 0.5]]).repeat(9, 1)
    losses = {
        "supervised": family.supervised(logits, u),
        "kl": family.distance("kl")(logits, other),
        "js": family.distance("js")(logits, other),
        "discriminator": family.discriminator_loss(logits, u, other.float().sigmoid()),
        "generator": family.generator_loss(logits, other, estimator=estimator, generator=seeded(31)),
    }
    for name, value in losses.items():
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        assert value.isfinite().all(), name
        assert gradient.isfinite().all(), name


def test_losses_of_labels_pass_gradcheck() -> None:
    other, u, fake = (
        draw((3, 4), torch.float64, 32),
        part((3, 4), torch.float64, 33),
        part((3, 4), torch.float64, 34),
    )
    labelled = torch.tensor([True, False, True])
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    for loss in (
        lambda a: Bernoulli(class_weights=weights, smoothing=0.1).supervised(a, u, labelled=labelled),
        lambda a: Bernoulli().distance("kl", temperature=2.0)(a, other),
        lambda a: Bernoulli().distance("js")(a, other),
        lambda a: Bernoulli().discriminator_loss(a, u, fake, labelled=labelled),
        lambda a: Bernoulli().generator_loss(a, other),
    ):
        assert torch.autograd.gradcheck(loss, (draw((3, 4), torch.float64, 35).requires_grad_(),))


def test_gradients_of_half_precision_are_those_of_float64() -> None:
    other, u, fake = (
        draw((3, 4), torch.float16, 36),
        part((3, 4), torch.float16, 37),
        part((3, 4), torch.float16, 38),
    )
    for loss in (
        lambda a: Bernoulli().supervised(a, u),
        lambda a: Bernoulli().distance("kl")(a, other.to(a.dtype)),
        lambda a: Bernoulli().discriminator_loss(a, u, fake),
        lambda a: Bernoulli().generator_loss(a, other.to(a.dtype)),
    ):
        narrow = draw((3, 4), torch.float16, 39).requires_grad_()
        wide = narrow.detach().double().requires_grad_()
        loss(narrow).sum().backward()
        loss(wide).sum().backward()
        assert narrow.grad is not None
        torch.testing.assert_close(narrow.grad.double(), wide.grad, rtol=4e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES, ids=["classes", "labels"])
@pytest.mark.parametrize("estimator", ["exact", *SAMPLED])
def test_each_loss_trains_one_player_alone(estimator: str, family: Family) -> None:
    learns, other = (draw((4, 3), torch.float64, seed).requires_grad_() for seed in (40, 41))
    u = part((4, 3), torch.float64, 42)
    for value in (
        family.distance("kl")(learns, other),
        family.distance("js")(learns, other),
        family.discriminator_loss(learns, u, other.sigmoid()),
        family.generator_loss(learns, other, estimator=estimator, generator=seeded(43)),
    ):
        learns.grad = None
        value.sum().backward()
        assert other.grad is None
        assert learns.grad is not None
        assert learns.grad.abs().sum() > 1e-3


# Properties


@few
@given(numbers, shares, shares)
def test_one_label_is_two_classes(g: float, u: float, f: float) -> None:
    """The losses of a label are those of a softmax over on and off."""
    one, pair = torch.tensor([[g]], dtype=torch.float64), torch.tensor([[g, 0.0]], dtype=torch.float64)
    true, fake = (torch.tensor([[v]], dtype=torch.float64) for v in (u, f))
    trues, fakes = (torch.cat([v, 1 - v], 1) for v in (true, fake))
    torch.testing.assert_close(Bernoulli().supervised(one, true), cross_entropy(pair, trues))
    scores = torch.tensor([[g, -g]], dtype=torch.float64)
    torch.testing.assert_close(
        Bernoulli().discriminator_loss(one, true, fake), discriminator_loss(scores, trues, fakes)
    )
    logits = torch.tensor([[f * 4, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(Bernoulli().generator_loss(logits[:, :1], one), generator_loss(logits, scores))


@few
@given(numbers, numbers, st.floats(0.5, 8))
def test_distances_of_labels_are_zero_for_equals_and_never_below(a: float, b: float, t: float) -> None:
    x, y = torch.tensor([[a]], dtype=torch.float64), torch.tensor([[b]], dtype=torch.float64)
    for name in ("kl", "js"):
        loss = Bernoulli().distance(name, temperature=t)
        assert loss(x, x).item() == pytest.approx(0, abs=1e-12)
        assert loss(x, y).item() >= -1e-12
        # Off is as good a name as on.
        assert loss(x, y).item() == pytest.approx(loss(-x, -y).item(), rel=1e-9, abs=1e-9)


@few
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 99))
def test_the_mean_over_rows_is_that_over_labelled_rows(rows: list[bool], seed: int) -> None:
    labelled, n, k = torch.tensor(rows), len(rows), 3
    logits, fake = draw((n, k), torch.float64, seed), part((n, k), torch.float64, seed + 1)
    for family, targets, missing in (
        (Categorical(), torch.randint(k, (n,), generator=seeded(seed)), -1),
        (Categorical(), part((n, k), torch.float64, seed + 2).softmax(-1), math.nan),
        (Bernoulli(), part((n, k), torch.float64, seed + 3), math.nan),
        (Bernoulli(), part((n, k), torch.float64, seed + 3).round().long(), -1),
    ):
        known = targets.clone()
        known[~labelled] = missing
        value = family.supervised(logits, known, labelled=labelled)
        assert (value[~labelled] == 0).all()
        false = family.discriminator_loss(logits, known, fake, labelled=torch.zeros(n, dtype=torch.bool))
        judged = family.discriminator_loss(logits, known, fake, labelled=labelled)
        if not any(rows):
            torch.testing.assert_close(judged, false)
            continue
        alone = family.supervised(logits[labelled], targets[labelled])
        torch.testing.assert_close(value.mean(), alone.mean())
        true = family.discriminator_loss(
            logits[labelled], targets[labelled], torch.zeros_like(fake[labelled])
        )
        # What a score has against it where no label was generated is no part of the true pairs.
        if isinstance(family, Bernoulli):
            true = true - family.discriminator_loss(
                logits[labelled],
                targets[labelled],
                fake[labelled] * 0,
                labelled=torch.zeros(sum(rows), dtype=torch.bool),
            )
        torch.testing.assert_close(judged.mean(), true.mean() + false.mean())


# Rows without a label


@pytest.mark.parametrize("k", [3, 5000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("form", ["indices", "weights", "labels"])
def test_what_stands_in_rows_without_a_label_reaches_nothing(form: str, smoothing: float, k: int) -> None:
    labelled = torch.tensor([True, False, True, False])
    family: Family = Bernoulli() if form == "labels" else Categorical()
    targets = torch.tensor([1, -1, 2, -1]) if form == "indices" else part((4, k), torch.float32, 50)
    if form != "indices":
        targets = targets.softmax(-1)
        targets[~labelled] = math.nan
    logits = draw((4, k), torch.float32, 51)
    logits[1, 0] = -1e30  # nor a class that cannot be
    logits.requires_grad_()
    fake = part((4, k), torch.float32, 52)
    value = family.supervised(logits, targets, labelled=labelled, smoothing=smoothing)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert (value[~labelled] == 0).all()
    assert (gradient[~labelled] == 0).all()
    alone = family.supervised(logits[labelled], targets[labelled], smoothing=smoothing)
    torch.testing.assert_close(value[labelled], 2 * alone)

    value = family.discriminator_loss(logits.clamp(-50), targets, fake, labelled=labelled)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient[3] != 0).any()  # its generated label counts


@pytest.mark.parametrize("family", FAMILIES, ids=["classes", "labels"])
def test_all_rows_labelled_is_to_the_bit_no_word_of_it(family: Family) -> None:
    logits, fake, u = (
        draw((6, 3), torch.float32, 53),
        part((6, 3), torch.float32, 54),
        part((6, 3), torch.float32, 55),
    )
    every = torch.ones(6, dtype=torch.bool)
    assert torch.equal(family.supervised(logits, u, labelled=every), family.supervised(logits, u))
    assert torch.equal(
        family.discriminator_loss(logits, u, fake, labelled=every), family.discriminator_loss(logits, u, fake)
    )


@pytest.mark.parametrize("family", FAMILIES, ids=["classes", "labels"])
@pytest.mark.parametrize("labelled", [torch.ones(3), torch.ones(2, dtype=torch.bool), torch.ones(3, 4) > 0])
def test_rows_must_say_whether_they_have_a_label(labelled: Tensor, family: Family) -> None:
    logits = torch.zeros(3, 4)
    for own in (None, lambda a, b: (a - b).sum(-1)):
        with refused("labelled must be (3,) of torch.bool", str(tuple(labelled.shape))):
            type(family)(loss=own).supervised(logits, logits, labelled=labelled)
    with refused("labelled must be (3,)"):
        family.discriminator_loss(logits, logits, logits, labelled=labelled)


# One class among K


def test_classes_have_the_losses_of_functions() -> None:
    family, y = Categorical(), torch.tensor([2, 0, 1])
    logits, scores = draw((3, 4), torch.float32, 60), draw((3, 4), torch.float32, 61)
    fake = family.generated_labels(scores)
    assert torch.equal(fake, generated_labels(scores))
    assert torch.equal(family.supervised(logits, y), cross_entropy(logits, y))
    assert torch.equal(
        Categorical(smoothing=0.1).supervised(logits, y), cross_entropy(logits, y, smoothing=0.1)
    )
    assert torch.equal(family.discriminator_loss(scores, y, fake), discriminator_loss(scores, y, fake))
    for estimator in ESTIMATORS:
        values = [
            f(logits, scores, estimator=estimator, tau=0.5, generator=seeded(62))
            for f in (family.generator_loss, generator_loss)
        ]
        assert torch.equal(*values)
    assert torch.equal(family.distance("l2")(logits, scores), l2(logits, scores))


@pytest.mark.parametrize("k", [4, 5000])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_weigh_what_is_lost_on_each_class(smoothing: float, k: int) -> None:
    logits, weights = draw((3, k), torch.float64, 63), part((k,), torch.float64, 64) + 0.5
    y = torch.tensor([2, 0, 3])
    q = torch.full((3, k), smoothing / k, dtype=torch.float64)
    q[torch.arange(3), y] += 1 - smoothing
    expected = -(weights * q * logits.log_softmax(-1)).sum(-1)
    family = Categorical(class_weights=weights, smoothing=smoothing)
    torch.testing.assert_close(family.supervised(logits, y), expected)
    rows = torch.zeros(3, k, dtype=torch.float64).scatter(1, y[:, None], 1.0)
    torch.testing.assert_close(family.supervised(logits, rows), expected)
    torch.testing.assert_close(
        cross_entropy(logits.view(1, 3, k), y.view(1, 3), class_weights=weights, smoothing=smoothing)[0],
        expected,
    )


@pytest.mark.parametrize(
    ("family", "share"), [(Categorical(), 0.25), (Bernoulli(), 0.5)], ids=["classes", "labels"]
)
def test_who_knows_nothing(family: Family, share: float) -> None:
    like = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(family.uniform(like), torch.full((3, 4), share, dtype=torch.float64))
    assert not family.uniform(like).requires_grad
    torch.testing.assert_close(family.probabilities(like.half()).float(), torch.full((3, 4), share))


# A supervised loss of one's own


def absolute(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean absolute error, which would not stand a NaN."""
    assert targets.isfinite().all()
    return (logits - targets).abs().mean(-1)


@pytest.mark.parametrize("family", [Categorical, Bernoulli])
def test_an_own_loss_sees_labelled_rows_alone(family: type[Family]) -> None:
    logits, u = draw((4, 3), torch.float64, 70).requires_grad_(), part((4, 3), torch.float64, 71)
    own = family(loss=absolute)
    torch.testing.assert_close(own.supervised(logits, u), absolute(logits, u))
    labelled = torch.tensor([False, True, True, True])
    u[0] = math.nan
    value = own.supervised(logits, u, labelled=labelled)
    assert value[0] == 0
    torch.testing.assert_close(value.mean(), absolute(logits[1:], u[1:]).mean())
    value.sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1:] != 0).all()


def test_an_own_loss_is_not_called_without_labels() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    labelled = torch.zeros(2, dtype=torch.bool)
    value = Bernoulli(loss=lambda a, b: 1 / 0).supervised(logits, logits.detach(), labelled=labelled)
    value.sum().backward()
    assert torch.equal(value, torch.zeros(2))
    assert torch.equal(logits.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("labelled", [None, torch.ones(3, dtype=torch.bool)], ids=["all", "by row"])
@pytest.mark.parametrize(
    ("own", "found"),
    [
        (lambda a, b: (a - b).abs(), "(3, 4)"),
        (lambda a, b: (a - b).mean(), "()"),
        (lambda a, b: "none", "str"),
    ],
)
def test_an_own_loss_must_give_one_value_per_example(
    own: Callable[..., Tensor], found: str, labelled: Tensor | None
) -> None:
    logits = torch.zeros(3, 4)
    with refused("a supervised loss must give one value per example, (3,)", f"not {found}"):
        Categorical(loss=own).supervised(logits, logits, labelled=labelled)


def test_what_an_own_loss_raises_is_one_line() -> None:
    def broken(logits: Tensor, targets: Tensor) -> Tensor:
        raise KeyError("a\nb")

    with pytest.raises(
        RunError, match=r"supervised loss .*broken, called with float32 \(.*, fails with KeyError"
    ) as caught:
        Categorical(loss=broken).supervised(torch.zeros(3, 4), torch.zeros(3))
    assert len(str(caught.value).splitlines()) == 1


# Settings


@pytest.mark.parametrize("family", [Categorical, Bernoulli])
@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"smoothing": 1.0}, ["smoothing must be a number in [0, 1), not 1.0"]),
        ({"smoothing": "0.1"}, ["smoothing must be a number in [0, 1), not '0.1'"]),
        ({"smoothing": math.nan}, ["smoothing must be a number in [0, 1)"]),
        ({"class_weights": [1.0, 2.0]}, ["class_weights must be a tensor (K,)", "[1.0, 2.0]"]),
        ({"class_weights": torch.ones(2, 2)}, ["class_weights must be a tensor (K,)"]),
        ({"class_weights": torch.tensor([1.0, math.nan])}, ["class_weights must be finite and at least 0"]),
        ({"class_weights": torch.tensor([1.0, -1.0])}, ["class_weights must be finite and at least 0"]),
        ({"class_weights": torch.zeros(2)}, ["class_weights must not all be 0, as in [0.0, 0.0]"]),
        ({"loss": "mse"}, ["loss must be a function", "'mse'"]),
        ({"loss": absolute, "smoothing": 0.1}, ["smoothing would not be used"]),
        ({"loss": absolute, "class_weights": torch.ones(2)}, ["class_weights would not be used"]),
    ],
)
def test_wrongthat_make_no_sense_are_refused(
    wrong: dict[str, object], parts: list[str], family: type[Family]
) -> None:
    with refused(*parts):
        family(**wrong)


@pytest.mark.parametrize("family", FAMILIES, ids=["classes", "labels"])
def test_what_does_not_fit_the_logits_is_refused(family: Family) -> None:
    logits = torch.zeros(3, 4)
    with refused("class_weights (3,)", "logits (3, 4)", "one for each of the 4"):
        type(family)(class_weights=torch.ones(3)).supervised(logits, torch.zeros(3, 4))
    with refused("smoothing would not be used"):
        type(family)(loss=absolute).supervised(logits, logits, smoothing=0.1)
    for targets in (torch.zeros(3, 5), torch.zeros(2, 4), torch.zeros(4)):
        for labelled in (None, torch.ones(3, dtype=torch.bool)):
            with refused(str(tuple(targets.shape)), "(3, 4)"):
                family.supervised(logits, targets, labelled=labelled)
            with refused(str(tuple(targets.shape)), "(3, 4)"):
                family.discriminator_loss(logits, targets, logits, labelled=labelled)
    with refused("(3, 5)"):
        family.discriminator_loss(logits, torch.zeros(3, 4), torch.zeros(3, 5))
    with refused("(2, 4)"):
        family.generator_loss(logits, torch.zeros(2, 4))
    with refused("(2, 4)"):
        family.distance("kl")(logits, torch.zeros(2, 4))
    with refused("'gumbel'", *ESTIMATORS):
        family.generated_labels(logits, estimator="gumbel")
    with refused("'cosine'"):
        family.distance("cosine")


def test_class_indices_are_no_labels() -> None:
    with refused("targets of shape (3,)", "several labels have targets (..., K)"):
        Bernoulli().supervised(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("family", [Categorical, Bernoulli])
def test_a_family_moves_with_its_weights(family: type[Family]) -> None:
    plain = family(smoothing=0.1)
    assert plain.to("meta") is plain
    moved = family(class_weights=torch.ones(4), smoothing=0.1).to(torch.device("cpu"))
    assert (moved.smoothing, moved.class_weights.device.type) == (0.1, "cpu")
    assert {Categorical.name, Bernoulli.name} == {"classes", "labels"}
