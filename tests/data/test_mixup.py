"""Mixed examples."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kdgan.data import Batch
from kdgan.data.forms import Pieces
from kdgan.data.mixup import Mixed, Mixup
from kdgan.data.semi import Semi, make_feed
from kdgan.losses import cross_entropy
from support import refused

COUNT, CLASSES = 6, 3


def examples(count: int = COUNT, **more: Any) -> Batch:
    given = {"inputs": torch.randn(count, 4), "targets": torch.arange(count) % CLASSES, **more}
    return Batch(**given)


def mix(batch: Batch, alpha: float = 1.0, step: int = 0, seed: int = 0) -> Batch:
    return Mixed(lambda step: batch, Mixup(alpha, CLASSES), seed=seed)(step)


def shares(batch: Batch, found: Batch) -> Tensor:
    """How much of each example is left, from its inputs."""
    own, other = batch.tensor, batch.tensor.roll(1, 0)
    return ((found.tensor - other) / (own - other)).mean(1)


def test_inputs_labels_and_what_is_privileged_are_mixed_in_one_share() -> None:
    batch = examples(privileged=torch.randn(COUNT, 2))
    found = mix(batch)
    share = shares(batch, found)[:, None]
    assert ((share > 0) & (share < 1)).all()
    assert len(set(share.flatten().tolist())) == COUNT
    labels = torch.eye(CLASSES)[batch.targets]
    for mine, known in (
        (found.tensor, batch.tensor),
        (found.targets, labels),
        (found.privileged, batch.privileged),
    ):
        assert isinstance(mine, Tensor)
        assert isinstance(known, Tensor)
        torch.testing.assert_close(mine, share * known + (1 - share) * known.roll(1, 0), atol=1e-4, rtol=1e-4)
    assert found.labelled is None
    assert (found.teacher_logits, found.places) == (None, None)


def test_several_inputs_are_mixed_by_name() -> None:
    inputs = {"one": torch.randn(COUNT, 4), "two": torch.randn(COUNT, 2, 2)}
    found = mix(examples(inputs=inputs))
    assert isinstance(found.inputs, dict)
    share = shares(examples(inputs=inputs["one"]), Batch(found.inputs["one"], found.targets))[:, None, None]
    expected = share * inputs["two"] + (1 - share) * inputs["two"].roll(1, 0)
    torch.testing.assert_close(found.inputs["two"], expected, atol=1e-4, rtol=1e-4)


def test_shares_follow_the_seed_and_the_step_and_nothing_else() -> None:
    batch = examples()
    first = mix(batch).tensor
    torch.manual_seed(5)
    assert torch.equal(mix(batch).tensor, first)
    assert not torch.equal(mix(batch, step=1).tensor, first)
    assert not torch.equal(mix(batch, seed=1).tensor, first)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_of_a_beta_distribution(alpha: float) -> None:
    batch = examples(4000)
    share = shares(batch, mix(batch, alpha)).clamp(0, 1)
    assert share.mean().item() == pytest.approx(0.5, abs=0.03)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_weights_of_labels_and_bits_are_mixed_as_they_are() -> None:
    weights = torch.rand(COUNT, CLASSES)
    batch = examples(targets=weights)
    found = mix(batch)
    share = shares(batch, found)[:, None]
    expected = share * weights + (1 - share) * weights.roll(1, 0)
    torch.testing.assert_close(found.targets, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("soft", [False, True])
def test_no_label_is_lost_among_examples_without_one(soft: bool) -> None:
    targets = torch.tensor([0, -1, 2, 1, -1, -1])
    if soft:
        targets = torch.where(targets[:, None] < 0, torch.tensor(float("nan")), torch.eye(CLASSES)[targets])
    batch = examples(targets=targets)
    found = mix(batch)
    assert found.labelled is not None
    assert found.labelled.tolist() == [True, False, True, True, False, False]
    # Each with the one of its kind before it.
    other = batch.tensor[[3, 5, 0, 2, 1, 4]]
    share = ((found.tensor - other) / (batch.tensor - other)).mean(1, keepdim=True)
    torch.testing.assert_close(found.tensor, share * batch.tensor + (1 - share) * other, atol=1e-4, rtol=1e-4)
    assert torch.allclose(found.targets[found.labelled].sum(1), torch.ones(3))
    logits = torch.randn(COUNT, CLASSES, requires_grad=True)
    values = cross_entropy(logits, found.targets, labelled=found.labelled)
    assert values.isfinite().all()
    values.sum().backward()
    assert logits.grad is not None
    assert logits.grad[~found.labelled].abs().sum() == 0


def test_the_only_one_of_its_kind_stays_as_it_is() -> None:
    batch = examples(targets=torch.tensor([-1, -1, 2, -1, -1, -1]))
    found = mix(batch)
    assert torch.allclose(found.tensor[2], batch.tensor[2])
    assert found.targets[2].tolist() == [0, 0, 1]


def test_pseudo_labels_and_their_confidence_are_mixed() -> None:
    labels, confidence = torch.rand(COUNT, CLASSES), torch.rand(COUNT)
    batch = examples(targets=torch.full((COUNT,), -1), pseudo_labels=labels, confidence=confidence)
    found = mix(batch)
    share = shares(batch, found)
    assert found.pseudo_labels is not None
    assert found.confidence is not None
    expected = share[:, None] * labels + (1 - share)[:, None] * labels.roll(1, 0)
    torch.testing.assert_close(found.pseudo_labels, expected, atol=1e-4, rtol=1e-4)
    expected = confidence**share * confidence.roll(1) ** (1 - share)
    torch.testing.assert_close(found.confidence, expected, atol=1e-4, rtol=1e-4)


def test_those_without_a_pseudo_label_that_counts_take_none_from_the_others() -> None:
    count = 4000
    sure = torch.where(torch.rand(count) < 0.3, 2.5, 0.0)
    targets = torch.full((count,), -1)
    labels = torch.rand(count, CLASSES)
    found = mix(examples(count, targets=targets, pseudo_labels=labels, confidence=sure))
    assert found.confidence is not None
    torch.testing.assert_close(found.confidence, sure)


def test_half_precision_stays_so() -> None:
    found = mix(examples(inputs=torch.randn(COUNT, 4, dtype=torch.bfloat16)))
    assert found.tensor.dtype == torch.bfloat16
    assert found.targets.dtype == torch.float32


def test_what_cannot_be_mixed_is_refused() -> None:
    with refused("inputs: mixup mixes real numbers, not torch.int64", "leave mixup 0"):
        mix(examples(inputs=torch.arange(COUNT)))
    with refused("privileged information: mixup", "torch.int64"):
        mix(examples(privileged=torch.arange(COUNT)))
    with refused("inputs: mixup", "examples of one size"):
        mix(examples(inputs=Pieces([torch.randn(2, 4), torch.randn(4, 5)])))
    recorded = examples(teacher_logits=torch.randn(COUNT, CLASSES), recorded=True)
    with refused("mixup", "logits alone"):
        mix(recorded)


def test_labelled_ones_and_the_others_are_mixed_among_themselves() -> None:
    others = examples(30, targets=None)
    feed = make_feed(
        Semi(examples(), others),
        12,
        seed=3,
        device=torch.device("cpu"),
        share=0.5,
        mixup=Mixup(1.0, CLASSES),
    )
    batch = feed(4)
    assert batch.labelled is not None
    assert batch.labelled.tolist() == [True] * 6 + [False] * 6
    assert (batch.targets[:6].sum(1) - 1).abs().max() < 1e-6
    assert batch.targets[6:].isnan().all()
    plain = make_feed(Semi(examples(), others), 12, seed=3, device=torch.device("cpu"), share=0.5)(4)
    assert not torch.equal(plain.tensor, batch.tensor)
    assert torch.equal(feed(4).tensor, batch.tensor)
