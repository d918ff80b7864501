"""The concrete distribution: its formula, its samples and its temperature."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from kdgan.losses import annealed, concrete, gumbel, pseudo_labels
from support import refused

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
few = settings(max_examples=30, database=None, derandomize=True)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fits(counts: Tensor, probabilities: Tensor) -> bool:
    """A chi-square test does not reject, at one in a thousand."""
    expected = probabilities / probabilities.sum() * counts.sum()
    return bool(stats.chisquare(counts.double().numpy(), expected.double().numpy()).pvalue > 1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gumbel_noise_is_gumbel(dtype: torch.dtype) -> None:
    noise = gumbel(torch.empty(20_000, dtype=dtype), generator=seeded(0))
    assert noise.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert stats.kstest(noise.double().numpy(), "gumbel_r").pvalue > 1e-3


def test_gumbel_noise_is_finite_when_a_draw_rounds_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self, **_: self.zero_())
    for dtype in DTYPES:
        assert gumbel(torch.empty(3, dtype=dtype)).isfinite().all()


def test_gumbel_noise_carries_no_gradient() -> None:
    assert not gumbel(torch.zeros(2, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("tau", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("k", [2, 10, 200])
def test_concrete_is_equation_9(k: int, leading: tuple[int, ...], tau: float) -> None:
    logits = torch.randn(*leading, k, generator=seeded(1), dtype=torch.float64)
    noise = gumbel(logits, generator=seeded(2))

    sample = concrete(logits, tau=tau, generator=seeded(2))

    assert sample.shape == logits.shape
    flat = zip(logits.reshape(-1, k).tolist(), noise.reshape(-1, k).tolist(), strict=True)
    rows = []
    for row, drawn in flat:
        total = sum(math.exp(v) for v in row)
        powers = [
            math.exp((math.log(math.exp(v) / total) + g) / tau) for v, g in zip(row, drawn, strict=True)
        ]
        rows.append([p / sum(powers) for p in powers])
    expected = torch.tensor(rows, dtype=torch.float64).reshape(logits.shape)
    torch.testing.assert_close(sample, expected)


@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_concrete_passes_gradcheck(tau: float) -> None:
    logits = torch.randn(3, 4, generator=seeded(3), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: concrete(a, tau=tau, generator=seeded(4)), (logits,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0])
def test_concrete_at_extreme_logits(tau: float, dtype: torch.dtype) -> None:
    rows = [[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [0.0, 0.0, 1e4]]
    logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
    sample = concrete(logits, tau=tau, generator=seeded(5))
    (sample * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    torch.testing.assert_close(sample.sum(-1), torch.ones_like(sample[:, 0]))
    assert sample[0, 0] == 1
    assert sample[1, 2] == 0


def test_tau_runs_from_one_label_to_no_label() -> None:
    logits = torch.randn(5, generator=seeded(6)).expand(2_000, 5)
    cold = concrete(logits, tau=1e-3, generator=seeded(7)).amax(-1)
    assert (cold > 0.99).float().mean() > 0.97
    hot = concrete(logits, tau=1e3, generator=seeded(7))
    assert (hot - 1 / 5).abs().max() < 0.01
    spread = [concrete(logits, tau=tau, generator=seeded(8)).var(0).sum() for tau in (0.1, 0.5, 1, 5)]
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pseudo_labels_follow_the_softmax(dtype: torch.dtype) -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0], dtype=dtype)
    labels = pseudo_labels(logits.expand(40_000, 5), generator=seeded(9))
    assert ((labels == 0) | (labels == 1)).all()
    assert (labels.sum(-1) == 1).all()
    assert fits(labels.sum(0), logits.double().softmax(-1))


@pytest.mark.parametrize("tau", [0.1, 1.0, 5.0])
def test_the_largest_component_follows_the_softmax_at_any_tau(tau: float) -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    sample = concrete(logits.expand(40_000, 5), tau=tau, generator=seeded(10))
    assert fits(sample.argmax(-1).bincount(minlength=5), logits.softmax(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_pseudo_labels_at_extreme_logits(dtype: torch.dtype) -> None:
    logits = torch.tensor([-1e4, 1e4, 0.0, 1e4], dtype=dtype).expand(4_000, 4)
    counts = pseudo_labels(logits, generator=seeded(11)).sum(0)
    assert counts[0] == counts[2] == 0
    assert fits(counts[[1, 3]], torch.ones(2))


def test_each_example_is_drawn_on_its_own() -> None:
    labels = pseudo_labels(torch.zeros(2, 3_000, 2), generator=seeded(12))[..., 0]
    pairs = (2 * labels[0] + labels[1]).long().bincount(minlength=4)
    assert fits(pairs, torch.ones(4))
    neighbours = (2 * labels[0, ::2] + labels[0, 1::2]).long().bincount(minlength=4)
    assert fits(neighbours, torch.ones(4))


def test_pseudo_labels_carry_no_gradient() -> None:
    assert not pseudo_labels(torch.zeros(2, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("draw", [gumbel, concrete, pseudo_labels])
def test_a_generator_makes_draws_repeatable(draw: object) -> None:
    assert callable(draw)
    logits = torch.zeros(50, 4)
    first, again, other = (draw(logits, generator=seeded(seed)) for seed in (13, 13, 14))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    before = torch.get_rng_state()
    draw(logits, generator=seeded(13))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("tau", [0.0, -0.5, float("nan")])
def test_bad_tau_is_refused(tau: float) -> None:
    with refused(f"tau {tau}"):
        concrete(torch.zeros(2, 3), tau=tau)


def test_annealed_runs_from_1_to_a_tenth() -> None:
    assert annealed(0.0) == 1.0
    assert annealed(1.0) == pytest.approx(0.1, rel=1e-12)
    assert annealed(0.5) == pytest.approx(math.sqrt(0.1))
    assert annealed(0.25, start=16.0, end=1.0) == pytest.approx(8.0)


@few
@given(
    a=st.floats(0, 1),
    b=st.floats(0, 1),
    start=st.floats(0.01, 10),
    end=st.floats(0.01, 10),
)
def test_annealed_is_geometric(a: float, b: float, start: float, end: float) -> None:
    middle = annealed((a + b) / 2, start=start, end=end)
    ends = annealed(a, start=start, end=end) * annealed(b, start=start, end=end)
    assert middle**2 == pytest.approx(ends, rel=1e-9)
    low, high = sorted((start, end))
    assert low * (1 - 1e-9) <= middle <= high * (1 + 1e-9)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.1), (1.0, 0.0), (1.0, -0.1), (-1.0, 0.1)])
def test_annealing_between_bad_temperatures_is_refused(start: float, end: float) -> None:
    with refused(f"from {start} to {end}"):
        annealed(0.5, start=start, end=end)
