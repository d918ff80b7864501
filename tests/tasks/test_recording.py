"""Logits are made as they are needed, and find their examples; the rest is tested through `distill`."""

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from kdgan.data import kept
from kdgan.data.semi import Semi, make_feed
from kdgan.tasks.own import OwnTask
from kdgan.tasks.recording import Lazy
from kdgan.tasks.teachers import Taught, as_teacher
from kdgan.training import identity
from kdgan.training.answers import Reading
from kdgan.training.execution import unseen
from kdgan.training.faces import Ensemble
from kdgan.training.known import Known
from support import refused

ONE, OTHER = (torch.randn(6, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))


def teacher(*logits: Tensor) -> Ensemble:
    face = Ensemble([Known(each.numpy(), [(Reading(), 3)]) for each in logits], "both")
    face.settle("classes", 3)
    return face


def test_rows_become_logits_as_they_are_asked_for() -> None:
    face = teacher(ONE, OTHER)
    lazy = Lazy(face, 0, 6)
    expected = ((ONE.softmax(1) + OTHER.softmax(1)) / 2).log()
    torch.testing.assert_close(lazy[0:6], expected)
    torch.testing.assert_close(lazy[4], expected[4])
    assert len(lazy) == 6
    torch.testing.assert_close(pickle.loads(pickle.dumps(lazy))[3], expected[3])  # noqa: S301
    some = Lazy(face, 2, 3)
    torch.testing.assert_close(some[1:], expected[3:5])
    torch.testing.assert_close(some[2], expected[4])
    for row in (-1, 3):
        with pytest.raises(IndexError, match=f"row {row} of 3"):
            some[row]


class Items(Dataset[Any]):
    """Examples that are read anew."""

    def __init__(self, shift: float, *, labels: bool, spoilt: int = -1) -> None:
        self.shift, self.labels, self.spoilt = shift, labels, spoilt

    def __len__(self) -> int:
        return 9

    def __getitem__(self, row: int) -> Any:
        x = torch.full((2,), float(row + self.shift))
        x[row == self.spoilt] = float("nan")
        return (x, row % 3) if self.labels else x


def read(taught: Taught, unlabelled: Dataset[Any]) -> OwnTask:
    task = OwnTask.read(
        Items(0, labels=True),
        Items(0, labels=True),
        {"student": nn.Linear(2, 3)},
        {},
        torch.device("cpu"),
        size=4,
        seed=0,
        augment=None,
        unlabelled=unlabelled,
        recorded=taught.count,
    )
    taught.settle(task)
    return task


@pytest.mark.parametrize("kind", ["function", "array", "both"])
def test_examples_that_are_read_anew_with_and_without_labels(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Whatever order they come in, each has the logits that are its own."""
    monkeypatch.setattr(kept, "MOST_BYTES", 1)

    def ask(x: Tensor) -> Tensor:
        return torch.cat([x, x[:, :1] / 2], 1)

    everything = torch.cat([torch.arange(9.0), torch.arange(9.0) + 100])
    rows = ask(everything.unsqueeze(1).repeat(1, 2)).numpy()
    taught = as_teacher({"function": ask, "array": rows, "both": [ask, rows]}[kind])
    task = read(taught, Items(100, labels=False))
    shown: list[tuple[str, int, int]] = []
    task = taught.recorded(task, torch.device("cpu"), lambda *each: shown.append(each))
    assert isinstance(task.train, Semi)
    feed = make_feed(task.train, 4, seed=3, device=torch.device("cpu"), share=0.5)
    for step in range(7):
        batch = feed(step)
        assert batch.recorded
        assert batch.teacher_logits is not None
        expected = ask(batch.tensor)
        torch.testing.assert_close(batch.teacher_logits.softmax(1), expected.softmax(1))
    assert shown == ([] if kind == "array" else [("asking the teacher", done, 18) for done in (9, 18)])


def test_errors_name_the_examples_without_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    unlabelled = Items(100, labels=False)
    taught = as_teacher(lambda x: torch.cat([x, x[:, :1]], 1))
    task = read(taught, unlabelled)
    unlabelled.spoilt = 7  # which was looked at before, when it was as it should be
    with refused("unlabelled: inputs of example 7 hold NaN"):
        taught.recorded(task, torch.device("cpu"), unseen)
    assert isinstance(task.train, Semi)
    with refused("unlabelled: inputs of example"):
        identity.of_examples(task.train, 9, {0: 1})
