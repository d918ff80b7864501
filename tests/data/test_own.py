"""Data in the forms that people have it in."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan.data import Batch, TensorFeed, kept, stream
from kdgan.data.forms import Pieces
from kdgan.data.heldout import HeldOut, held_out
from kdgan.data.join import join
from kdgan.data.kept import sample_of
from kdgan.data.own import training_data, updates_in
from kdgan.data.parsing import as_batch
from kdgan.data.semi import make_feed
from kdgan.data.stream import LoaderFeed, Stream
from support import refused

CPU = torch.device("cpu")
X = torch.arange(10.0).unsqueeze(1)
Y = torch.arange(10) % 3
KNOWN = X * 100


class Items(Dataset[Any]):
    """Examples one by one, with noise where asked for."""

    def __init__(self, *parts: Tensor, noise: float = 0.0) -> None:
        self.parts, self.noise = parts, noise

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        first, *rest = (part[index] for part in self.parts)
        return (first + self.noise * torch.randn(first.shape), *rest)


class Unsized(IterableDataset[Any]):
    """Examples in their order, of a number that nobody knows ahead."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(X, Y, strict=True))


class Flow(IterableDataset[Any]):
    """What a function gives, whatever that is."""

    def __init__(self, begin: Any, kept: Any = None) -> None:
        self.begin, self.kept = begin, kept

    def __iter__(self) -> Iterator[Any]:
        return self.begin()  # type: ignore[no-any-return]


class Counter(IterableDataset[Any]):
    """Its own iterator, which begins anew when it is asked for one; or goes on where it was."""

    row = 0

    def __init__(self, *, anew: bool) -> None:
        self.anew = anew

    def __iter__(self) -> Iterator[Any]:
        self.row = 0 if self.anew else self.row
        return self

    def __next__(self) -> Any:
        if self.row == 10:
            raise StopIteration
        self.row += 1
        return X[self.row - 1], Y[self.row - 1]


def pairs() -> Iterator[Any]:
    return iter(list(zip(X, Y, strict=True)))


def goes_on() -> dict[str, Any]:
    """What can be read only once, or goes on where it was."""
    kept = pairs()
    wrapped, places = pairs(), iter(range(10))
    return {
        "a generator that is kept": Flow(lambda: kept),
        "one of it": Flow(lambda: map(tuple, wrapped), wrapped),
        "its own iterator": Counter(anew=False),
        "in a loader": DataLoader(Counter(anew=False), batch_size=3),
        "a sampler": DataLoader(TensorDataset(X, Y), batch_size=3, sampler=places),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("form", goes_on())
def test_what_can_be_read_only_once_is_refused(form: str) -> None:
    with refused("train gives other examples when it is read again", "let __iter__ begin anew"):
        training_data(goes_on()[form])


def test_what_begins_anew_is_read() -> None:
    drawn = np.random.default_rng(0)
    for source in (
        Counter(anew=True),
        DataLoader(Counter(anew=True), batch_size=3),
        Flow(pairs),
        Flow(pairs, kept=pairs()),
        Flow(
            lambda: ((X[row], Y[row]) for row in drawn.permutation(10))
        ),  # nobody knows it from another view
    ):
        assert isinstance(training_data(source), Stream)
    data = training_data(Counter(anew=True))
    feed = make_feed(data, 4, seed=0, device=CPU)
    assert torch.equal(feed(0).inputs, X[:4])  # type: ignore[arg-type]


def test_unlabelled_examples_that_can_be_read_only_once_are_refused() -> None:
    rows = iter(X)
    with refused("unlabelled gives other examples when it is read again"):
        training_data((X, Y), Flow(lambda: rows))


class Unlabelled(IterableDataset[Any]):
    """Inputs alone, likewise."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(X)


class PlainNumbers(Dataset[Any]):
    """What many datasets give: labels as Python's numbers."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return X[index], int(Y[index])


def all_of(data: HeldOut) -> Batch:
    return join(list(data))


FORMS = {
    "Batch": lambda *parts: Batch(*parts),
    "tuple": lambda *parts: parts,
    "list": lambda *parts: list(parts),
    "TensorDataset": TensorDataset,
    "Dataset": Items,
    "DataLoader": lambda *parts: DataLoader(TensorDataset(*parts), batch_size=4),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("parts", [(X, Y), (X, Y, KNOWN), (X, torch.eye(3)[Y])], ids=["2", "3", "weights"])
def test_every_form_is_collected_to_the_same_batch(form: str, parts: tuple[Tensor, ...]) -> None:
    batch = all_of(held_out(FORMS[form](*parts), "validation"))
    assert torch.equal(batch.inputs, X)
    assert torch.equal(batch.targets, parts[1])
    assert (batch.privileged is None) == (len(parts) == 2)
    if batch.privileged is not None:
        assert torch.equal(batch.privileged, KNOWN)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "DataLoader"])
