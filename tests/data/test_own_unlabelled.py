"""Examples without labels, in every form that labelled ones have."""

import warnings
from collections import UserDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from kdgan.data import Batch
from kdgan.data.forms import leaves
from kdgan.data.own import training_data
from kdgan.data.semi import Semi, make_feed
from support import refused

CPU = torch.device("cpu")
X, Y = torch.arange(6.0).unsqueeze(1), torch.arange(6) % 3
MORE = torch.arange(10.0, 19.0).unsqueeze(1)


class Items(Dataset[Any]):
    """One by one, as a function says."""

    def __init__(self, item: Any, count: int = 9, noise: float = 0.0) -> None:
        self.item, self.count, self.noise = item, count, noise

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        return self.item(MORE[row] + self.noise * torch.rand(()))


class Columns:
    """As a data set of the datasets library is used."""

    def __init__(self, **columns: Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {name: column[row] for name, column in self.columns.items()}

    def set_format(self, kind: str) -> None: ...


TENSOR: dict[str, Any] = {
    "tensor": MORE,
    "array": MORE.numpy(),
    "list": list(MORE),
    "arrays in a list": list(MORE.numpy()),
    "labelled": (MORE, torch.full((9,), 77)),
    "triple": (MORE, torch.full((9,), 77), None),
    "Batch": Batch(MORE, torch.full((9,), 77)),
    "labelled by half": [(x, None if x > 14 else 5) for x in MORE],
    "TensorDataset": TensorDataset(MORE),
    "labelled TensorDataset": TensorDataset(MORE, torch.full((9,), 77)),
    "Dataset": Items(lambda x: x),
    "labelled Dataset": Items(lambda x: (x, 77)),
    "unknown labels": Items(lambda x: (x, None)),
    "views": Items(lambda x: x, noise=0.1),
    "named": Items(lambda x: {"inputs": x, "label": 77}),
    "DataLoader": DataLoader(TensorDataset(MORE), 4, shuffle=True),
    "labelled DataLoader": DataLoader(TensorDataset(MORE, torch.full((9,), 77)), 4, shuffle=True),
    "two in a list": [MORE[0], MORE[1]],
    "three labelled in a list": [(MORE[0], 1), (MORE[1], 2), (MORE[2], 3)],
    "whole in a list": [MORE, torch.full((9,), 77)],
}


def numbers(batch: Batch) -> list[float]:
    """Which examples, after a look that all their tensors agree."""
    columns = [leaf.flatten().floor().tolist() for leaf in leaves(batch.inputs)]
    assert all(column == columns[0] for column in columns)
    return columns[0]


def look(data: Any, known: Any = None) -> None:
    """Batches hold labelled ones first, each with its label, and no others with one."""
    assert isinstance(data, Semi)
    feed = make_feed(data, 8, seed=0, device=CPU, share=0.5)
    for step in range(6):
        batch = feed(step)
        assert batch.labelled is not None
        found = torch.tensor(numbers(batch))
        assert torch.equal(batch.labelled, found < 10)
        assert batch.labelled[0]
        assert torch.equal(batch.labelled, batch.labelled.sort(descending=True).values)
        assert torch.equal(batch.targets[batch.labelled], Y[found[batch.labelled].long()])
        assert (batch.targets[~batch.labelled] == -1).all()
        if known is not None:
            assert isinstance(batch.privileged, Tensor)
            assert torch.equal(batch.privileged.flatten(), found * 10)


@pytest.mark.parametrize("form", TENSOR)
@pytest.mark.parametrize("train", [(X, Y), DataLoader(TensorDataset(X, Y), 4)], ids=["tensors", "loader"])
def test_inputs_of_one_tensor(form: str, train: Any) -> None:
    look(training_data(train, TENSOR[form]))


NAMED: dict[str, Any] = {
    "mapping": {"a": MORE, "b": MORE},
    "other order": {"b": MORE, "a": MORE},
    "encoding": UserDict(a=MORE, b=MORE),
    "arrays": {"a": MORE.numpy(), "b": MORE.numpy()},
    "labelled": {"a": MORE, "b": MORE, "labels": torch.full((9,), 77)},
    "pair": ({"a": MORE, "b": MORE}, torch.full((9,), 77)),
    "list": [{"a": x, "b": x} for x in MORE],
    "labelled list": [{"a": x, "b": x, "label": None} for x in MORE],
    "two": [{"a": x, "b": x} for x in MORE[:2]],
    "pairs": [({"a": x, "b": x}, 77) for x in MORE],
    "columns": Columns(a=MORE, b=MORE, label=torch.full((9,), 77)),
    "Dataset": Items(lambda x: {"b": x, "a": x}),
    "DataLoader": DataLoader(Items(lambda x: {"a": x, "b": x, "labels": 77}), 4),
}


@pytest.mark.parametrize("form", NAMED)
def test_inputs_by_name(form: str) -> None:
    look(training_data(({"a": X, "b": X}, Y), NAMED[form]))
    look(training_data(Columns(a=X, b=X, labels=Y), NAMED[form]))  # type: ignore[arg-type]


TUPLE: dict[str, Any] = {
    "tuple": (MORE, MORE),
    "list": [MORE, MORE],
    "arrays": (MORE.numpy(), MORE.numpy()),
    "labelled": ((MORE, MORE), torch.full((9,), 77)),
    "examples": [(x, x) for x in MORE],
    "two examples": [(x, x) for x in MORE[:2]],
    "three examples": [(x, x) for x in MORE[:3]],
    "labelled examples": [((x, x), 77) for x in MORE],
    "Dataset": Items(lambda x: (x, x)),
    "labelled Dataset": Items(lambda x: ((x, x), 77)),
    "DataLoader": DataLoader(TensorDataset(MORE, MORE), 4),
}


@pytest.mark.parametrize("form", TUPLE)
def test_inputs_of_several_tensors(form: str) -> None:
    look(training_data(((X, X), Y), TUPLE[form]))


KNOWN: dict[str, Any] = {
    "pair": (MORE, MORE * 10),
    "triple": (MORE, torch.full((9,), 77), MORE * 10),
    "list": [MORE, MORE * 10],
    "Batch": Batch(MORE, None, MORE * 10),  # type: ignore[arg-type]
    "mapping": {"inputs": MORE, "privileged": MORE * 10},
    "examples": [(x, x * 10) for x in MORE],
    "two examples": [(x, x * 10) for x in MORE[:2]],
    "labelled examples": [(x, None, x * 10) for x in MORE],
    "Dataset": Items(lambda x: (x, x * 10)),
    "named": Items(lambda x: {"inputs": x, "labels": 77, "privileged": x * 10}),
    "DataLoader": DataLoader(TensorDataset(MORE, MORE * 10), 4, shuffle=True),
}


@pytest.mark.parametrize("form", KNOWN)
def test_privileged_information(form: str) -> None:
    look(training_data((X, Y, X * 10), KNOWN[form]), known=True)


def test_examples_of_train_that_have_none() -> None:
    mixed = torch.cat([X, MORE]), torch.cat([Y, torch.full((9,), -1)])
    look(training_data(mixed))
    look(training_data([(x, None if x >= 10 else int(y)) for x, y in zip(*mixed, strict=True)]))
    both = training_data((torch.cat([X, MORE[:4]]), torch.cat([Y, torch.full((4,), -1)])), MORE[4:])
    look(both)
    assert isinstance(both, Semi)
    assert isinstance(both.unlabelled, Batch)
    assert both.unlabelled.tensor.flatten().tolist() == MORE.flatten().tolist()
    with refused("train has examples without labels", "read anew in every pass", "put all of them into one"):
        training_data(mixed, DataLoader(TensorDataset(MORE), 4))


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(MORE)


def test_a_stream_without_a_length() -> None:
    look(training_data((X, Y), Flow()))
    look(training_data((X, Y), DataLoader(Flow(), 3)))


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (MORE.double(), ("(1,) of torch.float64 as inputs", "train (1,) of torch.float32")),
        ({"x": MORE}, ("by the names x as inputs", "train (1,)")),
        ((MORE, MORE, MORE), ("as privileged information", "but train none")),
        (MORE.flatten(), ("() of torch.float32 as inputs",)),
        (MORE[:0], ("unlabelled has no examples",)),
        (MORE.where(MORE != 13, float("nan")), ("unlabelled: inputs of example 3 hold NaN",)),
        (["text", "more"], ("unlabelled", "str")),
        (DataLoader(TensorDataset(MORE.double()), 4), ("of torch.float64 as inputs",)),
        (Items(lambda x: torch.zeros(int(x) % 3 + 1)), ("examples", "differ in size", "collate_fn")),
        (Items(lambda x: x, count=0), ("unlabelled has no examples",)),
    ],
)
def test_another_form_is_told(data: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        training_data((X, Y), data)


def test_units_are_those_of_the_inputs_of_the_same_name() -> None:
    large, small = torch.rand(10, 2) * 1e6, torch.rand(10, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labelled = {"a": large, "b": small, "labels": torch.arange(10) % 2}
        found = training_data(labelled, {"b": small, "a": large})
    assert isinstance(found, Semi)
    assert isinstance(found.unlabelled, Batch)
    assert isinstance(found.unlabelled.inputs, dict)
    assert list(found.unlabelled.inputs) == ["a", "b"]


def test_another_width_is_no_matter_of_units() -> None:
    training_data((torch.rand(10, 3), torch.arange(10) % 2), torch.rand(10, 4))


def test_privileged_information_that_is_missing() -> None:
    with refused("unlabelled has none as privileged information", "but train (1,)"):
        training_data((X, Y, X * 10), MORE)
    with refused("as privileged information, but train (1,) of torch.float32"):
        training_data((X, Y, X * 10), (MORE, torch.full((9,), 77)))  # labels are no privileged information
    with refused("unlabelled: inputs of example 1 hold NaN", "(batch 3 of pass 1)"):
        spoilt = MORE.where(MORE != 15, np.nan)
        feed = make_feed(training_data((X, Y), DataLoader(TensorDataset(spoilt), 2)), 8, seed=0, device=CPU)
        feed(2)
