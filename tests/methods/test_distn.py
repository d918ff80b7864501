"""Softened labels of a trained teacher beside the true ones."""

import pytest

from by_hand import LEARNING, ByHand, agree, distance_by_hand, label_loss, players
from kdgan.data.batch import Batch
from kdgan.methods import Distn, Losses


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("distillation", "temperature"), [("kl", 1.0), ("kl", 3.0), ("l2", 4.0), ("js", 2.0)]
)
def test_distn_by_hand(distillation: str, temperature: float, weight: float, weights: bool) -> None:
    modules = players(privileged=True)
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        c, t = hand.see("student", data), hand.see("teacher", data)
        soft, hard = distance_by_hand(distillation, c, t, temperature), label_loss(c, data)
        hand.learn("student", (1 - weight) * hard + weight * soft, progress)
        return {"distillation": soft, "label": hard}

    method = Distn(
        modules["student"],
        modules["teacher"],
        temperature=temperature,
        weight=weight,
        distillation=distillation,
        optimization=LEARNING,
    )
    agree(method, hand, step, privileged=True, weights=weights)
