"""The one thing that passes between data, methods and the loop."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kdgan.data import Batch
from kdgan.data.batch import checked, has_labels, labelled_rows, unlabelled_rows
from kdgan.data.forms import Pieces, leaves, mapped
from support import refused

X, Y = torch.arange(12.0).view(6, 2), torch.arange(6) % 3


def whole() -> Batch:
    return Batch(X, Y, X * 10, torch.eye(3)[Y])


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 3), [1, 2]),
        (torch.tensor([4, 0, 4]), [4, 0, 4]),
        (X[:, 0] > 5, [3, 4, 5]),
        (slice(0, 0), []),
    ],
)
def test_examples_keep_their_parts(index: Tensor | slice, rows: list[int]) -> None:
    part = whole()[index]
    assert len(part) == len(rows)
    for name in ("inputs", "targets", "privileged", "teacher_logits"):
        assert torch.equal(getattr(part, name), getattr(whole(), name)[rows])
    plain = Batch(X, Y)[index]
    assert plain.privileged is plain.teacher_logits is None


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool])
def test_indices_of_every_integer_type_become_the_one_that_all_of_torch_takes(kind: torch.dtype) -> None:
    batch = Batch(X, (Y % 2).to(kind))
    assert batch.targets.dtype == torch.int64
    assert torch.equal(batch.targets, Y % 2)


def test_label_weights_stay_as_they_are() -> None:
    weights = torch.eye(3, dtype=torch.float64)[Y]
    assert Batch(X, weights).targets is weights


def test_a_batch_moves_as_a_whole() -> None:
    moved = whole().to("meta")
    for name in ("inputs", "targets", "privileged", "teacher_logits"):
        assert getattr(moved, name).device.type == "meta"
    assert Batch(X, Y).to("meta").privileged is None


@pytest.mark.parametrize("targets", [torch.zeros(6, 1, 3), torch.zeros(6, dtype=torch.complex64)])
def test_targets_of_no_known_form_are_refused(targets: Tensor) -> None:
    with refused("targets must be class indices", tuple(targets.shape), targets.dtype):
        Batch(X, targets)


@pytest.mark.parametrize("name", ["targets", "privileged", "teacher_logits", "places"])
def test_parts_of_another_length_are_refused(name: str) -> None:
    parts = {"inputs": X, "targets": Y, "privileged": X, "teacher_logits": X, "places": Y}
    with refused(f"6 inputs but 5 {name}"):
        Batch(**{**parts, name: parts[name][:5]})


# --- inputs of any form ----------------------------------------------------------------------------------------------

INPUTS: dict[str, Any] = {
    "tensor": X,
    "tuple": (X, X + 1),
    "mapping": {"x": X, "more": X + 1},
    "pieces": Pieces((X[:2], torch.cat([X[2:], X[2:]], 1))),
}


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("index", [slice(1, 5), slice(3, None), torch.tensor([4, 0, 4, 1]), Y == 1])
def test_examples_of_every_form_keep_their_parts(form: str, index: Any) -> None:
    targets = Y.where(Y != 2, -1)
    batch = Batch(INPUTS[form], targets, {"known": X * 10}, torch.eye(3)[Y], recorded=True)
    part = batch[index]
    numbers = torch.cat([leaf[:, 0] for piece in part.pieces() for leaf in leaves(piece.inputs)[:1]])
    assert torch.equal(numbers, X[index][:, 0])
    assert torch.equal(part.targets, targets[index])
    assert isinstance(part.privileged, dict)
    assert torch.equal(part.privileged["known"], X[index] * 10)
    assert part.teacher_logits is not None
    assert torch.equal(part.teacher_logits, torch.eye(3)[Y][index])
    assert part.labelled is not None
    assert torch.equal(part.labelled, (targets != -1)[index])


@pytest.mark.parametrize("known", [None, X * 10, Pieces((X[:3] * 10, torch.cat([X[3:], X[3:]], 1) * 10))])
@pytest.mark.parametrize("form", ["tensor", "pieces"])
def test_pieces_have_all_that_belongs_to_their_examples(form: str, known: Any) -> None:
    batch = Batch(INPUTS[form], Y.where(Y != 2, -1), known, torch.eye(3)[Y])
    start = 0
    for piece in batch.pieces():
        assert isinstance(piece.inputs, Tensor)
        here = slice(start, start + len(piece))
        assert torch.equal(piece.inputs[:, :2], X[here])
        assert torch.equal(piece.targets, batch.targets[here])
        assert piece.labelled is not None
        assert torch.equal(piece.labelled, (Y != 2)[here])
        assert piece.teacher_logits is not None
        assert torch.equal(piece.teacher_logits, torch.eye(3)[Y][here])
        assert (piece.privileged is None) == (known is None)
        if isinstance(piece.privileged, Tensor):
            assert torch.equal(piece.privileged[:, :2], X[here] * 10)
        start += len(piece)
    assert start == 6
    assert [len(piece) for piece in batch[:0].pieces()] == [0]


def test_logits_stay_as_long_as_the_inputs_are_the_very_same() -> None:
    for inputs in INPUTS.values():
        batch = Batch(inputs, Y, None, torch.eye(3)[Y])
        assert replace(batch, targets=Y + 1).teacher_logits is not None
        other = mapped(torch.clone, batch.inputs)
        assert replace(batch, inputs=other).teacher_logits is None
        assert batch.with_inputs(other).teacher_logits is None
        told = replace(batch, recorded=True)
        assert replace(told, inputs=other).teacher_logits is not None
        assert told.with_inputs(other).teacher_logits is not None


def test_a_copy_shares_no_memory() -> None:
    batch = Batch({"x": X.clone()}, Y.clone(), (X.clone(),), torch.eye(3)[Y])
    copy = batch.copy()
    for leaf in (*leaves(copy.inputs), copy.targets, *leaves(copy.privileged or ())):
        leaf.zero_()
    assert torch.equal(leaves(batch.inputs)[0], X)
    assert torch.equal(batch.targets, Y)


# --- examples without a label ----------------------------------------------------------------------------------------

NAN = float("nan")
MISSING: list[tuple[Tensor, list[bool]]] = [
    (torch.tensor([0, -1, 2, -100, 1, 0]), [True, False, True, False, True, True]),
    (torch.tensor([0, -1, 2, 1, 1, 0], dtype=torch.int8), [True, False, True, True, True, True]),
    (torch.tensor([0.0, NAN, 1, 1, 1, NAN]), [True, False, True, True, True, False]),
    (
        torch.tensor([[1, 0], [-1, -1], [-100, -100], [0, 0], [1, 1], [0, 1]]),
        [True, False, False, True, True, True],
    ),
    (
        torch.tensor([[1.0, 0], [NAN, NAN], [0, 0], [1, NAN], [1, 1], [0, 1]]),
        [True, False, True, True, True, True],
    ),
]


@pytest.mark.parametrize(("targets", "known"), MISSING)
def test_none_is_said_in_many_ways(targets: Tensor, known: list[bool]) -> None:
    batch = Batch(X, targets)
    assert batch.labelled is not None
    assert batch.labelled.tolist() == known
    assert torch.equal(labelled_rows(batch).tensor, X[torch.tensor(known)])
    others = unlabelled_rows(batch)
    assert others is not None
    assert torch.equal(others.tensor, X[~torch.tensor(known)])
    assert has_labels(batch)
    assert not has_labels(others)


def test_all_and_none() -> None:
    for targets in (Y, Y.bool(), Y.to(torch.uint8), torch.eye(3)[Y], torch.eye(3)[Y].bool()):
        batch = Batch(X, targets)
        assert batch.labelled is None
        assert labelled_rows(batch) is batch
        assert unlabelled_rows(batch) is None
    none = Batch(X, None)  # type: ignore[arg-type]
    assert none.labelled is not None
    assert not none.labelled.any()
    assert not len(labelled_rows(none))
    assert Batch(X, torch.full((6,), 255, dtype=torch.uint8)).labelled is None


def test_what_is_labelled_follows_the_targets() -> None:
    batch = Batch(X, Y.where(Y != 2, -1))
    assert replace(batch, targets=Y).labelled is None
    again = replace(Batch(X, Y), targets=Y.where(Y != 1, -1))
    assert again.labelled is not None
    assert again.labelled.tolist() == (Y != 1).tolist()
    for same in (batch.copy(), batch.to("cpu"), batch.with_inputs(X + 1), replace(batch, privileged=X)):
        assert same.labelled is not None
        assert same.labelled.tolist() == (Y != 2).tolist()


def test_missing_labels_are_no_bad_numbers_and_others_are() -> None:
    targets = torch.eye(3)[Y]
    targets[2] = NAN
    assert checked(Batch(X, targets), "train")
    targets[4, 1] = NAN
    with refused("train: targets of example 4 hold NaN", "a whole row of NaN says that there is no label"):
        checked(Batch(X, targets), "train")
    spoilt = torch.cat([X[2:], X[2:]], 1)
    spoilt[1, 3] = float("inf")
    with refused("train: inputs of example 3 hold NaN"):
        checked(Batch(Pieces((X[:2], spoilt)), Y), "train")
    with refused("train: inputs of example 13 hold NaN"):
        checked(Batch(Pieces((X[:2], spoilt)), Y), "train", 10)
    with refused("train: privileged of example 5 hold NaN"):
        checked(Batch(X, Y, {"a": X, "b": X.where(X != 11, NAN)}), "train")


def test_pseudo_labels_stay_with_their_examples() -> None:
    x, labels, sure = torch.arange(8.0).view(4, 2), torch.eye(4)[:, :3], torch.arange(4.0) / 4
    whole = Batch(x, torch.full((4,), -1), pseudo_labels=labels, confidence=sure)
    order = torch.tensor([2, 0])
    for found in (whole[order], whole[order].copy(), whole[order].with_inputs(x[:2]), whole[order].to("cpu")):
        assert torch.equal(found.pseudo_labels, labels[order])  # type: ignore[arg-type]
        assert torch.equal(found.confidence, sure[order])  # type: ignore[arg-type]
    for name in ("pseudo_labels", "confidence"):
        with refused("4 inputs but 3", name):
            Batch(x, torch.full((4,), -1), **{name: labels[:3]})