def test_what_is_the_same_in_every_pass_trains_as_tensors(form: str) -> None:
    data = training_data(FORMS[form](X, Y, KNOWN))
    assert isinstance(data, Batch)
    assert torch.equal(data.inputs, X)
    assert isinstance(make_feed(data, 4, seed=0, device=CPU), TensorFeed)


def test_labels_may_be_plain_numbers() -> None:
    data = training_data(PlainNumbers())
    assert isinstance(data, Batch)
    assert torch.equal(data.targets, Y)


def test_random_views_stay_random() -> None:
    data = training_data(Items(X, Y, KNOWN, noise=0.01))
    assert isinstance(data, Stream)
    feed = make_feed(data, 5, seed=1, device=CPU)
    first, second = [feed(0), feed(1)], [feed(2), feed(3)]
    for one_pass in (first, second):
        numbers = torch.cat([batch.inputs for batch in one_pass]).flatten()
        assert numbers.round().sort().values.tolist() == list(range(10))
        for batch in one_pass:
            assert len(batch) == 5
            assert torch.equal(batch.targets, batch.inputs.round().flatten().long() % 3)
            assert batch.privileged is not None
            assert torch.equal(batch.privileged, batch.inputs.round() * 100)
    orders = [torch.cat([batch.inputs for batch in one_pass]).flatten() for one_pass in (first, second)]
    assert not torch.equal(*(order.round() for order in orders))  # shuffled
    assert not torch.equal(*(order.sort().values for order in orders))  # other views


def test_a_dataset_too_large_for_tensors_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    one = X[0].nbytes + Y[0].nbytes
    monkeypatch.setattr(kept, "MOST_BYTES", 10 * one)
    assert isinstance(training_data(Items(X, Y)), Batch)
    monkeypatch.setattr(kept, "MOST_BYTES", 10 * one - 1)
    assert isinstance(training_data(Items(X, Y)), Stream)


def test_a_loader_streams_and_starts_again() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    data = training_data(loader)
    assert isinstance(data, Stream)
    feed = make_feed(data, 999, seed=0, device=CPU)
    assert isinstance(feed, LoaderFeed)
    sizes = [4, 4, 2, 4, 4, 2, 4]
    batches = [feed(step) for step in range(7)]
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.inputs for batch in batches[:3]]), X)
    assert torch.equal(torch.cat([batch.inputs for batch in batches[3:6]]), X)


def test_a_loader_may_give_batches_of_its_own() -> None:
    loader = DataLoader(Items(X, Y), batch_size=5, collate_fn=joined)
    feed = make_feed(training_data(loader), 5, seed=0, device=CPU)
    assert torch.equal(feed(0).inputs, X[:5])


def joined(items: list[tuple[Tensor, Tensor]]) -> Batch:
    return Batch(*map(torch.stack, zip(*items, strict=True)))


def test_a_loader_of_single_examples_is_still_the_users_own() -> None:
    order = [3, 3, 3, 7]
    loader = DataLoader(TensorDataset(X, Y), batch_size=1, sampler=order)
    feed = make_feed(training_data(loader), 4, seed=0, device=CPU)
    assert [feed(step).inputs.flatten().tolist() for step in range(5)] == [[3.0], [3.0], [3.0], [7.0], [3.0]]


