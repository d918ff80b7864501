"""Teachers of other classes than the student's; against sums in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kdgan.training.class_map import translation
from support import refused


def drawn(rows: int = 7, classes: int = 5, seed: int = 0) -> Tensor:
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def naive_softmax(logits: Tensor) -> np.ndarray[Any, Any]:
    each = np.exp(logits.double().numpy())
    return each / each.sum(1, keepdims=True)


def test_what_several_classes_weigh_adds_up_and_the_rest_is_left_out() -> None:
    logits = drawn()
    found = translation({0: 1, 4: 0, 2: 1, 3: None})(logits)
    p = naive_softmax(logits)
    together = np.stack([p[:, 4], p[:, 0] + p[:, 2]], axis=1)
    expected = together / together.sum(1, keepdims=True)
    np.testing.assert_allclose(found.double().softmax(1).numpy(), expected, rtol=1e-5)


def test_a_list_says_the_same_as_a_mapping() -> None:
    logits = drawn()
    mapping, listed = {0: 1, 4: 0, 2: 1, 3: None}, [1, None, 1, None, 0]
    assert torch.equal(translation(mapping)(logits), translation(listed)(logits))


def test_classes_that_change_places_are_the_same_numbers() -> None:
    logits = drawn()
    assert torch.equal(translation({4: 0, 3: 1, 2: 2, 1: 3, 0: 4})(logits), logits.flip(1))


def test_translation_has_the_right_gradient() -> None:
    logits = drawn().double().requires_grad_(True)
    change = translation([0, 1, 0, None, 0])
    assert torch.autograd.gradcheck(change, logits)
    assert torch.autograd.gradcheck(change.odds, logits)
    assert torch.autograd.gradcheck(translation({1: 0, 3: 0}).odds, logits)


def test_odds_are_of_what_is_mapped_against_all_others() -> None:
    logits = drawn()
    p = naive_softmax(logits)
    yes = p[:, 1] + p[:, 3]
    found = translation({1: 0, 3: 0}).odds(logits)
    np.testing.assert_allclose(found[:, 0], np.log(yes / (1 - yes)), rtol=1e-4, atol=1e-6)
    assert torch.equal(translation({0: 0}).odds(logits[:, :1]), logits[:, :1])
    with refused("teacher_classes: all 5 classes of the teacher stand for yes, and none for no"):
        translation([0] * 5).odds(logits)
    with refused("teacher_classes names class 2 of the student, which says yes or no"):
        translation([0, 1, 2]).check("binary")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({0: 0, 1: 2}, ("no class of the teacher stands for class 1 of the student",)),
        ({0: 0}, ("no class of the teacher stands for class 1",)),
        ({0: 0, 1: 1, 2: 2}, ("names class 2 of the student, which scores 2",)),
        ({0: 0, 1: -1}, ("class of the student must be a whole number from 0, not -1",)),
        ({"cat": 0}, ("class of the teacher must be a whole number from 0, not 'cat'",)),
        ({0: True}, ("not True",)),
        ([None, None], ("no class of the teacher stands for class 0",)),
        ("01", ("must be {teacher's class: student's class} or a list, not str",)),
        (3, ("not int",)),
    ],
)
def test_class_maps_that_are_none(given: Any, parts: tuple[str, ...]) -> None:
    with refused("teacher_classes", *parts):
        translation(given, 2)


def test_a_teacher_that_scores_other_classes_than_the_map_says() -> None:
    with refused("teacher_classes has 3 entries, but the teacher scores 5 classes"):
        translation([0, 1, 1])(drawn())
    with refused("names class 7 of the teacher, which scores 5 classes, 0..4"):
        translation({7: 0})(drawn())
