"""Inputs of any form: what belongs to an example stays with it."""

from collections import OrderedDict, UserDict, namedtuple
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgan.data.forms import (
    Form,
    Pieces,
    as_form,
    equal,
    fits,
    is_padded,
    joined,
    kind_of,
    leaves,
    length,
    mapped,
    named_as,
    rows,
)
from support import refused


def numbered(count: int, width: int = 1, start: int = 0) -> Tensor:
    """Each row says which one it is, in every column."""
    return torch.arange(start, start + count).unsqueeze(1).expand(count, width).clone()


def forms(count: int) -> dict[str, Form]:
    return {
        "tensor": numbered(count),
        "tuple": (numbered(count), numbered(count, 3)),
        "mapping": {"b": numbered(count), "a": numbered(count, 2)},
    }


def in_pieces(sizes: list[int], kind: str = "tensor") -> Pieces:
    found, start = [], 0
    for place, size in enumerate(sizes):
        piece: Form = numbered(size, place + 1, start)  # each of another width
        if kind == "tuple":
            piece = (numbered(size, place + 1, start), numbered(size, 1, start))
        if kind == "mapping":
            piece = {"x": numbered(size, place + 1, start)}
        found.append(piece)
        start += size
    return Pieces(found)


def order(form: Form) -> list[int]:
    """Which rows they are, after a look that all tensors of a row agree."""
    if isinstance(form, Pieces):
        return [row for piece in form for row in order(piece)]
    first = [leaf[:, 0].tolist() for leaf in leaves(form)]
    assert all(each == first[0] for each in first)
    return first[0]


INDICES = st.one_of(
    st.tuples(st.integers(-15, 15), st.integers(-15, 15), st.sampled_from([None, 1, 2, 3])).map(
        lambda p: slice(*p)
    ),
    st.lists(st.integers(0, 10**6), max_size=12).map(torch.tensor),
    st.integers(0, 2**31).map(lambda seed: seed),
)


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 0),
    kind=st.sampled_from(["tensor", "tuple", "mapping"]),
    index=INDICES,
)
def test_rows_of_pieces_are_those_of_all_in_a_row(sizes: list[int], kind: str, index: Any) -> None:
    count = sum(sizes)
    if isinstance(index, int):
        index = torch.rand(count, generator=torch.Generator().manual_seed(index)) < 0.5
    elif isinstance(index, Tensor):
        index = index.long() % count
    found = rows(in_pieces(sizes, kind), index)
    assert order(found) == torch.arange(count)[index].tolist()
    assert length(found) == len(torch.arange(count)[index])
    if isinstance(found, Pieces):
        assert len(found) > 1
        widths = [leaves(piece)[0].shape[1] for piece in found]
        homes = [leaves(piece)[0].shape[1] for piece in in_pieces(sizes, kind)]
        assert set(widths) <= set(homes)


@pytest.mark.parametrize("kind", forms(1))
@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([4, 0, 4]), torch.arange(5) > 2, slice(0, 0)])
def test_rows_of_every_form(kind: str, index: Any) -> None:
    form = forms(5)[kind]
    found = rows(form, index)
    assert type(found) is type(form)
    assert order(found) == torch.arange(5)[index].tolist()
    if isinstance(found, dict):
        assert [*found] == ["b", "a"]


@pytest.mark.parametrize("kind", forms(1))
@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_joined_in_their_order(kind: str, sizes: list[int]) -> None:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    parts = []
    for size, start in zip(sizes, starts, strict=True):
        parts.append(mapped(partial(torch.add, start), forms(size)[kind]))
    found = joined(parts)
    assert type(found) is type(parts[0])
    assert order(found) == list(range(sum(sizes)))


def test_joined_by_name_not_by_place() -> None:
    one, other = (
        {"a": torch.zeros(2, 1), "b": torch.ones(2, 1)},
        {"b": torch.ones(1, 1), "a": torch.zeros(1, 1)},
    )
    found = joined([one, other])
    assert isinstance(found, dict)
    assert found["a"].flatten().tolist() == [0, 0, 0]
    assert found["b"].flatten().tolist() == [1, 1, 1]
    assert fits(one, other)
    assert equal(one, {"b": torch.ones(2, 1), "a": torch.zeros(2, 1)})
    assert not equal(one, {"a": torch.ones(2, 1), "b": torch.zeros(2, 1)})
    assert kind_of(one) == kind_of(other)


