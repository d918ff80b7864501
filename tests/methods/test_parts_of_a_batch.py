"""A batch through a network in parts: the step of the whole, in the memory of a part."""

import copy

import pytest
import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.forms import Pieces
from kdgan.losses import cross_entropy
from kdgan.methods import Optimization, Player


class Watched(nn.Module):
    """Remembers how many examples it is called with, and normalises by running statistics."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)
        self.last, self.dropout = nn.Linear(8, 3), nn.Dropout(dropout)
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.last(self.dropout(self.norm(self.first(x)).tanh()))  # type: ignore[no-any-return]


def stepped(count: int, module: nn.Module, batch: Batch) -> tuple[Player, Tensor]:
    """A player after one step, and the step."""
    player = Player("student", module, Optimization(lr=0.01, schedule="constant", accumulate=count))
    before = torch.cat([p.detach().flatten().clone() for p in module.parameters()])
    logits = player(batch)
    # A loss that looks at the examples together, as features' relations do.
    values = cross_entropy(logits, batch.targets) + (logits - logits.mean(0)).square().sum(1)
    player.learn({"both": (1.0, values)}, 0.0)
    return player, torch.cat([p.detach().flatten() for p in module.parameters()]) - before


@pytest.mark.parametrize("count", [2, 3, 5, 50])
def test_a_step_in_parts_is_the_step_of_the_whole(count: int) -> None:
    batch = Batch(torch.randn(7, 6, generator=torch.Generator().manual_seed(1)), torch.arange(7) % 3)

    def made() -> nn.Module:
        torch.manual_seed(2)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    batch = Batch(batch.tensor.double(), batch.targets)
    _, whole = stepped(1, made(), batch)
    _, step = stepped(count, made(), batch)
    torch.testing.assert_close(step, whole, rtol=1e-6, atol=1e-9)


def test_no_more_than_a_part_is_in_memory_and_statistics_are_taken_once() -> None:
    batch = Batch(torch.randn(8, 6), torch.arange(8) % 3)
    player, _ = stepped(4, Watched(), batch)
    module = player.module
    assert isinstance(module, Watched)
    assert module.sizes == [2] * 8  # each part forward, and again in the backward pass
    assert int(module.norm.num_batches_tracked or 0) == 4
    fresh = Watched()
    running = copy.deepcopy(fresh.norm)
    for part in batch.tensor.split(2):
        running(fresh.first(part))
    player = Player("student", fresh, Optimization(accumulate=4))
    player.learn({"label": (1.0, cross_entropy(player(batch), batch.targets))}, 0.0)
    torch.testing.assert_close(fresh.norm.running_mean, running.running_mean)


def test_a_repeated_pass_drops_what_the_first_dropped() -> None:
    """The gradient is that of the logits that were seen: by finite differences of the loss with the same dropout."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 3)).double()
    batch = Batch(torch.randn(6, 6).double(), torch.arange(6) % 3)
    player = Player("student", module, Optimization(accumulate=3))

    def loss() -> Tensor:
        torch.manual_seed(5)
        return cross_entropy(player(batch), batch.targets).mean()

    weight = module[0].weight
    (slope,) = torch.autograd.grad(loss(), weight)
    direction = torch.randn_like(weight)
    with torch.no_grad():
        weight += 1e-6 * direction
        up = loss()
        weight -= 2e-6 * direction
        down = loss()
    torch.testing.assert_close((slope * direction).sum(), (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_parts_are_of_any_form() -> None:
    pieces = Pieces([torch.randn(3, 6), torch.randn(4, 6)])
    batch = Batch(pieces, torch.arange(7) % 3)
    module = Watched()
    player = Player("student", module, Optimization(accumulate=3))
    assert player(batch).shape == (7, 3)
    assert module.sizes == [3, 2, 2]  # and no piece with a single example, which cannot be normalised


class Changing(nn.Module):
    """Scores that grow with each forward pass, by a buffer."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.layer(x) * (1 + self.calls)
        self.calls += 1
        return scores  # type: ignore[no-any-return]


def test_a_repeated_pass_begins_with_the_buffers_that_the_first_began_with() -> None:
    torch.manual_seed(0)
    module, examples = Changing(), Batch(torch.randn(6, 6), torch.arange(6) % 3)
    by_hand = copy.deepcopy(module)
    how = Optimization(accumulate=3, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0))
    player = Player("student", module, how)
    player.learn({"label": (1.0, cross_entropy(player(examples), examples.targets))}, 0.0)
    assert module.calls == 3
    before = by_hand.layer.weight.detach().clone()
    nn.functional.cross_entropy(
        torch.cat([by_hand(part) for part in examples.tensor.split(2)]), examples.targets
    ).backward()
    assert by_hand.layer.weight.grad is not None
    torch.testing.assert_close(module.layer.weight, before - by_hand.layer.weight.grad)


@pytest.mark.parametrize("steps", [1, 3])
def test_in_half_precision_parts_make_the_same_step(steps: int) -> None:
    def step(count: int) -> Tensor:
        torch.manual_seed(2)
        module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        before = torch.cat([p.detach().flatten().clone() for p in module.parameters()])
        player = Player(
            "student", module, Optimization(accumulate=count, optimizer=lambda p: torch.optim.SGD(p, 0.1))
        )
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16):
                player.learn({"label": (1.0, cross_entropy(player(examples), examples.targets))}, 0.0)
        return torch.cat([p.detach().flatten() for p in module.parameters()]) - before

    examples = Batch(torch.randn(12, 6, generator=torch.Generator().manual_seed(4)), torch.arange(12) % 3)
    torch.testing.assert_close(step(3), step(1), rtol=0.02, atol=2e-4)
