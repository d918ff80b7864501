"""The game of a student against a discriminator, without a teacher."""

import pytest

from by_hand import (
    LEARNING,
    ByHand,
    agree,
    d_loss,
    g_loss,
    make,
    players,
    same,
    softmax,
    weights_of,
)
from kdgan.data.batch import Batch
from kdgan.methods import Losses, NaGAN


@pytest.mark.parametrize("teacher_every", [1, 2])
@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize(("d_steps", "c_steps"), [(1, 1), (3, 2)])
def test_nagan_by_hand(d_steps: int, c_steps: int, weights: bool, teacher_every: int) -> None:
    modules = players(privileged=True)
    del modules["teacher"]
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        losses = {}
        for _ in range(d_steps if hand.updates % teacher_every == 0 else 0):
            judged = d_loss(hand.see("discriminator", data), data, softmax(hand.see("student", data)))
            hand.learn("discriminator", judged, progress)
            losses["discriminator"] = judged
        for _ in range(c_steps):
            fooled = g_loss(hand.see("student", data), hand.see("discriminator", data))
            hand.learn("student", fooled, progress)
        return {**losses, "adversarial": fooled}

    method = NaGAN(
        *modules.values(),
        d_steps=d_steps,
        c_steps=c_steps,
        optimization=LEARNING,
        teacher_every=teacher_every,
    )
    agree(method, hand, step, privileged=True, weights=weights)


def test_a_kept_discriminator_oracle_and_learns_nothing() -> None:
    modules = players()
    hand, before = ByHand(modules), weights_of(modules["discriminator"])

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        fooled = g_loss(hand.see("student", data), hand.see("discriminator", data))
        hand.learn("student", fooled, progress)
        return {"adversarial": fooled}

    learning = {"student": LEARNING, "discriminator": None}
    method = NaGAN(modules["student"], modules["discriminator"], optimization=learning)
    agree(method, hand, step)
    assert same(modules["discriminator"], before)


def test_nagan_needs_no_teacher() -> None:
    assert set(make("nagan", players()).players) == {"student", "discriminator"}
