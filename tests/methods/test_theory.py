"""The theory of the paper on games small enough to know p_u: one table of logits per player, no samples of y."""

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.losses import discriminator_loss, distance, generator_loss
from kdgan.methods import KDGAN, DiscriminatorPretraining, Optimization, create, pretraining
from kdgan.nets import mlp

X, K = 4, 3
SEEDS = (0, 1, 2)


class Table(nn.Module):
    """A player that knows each x by its number, with logits of its own for it."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[x]


class Game:
    """A known p_u and three players drawn at random; a batch holds every x with its true distribution."""

    def __init__(self, seed: int, copies: int = 1) -> None:
        g = torch.Generator().manual_seed(seed)

        def table(scale: float) -> Tensor:
            return scale * torch.randn(X, K, generator=g, dtype=torch.float64)

        self.p_u = table(1.0).softmax(-1)
        self.players: dict[str, nn.Module] = {
            role: Table(table(1.5)) for role in ("student", "teacher", "discriminator")
        }
        self.batch = Batch(torch.arange(X).repeat(copies), self.p_u.repeat(copies, 1))

    def p(self, role: str) -> Tensor:
        return self.players[role].logits.detach().softmax(-1)

    def distance_to_truth(self, role: str) -> float:
        """The largest total variation between the player and p_u over all x."""
        return float((self.p(role) - self.p_u).abs().sum(-1).max() / 2)

    def best_scores(self, p_fake: Tensor) -> Tensor:
        """g of the best D (Eq. 4): the logit of p_u / (p_u + p_fake)."""
        return self.p_u.log() - p_fake.log()


def learning(**rates: float) -> Mapping[str, Optimization]:
    return {role: Optimization(lr=rate, warmup=0.0) for role, rate in rates.items()}


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen–Shannon, from its definition."""
    m = (p + q) / 2
    return ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2


def value_of_the_game(
    scores: Tensor, p_u: Tensor, c: Tensor, t: Tensor, alpha: float, beta: float = 0.0, gamma: float = 0.0
) -> Tensor:
    """U of Eq. 3 for each x, through the library's losses."""
    fake = alpha * c.softmax(-1) + (1 - alpha) * t.softmax(-1)
    follow = distance("kl")
    return -discriminator_loss(scores, p_u, fake) + beta * follow(c, t) + gamma * follow(t, c)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_discriminator_is_equation_4(seed: int, alpha: float) -> None:
    game = Game(seed)
    p_alpha = alpha * game.p("student") + (1 - alpha) * game.p("teacher")
    discriminator = game.players["discriminator"]
    optimizer = torch.optim.LBFGS(
        discriminator.parameters(), max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = discriminator_loss(discriminator(game.batch.inputs), game.p_u, p_alpha).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    p_d = discriminator(game.batch.inputs).detach().sigmoid()
    torch.testing.assert_close(p_d, game.p_u / (game.p_u + p_alpha), rtol=1e-4, atol=1e-5)


def test_pretraining_alone_teaches_the_discriminator_true_against_uniform() -> None:
    game = Game(0)
    discriminator = game.players["discriminator"]
    method = pretraining("discriminator", discriminator, optimization=Optimization(lr=0.1, warmup=0.0))
    assert isinstance(method, DiscriminatorPretraining)
    for step in range(400):
        method.update(game.batch, step / 400)
    p_d = discriminator(game.batch.inputs).detach().sigmoid()
    torch.testing.assert_close(p_d, game.p_u / (game.p_u + 1 / K), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(0.5, 0.0, 0.0), (0.3, 2.0, 0.5), (1.0, 0.1, 10.0)])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_value_at_the_best_discriminator_is_equation_5(
    seed: int, alpha: float, beta: float, gamma: float
) -> None:
    game = Game(seed)
    c, t = game.players["student"].logits.detach(), game.players["teacher"].logits.detach()
    p_c, p_t = game.p("student"), game.p("teacher")
    p_alpha = alpha * p_c + (1 - alpha) * p_t
    best = game.best_scores(p_alpha)

    u = value_of_the_game(best, game.p_u, c, t, alpha, beta, gamma)

    kl_ct, kl_tc = (p_t * (p_t / p_c).log()).sum(-1), (p_c * (p_c / p_t).log()).sum(-1)
    expected = 2 * divergence(game.p_u, p_alpha) + beta * kl_ct + gamma * kl_tc - math.log(4)
    torch.testing.assert_close(u, expected)
    # And it is the best: any other D has a lower value.
    for nudge in (0.1, -0.1):
        worse = value_of_the_game(best + nudge, game.p_u, c, t, alpha, beta, gamma)
        assert (worse < u).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_equilibrium_the_value_is_minus_log_4_and_nobody_moves(seed: int) -> None:
    game = Game(seed)
    logits = {role: (game.p_u.log() + seed).requires_grad_() for role in ("c", "t")}
    scores = game.best_scores(game.p_u).requires_grad_()
    alpha, beta, gamma = 0.3, 2.0, 0.5

    u = value_of_the_game(scores, game.p_u, logits["c"], logits["t"], alpha, beta, gamma)
    torch.testing.assert_close(u, torch.full((X,), -math.log(4), dtype=torch.float64))

    fools_c, fools_t = generator_loss(logits["c"], scores), generator_loss(logits["t"], scores)
    follow = distance("kl")
    c_loss = alpha * fools_c + beta * follow(logits["c"], logits["t"])
    t_loss = (1 - alpha) * fools_t + gamma * follow(logits["t"], logits["c"])
    d_loss = discriminator_loss(scores, game.p_u, logits["c"].softmax(-1))
    for loss, player in ((c_loss, logits["c"]), (t_loss, logits["t"]), (d_loss, scores)):
        (gradient,) = torch.autograd.grad(loss.sum(), player)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def play(game: Game, name: str, steps: int, hyper: Mapping[str, Any]) -> None:
    rates = learning(student=0.05, teacher=0.05, discriminator=0.2)
    method = create(name, game.players, hyper, optimization=rates)
    for step in range(steps):
        method.update(game.batch, step / steps)


