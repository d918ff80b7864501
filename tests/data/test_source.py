"""What every reader returns, and the checks that all of them share."""

import numpy as np
import pytest
import torch

from kdgan.data.labels import Labels
from kdgan.data.source import Part, assemble, fixed_split, listing
from support import refused


def vectors(labels: list[object]) -> Part:
    return Part(np.arange(len(labels), dtype=np.float32)[:, None], Labels.of(np.array(labels)))


def test_fixed_split_keeps_the_order_and_takes_each_example_once() -> None:
    source = assemble("x", "vector", vectors([0, 1] * 50))
    train, test = source.train.inputs[:, 0], source.test.inputs[:, 0]
    assert (len(train), len(test)) == (80, 20)
    assert (train.diff() > 0).all()
    assert (test.diff() > 0).all()
    assert sorted(torch.cat([train, test]).tolist()) == list(range(100))
    assert torch.equal(source.train.targets, train.long() % 2)


def test_fixed_split_does_not_ask_the_global_generators() -> None:
    np.random.seed(1)
    first = fixed_split("x", Labels.of(np.arange(40) % 4))
    np.random.seed(2)
    torch.manual_seed(5)
    assert np.array_equal(first, fixed_split("x", Labels.of(np.arange(40) % 4)))


def test_two_examples_per_class_are_enough() -> None:
    source = assemble("x", "vector", vectors(["a", "a", "b", "b", "c", "c"]))
    assert source.train.targets.tolist() == source.test.targets.tolist() == [0, 1, 2]


def test_classes_are_ordered_by_number_or_letter() -> None:
    numbers = assemble("x", "vector", vectors([10, 9, 2, 10, 9, 2]), vectors([9, 2]))
    assert numbers.classes == ("2", "9", "10")
    assert numbers.train.targets.tolist() == [2, 1, 0, 2, 1, 0]
    assert numbers.test.targets.tolist() == [1, 0]
    assert assemble("x", "vector", vectors(["b", "a", "b", "a"])).classes == ("a", "b")


def test_a_hash_tells_data_by_all_that_was_read() -> None:
    def of(*parts: list[object], name: str = "x", **options: tuple[str, ...]) -> str:
        return assemble(name, "vector", *map(vectors, parts), **options).sha256

    same = of([0, 1] * 5)
    assert same == of([0, 1] * 5, name="y")
    others = {
        of([0, 2] * 5),
        of([0, 1] * 6),
        of([0, 1] * 5, columns=("a",)),
        of([0, 1] * 4, [0, 1]),
        of([0, 1] * 4, [0, 1], [0, 1]),
    }
    assert len(others | {same}) == 6


def test_read_only_arrays_become_tensors_of_their_own() -> None:
    part = vectors([0, 1] * 5)
    part.inputs.setflags(write=False)
    source = assemble("x", "vector", part, vectors([0, 1]))
    source.train.inputs.zero_()
    assert part.inputs.sum() == 45


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 1, 1], None, "x: all 3 examples are of the class '1', and at least two classes are needed"),
        ([0, 1, 2], None, "x: 3 of 3 labels ('0', '1', '2') have only one example, so they are no classes"),
        ([0, 0, 1, 1], [2, 2], "x: class '2' is in the test part but not in the training part"),
        ([], None, "x: the training part has no examples"),
        ([0, 0, 1, 1], [], "x: the test part has no examples"),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(
    train: list[object], test: list[object] | None, message: str
) -> None:
    with refused(message):
        assemble("x", "vector", vectors(train), None if test is None else vectors(test))


def test_long_lists_are_cut() -> None:
    assert listing("abc", limit=2) == "'a', 'b' and 1 more"
    assert listing("ab", limit=2) == "'a', 'b'"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("caf\u00e9", "cafe\u0301", True),  # one accent, typed in two ways
        ("a", "a ", True),
        ("\uff11", "1", True),
        ("1e3", "1000", True),
        ("9007199254740992", "9007199254740993", False),  # one number in double precision
        ("a", "b", False),
    ],
)
def test_labels_are_kept_apart_and_those_that_look_alike_are_said(one: str, other: str, alike: bool) -> None:
    part = Part(np.zeros((20, 1)), Labels.of(np.array([one, other] * 10)))
    source = assemble("data", "vector", part)
    assert sorted(source.classes) == sorted([one, other])
    said = any(note.startswith("labels that look alike are kept apart: ") for note in source.notes)
    assert said == alike
