"""Logits of a teacher find their examples, in any order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from kdgan.data import Batch
from kdgan.data.ordered import length_of
from kdgan.data.own import training_data
from kdgan.data.recorded import numbers
from kdgan.data.semi import Semi, make_feed
from kdgan.data.stream import Stream
from support import refused

CPU = torch.device("cpu")
COUNT = 13
X = torch.arange(float(COUNT)).unsqueeze(1)
Y = torch.arange(COUNT) % 3
LOGITS = torch.arange(float(3 * COUNT)).view(COUNT, 3)  # those of example i begin with 3 i


class Views(Dataset[Any]):
    """Views that are drawn: what stays is which example it is."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, row: int) -> Any:
        return X[row] + 0.1 * torch.rand(()), int(Y[row])


def named(rows: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    return {"x": torch.stack([x for x, _ in rows]), "labels": torch.tensor([y for _, y in rows])}


PLAIN = TensorDataset(X, Y)
FORMS: dict[str, Any] = {
    "Batch": Batch(X, Y),
    "tuple": (X, Y),
    "TensorDataset": PLAIN,
    "list": list(zip(X, Y, strict=True)),
    "views": Views(),
    "in order": DataLoader(PLAIN, 4),
    "shuffled": DataLoader(PLAIN, 4, shuffle=True),
    "workers": DataLoader(Views(), 4, shuffle=True, num_workers=2),
    "sampler": DataLoader(PLAIN, 4, sampler=[5, 5, 0, -1, 12]),
    "batch sampler": DataLoader(PLAIN, batch_sampler=[[3, 1], [12, 0, 7]]),
    "collate": DataLoader(Views(), 4, shuffle=True, collate_fn=named),
}


def check(batch: Batch, logits: Tensor = LOGITS) -> None:
    x = batch.inputs["x"] if isinstance(batch.inputs, dict) else batch.tensor
    rows = x.flatten().floor().long()
    assert torch.equal(batch.targets, Y[rows])
    assert batch.teacher_logits is not None
    assert torch.equal(batch.teacher_logits, logits[rows])


def with_logits(data: Any, unlabelled: Any = None, *, logits: Any) -> Any:
    """Training data with logits that were recorded: by the places of tensors, and in the order of a stream."""
    first = 0

    def put(part: Any) -> Any:
        nonlocal first
        if isinstance(part, Stream):
            first, start = first + length_of(part), first
            return replace(part, logits=logits[start:first])
        assert part.places is not None
        first += len(part)
        found = numbers(logits[part.places.numpy()])
        return replace(part, teacher_logits=found, recorded=True, places=None)

    found = training_data(data, unlabelled, recorded=len(logits))
    return Semi(put(found.labelled), put(found.unlabelled)) if isinstance(found, Semi) else put(found)


def in_file(folder: Path) -> Any:
    np.save(folder / "logits.npy", LOGITS.numpy())
    return np.load(folder / "logits.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", ["tensor", "array", "half", "file"])
@pytest.mark.parametrize("form", FORMS)
def test_every_row_finds_its_example(form: str, kind: str, tmp_path: Path) -> None:
    logits: Any = {
        "tensor": lambda: LOGITS,
        "array": lambda: LOGITS.double().numpy(),
        "half": lambda: LOGITS.half().numpy(),
        "file": lambda: in_file(tmp_path),
    }[kind]()
    data = with_logits(FORMS[form], logits=logits)
    feed = make_feed(data, 4, seed=0, device=CPU)
    for step in range(9):
        check(feed(step))
    again = make_feed(data, 4, seed=0, device=CPU)
    assert torch.equal(again(7).teacher_logits, feed(7).teacher_logits)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["Batch", "views", "shuffled"])
def test_they_stay_in_other_views(form: str) -> None:
    data = with_logits(FORMS[form], logits=LOGITS)
    feed = make_feed(data, 4, seed=0, device=CPU, augment=lambda x, generator: x + 0.01)
    for step in range(5):
        check(feed(step))