def test_what_differs_in_size_or_type_lies_in_pieces() -> None:
    for other in (torch.zeros(2, 5), torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, 1)):
        found = joined([torch.zeros(4, 3), other, torch.zeros(1, 3)])
        assert isinstance(found, Pieces)
        assert [length(piece) for piece in found] == [4, 2, 1]
    nested = joined([joined([torch.zeros(4, 3), torch.zeros(2, 5)]), torch.zeros(1, 7)])
    assert [tuple(leaf.shape) for leaf in leaves(nested)] == [(4, 3), (2, 5), (1, 7)]


def test_a_form_out_of_what_people_have() -> None:
    x, y = torch.zeros(3, 2), torch.ones(3)
    pair = namedtuple("pair", "x y")
    for value in ((x, y), [x, y], pair(x, y)):
        form = as_form(value, "inputs")
        assert type(form) is tuple
        assert form[0] is x and form[1] is y  # noqa: PT018
    for value in ({"x": x, "y": y}, UserDict(x=x, y=y), OrderedDict(x=x, y=y)):
        form = as_form(value, "inputs")
        assert type(form) is dict
        assert [*form] == ["x", "y"]
    assert as_form(x, "inputs") is x
    made = as_form((x.numpy(), y.numpy()), "inputs", lambda part: torch.as_tensor(np.asarray(part)))
    assert [tuple(leaf.shape) for leaf in leaves(made)] == [(3, 2), (3,)]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ({1: torch.zeros(2)}, ("the name 1", "must be text")),
        ({}, ("no tensor",)),
        ((), ("no tensor",)),
        ((torch.zeros(2), "text"), ("inputs[1] must be a tensor, not str",)),
        ({"x": [1, 2]}, ("inputs['x'] must be a tensor, not list",)),
        ((torch.zeros(2), torch.zeros(3)), ("2 and 3 rows",)),
        (torch.tensor(1.0), ("a single number",)),
        ("text", ("must be a tensor, not str",)),
    ],
)
def test_other_forms_are_refused(value: Any, parts: tuple[str, ...]) -> None:
    with refused("inputs", *parts):
        as_form(value, "inputs")


def test_nan_and_nan_are_equal_and_forms_are_not_mixed() -> None:
    x = torch.tensor([[float("nan")], [1.0]])
    assert equal(x, x.clone())
    assert not equal(x, torch.zeros(2, 1))
    assert not equal(x, x.double())
    assert not equal(x, (x,))
    assert not equal((x,), (x, x))
    assert not equal(x, None)
    assert equal(None, None)
    assert not fits({"a": x}, {"b": x})


def test_names_come_in_the_order_of_others() -> None:
    one, other = {"b": numbered(2), "a": numbered(2, 3)}, {"a": numbered(5), "b": numbered(5)}
    found = named_as(one, other)
    assert isinstance(found, dict)
    assert list(found) == ["a", "b"]
    assert equal(found, one)
    (piece,) = named_as(Pieces([one]), Pieces([other, other]))
    assert isinstance(piece, dict)
    assert list(piece) == ["a", "b"]
    for like in (None, numbered(2), {"a": numbered(2)}, (numbered(2), numbered(2))):
        assert named_as(one, like) is one


def test_an_example_is_found_within_its_padding() -> None:
    one = torch.arange(1.0, 7).view(1, 2, 3)
    padded = torch.zeros(1, 4, 5)
    for rows_of, columns in ((slice(2), slice(3)), (slice(2, 4), slice(2, 5))):
        whole = padded.clone()
        whole[:, rows_of, columns] = one
        assert is_padded(whole, one)
        assert is_padded({"x": whole, "y": one}, {"x": one, "y": one})
        assert not is_padded(one, whole)
        assert not is_padded(whole + 1, one)
        assert not is_padded(whole.double(), one)
        assert not is_padded(whole, {"x": one})
    assert is_padded(one, one)
    assert is_padded(torch.tensor([[float("nan"), 0]]), torch.tensor([[float("nan")]]))
    assert is_padded(torch.tensor([3]), torch.tensor([3]))
