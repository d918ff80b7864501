"""The method that a caller wants."""

from typing import Any

import pytest

from kdgan import Training, nets
from kdgan.methods import find
from kdgan.tasks.teachers import as_teacher
from kdgan.tasks.wanted import OwnSettings, Wanted, features_of
from support import refused

STUDENT, TEACHER = nets.mlp(6, [4], 3), nets.mlp(6, [8], 3)


def wanted(teacher: Any = TEACHER, **options: Any) -> Wanted:
    given = {"method": None, "hyper": None, "discriminator": None, "features": None, "options": {}}
    return Wanted(as_teacher(teacher), **{**given, "learns": False, **options})


@pytest.mark.parametrize(
    ("options", "trained", "method"),
    [
        ({}, False, "kdgan"),
        ({}, True, "distn"),
        ({"teacher": lambda x: x}, True, "distn"),
        ({"learns": True}, True, "kdgan"),
        ({"discriminator": TEACHER}, True, "kdgan"),
        ({"hyper": {"beta": 1.0}}, True, "kdgan"),
        ({"method": "mimic"}, True, "mimic"),
    ],
)
def test_the_default_follows_from_what_is_given(options: dict[str, Any], trained: bool, method: str) -> None:
    assert wanted(**options).settled(trained).method == method
    beside = wanted(**options).settled(trained, unlabelled=True).method
    assert beside == (method if options or trained else "distn")


@pytest.mark.parametrize(
    ("options", "trained", "frozen"),
    [
        ({"method": "codis"}, False, False),
        ({"method": "codis"}, True, True),
        ({"method": "codis", "learns": True}, True, False),
        ({"method": "codis", "hyper": {"teacher_lr": 0.1}}, True, False),
        ({"method": "distn", "learns": True}, True, True),
    ],
)
def test_a_trained_teacher_stays_unless_it_has_a_rate(
    options: dict[str, Any], trained: bool, frozen: bool
) -> None:
    assert wanted(**options).settled(trained).frozen == frozen


def test_a_method_has_a_discriminator_where_it_has_a_use_for_one() -> None:
    judge = nets.mlp(6, [5], 3)
    given: dict[str, Any] = {"rate": None, "trained": None}
    assert wanted(discriminator=judge).players(STUDENT, **given)["discriminator"] is judge
    assert [*wanted().players(STUDENT, **given)] == ["student", "teacher"]
    with refused("method distn has no use for discriminator"):
        wanted(method="distn", discriminator=judge).players(STUDENT, **given)
    with refused("method distn has no use for teacher_every"):
        wanted(options={"teacher_every": 2}).settled(True)
    assert wanted(options={"teacher_every": 2}).settled(False).kind is find("kdgan")


def test_settings_of_its_own_go_before_those_it_shares() -> None:
    own = OwnSettings.of(find("codis"), {"temperature": 2, "lr": 0.05, "teacher_lr": 0.1})
    assert own == OwnSettings({"temperature": 2}, {"lr": 0.05, "teacher_lr": 0.1})
    shared = Training(lr=0.01)
    assert own.over(shared) == Training(lr=0.05, teacher_lr=0.1, pretraining_lr=0.01)
    assert OwnSettings.of(find("distn"), None).over(shared) is shared
    with refused("method distn has no use for student_pretraining"):
        OwnSettings.of(find("distn"), {"student_pretraining": 0.5})
    with refused("no hyperparameter 'batch'"):
        OwnSettings.of(find("distn"), {"batch": 5})
    with refused("hyper must be", "int"):
        OwnSettings.of(find("distn"), 3)  # type: ignore[arg-type]


def test_a_loss_of_no_features_is_refused() -> None:
    assert features_of(None, "hint", 1.0) is None
    with refused("feature_loss and feature_weight are for features"):
        features_of(None, "relational", 1.0)
