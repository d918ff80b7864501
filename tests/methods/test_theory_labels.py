"""The theory of the game of several labels, each on or off, on tables small enough to know how likely each is."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdgan.losses import Bernoulli

X, K = 4, 3
SEEDS = (0, 1, 2)
GAME = Bernoulli()


def table(seed: int, scale: float = 1.5, copies: int = 1) -> Tensor:
    logits = scale * torch.randn(X, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits.repeat(copies, 1)


def best_scores(u: Tensor, f: Tensor) -> Tensor:
    """g of the best D: the logit of (1 + u − f) / 2."""
    return ((1 + u - f) / 2).logit()


def entropy(m: Tensor) -> Tensor:
    return -(m * m.log() + (1 - m) * (1 - m).log())


def farthest(logits: Tensor, u: Tensor) -> float:
    """The largest error of a probability."""
    return float((logits.detach().sigmoid() - u).abs().max())


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_discriminator_of_labels(seed: int, alpha: float) -> None:
    u = table(seed).sigmoid()
    f = alpha * table(seed + 10).sigmoid() + (1 - alpha) * table(seed + 20).sigmoid()
    scores = table(seed + 30).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scores], max_iter=200, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = GAME.discriminator_loss(scores, u, f).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(scores.detach().sigmoid(), (1 + u - f) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_value_at_the_best_discriminator_is_lowest_at_the_truth_alone(seed: int) -> None:
    u, f = table(seed).sigmoid(), table(seed + 10).sigmoid()

    def value(shown: Tensor) -> Tensor:
        return -GAME.discriminator_loss(best_scores(u, shown), u, shown)

    torch.testing.assert_close(value(f), -2 * entropy((1 + u - f) / 2).mean(-1))
    torch.testing.assert_close(value(u), torch.full((X,), -math.log(4), dtype=torch.float64))
    assert (value(f) > -math.log(4)).all()
    # Strictly convex along every line: no second minimum.
    assert (value((u + f) / 2) < (value(u) + value(f)) / 2).all()
    # And any other D has a lower value.
    for nudge in (0.1, -0.1):
        assert (-GAME.discriminator_loss(best_scores(u, f) + nudge, u, f) < value(f)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_equilibrium_of_labels_nobody_moves(seed: int) -> None:
    u = table(seed).sigmoid()
    c, t = u.logit().requires_grad_(), u.logit().requires_grad_()
    scores = best_scores(u, u).requires_grad_()
    for name in ("l2", "kl", "js"):
        follow = GAME.distance(name)
        losses = {
            "c": (GAME.generator_loss(c, scores) + follow(c, t), c),
            "t": (GAME.generator_loss(t, scores) + follow(t, c), t),
            "d": (GAME.discriminator_loss(scores, u, c.sigmoid()), scores),
        }
        for loss, player in losses.values():
            (gradient,) = torch.autograd.grad(loss.sum(), player)
            torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_player_moves_towards_the_truth_wherever_it_is(seed: int) -> None:
    u, logits = table(seed).sigmoid(), table(seed + 10).requires_grad_()
    f = logits.detach().sigmoid()
    GAME.generator_loss(logits, best_scores(u, f)).sum().backward()
    assert logits.grad is not None
    assert torch.equal((-logits.grad).sign(), (u - f).sign())


def descend(losses: Callable[[], list[Tensor]], players: list[Tensor], steps: int) -> None:
    """Each player down its own loss, all at once, in steps whose size is free of how small a gradient is."""
    optimizer = torch.optim.Adam(players, lr=0.1, betas=(0.5, 0.9))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
        found = [torch.autograd.grad(loss.sum(), p)[0] for loss, p in zip(losses(), players, strict=True)]
        for player, gradient in zip(players, found, strict=True):
            player.grad = gradient
        optimizer.step()


@pytest.mark.parametrize("seed", SEEDS)
def test_descent_against_the_best_discriminator_reaches_the_truth(seed: int) -> None:
    u, c = table(seed).sigmoid(), table(seed + 10).requires_grad_()
    assert farthest(c, u) > 0.2
    descend(lambda: [GAME.generator_loss(c, best_scores(u, c.detach().sigmoid()))], [c], 400)
    assert farthest(c, u) < 1e-3


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize(("seed", "alpha"), [(0, 0.3), (1, 0.7)])
def test_two_players_reach_it_together_where_they_follow_each_other(
    seed: int, alpha: float, weight: float
) -> None:
    """Without the distances their mixture does, and they need not."""
    u = table(seed).sigmoid()
    c, t = table(seed + 10).requires_grad_(), table(seed + 20).requires_grad_()
    follow = GAME.distance("kl")

    def losses() -> list[Tensor]:
        scores = best_scores(u, (alpha * c.sigmoid() + (1 - alpha) * t.sigmoid()).detach())
        return [
            alpha * GAME.generator_loss(c, scores) + weight * follow(c, t),
            (1 - alpha) * GAME.generator_loss(t, scores) + weight * follow(t, c),
        ]

    descend(losses, [c, t], 600)
    mixture = alpha * c.detach().sigmoid() + (1 - alpha) * t.detach().sigmoid()
    assert (mixture - u).abs().max() < 1e-3
    apart = max(farthest(c, u), farthest(t, u))
    assert apart < 1e-3 if weight else apart > 0.05


@pytest.mark.parametrize(
    ("estimator", "within"),
    [("exact", 0.02), ("concrete", 0.1), ("reinforce", 0.1), ("reinforce-baseline", 0.1)],
)
def test_a_learning_discriminator_is_enough(estimator: str, within: float) -> None:
    """All three by gradient steps, as in Algorithm 1, from samples of the labels or their probabilities."""
    copies, steps = (1, 1000) if estimator == "exact" else (64, 500)
    alpha = 0.5
    u = table(0).sigmoid()
    c, t, g = (table(seed).requires_grad_() for seed in (10, 20, 30))
    assert min(farthest(c, u), farthest(t, u)) > 0.3
    generator = torch.Generator().manual_seed(0)
    optimizers = [
        torch.optim.Adam([p], lr=rate, betas=(0.9, 0.99)) for p, rate in ((g, 0.2), (t, 0.05), (c, 0.05))
    ]
    follow, tau = GAME.distance("kl"), 0.5
    many = (copies, 1)

    def show(logits: Tensor) -> Tensor:
        return GAME.generated_labels(logits.repeat(many), estimator=estimator, generator=generator)

    def fool(logits: Tensor) -> Tensor:
        return GAME.generator_loss(
            logits.repeat(many), g.repeat(many), estimator=estimator, tau=tau, generator=generator
        )

    for step in range(steps):
        fake = alpha * show(c) + (1 - alpha) * show(t)
        losses = (
            lambda fake=fake: GAME.discriminator_loss(g.repeat(many), u.repeat(many), fake),
            lambda: (1 - alpha) * fool(t) + follow(t, c).repeat(copies),
            lambda: alpha * fool(c) + follow(c, t).repeat(copies),
        )
        for optimizer, loss in zip(optimizers, losses, strict=True):
            optimizer.param_groups[0]["lr"] *= 0.99 if step > steps / 2 else 1.0
            optimizer.zero_grad()
            loss().mean().backward()
            optimizer.step()
    assert max(farthest(c, u), farthest(t, u)) < within
