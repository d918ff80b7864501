"""Networks that learn from the labels and from each other."""

from typing import Any

import pytest
import torch

from by_hand import (
    LEARNING,
    ByHand,
    Peculiar,
    agree,
    all_players,
    batch,
    distance_by_hand,
    label_loss,
    players,
    same,
    weights_of,
)
from kdgan.data.batch import Batch
from kdgan.methods import Codis, Codis3, Losses


@pytest.mark.parametrize("teacher_every", [1, 2])
@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("distillation", ["l2", "kl", "js"])
def test_codis_by_hand(distillation: Any, weights: bool, teacher_every: int) -> None:
    modules = players(privileged=True)
    hand, beta, gamma, temperature = ByHand(modules), 0.7, 0.2, 2.0

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        c, t = hand.see("student", data), hand.see("teacher", data)
        label, t_label = label_loss(c, data), label_loss(t, data)
        follows = distance_by_hand(distillation, c, t, temperature)
        t_follows = distance_by_hand(distillation, t, c, temperature)
        hand.learn("student", label + beta * follows, progress)
        losses = {"label": label, "distillation": follows}
        if hand.updates % teacher_every == 0:
            hand.learn("teacher", t_label + gamma * t_follows, progress)
            losses |= {"teacher_label": t_label, "teacher_distillation": t_follows}
        return losses

    method = Codis(
        modules["student"],
        modules["teacher"],
        beta=beta,
        gamma=gamma,
        distillation=distillation,
        temperature=temperature,
        optimization=LEARNING,
        teacher_every=teacher_every,
    )
    agree(method, hand, step, privileged=True, weights=weights)


@pytest.mark.parametrize("teacher_every", [1, 2])
def test_codis_of_three_by_hand(teacher_every: int) -> None:
    """Each of the three follows the labels and, with its mean distance, the two others as they were."""
    modules = all_players(privileged=True)
    del modules["discriminator"]
    hand, beta, gamma = ByHand(modules), 0.7, 0.2

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        seen = {role: hand.see(role, data) for role in modules}
        losses = {}
        for role, logits in seen.items():
            if role != "student" and hand.updates % teacher_every:
                continue
            first, second = (theirs for other, theirs in seen.items() if other != role)
            label = label_loss(logits, data)
            follows = distance_by_hand("kl", logits, first, 4.0) + distance_by_hand("kl", logits, second, 4.0)
            before, weight = ("", beta) if role == "student" else (f"{role}_", gamma)
            losses |= {f"{before}label": label, f"{before}distillation": follows / 2}
            hand.learn(role, label + weight * follows / 2, progress)
        return losses

    method = Codis3(
        *modules.values(), beta=beta, gamma=gamma, optimization=LEARNING, teacher_every=teacher_every
    )
    agree(method, hand, step, privileged=True)


def test_with_a_kept_teacher_codis_is_distillation_by_hand() -> None:
    """The teacher is as it was to the bit, statistics of its layers included; the student follows it."""
    torch.manual_seed(3)
    modules = {"student": players()["student"], "teacher": Peculiar()}
    hand, before = ByHand(modules), weights_of(modules["teacher"])
    hand.modules["teacher"].eval()

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        c, t = hand.see("student", data), hand.see("teacher", data)
        label, follows = label_loss(c, data), distance_by_hand("kl", c, t, 4.0)
        hand.learn("student", label + 0.7 * follows, progress)
        return {"label": label, "distillation": follows}

    method = Codis(*modules.values(), beta=0.7, optimization={"student": LEARNING, "teacher": None})
    agree(method, hand, step)
    assert same(modules["teacher"], before)
    assert all(p.grad is None for p in modules["teacher"].parameters())


def test_of_three_one_may_be_kept() -> None:
    modules = all_players()
    before = {role: weights_of(module) for role, module in modules.items()}
    learning = {"student": LEARNING, "teacher": None, "peer": LEARNING}
    method = Codis3(*(modules[role] for role in Codis3.roles), optimization=learning)
    losses = method.update(batch(), 0.5)
    assert set(losses) == {"label", "distillation", "peer_label", "peer_distillation"}
    assert [same(modules[role], before[role]) for role in Codis3.roles] == [False, True, False]
