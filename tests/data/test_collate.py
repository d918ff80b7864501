"""Batches out of single examples."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from kdgan.data.collate import collate
from kdgan.data.parsing import as_batch
from support import refused

X = torch.arange(8.0).view(4, 2)


def pairs(labels: list[Any]) -> list[tuple[Any, Any]]:
    return [(x, label) for x, label in zip(X, labels, strict=True)]


@pytest.mark.parametrize(
    "labels",
    [
        [0, None, 1, 2],
        [None, 0, None, 1],
        [torch.tensor(0), None, torch.tensor(1), None],
        [np.int64(3), None, None, np.int64(0)],
        [True, None, False, None],
        [np.uint8(1), None, np.uint8(0), np.uint8(255)],
        [torch.tensor([True, False]), None, torch.tensor([False, False]), None],
        [np.array([1, 0], dtype=np.uint8), None, None, np.array([0, 0], dtype=np.uint8)],
        [torch.tensor([0.5, 0.5]), None, torch.tensor([1.0, 0.0]), None],
        [np.array([0.5, 0.5]), None, None, np.array([1.0, 0.0])],
        [1.0, None, 0.0, None],
        [None, None, None, None],
    ],
)
@pytest.mark.parametrize("form", ["pair", "triple", "mapping"])
def test_a_label_that_is_none(labels: list[Any], form: str) -> None:
    examples: list[Any] = pairs(labels)
    if form == "triple":
        examples = [(*each, each[0] * 10) for each in examples]
    if form == "mapping":
        examples = [{"x": x, "labels": label} for x, label in examples]
    batch = as_batch(collate(examples), "train")
    assert batch.labelled is not None
    assert batch.labelled.tolist() == [label is not None for label in labels]
    for row, label in enumerate(labels):
        if label is not None:
            assert torch.equal(batch.targets[row].double(), torch.as_tensor(label).double())
    assert (batch.privileged is not None) == (form == "triple")


def test_where_nothing_is_odd_it_is_torchs_own() -> None:
    examples = pairs([0, 1, 2, 3])
    for mine, theirs in zip(collate(examples), default_collate(examples), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.dtype == theirs.dtype


def test_arrays_are_of_the_precision_of_networks() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    assert collate(list(vectors)).dtype == torch.float32
    inputs, targets, known = collate(
        [(x, label, {"k": x}) for x, label in zip(vectors, range(4), strict=True)]
    )
    assert {inputs.dtype, known["k"].dtype} == {torch.float32}
    assert torch.equal(inputs, torch.from_numpy(vectors).float())
    assert targets.tolist() == [0, 1, 2, 3]
    assert collate([(x.astype(np.float16), 0) for x in vectors])[0].dtype == torch.float32
    assert collate([(np.arange(3), 0)] * 2)[0].dtype == torch.int64


def test_privileged_information_that_is_none() -> None:
    assert len(collate([(*each, None) for each in pairs([0, 1, 2, 3])])) == 2


def test_lists_of_numbers_are_rows() -> None:
    """Otherwise a batch of them would be a column for each place, and look like inputs of several tensors."""
    for examples in (
        [([1, 2, 3], 0), ([4, 5, 6], 1)],
        [{"ids": [1, 2, 3], "labels": 0}, {"ids": [4, 5, 6], "labels": 1}],
    ):
        batch = as_batch(collate(examples), "train")  # type: ignore[arg-type]
        x = batch.inputs["ids"] if isinstance(batch.inputs, dict) else batch.tensor
        assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    (matrices,) = collate([([[1.0, 2.0], [3.0, 4.0]],), ([[5.0, 6.0], [7.0, 8.0]],)])
    assert matrices.shape == (2, 2, 2)
    bits = as_batch(collate([(X[0], [1, 0, 1]), (X[1], [0, 0, 1])]), "train")
    assert bits.targets.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_sizes_that_differ() -> None:
    for examples in (
        [(torch.zeros(3), 0), (torch.zeros(4), 1)],
        [{"ids": [1, 2], "labels": 0}, {"ids": [1, 2, 3], "labels": 0}],
    ):
        with refused("examples differ in size", "collate_fn pads them"):
            collate(examples)  # type: ignore[arg-type]
