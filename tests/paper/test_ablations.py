"""Discriminators that see less than D, or know more."""

import math

import pytest
import torch

from by_hand import (
    LEARNING,
    ByHand,
    agree,
    distance_by_hand,
    g_loss,
    make,
    players,
    same,
    true_weights,
    weights_of,
)
from kdgan.data.batch import Batch
from kdgan.methods import KDGAN, Losses, hyperparameters
from kdgan.nets import build
from kdgan.paper.ablations import SURE, Blind, LabelOracle
from support import refused

ORACLE = "kdgan.paper.ablations:LabelOracle"


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("teacher_every", [1, 2])
@pytest.mark.parametrize("adversarial", [0.0, 1.0])
def test_the_label_oracle_by_hand(adversarial: float, teacher_every: int, weights: bool) -> None:
    """The scalar product of label vectors learns nothing, and without a game nobody asks it."""
    modules = players(privileged=True)
    hand, before = ByHand(modules), weights_of(modules["discriminator"])

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        scores = (2 * true_weights(data) - 1) * math.log(19)  # p_d of the true label is 0.95
        first, losses = hand.updates % teacher_every == 0, {}
        c = hand.see("student", data)
        if first:
            t = hand.see("teacher", data)
            fools, follows = g_loss(t, scores), distance_by_hand("l2", t, c, 1.0)
            hand.learn("teacher", adversarial * fools / 2 + 0.02 * follows, progress)
            losses |= {"teacher_distillation": follows}
            losses |= {"teacher_adversarial": fools} if adversarial else {}
        fools = teacher_every * g_loss(c, scores) if first else 0.0
        follows = distance_by_hand("l2", c, hand.see("teacher", data), 1.0)
        hand.learn("student", adversarial * fools / 2 + follows, progress)
        losses |= {"distillation": follows}
        return losses | ({"adversarial": fools / teacher_every} if first and adversarial else {})

    method = LabelOracle(
        **modules,
        adversarial=adversarial,
        supervision=0.0,
        optimization=LEARNING,
        teacher_every=teacher_every,
    )
    agree(method, hand, step, privileged=True, weights=weights)
    assert same(modules["discriminator"], before)


def test_the_oracle_is_sure_of_the_true_label_alone() -> None:
    data = Batch(torch.zeros(2, 5, dtype=torch.float64), torch.tensor([2, 0]))
    scores = LabelOracle(**players()).players["discriminator"](data)
    p_d = torch.tensor([[0.05, 0.05, 0.95, 0.05], [0.95, 0.05, 0.05, 0.05]], dtype=torch.float64)
    torch.testing.assert_close(scores.sigmoid(), p_d)
    assert pytest.approx(math.log(19)) == SURE


def test_the_oracle_takes_the_hyperparameters_of_kdgan() -> None:
    """As studies give them to it: those that were tuned for KDGAN."""
    assert hyperparameters(ORACLE) == hyperparameters("kdgan")
    method = make(ORACLE, players(), {"alpha": 0.3, "distillation": "kl"})
    assert isinstance(method, KDGAN)
    assert method.alpha == 0.3
    with refused("'aplha'"):
        make(ORACLE, players(), {"aplha": 0.3})


def test_a_blind_network_gives_every_example_the_same_logits() -> None:
    blind = build("kdgan.paper.ablations:blind", (1, 28, 28), 5, privileged=3)
    assert isinstance(blind, Blind)
    torch.nn.init.normal_(blind.logits)
    logits = blind(torch.randn(7, 1, 28, 28), torch.randn(7, 3))
    assert logits.shape == (7, 5)
    assert torch.equal(logits, blind(torch.randn(7, 1, 28, 28)))
    assert torch.equal(logits, logits[:1].expand(7, 5))
    assert sum(parameter.numel() for parameter in blind.parameters()) == 5


@pytest.mark.parametrize("shape", [(4,), (3, 8, 8)])
def test_a_blind_discriminator_learns_how_frequent_labels_are(shape: tuple[int, ...]) -> None:
    """All that is left without x: p_d = p_u / (p_u + p_fake), with p_u the share of each label."""
    blind = build("kdgan.paper.ablations:blind", shape, 2)
    share = torch.tensor([0.9, 0.1])
    data = Batch(torch.randn(10, *shape), torch.tensor([0] * 9 + [1]))
    optimizer = torch.optim.LBFGS(blind.parameters(), max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scores = blind(data.inputs)
        weights = torch.eye(2)[data.targets]
        loss = -(weights * scores.sigmoid().log() + 0.5 * (-scores).sigmoid().log()).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(
        blind(data.inputs)[0].detach().sigmoid(), share / (share + 0.5), rtol=1e-3, atol=1e-4
    )
