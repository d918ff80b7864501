"""Functions as modules that a `Player` holds; estimators are tested through `distill`."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.methods.player import Player
from kdgan.training import identity
from kdgan.training.answers import Reading
from kdgan.training.functions import Asked
from support import refused

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
BATCH = Batch(X, torch.arange(6) % 3)


def asked(factor: float) -> Asked:
    return Asked(lambda x: factor * x[:, :3], Reading("probabilities"), "both", arrays=False)


def test_what_a_function_holds_is_no_part_of_the_players_form() -> None:
    one, other = asked(1), asked(2)
    assert identity.of_form(one) == identity.of_form(other)
    other.keep_fingerprint()
    assert identity.of_form(one) != identity.of_form(other)


@pytest.mark.parametrize("arrays", [False, True])
def test_a_function_gets_memory_of_its_own(arrays: bool) -> None:
    def spoil(x: Tensor | np.ndarray) -> Tensor:  # type: ignore[type-arg]
        assert isinstance(x, np.ndarray) == arrays
        x[:] = 0
        return torch.zeros(len(x), 3)

    face = Asked(spoil, Reading(), "both", arrays=arrays)
    face.settle("classes", 3)
    before = X.clone()
    Player("teacher", face, None)(BATCH)
    assert torch.equal(X, before)


def test_numbers_as_they_are_given_are_held_to_what_they_should_be() -> None:
    face = asked(0.5).as_given()
    assert torch.equal(face(X.abs().clamp(max=1)), X.abs().clamp(max=1)[:, :3] / 2)
    with refused("of example 0 lie in", "not in 0..1"):
        face(X.abs() + 3)
