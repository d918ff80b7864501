"""Plain training on the labels."""

import pytest

from by_hand import LEARNING, ByHand, agree, label_loss, players
from kdgan.data.batch import Batch
from kdgan.methods import Losses, Supervised


@pytest.mark.parametrize("weights", [False, True], ids=["indices", "weights"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_supervised_by_hand(smoothing: float, weights: bool) -> None:
    student = players()["student"]
    hand = ByHand({"student": student})

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        loss = label_loss(hand.see("student", data), data, smoothing)
        hand.learn("student", loss, progress)
        return {"label": loss}

    method = Supervised(student, smoothing=smoothing, optimization=LEARNING)
    agree(method, hand, step, weights=weights)
