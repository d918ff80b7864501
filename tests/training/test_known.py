"""Teachers that cannot be asked: what is known of them is looked at once, and looked up by place."""

from typing import Any

import numpy as np
import pytest
import torch

from kdgan.data.batch import Batch
from kdgan.training import identity
from kdgan.training.answers import Reading
from kdgan.training.known import Known
from support import refused

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


@pytest.mark.parametrize("places", [slice(1, 3), np.array([5, 0, 5])])
def test_rows_of_several_teachers_are_read_one_by_one(places: Any) -> None:
    face = Known(ROWS, [(Reading(), 2), (Reading("logits", None, [1, 0]), 2)])
    face.settle("classes", 2)
    rows = torch.as_tensor(ROWS[places])
    expected = (rows[:, :2].softmax(1) + rows[:, 2:].flip(1).softmax(1)) / 2
    torch.testing.assert_close(face.answered(places, None).softmax(1), expected)
    assert face.count == 6
    with refused("the teacher is known by its logits of training examples alone"):
        face(torch.zeros(2, 3))


def test_examples_are_held_against_what_is_known_of_them() -> None:
    held: list[Any] = []
    batch = Batch(torch.zeros(2, 1), torch.zeros(2).long())
    Known(ROWS, [(Reading(), 4)], lambda *given: held.append(given)).check(slice(0, 2), batch)
    Known(ROWS, [(Reading(), 4)]).check(slice(0, 2), batch)
    assert held == [(slice(0, 2), batch)]


def test_rows_are_no_part_of_the_players_form() -> None:
    assert identity.of_form(Known(ROWS, [(Reading(), 4)])) == identity.of_form(
        Known(ROWS + 1, [(Reading(), 4)])
    )


def test_the_first_number_that_is_wrong_is_named_by_its_place_among_all() -> None:
    values = np.zeros((9000, 3), np.float32)
    values[8765, 1] = np.nan
    with refused("logits of example 8765 are not finite"):
        Known(values, [(Reading(), 3)]).settle("classes", 3)
