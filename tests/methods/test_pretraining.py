"""What comes before a game: each player on the labels."""

import pytest
import torch

from by_hand import LEARNING, B, ByHand, K, Recorder, batch, d_loss, label_loss, player, players
from kdgan.methods import DiscriminatorPretraining, pretraining
from support import refused


def test_pretraining_of_the_discriminator_by_hand() -> None:
    """True labels against uniform ones."""
    discriminator = players(privileged=True)["discriminator"]
    hand = ByHand({"discriminator": discriminator})
    method = pretraining("discriminator", discriminator, optimization=LEARNING)
    assert isinstance(method, DiscriminatorPretraining)
    for seed, progress in enumerate((0.1, 0.5)):
        data = batch(seed, privileged=True)
        expected = d_loss(hand.see("discriminator", data), data, torch.full((B, K), 1 / K))
        losses = method.update(data, progress)
        assert list(losses) == ["discriminator"]
        torch.testing.assert_close(losses["discriminator"], expected.detach().mean())
        hand.learn("discriminator", expected, progress)
    torch.testing.assert_close(discriminator.state_dict(), hand.modules["discriminator"].state_dict())


@pytest.mark.parametrize("role", ["student", "teacher", "peer"])
def test_pretraining_of_the_others_by_hand(role: str) -> None:
    """The labels, smoothed; all but the student see privileged information."""
    module = player(role, privileged=True)
    hand = ByHand({role: module})
    method = pretraining(role, module, smoothing=0.1, optimization=LEARNING)
    assert list(method.players) == [role]
    for seed, progress in enumerate((0.1, 0.5)):
        data = batch(seed, privileged=True)
        expected = label_loss(hand.see(role, data), data, 0.1)
        torch.testing.assert_close(method.update(data, progress)["label"], expected.detach().mean())
        hand.learn(role, expected, progress)
    torch.testing.assert_close(module.state_dict(), hand.modules[role].state_dict())


def test_a_pretrained_teacher_sees_privileged_information() -> None:
    teacher = Recorder(players(privileged=True)["teacher"])
    pretraining("teacher", teacher, optimization=LEARNING).update(batch(privileged=True), 0.5)
    assert [len(call) for call in teacher.calls] == [2]


def test_pretraining_moves_the_inputs_of_the_student() -> None:
    student = Recorder(player("student"))
    data = batch()
    pretraining("student", student, optimization=LEARNING, epsilon=0.1).update(data, 0.5)
    moved = student.calls[-1][0] - data.inputs
    assert 0 < moved.square().mean(1).sqrt().max() <= 0.1


def test_pretraining_of_an_unknown_role_is_refused() -> None:
    with refused("'judge'"):
        pretraining("judge", player("student"))
