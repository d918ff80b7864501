"""Teachers of any kind as modules that a `Player` holds."""

import copy
from collections import UserDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.methods.player import Player
from kdgan.training.answers import Reading
from kdgan.training.class_map import translation
from kdgan.training.faces import Ensemble, Seeing, as_face, is_network, networks
from kdgan.training.functions import Asked
from kdgan.training.known import Known
from support import refused

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
BATCH = Batch(X, torch.arange(6) % 3)


def linear(seed: int = 0, classes: int = 3) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(4, classes)


def told(module: nn.Module, x: Tensor = X) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(x)
    return found


def asked(seed: int = 0) -> Asked:
    module = linear(seed)
    return Asked(lambda x: told(module, x), Reading(), "both", arrays=False)


def recorded(seed: int = 0, rows: int = 6) -> Known:
    return Known(told(linear(seed), X[:rows]).numpy(), [(Reading(), 3)])


def test_a_network_that_sees_less_learns_as_it_would_alone() -> None:
    module = linear()
    face = Seeing(module, "inputs", None)
    Player("teacher", face, None)
    assert torch.equal(face(X), module(X))
    face(X).sum().backward()
    assert module.weight.grad is not None
    assert face.state_dict().keys() == {"module.weight", "module.bias"}


class Wrapped(nn.Linear):
    """Gives a mapping that is no dict, as tokenisers' and networks' of transformers are."""

    def forward(self, x: Tensor) -> Any:
        return UserDict(logits=super().forward(x), hidden=x)


def test_outputs_that_hold_logits_are_taken_wherever_logits_are() -> None:
    module = Wrapped(4, 3)
    logits = told(nn.Linear.forward.__get__(module))
    several = Ensemble([module, module], "both")
    several.settle("classes", 3)
    torch.testing.assert_close(told(several).softmax(1), logits.softmax(1))
    assert torch.equal(told(Seeing(module, "both", translation([2, 1, 0]))), logits.flip(1))


def test_gradient_goes_through_the_translation() -> None:
    module = linear(classes=4)
    face = Seeing(module, "both", translation([0, 1, 1, None]))
    face(X)[:, 1].sum().backward()
    gradient = module.weight.grad
    assert gradient is not None
    assert gradient.abs().sum(1).gt(0).tolist() == [False, True, True, False]
    face.settle("classes", 2)
    with refused("teacher_classes adds up classes that exclude each other"):
        face.settle("multilabel", 2)


def test_a_player_finds_logits_in_the_batch_and_else_asks() -> None:
    face = asked()
    face.settle("classes", 3)
    player = Player("teacher", face, None)
    assert torch.equal(player(BATCH), told(linear()))
    logits = torch.zeros(6, 3)
    assert torch.equal(player(Batch(X, BATCH.targets, teacher_logits=logits, recorded=True)), logits)
    other = Player("teacher", recorded(), None)
    with refused("the teacher is known by its logits of training examples alone"):
        other(BATCH)


@pytest.mark.parametrize("places", [slice(2, 5), np.array([4, 0, 3])])
def test_an_ensemble_looks_up_what_is_known_and_asks_the_others(places: Any) -> None:
    face = Ensemble([recorded(1), linear(2), Ensemble([asked(3), recorded(4)], "both")], "both")
    face.settle("classes", 3)
    p1, p2, p3, p4 = (told(linear(seed), X[places]).softmax(1) for seed in (1, 2, 3, 4))
    expected = (p1 + p2 + (p3 + p4) / 2) / 3
    torch.testing.assert_close(face.answered(places, BATCH[torch.arange(6)[places]]).softmax(1), expected)
    assert face.count == 6
    assert [each.count for each in face.parts()] == [6, None, None, 6]
    assert not is_network(face)
    assert len(list(networks(face))) == 4
    assert list(face.networks())[1] is face.members[1]
    assert is_network(Ensemble([linear(1), Seeing(linear(2), "inputs", None)], "both"))


def test_examples_are_held_against_every_file() -> None:
    held: list[Any] = []
    one, other = (
        Known(recorded(seed).rows, [(Reading(), 3)], lambda *given: held.append(given)) for seed in (1, 2)
    )
    Ensemble([one, linear(), Ensemble([other, recorded()], "both")], "both").check(slice(0, 6), BATCH)
    assert held == [(slice(0, 6), BATCH)] * 2


def test_a_network_of_ones_own_is_a_face_that_changes_nothing() -> None:
    module = linear()
    face = as_face(module)
    assert list(face.networks()) == [module]
    assert face.is_network
    assert (face.count, face.sees) == (None, "both")
    assert torch.equal(face.answered(None, BATCH), told(module))
    assert module.training
    assert as_face(face) is face
    assert face.fingerprint() == as_face(linear()).fingerprint() != as_face(linear(1)).fingerprint()


def test_faces_can_be_copied() -> None:
    face = Seeing(linear(), "privileged", translation([1, 0, 2]))
    other = copy.deepcopy(face)
    assert other.sees == "privileged"
    assert torch.equal(other(X), face(X))