def test_a_stream_of_unknown_length_can_be_trained_on() -> None:
    loader = DataLoader(Unsized(), batch_size=4)
    feed = make_feed(training_data(loader), 4, seed=0, device=CPU)
    assert torch.equal(torch.cat([feed(step).inputs for step in range(3)]), X)
    assert torch.equal(all_of(held_out(Unsized(), "validation")).tensor, X)
    own_stream = make_feed(training_data(Unsized()), 4, seed=0, device=CPU)
    assert len(own_stream(0)) > 0


def test_a_loader_that_gives_nothing() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=11, drop_last=True)
    with refused("train", "no batch", "drop_last"):
        make_feed(training_data(loader), 4, seed=0, device=CPU)(0)
    with refused("validation gives no example"):
        held_out(loader, "validation")


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ((X,), "tuple of Tensor"),
        ((X, Y, KNOWN, X), "tuple of Tensor, Tensor, Tensor, Tensor"),
        ([Batch(X, Y), Batch(X, Y)], "list of Batch, Batch"),
        (X, "Tensor"),
        (None, "NoneType"),
        ("digits", "str"),
    ],
)
def test_other_forms_are_named(data: Any, form: str) -> None:
    with refused("train must give (inputs, targets)", f"got {form}"):
        training_data(data)
    with refused("validation must give (inputs, targets)", f"got {form}"):
        held_out(data, "validation")


def test_no_examples() -> None:
    for data in (Batch(X[:0], Y[:0]), (X[:0], Y[:0]), Items(X[:0], Y[:0]), TensorDataset(X[:0], Y[:0])):
        with refused("train", "no examples"):
            training_data(data)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none(bad: float) -> None:
    spoilt, weights = X.clone(), torch.eye(3)[Y]
    spoilt[6, 0], weights[4, 1] = bad, bad
    for form in ("Batch", "tuple", "TensorDataset", "Dataset"):
        with refused("train", "inputs of example 6", "NaN"):
            training_data(FORMS[form](spoilt, Y))
        with refused("train", "targets of example 4"):
            training_data(FORMS[form](X, weights))
        with refused("train", "privileged of example 6"):
            training_data(FORMS[form](X, Y, spoilt))
    with refused("validation", "inputs of example 6"):
        held_out(DataLoader(TensorDataset(spoilt, Y), batch_size=3), "validation")


def test_parts_of_different_length() -> None:
    with refused("10 inputs but 9 targets"):
        as_batch((X, Y[:9]), "train")
    with refused("10 inputs but 3 privileged"):
        training_data((X, Y, KNOWN[:3]))


def test_a_sample_is_all_there_is_or_what_comes_first() -> None:
    assert torch.equal(sample_of(training_data((X, Y)), CPU, size=3).inputs, X)
    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    for _ in range(2):
        assert torch.equal(sample_of(Stream(loader), CPU, size=3).inputs, X[:4])


def test_updates_in_some_passes() -> None:
    """By the batches of a loader of one's own, and by the size of the feed's for all else."""
    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    assert updates_in(30, training_data((X, Y)), 5) == 60
    assert updates_in(30, training_data(Items(X, Y, noise=0.01)), 5) == 60
    assert updates_in(30, Stream(loader), 5) == 90
    assert updates_in(1, training_data(Unsized()), 5) > 10**9
    # Ten labelled and thirty others, two and six of each in an update.
    assert updates_in(4, training_data((X, Y), X.repeat(3, 1)), 8) == 20
    # A loader's eight others, to which two or three labelled ones are added.
    others = DataLoader(TensorDataset(X.repeat(8, 1)), batch_size=8)
    assert updates_in(1, training_data((X, Y), others), 999) == 8
    assert updates_in(1, training_data((X, Y), Unlabelled()), 5) > 10**9


