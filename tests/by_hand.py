"""Players, batches, and a step of every player by hand: losses from probabilities, rates from their formula."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods import METHODS, Losses, Method, Optimization, create
from kdgan.nets import WithPrivileged, mlp

B, F, P, K = 6, 5, 3, 4
RATE, DECAY, WARMUP = 0.01, 0.05, 0.2
ROLES = ("student", "teacher", "discriminator")
ALL = (*ROLES, "peer")
LEARNING = Optimization(lr=RATE, weight_decay=DECAY, warmup=WARMUP)
STILL = Optimization(lr=1e-12, schedule="constant")
SAMPLED = ("concrete", "reinforce", "reinforce-baseline")
GAMES = ("nagan", "kdgan")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    *((name, {"estimator": estimator}) for name in GAMES for estimator in SAMPLED),
]
"""Every method, and every way to sample in it."""


def titles(variants: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return ["-".join([name, *hyper.values()]) for name, hyper in variants]


# Players


def player(role: str, *, privileged: bool = False) -> nn.Module:
    if privileged and role != "student":
        return WithPrivileged(nn.Linear(F, 6), mlp(6 + P, [7], K)).double()
    return mlp(F, [8], K).double()


def players(seed: int = 0, *, privileged: bool = False) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    return {role: player(role, privileged=privileged) for role in ROLES}


def all_players(seed: int = 0, *, privileged: bool = False) -> dict[str, nn.Module]:
    """Those, and the third network of co-distillation."""
    return {**players(seed, privileged=privileged), "peer": player("peer", privileged=privileged)}


def make(name: str, modules: Mapping[str, nn.Module], hyper: Mapping[str, Any] | None = None) -> Method:
    return create(name, modules, hyper, optimization=LEARNING)


class Peculiar(nn.Module):
    """Batch normalisation and dropout: a forward in training mode leaves a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(F, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, K))
        self.layers.double()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)


class Recorder(nn.Module):
    """Notes how it is called."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls: list[tuple[Tensor, ...]] = []

    def forward(self, *arguments: Tensor) -> Tensor:
        self.calls.append(arguments)
        return self.inner(*arguments)


def batch(seed: int = 0, *, privileged: bool = False, weights: bool = False) -> Batch:
    g = torch.Generator().manual_seed(seed)
    targets = torch.randint(K, (B,), generator=g)
    soft = torch.randn(B, K, generator=g, dtype=torch.float64).softmax(-1)
    extra = torch.randn(B, P, generator=g, dtype=torch.float64) if privileged else None
    inputs = torch.randn(B, F, generator=g, dtype=torch.float64)
    return Batch(inputs, soft if weights else targets, extra)


def blobs() -> tuple[Tensor, Tensor]:
    """Three classes of vectors that are easily told apart."""
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=g)
    return 4 * torch.eye(3, 8)[labels] + torch.randn(300, 8, generator=g), labels


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(module: nn.Module, before: Mapping[str, Tensor]) -> bool:
    """To the bit, buffers included."""
    now = module.state_dict()
    return all(torch.equal(now[name], value) for name, value in before.items())


def gradients(module: nn.Module) -> Tensor:
    """All of them in one vector, zeros where there is none."""
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in module.parameters()]
    )


# Losses


def softmax(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum(1, keepdim=True)


def sigmoid(scores: Tensor) -> Tensor:
    return 1 / (1 + (-scores).exp())


def distance_by_hand(name: str, logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    target = target.detach()
    if name == "l2":
        return ((logits - target) ** 2).sum(1) / K
    p, q = softmax(logits / temperature), softmax(target / temperature)
    if name == "kl":
        return temperature**2 * (q * (q / p).log()).sum(1)
    m = (p + q) / 2
    return temperature**2 * ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)) / 2


def true_weights(data: Batch) -> Tensor:
    return data.targets if data.targets.ndim == 2 else torch.eye(K, dtype=torch.float64)[data.targets]


def label_loss(logits: Tensor, data: Batch, smoothing: float = 0.0) -> Tensor:
    target = (1 - smoothing) * true_weights(data) + smoothing / K
    return -(target * softmax(logits).log()).sum(1)


def d_loss(scores: Tensor, data: Batch, fake: Tensor) -> Tensor:
    p_d = sigmoid(scores)
    return -(true_weights(data) * p_d.log()).sum(1) - (fake.detach() * (1 - p_d).log()).sum(1)


def g_loss(logits: Tensor, scores: Tensor) -> Tensor:
    return (softmax(logits) * (1 - sigmoid(scores.detach())).log()).sum(1)


# Steps


class ByHand:
    """Copies of the players, and a step of each.

    Attributes:
        updates: how many there were.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = {role: copy.deepcopy(module) for role, module in modules.items()}
        self.optimizers = {
            role: torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY, fused=False)
            for role, module in self.modules.items()
        }
        self.updates = 0

    def see(self, role: str, data: Batch) -> Tensor:
        if role == "student" or data.privileged is None:
            return self.modules[role](data.inputs)
        return self.modules[role](data.inputs, data.privileged)

    def learn(self, role: str, loss: Tensor, progress: float) -> None:
        rate = RATE * max(progress / WARMUP, 0.01)
        if progress >= WARMUP:
            rate = RATE * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP))) / 2
        optimizer = self.optimizers[role]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        (loss.sum() / len(loss)).backward()
        optimizer.step()


Step = Callable[[ByHand, Batch, float], Losses]


def agree(
    method: Method, hand: ByHand, step: Step, *, privileged: bool = False, weights: bool = False
) -> None:
    """Three updates of both, in warm-up, at its end and after, leave the same weights and report the same."""
    before = weights_of(method.student.module)
    for seed, progress in enumerate((0.0, 0.2, 0.7)):
        data = batch(seed, privileged=privileged, weights=weights)
        losses = method.update(data, progress)
        expected = step(hand, data, progress)
        hand.updates += 1
        assert losses.keys() == expected.keys(), (losses.keys(), expected.keys())
        for name, value in losses.items():
            assert value.shape == ()
            assert not value.requires_grad
            torch.testing.assert_close(value, expected[name].detach().mean(), rtol=1e-9, atol=1e-12)
    for role, owned in method.players.items():
        for name, value in owned.module.state_dict().items():
            other = hand.modules[role].state_dict()[name]
            torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-11, msg=f"{role} {name}")
    assert not same(method.student.module, before)
