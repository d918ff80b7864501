"""Inputs, targets and privileged information are told apart."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kdgan.data import Batch, Scale
from kdgan.data.forms import Form, leaves
from kdgan.data.parsing import LABELS, as_batch, as_unlabelled, to_tensor
from support import refused

X, Y, KNOWN = torch.arange(12.0).view(6, 2), torch.arange(6) % 3, torch.arange(6.0).unsqueeze(1)
INPUTS: dict[str, Any] = {
    "tensor": X,
    "array": X.double().numpy(),
    "tuple": (X, X + 1),
    "arrays": (X.numpy(), (X + 1).numpy()),
    "mapping": {"x": X, "more": X + 1},
    "encoding": UserDict(x=X, more=X + 1),
    "arrays by name": {"x": X.numpy(), "more": (X + 1).numpy()},
}


def same(one: Form | None, other: Any) -> bool:
    """Whether the form has these very values, whatever people said them in."""
    if one is None or other is None:
        return one is other
    if isinstance(other, Mapping):
        return (
            isinstance(one, dict)
            and one.keys() == set(other)
            and all(same(one[name], other[name]) for name in one)
        )
    if isinstance(other, list | tuple):
        mine = leaves(one)
        return type(one) is tuple and all(same(a, b) for a, b in zip(mine, other, strict=True))
    return isinstance(one, Tensor) and torch.equal(one, torch.as_tensor(other).float())


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("known", [None, *INPUTS])
def test_every_form_in_a_tuple_a_list_and_a_batch(inputs: str, known: str | None) -> None:
    x, more = INPUTS[inputs], None if known is None else INPUTS[known]
    for data in ((x, Y, more), [x, Y.numpy(), more], (x, Y) if more is None else (x, Y, more)):
        batch = as_batch(data, "train")
        assert same(batch.inputs, x)
        assert torch.equal(batch.targets, Y)
        assert same(batch.privileged, more)
    again = as_batch(Batch(*batch.parts()), "train")
    assert same(again.inputs, x)
    assert same(again.privileged, more)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("kind", [dict, UserDict])
def test_a_mapping_that_names_its_targets(name: str, kind: Any) -> None:
    batch = as_batch(kind({"x": X, name: Y, "more": X + 1}), "train")
    assert same(batch.inputs, {"x": X, "more": X + 1})
    assert torch.equal(batch.targets, Y)
    assert batch.privileged is None
    batch = as_batch(kind({"inputs": X, name: Y, "privileged": {"k": KNOWN}}), "train")
    assert same(batch.inputs, X)
    assert same(batch.privileged, {"k": KNOWN})
    batch = as_batch(kind({"x": X, name: Y, "privileged": KNOWN}), "train")
    assert same(batch.inputs, {"x": X})
    assert same(batch.privileged, KNOWN)


def test_images_that_are_scaled_later_are_scaled_here() -> None:
    bytes_ = torch.randint(256, (6, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    raw = Batch(bytes_, Y, scale=Scale.of(bytes_))
    for batch in (as_batch(raw, "train"), as_unlabelled(raw, "unlabelled", raw.standardised())):
        assert torch.equal(batch.tensor, raw.standardised().tensor)
        assert batch.scale is None


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ({"x": X}, ("gives a mapping with no of labels, label, targets, target", "it has x")),
        ({"x": X, "labels": Y, "label": Y}, ("with several of labels",)),
        ({"x": X, "text": ["a"] * 6, "labels": Y}, ("inputs hold list", "tokeniser", "leave the column out")),
        ((X,), ("must give (inputs, targets)", "got tuple of Tensor")),
        ((X, "labels"), ("must give", "got tuple of Tensor, str")),
        ((X, {"y": Y}), ("must give", "got tuple of Tensor, dict")),
        ((X, Y, KNOWN, X), ("must give",)),
        (X, ("got Tensor",)),
        ((X, Y[:5]), ("6 inputs but 5 targets",)),
        (((X, X[:3]), Y), ("6 and 3 rows",)),
        ((np.array(["a"] * 6), Y), ("an array is not of numbers",)),
        ((X.to_sparse(), Y), ("a tensor is sparse",)),
        (Batch(X, Y, None, torch.eye(3)[Y]), ("holds teacher_logits",)),
        ((X, torch.zeros(6, 2, 2)), ("targets must be class indices (B,)",)),
    ],
)
def test_other_forms_end_in_a_line(data: Any, parts: tuple[str, ...]) -> None:
    with refused("train", *parts):
        as_batch(data, "train")


# --- without labels --------------------------------------------------------------------------------------------------


def like(inputs: Any, known: bool = False) -> Batch:
    return as_batch((inputs, Y, KNOWN if known else None), "train")


@pytest.mark.parametrize("inputs", INPUTS)
def test_inputs_alone_and_with_labels_that_nobody_looks_at(inputs: str) -> None:
    x = INPUTS[inputs]
    forms = [x, (x, Y), [x, torch.full((6,), 99)], (x, Y, None)]
    forms.append({**x, "labels": Y} if isinstance(x, Mapping) else {"inputs": x, "target": Y})
    for data in (*forms, as_batch((x, Y), "train")):
        batch = as_unlabelled(data, "unlabelled", like(x))
        assert same(batch.inputs, x)
        assert batch.privileged is None
        assert batch.labelled is not None
        assert not batch.labelled.any()


@pytest.mark.parametrize("inputs", INPUTS)
def test_privileged_information_without_labels(inputs: str) -> None:
    x = INPUTS[inputs]
    forms: list[Any] = [(x, KNOWN), [x, KNOWN], (x, Y, KNOWN), as_batch((x, Y, KNOWN), "train")]
    forms.append({**x, "privileged": KNOWN} if isinstance(x, Mapping) else {"inputs": x, "privileged": KNOWN})
    forms.append(
        {**x, "label": Y, "privileged": KNOWN}
        if isinstance(x, Mapping)
        else {"inputs": x, "privileged": KNOWN}
    )
    for data in forms:
        batch = as_unlabelled(data, "unlabelled", like(x, known=True))
        assert same(batch.inputs, x)
        assert same(batch.privileged, KNOWN)
        assert batch.labelled is not None
        assert not batch.labelled.any()


def test_values_alone() -> None:
    half = np.arange(4, dtype=np.float16)
    assert to_tensor(half).dtype == torch.float32
    assert to_tensor(np.arange(4, dtype=np.int32)).dtype == torch.int32
    assert to_tensor(np.array([True, False])).dtype == torch.bool
    learned = torch.nn.Parameter(X.clone())
    assert not to_tensor(learned).requires_grad
    with refused("a part hold str"):
        to_tensor("text")  # type: ignore[arg-type]
