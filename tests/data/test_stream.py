"""What is read anew in every pass is a function of seed and step, whoever draws."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from kdgan.data import Batch
from kdgan.data.parsing import as_batch
from kdgan.data.seeds import RandomState
from kdgan.data.stream import LoaderFeed, Stream
from support import refused

CPU = torch.device("cpu")
X, Y = torch.arange(10.0).unsqueeze(1), torch.arange(10) % 3
DRAWN: dict[str, Callable[[], float]] = {
    "torch": lambda: torch.rand(()).item(),
    "numpy": lambda: float(np.random.rand()),
    "random": random.random,
}


class Items(Dataset[Any]):
    """Views that somebody draws."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.draw = draw

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return X[index] + 0.1 * self.draw(), int(Y[index])


class Sequence(IterableDataset[Any]):
    """The same without a length, and a number of them in each pass that is drawn."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.draw = draw

    def __iter__(self) -> Iterator[Any]:
        for index in range(4 + int(5 * self.draw())):
            yield X[index] + 0.1 * self.draw(), int(Y[index])


def noisy(examples: list[Any]) -> tuple[Tensor, Tensor]:
    x = torch.stack([x for x, _ in examples])
    return x + 0.1 * np.random.rand(), torch.tensor([y for _, y in examples])


def loaders(name: str) -> dict[str, DataLoader[Any]]:
    data, own = Items(DRAWN[name]), torch.Generator().manual_seed(3)
    return {
        "in order": DataLoader(data, batch_size=4),
        "shuffled": DataLoader(data, batch_size=4, shuffle=True),
        "its own generator": DataLoader(data, batch_size=4, shuffle=True, generator=own),
        "a sampler's generator": DataLoader(data, batch_size=4, sampler=RandomSampler(data, generator=own)),
        "a list of places": DataLoader(data, batch_size=4, sampler=[5, 1, 1, 0, 2]),
        "collate": DataLoader(data, batch_size=4, collate_fn=noisy),
        "iterable": DataLoader(Sequence(DRAWN[name]), batch_size=3),
    }


def feed_of(loader: Any, seed: int = 0) -> LoaderFeed:
    return LoaderFeed(Stream(loader), 4, seed=seed, device=CPU)


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.targets, other.targets)


@pytest.mark.parametrize("form", loaders("torch"))
@pytest.mark.parametrize("name", DRAWN)
def test_a_batch_depends_on_seed_and_step_alone(name: str, form: str) -> None:
    loader = loaders(name)[form]
    own = [loader.generator] if loader.generator else []
    before = RandomState.now(CPU, own)
    feed = feed_of(loader)
    batches = [feed(step) for step in range(9)]
    for draw in DRAWN.values():
        draw()  # what happens in between has no part in it
    for step in (8, 3, 0, 5):
        assert same(feed_of(loaders(name)[form])(step), batches[step]), step
        assert same(feed_of(loader)(step), batches[step]), step
    assert same(feed(2), batches[2])  # back
    assert not same(feed_of(loader, seed=1)(0), batches[0])
    assert not same(batches[0], batches[3])  # another pass, or another place
    before.restore()
    state = [draw() for draw in DRAWN.values()]
    before.restore()
    given = [generator.get_state() for generator in own]
    feed_of(loader)(7)
    assert state == [draw() for draw in DRAWN.values()], "training feels that the loader draws"
    for generator, mine in zip(own, given, strict=True):
        assert torch.equal(generator.get_state(), mine)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_too(persistent: bool) -> None:
    loader = DataLoader(Items(DRAWN["numpy"]), batch_size=5, num_workers=1, persistent_workers=persistent)
    feed = feed_of(loader)
    batches = [feed(step) for step in range(4)]
    assert same(feed_of(loader)(3), batches[3])
    assert not same(batches[0], batches[2])


def test_every_later_batch_is_held_to_the_first() -> None:
    first = Batch(X[:4], Y[:4])
    spoilt, known = X.clone(), torch.eye(3)[Y]
    spoilt[9] = float("nan")
    weights = known.clone()
    weights[8] *= 2
    for parts, part in (
        ((X, torch.where(X[:, 0] == 9, 7, Y)), "targets lie in 2..7, but the student scores 3 classes, 0..2"),
        ((spoilt, Y), "inputs of example 1 hold NaN"),
        ((X, Y, known), "privileged are of 2 axes"),
        ((X, weights), "targets are of 2 axes, torch.float32, but of 1 axes, torch.int64 in the first batch"),
    ):
        stream = Stream(DataLoader(TensorDataset(*parts), batch_size=4), like=first, classes=3)
        with refused("train: ", part, "of pass 1)"):
            LoaderFeed(stream, 4, seed=0, device=CPU)(2)
    soft = Stream(DataLoader(TensorDataset(X, weights), batch_size=4), like=Batch(X, known), classes=3)
    with refused("targets of example 0 are no distribution", "sum to 2", "(batch 3 of pass 1)"):
        LoaderFeed(soft, 4, seed=0, device=CPU)(2)
    fine = Stream(DataLoader(TensorDataset(X, Y), batch_size=4), like=replace(first), classes=3)
    assert len(LoaderFeed(fine, 4, seed=0, device=CPU)(2)) == 2


def test_a_dataset_whose_last_batch_would_be_a_single_example() -> None:
    assert [len(part[0]) for part in Stream(Items(DRAWN["torch"])).loader(3)] == [3, 3, 3]
    assert [len(part[0]) for part in Stream(Items(DRAWN["torch"])).loader(4)] == [4, 4, 2]
    assert [len(part[0]) for part in Stream(Items(DRAWN["torch"])).loader(1)] == [1] * 10
    data = TensorDataset(X, Y)
    assert Stream(DataLoader(data, batch_size=3)).ends_alone()
    for options in (
        {"batch_size": 3, "drop_last": True},
        {"batch_size": 5},
        {"batch_size": 1},
        {"batch_size": None},
    ):
        assert not Stream(DataLoader(data, **options)).ends_alone()  # type: ignore[arg-type]


def test_values_alone_are_taken() -> None:
    learned = torch.nn.Parameter(X.clone())
    batch = as_batch((learned, Y, None), "train")
    assert not batch.inputs.requires_grad
    assert batch.privileged is None
    with torch.inference_mode():
        inside = X * 2
    assert not as_batch((inside, Y), "train").inputs.is_inference()
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    for array in (frozen, X.numpy().astype(">f8"), np.asfortranarray(X.numpy())):
        assert torch.equal(as_batch((array, Y.numpy()), "train").inputs, X)
    assert torch.equal(as_batch((X.numpy()[::-1], Y), "train").inputs, X.flip(0))
    with refused("train: a tensor is sparse"):
        as_batch((X.to_sparse(), Y), "train")


class Falling(Items):
    def __getitem__(self, index: int) -> Any:
        raise KeyError("no such\nphoto")


def test_what_a_dataset_raises_is_a_line_that_says_where() -> None:
    for workers in (0, 1):
        with pytest.raises(
            RuntimeError, match=r"^train fails with KeyError: .*no such.*photo.*, in \w+\.py line \d+$"
        ):
            feed_of(DataLoader(Falling(random.random), batch_size=2, num_workers=workers))(0)


def by_name(examples: list[Any]) -> dict[str, Tensor]:
    x, y = noisy(examples)
    return {"labels": y, "b": x, "a": x * 2} if int(y[0]) else {"a": x * 2, "b": x, "labels": y}


def test_names_may_come_in_any_order() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=1, collate_fn=by_name)
    stream = Stream(loader, like=LoaderFeed(Stream(loader), 1, seed=0, device=CPU)(0), classes=3)
    feed = LoaderFeed(stream, 1, seed=0, device=CPU)
    for step in range(10):
        batch = feed(step)
        assert isinstance(batch.inputs, dict)
        assert torch.equal(batch.inputs["a"], batch.inputs["b"] * 2)
        assert int(batch.inputs["b"].floor()) % 3 == int(batch.targets)


class Labels(Dataset[Any]):
    """Examples with labels as they are given."""

    def __init__(self, *labels: Any) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Any:
        return X[row], self.labels[row]


@pytest.mark.parametrize(
    ("labels", "like"),
    [
        ([0, 1, None, None, 2, None], torch.tensor([0, 1])),
        (
            [torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), None, None, torch.zeros(2), None],
            torch.zeros(2, 2),
        ),
        ([0.0, 1.0, None, None, 1.0, None], torch.zeros(2, dtype=torch.float64)),
    ],
)
@pytest.mark.parametrize("loader", [True, False])
def test_labels_that_are_none(labels: list[Any], like: Tensor, loader: bool) -> None:
    data = Labels(*labels)
    stream = Stream(DataLoader(data, 2) if loader else data, like=Batch(X[:2], like))
    feed = LoaderFeed(stream, 2, seed=0, device=CPU)
    for step in range(6):
        batch = feed(step)
        rows = batch.tensor.flatten().long()
        known = [labels[row] is not None for row in rows]
        assert batch.targets.ndim == like.ndim
        marks = [True] * len(rows) if batch.labelled is None else batch.labelled.tolist()
        assert marks == known
        for target, row in zip(batch.targets, rows, strict=True):
            if labels[row] is not None:
                assert torch.equal(target, torch.as_tensor(labels[row]).to(target.dtype))


def test_a_stream_of_three_million_rows_is_read_batch_by_batch() -> None:
    """Neither what is known of a pass nor what is kept grows with it."""

    class Rows(IterableDataset[Any]):
        taken = 0

        def __iter__(self) -> Iterator[Any]:
            for row in range(3_000_000):
                Rows.taken = row + 1
                yield X[row % 10], row % 3

    feed = LoaderFeed(Stream(DataLoader(Rows(), 8)), 8, seed=0, device=CPU)
    for step in range(20):
        assert len(feed(step)) == 8
    assert Rows.taken == 160
    kept = [value for value in vars(feed).values() if isinstance(value, list | dict)]
    assert all(len(value) < 10 for value in kept)


@pytest.mark.parametrize("sampler", [[5, 1, 1, 0, 2, -1], torch.tensor([3, 4, 0]), np.array([9, 9, 2])])
def test_tensors_are_given_at_once_as_they_would_be_one_by_one(sampler: Any) -> None:
    data = TensorDataset(X, Y, X * 10)
    loader = DataLoader(data, batch_size=2, sampler=sampler)
    feed = feed_of(loader)
    for step, (x, y, more) in enumerate(loader):
        batch = feed(step)
        assert torch.equal(batch.inputs, x)
        assert torch.equal(batch.targets, y)
        assert torch.equal(batch.privileged, more)
    assert type(loader.dataset) is TensorDataset, "the caller's own loader is as it was"


class Reads(DataLoader[Any]):
    """A loader of one's own that knows its data set."""

    def __iter__(self) -> Any:
        for row in range(0, 10, 5):
            yield self.dataset[row : row + 5]  # type: ignore[index]


def test_a_loader_of_ones_own_finds_its_data_as_they_are() -> None:
    feed = feed_of(Reads(TensorDataset(X, Y), batch_size=5))
    assert torch.equal(feed(1).inputs, X[5:])
