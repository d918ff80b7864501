"""Regression of the teacher's logits, and of perturbed ones."""

import pytest
import torch

from by_hand import LEARNING, B, ByHand, F, K, agree, batch, distance_by_hand, players
from kdgan.data.batch import Batch
from kdgan.methods import Losses, Mimic, Noisy


def test_mimic_by_hand() -> None:
    modules = players(privileged=True)
    hand = ByHand(modules)

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        loss = distance_by_hand("l2", hand.see("student", data), hand.see("teacher", data), 1.0)
        hand.learn("student", loss, progress)
        return {"distillation": loss}

    agree(Mimic(modules["student"], modules["teacher"], optimization=LEARNING), hand, step, privileged=True)


def test_noisy_by_hand() -> None:
    """Each logit of a chosen example times (1 + ξ), with the very draws of the method's generator."""
    modules = players(privileged=True)
    hand, sigma, share = ByHand(modules), 0.4, 0.5
    generator = torch.Generator().manual_seed(7)

    def step(hand: ByHand, data: Batch, progress: float) -> Losses:
        xi = sigma * torch.randn(B, K, generator=generator)
        chosen = torch.rand(B, 1, generator=generator) < share
        noisy = hand.see("teacher", data) * torch.where(chosen, 1 + xi, 1.0)
        loss = distance_by_hand("l2", hand.see("student", data), noisy, 1.0)
        hand.learn("student", loss, progress)
        return {"distillation": loss}

    method = Noisy(
        modules["student"], modules["teacher"], sigma=sigma, share=share, optimization=LEARNING, seed=7
    )
    agree(method, hand, step, privileged=True)


def test_noisy_without_noise_is_mimic() -> None:
    for quiet in ({"sigma": 0.0, "share": 1.0}, {"sigma": 1.0, "share": 0.0}):
        first, second = players(), players()
        noisy = Noisy(first["student"], first["teacher"], **quiet, optimization=LEARNING)
        mimic = Mimic(second["student"], second["teacher"], optimization=LEARNING)
        for seed in range(3):
            noisy.update(batch(seed), 0.5)
            mimic.update(batch(seed), 0.5)
        torch.testing.assert_close(noisy.student.module.state_dict(), mimic.student.module.state_dict())


def test_noisy_perturbs_the_stated_share_of_examples_by_the_stated_amount() -> None:
    modules = players()
    sigma, share, n = 0.4, 0.3, 20_000
    method = Noisy(modules["student"], modules["teacher"], sigma=sigma, share=share)
    data = Batch(
        torch.randn(n, F, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
        torch.zeros(n, dtype=torch.long),
    )
    with torch.no_grad():
        clean = modules["teacher"](data.inputs)
    signals = method.signals(data)
    assert set(signals) == {"teacher"}
    noise = signals["teacher"] / clean - 1
    perturbed = (noise.abs() > 1e-12).any(1)
    assert perturbed.double().mean().item() == pytest.approx(share, abs=0.015)
    factors = noise[perturbed]
    assert (factors.abs() > 0).all()  # each label has its own ξ
    assert factors.mean().item() == pytest.approx(0.0, abs=0.01)
    assert factors.std().item() == pytest.approx(sigma, rel=0.02)
    pairs = torch.corrcoef(factors.T)
    assert (pairs - torch.eye(K)).abs().max() < 0.06
    assert not torch.equal(signals["teacher"], method.signals(data)["teacher"])
