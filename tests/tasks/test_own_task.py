"""Data and players of a caller's own: read, held against each other, and judged."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from kdgan import nets
from kdgan.data import Batch, kept
from kdgan.data.semi import Semi, make_feed
from kdgan.data.stream import Stream
from kdgan.tasks.own import OwnTask
from support import refused

CPU = torch.device("cpu")
X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
MORE = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


def read(train: Any, validation: Any, classes: int = 3, **options: Any) -> OwnTask:
    players = options.pop("players", None)
    players = players or {"student": nets.mlp(6, [4], classes), "teacher": nets.mlp(6, [8], classes)}
    given = {"size": 8, "seed": 0, "augment": None, **options}
    return OwnTask.read(train, validation, players, {}, CPU, **given)


TARGETS: dict[str, tuple[Tensor, int, str]] = {
    "classes": (Y, 3, "classes"),
    "weights": (torch.eye(3)[Y], 3, "classes"),
    "binary": ((Y > 0).long(), 1, "binary"),
    "answers": ((Y > 0).float().unsqueeze(1), 1, "binary"),
    "multilabel": ((X[:, :3] > 0).float(), 3, "multilabel"),
    "bits": ((X[:, :3] > 0).long(), 3, "multilabel"),
}
FORMS: dict[str, Any] = {
    "tuple": lambda x, y: (x, y),
    "list": lambda x, y: list(zip(x, y, strict=True)),
    "loader": lambda x, y: DataLoader(TensorDataset(x, y), 7),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("beside", [None, "tensor", "loader"])
def test_every_kind_in_every_form(
    kind: str, form: str, anew: bool, beside: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets, classes, expected = TARGETS[kind]
    if anew:
        monkeypatch.setattr(kept, "MOST_BYTES", 1)
    more = {None: None, "tensor": MORE, "loader": DataLoader(TensorDataset(MORE), 5)}[beside]
    task = read(FORMS[form](X, targets), FORMS[form](X, targets), classes, unlabelled=more)
    assert task.kind == expected
    assert task.classes == classes
    assert isinstance(task.train, Semi) == (beside is not None)
    logits = task.validation.targets.double()
    assert len(logits) == 60
    assert task.validation.targets.ndim == (1 if kind == "classes" else 2)
    student = nets.mlp(6, [4], classes)
    assert not task.is_trained(student)
    assert task.first["teacher"].shape == (60, classes)
    feed = make_feed(task.train, 8, seed=0, device=CPU)
    for step in range(12):
        batch = feed(step)
        if task.kind == "binary":
            assert batch.targets.shape == (len(batch), 1)
        known = batch if batch.labelled is None else batch[batch.labelled]
        homes = (known.tensor.unsqueeze(1) == X).all(2).nonzero()[:, 1]
        assert len(homes) == len(known)
        expected_targets = targets[homes].double()
        assert torch.equal(known.targets.double().flatten(), expected_targets.flatten())


def test_privileged_information_of_validation_alone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (2**30, 1):
        monkeypatch.setattr(kept, "MOST_BYTES", size)
        task = read((X, Y), DataLoader(TensorDataset(X, Y, X), 7))
        assert isinstance(task.validation.batches, Stream) == (size == 1)
        assert all(batch.privileged is None for batch in task.validation)
        assert task.judges("teacher", nn.Identity())


def test_what_does_not_fit_is_found_before_training() -> None:
    with refused("validation: targets lie in 0..7"):
        read((X, Y), DataLoader(TensorDataset(X, Y.where(torch.arange(60) != 50, 7)), 7))
    with refused("validation: targets are class indices (N,)"):
        read((X, (X[:, :3] > 0).float()), (X, Y))
    with refused("the student fails on a batch of shape (2, 7) of unlabelled"):
        read((X, Y), (X, Y), unlabelled=torch.zeros(5, 7))
    signs = (Y > 0).long() * 2 - 1
    for given in (signs, signs.unsqueeze(1), torch.stack([signs, signs], 1)):
        one = 1 if given.ndim == 2 and given.shape[1] == 1 else 2
        right = (X, given.clamp(min=0))
        for part in ((X, given), DataLoader(TensorDataset(X, given), 8)):
            with refused("every label that is there is 1", "for yes and no give 1 and 0"):
                read(part, right, one)
            with refused("every label that is there is 1"):
                read(right, part, one)
    # A loader tells later, where its first batch has none of the others.
    late = DataLoader(TensorDataset(X, signs.sort(descending=True).values), 8)
    task = read(late, (X, signs.clamp(min=0)), 2)
    feed = make_feed(task.train, 8, seed=0, device=CPU)
    with refused("every label that is there is 1"):
        for step in range(9):
            feed(step)
    assert not read((X, torch.full((60,), -1)), (X, Y)).has_labels  # for methods that need none
    with refused("train has no example with a label in its first"):
        read(DataLoader(TensorDataset(X, torch.full((60,), -1)), 8), (X, Y))


def test_without_any_label_validation_says_what_they_would_be() -> None:
    bits = torch.stack([Y == 0, Y > 0, Y < 9], 1).float()
    for targets, classes, kind, shape in ((Y, 3, "classes", (60,)), (bits, 3, "multilabel", (60, 3))):
        task = read(Batch(X, None), (X, targets), classes)  # type: ignore[arg-type]
        assert (task.kind, tuple(task.train.targets.shape)) == (kind, shape)  # type: ignore[union-attr]
        assert not task.has_labels
        with refused("class_weights='balanced' needs examples of every class: there is none of 0"):
            task.family(None, "balanced", 0.0)


def test_a_label_may_come_late_in_a_stream() -> None:
    targets = torch.full((60,), -1)
    targets[50:] = Y[50:]
    task = read(DataLoader(TensorDataset(X, targets), 8), (X, Y))
    assert task.sample.labelled is not None
    assert bool(task.sample.labelled.any())


class Named(nn.Module):
    """Called with names; gives an object with logits, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
        return {"logits": self.net(x if mask is None else x * mask)}


def test_inputs_by_name_from_labels_to_costs() -> None:
    data = {"x": X, "mask": torch.ones(60, 1), "labels": Y}
    task = read(data, data, players={"student": Named(), "teacher": Named()})
    student = Named()
    right = (student(X)["logits"].argmax(1) == Y).double().mean().item()
    assert task.measure("student", student)["accuracy"] == pytest.approx(100 * right)
    assert task.cost("student", student).parameters == 21
    with refused("the student cannot be called as student(**inputs with x, mask, more)"):
        wrong = {**data, "more": X}
        read(wrong, wrong, players={"student": Named()})


def test_a_batch_may_be_said_to_be_of_one_kind() -> None:
    one_hot = torch.eye(3)[Y]
    assert read((X, one_hot), (X, one_hot), asked="multilabel").kind == "multilabel"
    assert read(Batch(X, one_hot), (X, Y)).kind == "classes"
    with refused("task='binary' needs"):
        read((X, Y), (X, Y), asked="binary")
