"""Batches one after the other."""

import pytest
import torch
from torch import Tensor

from kdgan.data import Batch
from kdgan.data.forms import Pieces
from kdgan.data.join import join, without_labels
from support import refused

X, Y = torch.arange(12.0).view(6, 2), torch.arange(6) % 3
NAN = float("nan")


def test_all_parts_in_order() -> None:
    whole = Batch(X, Y.where(Y != 1, -1), X * 10, torch.eye(3)[Y])
    found = join([whole[:2], whole[2:3], whole[3:]])
    for name in ("inputs", "targets", "privileged", "teacher_logits", "labelled"):
        assert torch.equal(getattr(found, name), getattr(whole, name))
    assert join([whole]) is whole


@pytest.mark.parametrize("first", [True, False])
def test_marks_of_those_that_have_none(first: bool) -> None:
    parts = [Batch(X[:2], Y[:2]), Batch(X[2:], torch.full((4,), -1))]
    found = join(parts if first else parts[::-1])
    assert found.labelled is not None
    assert found.labelled.tolist() == ([True] * 2 + [False] * 4 if first else [False] * 4 + [True] * 2)


@pytest.mark.parametrize(
    "weights", [torch.eye(3)[Y], torch.eye(3, dtype=torch.float64)[Y], torch.eye(3)[Y].bool()]
)
def test_targets_of_those_without_labels_take_the_form_of_the_others(weights: Tensor) -> None:
    none = Batch(X[:2], torch.full((2,), -1))
    found = join([none, Batch(X, weights)])
    assert found.targets.shape == (8, 3)
    assert found.targets[:2].isnan().all()
    assert torch.equal(found.targets[2:], weights.to(found.targets.dtype))
    assert found.labelled is not None
    assert found.labelled.tolist() == [False] * 2 + [True] * 6
    with refused("class indices (B,) in some batches, and weights or bits"):
        join([Batch(X[:2], torch.tensor([-1, 0])), Batch(X, weights)])


def test_without_labels_says_so_in_the_form_of_others() -> None:
    for like in (Y, torch.zeros(4), torch.zeros(1, 3), torch.zeros(2, 1, dtype=torch.float64)):
        found = without_labels(Batch(X, Y, X), like)
        assert found.targets.shape == (6, *like.shape[1:])
        assert found.targets.dtype == like.dtype
        assert found.labelled is not None
        assert not found.labelled.any()
        again = Batch(X, found.targets)
        assert again.labelled is not None
        assert torch.equal(again.labelled, found.labelled)
        assert found.privileged is X
    assert torch.equal(without_labels(Batch(X, Y)).targets, torch.full((6,), -1))


def test_what_does_not_belong_together() -> None:
    with refused("privileged information is in some batches and not in others"):
        join([Batch(X, Y, X), Batch(X, Y)])
    mixed = join([Batch(X, Y, X), Batch(torch.zeros(2, 5), Y[:2], X[:2])])
    assert isinstance(mixed.inputs, Pieces)
    assert isinstance(mixed.privileged, Tensor)
    assert [len(piece) for piece in mixed.pieces()] == [6, 2]


def test_logits_are_there_for_all_or_for_none() -> None:
    logits = torch.eye(3)[Y]
    told = Batch(X, Y, None, logits, recorded=True)
    both = join([told, told])
    assert both.recorded
    assert both.with_inputs(torch.zeros(12, 2)).teacher_logits is not None
    for one, other in ((told, Batch(X, Y)), (Batch(X, Y), told)):
        found = join([one, other])
        assert found.teacher_logits is None
        assert not found.recorded
    half = join([told, Batch(X, Y, None, logits)])
    assert half.teacher_logits is not None
    assert half.with_inputs(torch.zeros(12, 2)).teacher_logits is None


def test_those_that_are_taken_for_nothing_have_no_confidence() -> None:
    labels, sure = torch.eye(3)[Y], torch.linspace(0, 1, 6)
    found = join([Batch(X[:2], Y[:2]), Batch(X, torch.full((6,), -1), pseudo_labels=labels, confidence=sure)])
    assert torch.equal(found.pseudo_labels, torch.cat([torch.zeros(2, 3), labels]))  # type: ignore[arg-type]
    assert torch.equal(found.confidence, torch.cat([torch.zeros(2), sure]))  # type: ignore[arg-type]
    plain = join([Batch(X[:2], Y[:2]), Batch(X[2:], Y[2:])])
    assert plain.pseudo_labels is None
    assert plain.confidence is None
    kept = without_labels(found, Y)
    assert kept.confidence is found.confidence