@pytest.mark.parametrize(
    ("seed", "d_steps", "supervision"), [(0, 1, 0.0), (1, 1, 0.0), (2, 2, 0.0), (1, 1, 0.5)]
)
def test_kdgan_reaches_its_equilibrium(seed: int, d_steps: int, supervision: float) -> None:
    """The same one with the true labels in the losses of C and T."""
    game = Game(seed)
    assert min(game.distance_to_truth(role) for role in ("student", "teacher")) > 0.1
    hyper = {"distillation": "kl", "temperature": 1.0, "d_steps": d_steps, "supervision": supervision}

    play(game, "kdgan", 400, hyper)

    for role in ("student", "teacher"):
        assert game.distance_to_truth(role) < 0.02
    c, t, g = (game.players[role].logits.detach() for role in ("student", "teacher", "discriminator"))
    u = value_of_the_game(g, game.p_u, c, t, 0.5, 1.0, 0.1)
    torch.testing.assert_close(u, torch.full_like(u, -math.log(4)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("estimator", ["concrete", "reinforce", "reinforce-baseline"])
def test_kdgan_nears_its_equilibrium_by_samples(estimator: str) -> None:
    game = Game(0, copies=64)
    assert min(game.distance_to_truth(role) for role in ("student", "teacher")) > 0.2
    hyper = {"distillation": "kl", "temperature": 1.0, "supervision": 0.0, "estimator": estimator}
    play(game, "kdgan", 300, hyper)
    for role in ("student", "teacher"):
        assert game.distance_to_truth(role) < 0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_nagan_reaches_its_equilibrium(seed: int) -> None:
    game = Game(seed)
    assert game.distance_to_truth("student") > 0.1
    play(game, "nagan", 400, {"d_steps": 2})
    assert game.distance_to_truth("student") < 0.02
    p_d = game.players["discriminator"].logits.detach().sigmoid()
    torch.testing.assert_close(p_d, torch.full_like(p_d, 0.5), rtol=0, atol=0.01)


# Variance (Eqs. 6 and 7), with real networks on real images.


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)


@pytest.fixture(scope="module")
def pretrained(digits: tuple[Tensor, Tensor]) -> dict[str, nn.Module]:
    """The three players after line 1 of Algorithm 1."""
    torch.manual_seed(0)
    widths = {"student": [16], "teacher": [32], "discriminator": [32]}
    players: dict[str, nn.Module] = {role: mlp(64, hidden) for role, hidden in widths.items()}
    for role, module in players.items():
        method = pretraining(role, module, optimization=Optimization(lr=5e-3, schedule="constant"))
        for batch in minibatches(digits, 100, seed=1):
            method.update(batch, 0.5)
    return players


def minibatches(digits: tuple[Tensor, Tensor], count: int, seed: int) -> Iterator[Batch]:
    g = torch.Generator().manual_seed(seed)
    x, y = digits
    for _ in range(count):
        rows = torch.randint(len(x), (32,), generator=g)
        yield Batch(x[rows], y[rows])


def gradients(
    players: Mapping[str, nn.Module], digits: tuple[Tensor, Tensor], tau: float, **hyper: Any
) -> np.ndarray:
    """C's gradient in KDGAN's own update, for each of 60 minibatches, the players staying where they are.

    α and β scale the two terms; one seed gives every call the same minibatches and the same samples.
    """
    players = {role: copy.deepcopy(module) for role, module in players.items()}
    tiny = Optimization(lr=1e-12, schedule="constant")
    method = KDGAN(**players, **hyper, supervision=0.0, tau_start=tau, tau_end=tau, optimization=tiny, seed=3)
    rows = []
    for batch in minibatches(digits, 60, seed=2):
        method.update(batch, 0.5)
        rows.append(torch.cat([p.grad.flatten() for p in players["student"].parameters()]))
    return torch.stack(rows).double().numpy()


def variance(rows: np.ndarray) -> float:
    """The total variance: the trace of the covariance matrix."""
    return float(rows.var(axis=0, ddof=1).sum())


SETTINGS = [
    ("concrete", 1.0, "kl"),
    ("concrete", 0.1, "kl"),
    ("reinforce", 1.0, "kl"),
    ("reinforce-baseline", 1.0, "kl"),
    ("concrete", 1.0, "l2"),
    ("concrete", 0.1, "l2"),
]


@pytest.mark.parametrize(("estimator", "tau", "distillation"), SETTINGS)
def test_distillation_lowers_the_variance_of_the_gradient(
    pretrained: dict[str, nn.Module],
    digits: tuple[Tensor, Tensor],
    estimator: str,
    tau: float,
    distillation: str,
) -> None:
    fixed = {"estimator": estimator, "distillation": distillation, "temperature": 1.0}
    adversarial = gradients(pretrained, digits, tau, alpha=1.0, beta=0.0, **fixed)
    distilled = gradients(pretrained, digits, tau, alpha=0.0, beta=1.0, **fixed)
    of_ad, of_ds = variance(adversarial), variance(distilled)
    assert min(of_ad, of_ds) > 1e-4

    if (distillation, tau) != ("l2", 1.0):
        # The premise of Eq. 7. At τ = 1 the concrete gradient is so quiet that L2 on logits exceeds it.
        assert of_ds <= of_ad
    for share in (0.3, 0.7):
        mixed = gradients(pretrained, digits, tau, alpha=share, beta=1 - share, **fixed)
        # Eq. 6: what C follows is the mixture of the two, λ = α / (α + β).
        np.testing.assert_allclose(mixed, share * adversarial + (1 - share) * distilled, atol=1e-4)
        # Its variance, by the lemma Cov(X, Y) ≤ √(Var X · Var Y).
        of_u = variance(mixed)
        bound = (share * math.sqrt(of_ad) + (1 - share) * math.sqrt(of_ds)) ** 2
        assert of_u <= bound * (1 + 1e-3) <= max(of_ad, of_ds) * (1 + 2e-3)
        if of_ds <= of_ad:  # Eq. 7
            assert of_u <= of_ad


def test_a_falling_tau_makes_the_adversarial_gradient_noisier(
    pretrained: dict[str, nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    fixed = {"estimator": "concrete", "alpha": 1.0, "beta": 0.0}
    hot, cold = (variance(gradients(pretrained, digits, tau, **fixed)) for tau in (1.0, 0.1))
    assert cold > 3 * hot
