"""The order in which what a teacher says of examples is recorded."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from kdgan.data import kept
from kdgan.data.batch import Batch
from kdgan.data.kept import random_views
from kdgan.data.ordered import example_of, in_order, length_of, spread
from kdgan.data.own import recordable
from kdgan.data.stream import Stream, one_pass

X, Y = torch.arange(22.0).view(11, 2), torch.arange(11) % 2


class Items(Dataset[Any]):
    def __init__(self, random: bool = False) -> None:
        self.random = random

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return X[row] + self.random * torch.rand(2), int(Y[row])


class Unsized(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(X, Y.tolist(), strict=True)


class Twice(DataLoader[Any]):
    """Gives each batch two times."""

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            yield batch
            yield batch


def read(stream: Stream | None) -> Tensor:
    assert stream is not None
    return torch.cat([batch.tensor for batch in one_pass(stream, 0)])


@pytest.mark.parametrize("start", [0, 4, 10])
@pytest.mark.parametrize(
    "source",
    [
        Items(),
        DataLoader(Items(), batch_size=3, shuffle=True),
        DataLoader(Items(), batch_size=5, shuffle=True, drop_last=True),
        DataLoader(Items(), batch_sampler=[[3, 1], [2, 10]]),
    ],
)
def test_every_example_comes_in_the_order_of_its_data_set(source: Any, start: int) -> None:
    stream = Stream(source)
    assert torch.equal(read(in_order(stream, 4, start)), X[start:])
    assert length_of(stream) == 11
    assert torch.equal(example_of(stream, 7).tensor, X[7:8])


@pytest.mark.parametrize(
    "source",
    [
        Unsized(),
        DataLoader(Unsized(), batch_size=4),
        Twice(Items(), batch_size=4),
        DataLoader(Items(), batch_size=None),
    ],
)
def test_what_has_no_order(source: Any) -> None:
    assert in_order(Stream(source), 4) is None


def test_random_views_are_seen() -> None:
    for random in (False, True):
        for source in (Items(random), DataLoader(Items(random), batch_size=4)):
            assert random_views(Stream(source)) is random


def test_places_from_the_first_to_the_last() -> None:
    assert spread(5, 64) == [0, 1, 2, 3, 4]
    assert spread(1, 64) == [0]
    assert (spread(1000, 3), len(spread(1000, 64))) == ([0, 500, 999], 64)


def test_rows_without_a_label_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Y.clone()
    labels[::2] = -1
    first, more = recordable((X, labels), X + 100)
    assert isinstance(first, Batch)
    assert isinstance(more, Batch)
    assert torch.equal(first.tensor, X)
    assert torch.equal(more.tensor, X + 100)
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    (alone,) = recordable(Items())
    assert isinstance(alone, Stream)
