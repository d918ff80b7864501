"""Batches of labelled examples and of others: a function of seed and step."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset, TensorDataset

from kdgan.data import Batch, Noise
from kdgan.data.forms import Form, Pieces, leaves
from kdgan.data.own import training_data
from kdgan.data.semi import Semi, SemiFeed, labelled_part, make_feed

CPU = torch.device("cpu")


def part(count: int, start: int, known: bool = False) -> Batch:
    x = torch.arange(start, start + count).float().unsqueeze(1)
    none = torch.full((count,), -1)
    return Batch(x, torch.arange(count) % 3 if start == 0 else none, x * 10 if known else None)


def both(labelled: int, unlabelled: int, known: bool = False) -> Semi:
    return Semi(part(labelled, 0, known), part(unlabelled, 1000, known))


def which(batch: Batch) -> list[int]:
    return [int(row) for piece in batch.pieces() for row in leaves(piece.inputs)[0].flatten(1)[:, 0]]


@settings(max_examples=60)
@given(
    counts=st.tuples(st.integers(1, 20), st.integers(1, 30)),
    size=st.integers(1, 40),
    share=st.floats(0.01, 0.99),
    steps=st.lists(st.integers(0, 15), min_size=1, max_size=6),
)
def test_the_share_and_any_order_of_steps(
    counts: tuple[int, int], size: int, share: float, steps: list[int]
) -> None:
    data = both(*counts, known=True)
    one, other = (make_feed(data, size, seed=3, device=CPU, share=share) for _ in range(2))
    sequence = [one(step) for step in range(max(steps) + 1)]
    expected = min(max(round(share * size), 1), max(size - 1, 1))
    for step in steps:
        batch = other(step)
        assert which(batch) == which(sequence[step])
        assert len(batch) == max(size, 2)
        assert batch.labelled is not None
        assert batch.labelled.tolist() == [True] * expected + [False] * (len(batch) - expected)
        rows = torch.tensor(which(batch))
        assert torch.equal(rows < 1000, batch.labelled)
        assert torch.equal(batch.targets, torch.where(rows < 1000, rows % 3, -1))
        assert isinstance(batch.privileged, Tensor)
        assert torch.equal(batch.privileged.flatten(), rows * 10.0)


def test_every_example_of_both_kinds_comes_once_in_its_passes() -> None:
    feed = make_feed(both(6, 18), 8, seed=0, device=CPU, share=0.25)
    for number in range(3):
        rows = [row for step in range(3 * number, 3 * number + 3) for row in which(feed(step))]
        assert sorted(rows) == [*range(6), *range(1000, 1018)]


def test_seeds_have_orders_of_their_own_and_the_two_kinds_too() -> None:
    first = [
        tuple(which(make_feed(both(30, 30), 60, seed=seed, device=CPU, share=0.5)(0))) for seed in range(5)
    ]
    assert len(set(first)) == 5
    assert all([row - 1000 for row in rows[30:]] != list(rows[:30]) for rows in first)


@pytest.mark.parametrize("seed", range(3))
def test_labelled_examples_come_as_they_do_without_the_others(seed: int) -> None:
    feed = make_feed(both(7, 20), 12, seed=seed, device=CPU, share=0.25)
    alone = make_feed(both(7, 20).labelled, 3, seed=seed, device=CPU)
    for step in range(8):
        assert which(feed(step))[:3] == which(alone(step))


@pytest.mark.parametrize(
    "targets", [torch.eye(3), torch.eye(3, dtype=torch.float64), torch.tensor([[1.0], [0.0], [1.0]])]
)
def test_targets_of_every_form(targets: Tensor) -> None:
    known = Batch(torch.arange(3.0).unsqueeze(1), targets)
    batch = make_feed(Semi(known, part(9, 1000)), 8, seed=0, device=CPU, share=0.5)(2)
    assert batch.targets.dtype == targets.dtype
    assert batch.targets.shape == (8, targets.shape[1])
    assert batch.labelled is not None
    rows = torch.tensor(which(batch))
    assert torch.equal(batch.targets[batch.labelled], targets[rows[batch.labelled]])
    assert batch.targets[~batch.labelled].isnan().all()


class Rows(Dataset[Any]):
    def __init__(self, data: Batch) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> Any:
        return self.data.tensor[row], int(self.data.targets[row])


def padded(rows: list[Any]) -> tuple[dict[str, Tensor], Tensor]:
    """Texts of a length that hangs on their numbers."""
    length = 1 + max(int(x) % 7 for x, _ in rows)
    x = torch.stack([x.expand(length) for x, _ in rows])
    return {"ids": x, "mask": torch.ones_like(x)}, torch.tensor([y for _, y in rows])


def test_pieces_when_sizes_differ() -> None:
    train = DataLoader(Rows(part(9, 0)), 3, shuffle=True, collate_fn=padded)
    more = DataLoader(Rows(part(20, 1000)), 5, shuffle=True, collate_fn=padded)
    data = training_data(train, more)
    one, other = (make_feed(data, 8, seed=0, device=CPU) for _ in range(2))
    sequence = [one(step) for step in range(12)]
    assert any(isinstance(batch.inputs, Pieces) for batch in sequence)
    for step in (11, 3, 0, 7):
        again = other(step)
        assert which(again) == which(sequence[step])
        assert again.labelled is not None
        rows = torch.tensor(which(again))
        assert torch.equal(again.targets, torch.where(rows < 1000, rows % 3, -1))
        assert which(again[again.labelled]) == rows[rows < 1000].tolist()
        assert which(again[~again.labelled]) == rows[rows >= 1000].tolist()


def test_pieces_are_augmented_one_by_one() -> None:
    def shifted(inputs: Any, generator: torch.Generator) -> Form:
        assert isinstance(inputs, dict)
        draw = torch.rand(len(inputs["ids"]), 1, generator=generator)
        return {"mask": inputs["mask"], "ids": inputs["ids"] + 0.9 * draw}

    train = DataLoader(Rows(part(9, 0)), 3, collate_fn=padded)
    more = DataLoader(Rows(part(20, 1000)), 5, collate_fn=padded)
    plain = make_feed(training_data(train, more), 8, seed=0, device=CPU)
    feed, again = (
        make_feed(training_data(train, more), 8, seed=0, device=CPU, augment=shifted) for _ in range(2)
    )
    batches = [feed(step) for step in range(6)]
    for step, batch in enumerate(batches):
        assert which(batch) == which(plain(step))
        assert torch.equal(batch.targets, plain(step).targets)
    for one, other in zip(leaves(batches[5].inputs), leaves(again(5).inputs), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_loader_of_labelled_examples_has_its_own_count_of_them(share: float) -> None:
    loader = DataLoader(Rows(part(12, 0)), 4)
    feed = make_feed(training_data(loader, part(40, 1000)), 999, seed=0, device=CPU, share=share)
    batch = feed(0)
    assert batch.labelled is not None
    assert int(batch.labelled.sum()) == 4
    assert len(batch) == 4 / share


def test_the_part_that_has_labels() -> None:
    data = both(3, 4)
    assert labelled_part(data) is data.labelled
    assert labelled_part(data.labelled) is data.labelled
    assert isinstance(make_feed(data, 4, seed=0, device=CPU), SemiFeed)
    whole = TensorDataset(torch.zeros(4, 1), torch.tensor([0, 1, -1, -1]))
    assert isinstance(training_data(whole), Semi)
    stream = make_feed(training_data(DataLoader(whole, 4)), 4, seed=0, device=CPU)(0)
    assert stream.labelled is not None
    assert stream.labelled.tolist() == [True, True, False, False]


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails where a device would be waited for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket)
        if name.startswith("aten.index") and isinstance(args[1], list | tuple):
            assert all(index is None or index.dtype != torch.bool for index in args[1]), (
                "a mask of unknown size"
            )
        assert name not in ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal"), (
            name
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("targets", [torch.arange(6) % 3, torch.eye(3).repeat(2, 1)])
@pytest.mark.parametrize("augment", [None, Noise()])
def test_no_step_waits_for_the_device(targets: Tensor, augment: Any) -> None:
    x = torch.arange(6.0).unsqueeze(1)
    data = Semi(Batch(x, targets, x), Batch(x + 1000, torch.full((6,), -1), x))
    feed = make_feed(data, 8, seed=0, device=CPU, augment=augment)
    feed(0)
    with NoWaiting():  # type: ignore[no-untyped-call]
        batch = feed(1)
    assert len(batch) == 8


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_so_has_a_loader_of_the_others(share: float) -> None:
    loader = DataLoader(TensorDataset(part(40, 1000).tensor), 8)
    data = training_data(part(10, 0), loader)
    assert isinstance(data, Semi)
    batch = make_feed(data, 999, seed=0, device=CPU, share=share)(0)
    assert batch.labelled is not None
    assert int((~batch.labelled).sum()) == 8
    assert len(batch) == 8 / (1 - share)
