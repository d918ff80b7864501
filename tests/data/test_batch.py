"""The one thing that passes between data, methods and the loop."""

import pytest
import torch
from torch import Tensor

from kdgan.data import Batch
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


@pytest.mark.parametrize("name", ["targets", "privileged", "teacher_logits"])
def test_parts_of_another_length_are_refused(name: str) -> None:
    parts = {"inputs": X, "targets": Y, "privileged": X, "teacher_logits": X}
    with refused(f"6 inputs but 5 {name}"):
        Batch(**{**parts, name: parts[name][:5]})
