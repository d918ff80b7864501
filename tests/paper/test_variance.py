"""The noise of gradients against a calculation by hand; looking changes nothing."""

import pytest
import torch

from kdgan.data.batch import Batch
from kdgan.methods import KDGAN, Mimic
from kdgan.paper.variance import BATCHES, DISTILLATION, ESTIMATES, MEASURED, gradient_variances, variances
from support import refused


def game(seed: int = 0) -> KDGAN:
    torch.manual_seed(seed)
    return KDGAN(*(torch.nn.Linear(3, 4, bias=False) for _ in range(3)))


def batches(count: int) -> list[Batch]:
    torch.manual_seed(1)
    return [Batch(torch.randn(5, 3), torch.randint(4, (5,))) for _ in range(count)]


def test_variance_and_signal_by_hand() -> None:
    played, drawn = game(), batches(6)
    measured = gradient_variances(played, drawn.__getitem__, 6, torch.Generator().manual_seed(0))
    c, t = (played.players[role].module.weight for role in ("student", "teacher"))
    gradients = []
    for batch in drawn:
        difference = batch.inputs @ (c - t).T  # L2 is its square, averaged over labels and examples
        gradients.append((2 * difference.T @ batch.inputs / 20).flatten())
    spread = torch.stack(gradients).var(0).sum().item()
    assert measured["variance/distillation"] == pytest.approx(spread, rel=1e-4)
    mean = torch.stack(gradients).mean(0).square().sum().item()
    assert measured["signal/distillation"] == pytest.approx(mean - spread / 6, rel=1e-3)
    assert measured["bias/exact"] == 0
    assert measured["variance/reinforce"] > measured["variance/exact"]


def test_everything_that_is_promised_is_measured() -> None:
    measured = gradient_variances(game(), batches(2).__getitem__, 2, torch.Generator().manual_seed(0))
    assert tuple(measured) == MEASURED
    assert {name.partition("/")[2] for name in MEASURED} == {DISTILLATION, *ESTIMATES}


def test_the_probe_changes_nothing_and_depends_on_its_seed_alone() -> None:
    played, drawn = game(), batches(BATCHES)
    before = {name: value.clone() for name, value in played.student.module.state_dict().items()}
    state = played.generator.get_state()
    torch.manual_seed(5)
    mine = torch.get_rng_state()
    found = variances(played, drawn.__getitem__, 3)
    assert torch.equal(torch.get_rng_state(), mine)
    assert torch.equal(played.generator.get_state(), state)
    for player in played.players.values():
        assert all(weight.grad is None for weight in player.module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in played.student.module.state_dict().items())
    assert variances(played, drawn.__getitem__, 3) == found
    assert variances(played, drawn.__getitem__, 4) != found


def test_the_probe_is_for_games_of_kdgan() -> None:
    with refused("a game of KDGAN"):
        variances(Mimic(torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)), batches(1).__getitem__, 0)
