"""Labelled examples to judge players by."""

from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan.data import Batch, kept, stream
from kdgan.data.heldout import HeldOut, held_out
from kdgan.data.join import join
from kdgan.data.stream import Stream
from kdgan.training.evaluate import logits_of
from support import refused

X, Y = torch.arange(10.0).unsqueeze(1), torch.arange(10) % 3
NAN, META = float("nan"), torch.device("meta")


def padded(rows: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Texts as long as their number, padded to the longest of the batch."""
    numbers = [int(x) for x, _ in rows]
    ids = torch.zeros(len(rows), max(numbers) + 1, dtype=torch.long)
    for place, number in enumerate(numbers):
        ids[place, : number + 1] = number
    return {"ids": ids, "mask": (ids > 0).long(), "labels": torch.stack([y for _, y in rows])}


class Longest(nn.Module):
    """Says of each text its number; called with names."""

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        assert torch.equal(mask, (ids > 0).long())
        return {"logits": ids.amax(1, keepdim=True).float().expand(-1, 3)}


@pytest.fixture(params=["kept", "read anew"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "read anew":
        monkeypatch.setattr(kept, "MOST_BYTES", 1)
    return str(request.param)


@pytest.mark.parametrize("shuffle", [False, True])
def test_texts_of_other_lengths(memory: str, shuffle: bool) -> None:
    data = held_out(
        DataLoader(TensorDataset(X, Y), 4, shuffle=shuffle, collate_fn=padded), "validation", seed=3
    ).of_kind("classes", 3)
    assert isinstance(data.batches, Stream) == (memory == "read anew")
    numbers = logits_of(Longest(), data)[:, 0].long()
    assert torch.equal(data.targets, numbers % 3)
    assert numbers.sort().values.tolist() == list(range(10))
    assert (numbers.tolist() == list(range(10))) == (not shuffle)
    assert len(data) == 10
    again = logits_of(Longest(), data)[:, 0].long()
    assert torch.equal(again, numbers)


def test_examples_without_a_label_are_left_out(memory: str) -> None:
    targets = Y.where(Y != 1, -1)
    targets[4:8] = -100  # a whole batch
    for form in (DataLoader(TensorDataset(X, targets), 4), list(zip(X, targets, strict=True))):
        data = held_out(form, "validation").of_kind("classes", 3)
        assert torch.equal(data.targets, targets[targets >= 0])
        assert torch.equal(join(list(data)).tensor, X[targets >= 0])
        assert all(len(batch) and batch.labelled is None for batch in data)
    first = targets.clone()
    first[:4] = -1
    assert len(held_out(DataLoader(TensorDataset(X, first), 4), "validation").sample)
    for none in (torch.full((10,), -1), torch.full((10, 3), NAN)):
        with refused("validation", "no example with a label"):
            data = held_out(DataLoader(TensorDataset(X, none), 4), "validation")
            len(data)


@pytest.mark.parametrize(("shape", "kind"), [((10,), "binary"), ((10, 1), "binary")])
def test_targets_are_put_as_losses_take_them(memory: str, shape: tuple[int, ...], kind: Any) -> None:
    bits = (Y > 0).long().view(shape)
    data = held_out(DataLoader(TensorDataset(X, bits), 4), "validation").of_kind(kind, 1)
    for _ in range(2):
        assert torch.equal(torch.cat([batch.targets for batch in data]), bits.float().view(10, 1))
    assert torch.equal(data.sample.targets, bits.float().view(10, 1)[: len(data.sample)])


def test_every_target_is_held_to_the_classes(memory: str) -> None:
    late = Y.clone()
    late[9] = 5
    for options in ({}, {"collate_fn": padded}):
        loader = DataLoader(TensorDataset(X, late), 4, **options)  # type: ignore[arg-type]
        with refused("validation: targets lie in", "..5", "the student scores 3 classes"):
            len(held_out(loader, "validation").of_kind("classes", 3))
    with refused("validation: targets are class indices"):
        len(held_out(DataLoader(TensorDataset(X, Y), 4), "validation").of_kind("multilabel", 3))


def test_every_batch_goes_to_the_device_and_may_lose_what_is_privileged(memory: str) -> None:
    data = held_out(DataLoader(TensorDataset(X, Y, X * 10), 4), "validation").of_kind("classes", 3)
    assert all(batch.privileged is not None for batch in data)
    away = data.without_privileged().to(META)
    # Of what is read anew targets are compared, which needs values.
    batches = [next(iter(away))] if memory == "read anew" else [*away]
    assert [(batch.targets.device, batch.privileged) for batch in batches] == [(META, None)] * len(batches)
    here = data.to(torch.device("cpu")).without_privileged()
    for _ in range(2):
        assert torch.equal(torch.cat([batch.tensor for batch in here]), X)
    assert all(batch.privileged is not None for batch in data)  # as it was


def test_other_processes_get_them(memory: str) -> None:
    data = held_out(DataLoader(TensorDataset(X, Y, X * 10), 4), "validation").of_kind("classes", 3)
    sent = ForkingPickler.dumps(data.without_privileged().to(torch.device("cpu")))
    there = ForkingPickler.loads(sent)
    assert torch.equal(torch.cat([batch.tensor for batch in there]), X)
    assert all(batch.privileged is None for batch in there)


class Shuffled(IterableDataset[Any]):
    """In another order each time."""

    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        for row in np.random.default_rng(self.passes).permutation(10):
            yield X[row], Y[row]


class Once(IterableDataset[Any]):
    """Can be read a single time."""

    def __init__(self) -> None:
        self.rows = iter(list(zip(X, Y, strict=True)))

    def __iter__(self) -> Iterator[Any]:
        return self.rows


def test_what_is_read_anew_must_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(held_out(Once(), "validation")) == 10  # kept
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    data = held_out(Shuffled(), "validation")
    with refused("validation gives other examples when it is read again", "the same in every pass"):
        for _ in range(9):
            logits_of(nn.Linear(1, 3), data)
            len(data)
    once = held_out(DataLoader(Once(), 4), "validation")
    with refused("validation gives no example"):
        for _ in range(2):
            logits_of(nn.Linear(1, 3), once)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield X[0], Y[0]


def test_without_an_end(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_WITHOUT_LENGTH", 1000)
    with refused("validation does not say how many examples it has", "more than 1,000: does it end?"):
        len(held_out(Endless(), "validation"))


class Lazy(Dataset[Any]):
    """Images that are made when they are asked for."""

    made = 0

    def __len__(self) -> int:
        return 200_000

    def __getitem__(self, row: int) -> Any:
        Lazy.made += 1
        return torch.zeros(3, 64, 64), row % 3


def test_many_lazy_images_are_read_no_further_than_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 2**24)
    data = held_out(Lazy(), "validation")
    assert isinstance(data.batches, Stream)
    assert Lazy.made < 1000
    assert len(data.sample) <= 256


def test_batches_of_different_kinds() -> None:
    class Two(Dataset[Any]):
        def __init__(self, *items: Any) -> None:
            self.items = items

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, place: int) -> Any:
            return self.items[place]

    for other, said in (
        (((X, X), Y), "inputs are 2 tensors"),
        (({"x": X}, Y), "inputs are by name: x of 2 axes"),
        ((X.double(), Y), "inputs are of 2 axes, torch.float64, but of 2 axes, torch.float32"),
        ((X, torch.eye(3)[Y]), "targets are of 2 axes"),
        ((X, Y, X), "privileged are of 2 axes, torch.float32, but none in the first batch"),
    ):
        with refused("validation: ", said):
            held_out(DataLoader(Two((X, Y), other), batch_size=None), "validation")
    bits = DataLoader(Two((X, torch.eye(3)[Y]), (X, torch.eye(4)[Y])), batch_size=None)
    with refused("validation: targets weigh 4 labels, but 3 in the first batch"):
        held_out(bits, "validation")
    names = DataLoader(Two(({"a": X, "b": X}, Y), ({"b": X, "a": X}, Y)), batch_size=None)
    assert isinstance(held_out(names, "validation"), HeldOut)
    assert len(list(held_out(names, "validation"))) == 1


def test_all_examples_at_once() -> None:
    whole = held_out(Batch((X, X + 1), Y), "validation")
    (batch,) = whole
    assert isinstance(batch.inputs, tuple)
    assert whole.sample is batch