def test_a_part_of_a_data_set_has_an_order_of_its_own() -> None:
    part = Subset(PLAIN, [4, 2, 9])
    mine = torch.tensor([[4.0], [2.0], [9.0]])
    feed = make_feed(with_logits(DataLoader(part, 2, shuffle=True), logits=mine), 2, seed=0, device=CPU)
    for step in range(4):
        batch = feed(step)
        assert torch.equal(batch.teacher_logits, batch.tensor)  # type: ignore[arg-type]


def test_labelled_and_unlabelled_examples_in_one_go() -> None:
    data = with_logits((X, Y.where(Y != 1, -1)), logits=LOGITS)
    assert isinstance(data, Semi)
    for part in (data.labelled, data.unlabelled):
        assert isinstance(part, Batch)
        assert torch.equal(part.teacher_logits, LOGITS[part.tensor.flatten().long()])  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["tuple", "views", "shuffled"])
@pytest.mark.parametrize("other", ["tensor", "Dataset", "DataLoader"])
def test_rows_of_train_come_before_those_of_unlabelled(form: str, other: str) -> None:
    more = torch.arange(COUNT, COUNT + 7.0).unsqueeze(1)
    unlabelled: Any = {
        "tensor": more,
        "Dataset": TensorDataset(more),
        "DataLoader": DataLoader(TensorDataset(more, torch.zeros(7)), 3, shuffle=True),
    }[other]
    logits = torch.arange(3.0 * (COUNT + 7)).view(-1, 3)
    data = with_logits(FORMS[form], unlabelled, logits=logits)
    feed = make_feed(data, 8, seed=0, device=CPU)
    for step in range(6):
        batch = feed(step)
        assert batch.teacher_logits is not None
        assert torch.equal(batch.teacher_logits, logits[batch.tensor.flatten().floor().long()])
    for count in (COUNT + 6, COUNT + 8):
        with refused(
            f"the teacher's logits are of {count} examples, but train and unlabelled have {COUNT + 7}"
        ):
            training_data(FORMS[form], unlabelled, recorded=count)


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


class Reordered(DataLoader[Any]):
    """Batches of its own making."""

    def __iter__(self) -> Any:
        return iter([[X[:2], Y[:2]]])


def test_where_nobody_knows_whose_they_are() -> None:
    whole = TensorDataset(X.unsqueeze(0), Y.unsqueeze(0))  # one item that is a batch
    for data in (Flow(), DataLoader(Flow(), 4), Reordered(PLAIN, 4), DataLoader(whole, batch_size=None)):
        with refused("train has no order of its own", "give a Dataset, or the teacher itself"):
            training_data(data, recorded=COUNT)
    for count in (COUNT - 1, COUNT + 1):
        for form in ("tuple", "views", "shuffled"):
            with refused(f"the teacher's logits are of {count} examples, but train has {COUNT}"):
                training_data(FORMS[form], recorded=count)


def test_numbers_that_are_none() -> None:
    spoilt = LOGITS.clone()
    spoilt[5, 1] = float("nan")
    data = with_logits(DataLoader(PLAIN, 4), logits=spoilt)
    feed = make_feed(data, 4, seed=0, device=CPU)
    feed(0)
    with refused("train: the teacher's logits of example 1 hold NaN", "(batch 2 of pass 1)"):
        feed(1)
    assert numbers([[1, 2]]).dtype == torch.float32


def test_places_are_known_where_they_are_asked_for() -> None:
    more = torch.arange(COUNT, COUNT + 7.0).unsqueeze(1)
    for labels in (Y, Y.where(Y != 1, -1)):
        data = training_data((X, labels), more, recorded=COUNT + 7)
        assert isinstance(data, Semi)
        for part in (data.labelled, data.unlabelled):
            assert isinstance(part, Batch)
            assert part.places is not None
            assert torch.equal(part.places, part.tensor.flatten().long())
    assert training_data((X, Y)).places is None  # type: ignore[union-attr]
