"""Whether players and data fit is found before training."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgan import nets
from kdgan.data import Batch
from kdgan.training.check import check_players
from support import refused

DATA = Batch(torch.randn(8, 6), torch.arange(8) % 3)
WITH_ANSWER = Batch(DATA.inputs, DATA.targets, nn.functional.one_hot(DATA.targets, 3).float())


def small() -> nn.Module:
    return nets.mlp(6, [4], 3)


def seeing_all() -> nn.Module:
    return nets.WithPrivileged(nn.Identity(), nets.mlp(9, [16], 3))


class Flat(nn.Module):
    """Gives one number per example."""

    def forward(self, inputs: Tensor) -> Any:
        return inputs[:, 0]


class Pair(nn.Module):
    """Gives something beside its logits."""

    def forward(self, inputs: Tensor) -> Any:
        return inputs, None


class Once(nn.Module):
    """Gives logits of a single example, whatever there is."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:1, :3]


def test_it_leaves_players_as_they_were() -> None:
    student = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    other, before = small(), copy.deepcopy(student.state_dict())
    state = torch.get_rng_state()
    for training in (True, False):
        student.train(training)
        assert check_players({"student": student, "teacher": other}, DATA) == 3
        assert student.training == training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_it_says_how_many_classes_there_are() -> None:
    assert check_players({"teacher": seeing_all()}, WITH_ANSWER) == 3
    assert check_players({"student": small(), "teacher": seeing_all()}, WITH_ANSWER) == 3
    assert check_players({"student": small()}, Batch(DATA.inputs, torch.eye(3)[DATA.targets])) == 3
    assert check_players({"student": small()}, DATA[:1]) == 3
    assert check_players({"student": small()}, DATA[:0]) == 3


@pytest.mark.parametrize("role", ["student", "teacher", "discriminator", "peer"])
def test_players_that_do_not_fit(role: str) -> None:
    with refused(f"the {role} fails on a batch of shape (2, 6)"):
        check_players({role: nets.mlp(7, [4], 3)}, DATA)
    for player, found in ((Flat(), "(2,)"), (Pair(), "tuple"), (Once(), "(1, 3)")):
        with refused(f"the {role} must give logits of shape (2, K)", found):
            check_players({role: player}, DATA)
    if role == "student":
        for data in (DATA, WITH_ANSWER):
            with refused(
                "the student cannot be called as student(inputs)", "never with privileged information"
            ):
                check_players({role: seeing_all()}, data)
        return
    with refused(f"the {role} scores 4 classes", "student 3"):
        check_players({role: nets.mlp(6, [4], 4), "student": small()}, DATA)
    with refused(f"the {role} cannot be called as {role}(inputs)", "train has no privileged information"):
        check_players({role: seeing_all()}, DATA)
    parts = [
        "train has privileged information, which it is called with, too; let it take that, or leave it out"
    ]
    parts += ["teacher_sees='inputs'"] if role == "teacher" else []
    with refused(f"the {role} cannot be called as {role}(inputs, privileged)", *parts):
        check_players({role: small()}, WITH_ANSWER)


class Named(nn.Module):
    """Takes inputs by name, and nothing else."""

    sees = "both"

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return x[:, :3]


def test_the_call_is_written_as_it_is_made() -> None:
    inputs, known = {"x": DATA.inputs}, DATA.inputs[:, :1]
    with refused("called as teacher(**inputs with x, privileged=privileged)", "teacher_sees='inputs'"):
        check_players({"teacher": Named()}, Batch(inputs, DATA.targets, known))
    with refused("called as teacher(**inputs with x, **privileged with more)"):
        check_players({"teacher": Named()}, Batch(inputs, DATA.targets, {"more": known}))
    with refused("called as teacher(*privileged)"):
        teacher = Named()
        teacher.sees = "privileged"
        check_players({"teacher": teacher}, Batch(inputs, DATA.targets, (known, known)))


def test_targets_that_no_player_scores() -> None:
    for shift, span in ((1, "1..3"), (-2, "-2..0")):
        with refused(span, "the student scores 3 classes, 0..2"):
            check_players({"student": small()}, Batch(DATA.inputs, DATA.targets + shift), kind="classes")
    with refused("weigh 4 labels", "3 classes"):
        check_players({"student": small()}, Batch(DATA.inputs, torch.eye(4)[DATA.targets]), kind="classes")