def test_arrays_are_as_good_as_tensors() -> None:
    arrays = training_data((X.double().numpy(), Y.numpy(), X.numpy()))
    assert isinstance(arrays, Batch)
    assert arrays.privileged is not None
    assert torch.equal(arrays.inputs, X)
    assert torch.equal(arrays.targets, Y)
    with refused("train: an array is not of numbers"):
        training_data((X.numpy(), np.array(["a"] * len(X))))


class Endless(IterableDataset[Any]):
    """Examples without an end."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield X[0], Y[0]


def test_validation_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_WITHOUT_LENGTH", 1000)
    for data in (Endless(), DataLoader(Endless(), batch_size=64)):
        with refused("validation does not say how many examples it has", "more than 1,000"):
            held_out(data, "validation")


@pytest.mark.parametrize("third", [None, KNOWN])
def test_privileged_information_may_be_none(third: Tensor | None) -> None:
    class Triples(PlainNumbers):
        def __getitem__(self, index: int) -> Any:
            return X[index], int(Y[index]), None if third is None else third[index]

    for data in (Triples(), (X, Y, third)):
        found = training_data(data)
        assert isinstance(found, Batch)
        assert (found.privileged is None) == (third is None)


def test_pictures_that_are_no_tensors() -> None:
    class Pictures(PlainNumbers):
        def __getitem__(self, index: int) -> Any:
            return Image.new("L", (2, 2)), 0

    for data in (Pictures(), DataLoader(Pictures(), batch_size=2)):
        with refused("validation gives PIL images: make tensors of them"):
            held_out(data, "validation")


@pytest.mark.parametrize(
    "data",
    [
        [(X, X * 2), Y],
        ((X, X * 2), Y),
        [((x, x * 2), y) for x, y in zip(X, Y, strict=True)],
        [[(x, x * 2), int(y)] for x, y in zip(X, Y, strict=True)],
        [((X[0], X[0] * 2), Y[0]), ((X[1], X[1] * 2), Y[1])],
        [((x.tolist(), (x * 2).tolist()), int(y)) for x, y in zip(X, Y, strict=True)],
    ],
)
def test_a_list_is_of_examples_or_of_all_inputs_and_targets(data: Any) -> None:
    found = training_data(data)
    assert isinstance(found, Batch)
    assert isinstance(found.inputs, tuple)
    count = len(found)
    assert torch.equal(found.inputs[0].float().view(-1, 1), X[:count])
    assert torch.equal(found.inputs[1].float().view(-1, 1), X[:count] * 2)
    assert torch.equal(found.targets, Y[:count])


def test_by_name_as_a_list_of_all() -> None:
    for data in ([{"a": X}, Y], ({"a": X}, Y), [{"a": X}, Y, KNOWN]):
        found = training_data(data)
        assert isinstance(found, Batch)
        assert isinstance(found.inputs, dict)
        assert torch.equal(found.inputs["a"], X)
        assert (found.privileged is not None) == (len(data) == 3)


def test_sizes_that_differ_need_a_loader() -> None:
    def sized(row: int) -> Any:
        return torch.zeros(1 if row < 256 else 2), 0

    class Late(Dataset[Any]):
        def __len__(self) -> int:
            return 400

        def __getitem__(self, row: int) -> Any:
            return sized(row)

    for data in (Late(), Batch(Pieces((X, torch.zeros(2, 5))), torch.zeros(12).long())):
        with refused("train gives examples that differ in size or type", "DataLoader whose collate_fn"):
            training_data(data)
    mixed = (torch.zeros(6, 3), torch.tensor([0, 1, 2, 0, -1, -1]))
    with refused("unlabelled gives examples that differ in size"):
        training_data(mixed, torch.zeros(4, 5))


def test_one_view_in_ten_is_seen_to_be_random() -> None:
    """A Dataset that seldom changes is no table."""

    class Seldom(Items):
        def __getitem__(self, index: int) -> Any:
            x, y = X[index], int(Y[index])
            return (x + 1 if torch.rand(()) < 0.1 else x), y

    found = [training_data(Seldom(X, Y), seed=seed) for seed in range(20)]
    assert sum(isinstance(each, Stream) for each in found) >= 18  # 10 examples here, not 32
