"""Settings of training, and folders that belong to one configuration."""

import errno
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from kdgan.methods import METHODS, find
from kdgan.stored import read_json
from kdgan.training import Training
from kdgan.training.config import bind_folder, differences, digest, own_folder
from support import refused


@pytest.mark.parametrize(
    ("method", "given", "share"),
    [("kdgan", None, 0.0), ("nagan", None, 0.1), ("nagan", 0.0, 0.0), ("kdgan", 0.2, 0.2)],
)
def test_c_is_pretrained_as_given_or_as_its_method_does(
    method: str, given: float | None, share: float
) -> None:
    training, kind = Training(steps=50, student_pretraining=given), find(method)
    assert training.student_share(kind) == share
    assert training.pretraining_steps("student", kind) == 50 * share
    assert ("student" in training.pretrained(kind)) == (share > 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_who_is_pretrained_and_the_settings_for_how_long(method: str) -> None:
    kind = METHODS[method]
    for steps, teacher_steps in ((50, None), (50, 20)):
        training = Training(steps=steps, teacher_steps=teacher_steps)
        for role in ("student", "teacher", "peer", "discriminator"):
            expected = (teacher_steps or steps) if role in kind.pretrained else 0
            if role == "student":
                expected = 5 if method == "nagan" else 0
            assert training.pretraining_steps(role, kind) == expected
            assert (role in training.pretrained(kind)) == (expected > 0)
    # Of so few updates, a tenth is none.
    assert Training(steps=4).pretrained(find("nagan")) == ("discriminator",)


def test_every_role_has_its_rates() -> None:
    training = Training(lr=0.1, teacher_lr=0.2, weight_decay=0.5)
    for role, lr in (("student", 0.1), ("discriminator", 0.1), ("teacher", 0.2), ("peer", 0.2)):
        assert (training.optimization(role).lr, training.optimization(role).weight_decay) == (lr, 0.5)
        assert training.pretraining_optimization(role).lr == 0.1
    training = replace(training, pretraining_lr=0.3)
    for role, lr in (("student", 0.1), ("discriminator", 0.3), ("teacher", 0.3), ("peer", 0.3)):
        assert training.pretraining_optimization(role).lr == lr
        assert training.pretraining_optimization(role).weight_decay == 0.5


def test_the_pretraining_of_t_and_d_has_mixtures_of_its_own() -> None:
    for given, expected in ((None, 0.5), (0.0, 0.0), (0.25, 0.25)):
        assert Training(mixup=0.5, pretraining_mixup=given).first_mixup == expected
    with refused("pretraining_mixup", "-0.1"):
        Training(pretraining_mixup=-0.1)


@pytest.mark.parametrize(
    "name", ["steps", "batch", "teacher_steps", "evaluations", "teacher_every", "accumulate"]
)
def test_counts_are_whole_numbers_of_at_least_one(name: str) -> None:
    for value in (0, -1, 2.5, True, "9"):
        with refused(name, "at least 1", repr(value)):
            Training(**{name: value})
    if name != "teacher_steps":
        with refused(name, "at least 1", "None"):
            Training(**{name: None})


@pytest.mark.parametrize(
    "name",
    [
        "lr",
        "teacher_lr",
        "pretraining_lr",
        "weight_decay",
        "smoothing",
        "student_pretraining",
        "epsilon",
        "mixup",
        "pretraining_mixup",
        "clip",
    ],
)
def test_rates_and_shares_are_numbers(name: str) -> None:
    for value in (True, "0.1", [0.1]):
        with refused(name, "must be a number", repr(value)):
            Training(**{name: value})
    if name not in ("pretraining_lr", "pretraining_mixup", "student_pretraining", "clip"):
        with refused(name, "must be a number", "None"):
            Training(**{name: None})


@pytest.mark.parametrize("share", [1.0, -0.1, 7])
def test_c_is_not_pretrained_for_all_of_its_updates(share: float) -> None:
    with refused("student_pretraining", "[0, 1)", share):
        Training(student_pretraining=share)


@pytest.mark.parametrize("norm", [0.0, -1.0, float("inf"), float("nan")])
def test_a_gradient_is_clipped_to_a_norm(norm: float) -> None:
    with refused("clip", "above 0", norm):
        Training(clip=norm)


MATTERS: dict[str, set[str]] = {
    "student": {
        "clip",
        "accumulate",
        "batch",
        "weight_decay",
        "precision",
        "steps",
        "evaluations",
        "epsilon",
        "mixup",
        "lr",
    },
    "teacher": {
        "pretraining_mixup",
        "clip",
        "accumulate",
        "batch",
        "weight_decay",
        "precision",
        "smoothing",
        "teacher_steps",
        "pretraining_lr",
    },
}
OF_SELF_TRAINING = {"self_training", "rounds", "round_steps", "labelled_share"}
OTHER: dict[str, Any] = {
    "steps": 60,
    "teacher_steps": 30,
    "batch": 3,
    "lr": 0.5,
    "teacher_lr": 0.5,
    "pretraining_lr": 0.5,
    "weight_decay": 0.5,
    "smoothing": 0.5,
    "student_pretraining": 0.5,
    "epsilon": 0.5,
    "mixup": 0.5,
    "pretraining_mixup": 0.25,
    "teacher_every": 5,
    "labelled_share": 0.5,
    "self_training": "none",
    "rounds": 5,
    "round_steps": 7,
    "clip": 0.5,
    "accumulate": 4,
    "evaluations": 5,
    "precision": "bfloat16",
}


@pytest.mark.parametrize("unlabelled", [False, True], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("role", ["student", "teacher", "peer", "discriminator"])
@pytest.mark.parametrize("name", OTHER)
def test_runs_share_a_player_unless_they_differ_in_what_it_depends_on(
    role: str, name: str, unlabelled: bool
) -> None:
    assert set(OTHER) == {field.name for field in fields(Training)}
    base = Training(
        steps=50, teacher_steps=20, pretraining_lr=0.1, pretraining_mixup=0.1, student_pretraining=0.2
    )
    kind = find("codis3" if role == "peer" else "kdgan")
    one, other = (
        each.pretraining(role, kind, unlabelled=unlabelled)
        for each in (base, replace(base, **{name: OTHER[name]}))
    )
    matters = MATTERS["student"] | {"student_pretraining"} if role == "student" else MATTERS["teacher"]
    if unlabelled and role in ("teacher", "peer"):
        matters = matters | OF_SELF_TRAINING
    assert (one == other) == (name not in matters)


def test_a_teacher_that_learns_from_labels_alone_is_that_of_data_without_others() -> None:
    kind, training = find("kdgan"), Training(self_training="none")
    assert training.pretraining("teacher", kind, unlabelled=True) == Training().pretraining(
        "teacher", kind, unlabelled=False
    )


def test_a_round_takes_two_thirds_of_what_the_teacher_had() -> None:
    assert Training(steps=900).round_updates == 600
    assert Training(steps=900, teacher_steps=100).round_updates == 67
    assert Training(teacher_steps=1).round_updates == 1
    assert Training(round_steps=5).round_updates == 5
    for name, value in (("rounds", 0), ("round_steps", 0), ("rounds", 1.5), ("rounds", None)):
        with refused(name, "whole number of at least 1", value):
            Training(**{name: value})
    with refused("self_training must be propagation or fixmatch or none", "'pseudo'"):
        Training(self_training="pseudo")  # type: ignore[arg-type]


def test_methods_share_a_teacher() -> None:
    found = [
        Training().pretraining("teacher", find(method), unlabelled=True)
        for method in ("distn", "codis", "kdgan")
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["role"] == "teacher"
    assert Training().pretraining("peer", find("codis3"), unlabelled=True) != found[0]


def test_a_digest_stands_for_values_in_any_order() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": None}}) == digest({"b": {"d": None, "c": 2}, "a": 1})
    different = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": 1, "b": None}, {"a": {"b": 1}}, {}]
    assert len({digest(values) for values in different}) == len(different)
    assert len(digest({})) == 8


def test_differences_name_what_is_nested() -> None:
    there = {"a": 1, "b": {"c": {"d": 2}, "e": [1]}, "f": {}}
    assert differences(there, there) == ""
    assert differences(there, {**there, "a": 3}) == "a 1 there and 3 now"
    assert differences(there, {**there, "b": {"c": {"d": 5}, "e": [1]}}) == "b.c.d 2 there and 5 now"
    assert differences({**there, "z": None}, there) == ""  # a name without a value says nothing
    one, other = ({"data": {"train": f"Net, 8 parameters, {digit * 16}"}} for digit in "ab")
    assert differences(one, other) == "data.train differs"  # and no fingerprint, which tells a reader nothing
    many = differences(dict.fromkeys("abcdef", 1), dict.fromkeys("abcdef", 2))
    assert many == "a 1 there and 2 now, b 1 there and 2 now, c 1 there and 2 now"


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    bind_folder(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2]})
    bind_folder(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2]})
    with refused("mine", "a 1 there and 2 now", "--out"):
        bind_folder(tmp_path / "mine", "config.json", {"a": 2, "b": [1, 2]})
    with refused("c None there and 3 now"):
        bind_folder(tmp_path / "mine", "config.json", {"a": 1, "b": [1, 2], "c": 3})
    with refused("a 1 there and None now"):
        bind_folder(tmp_path / "mine", "config.json", {"b": [1, 2]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("work", encoding="utf-8")
    with refused("other", "is not a folder of kdgan", "--out"):
        bind_folder(tmp_path / "other", "config.json", {})
    with refused("thesis.tex", "is not a folder of kdgan"):
        bind_folder(tmp_path / "other" / "thesis.tex", "config.json", {})
    (tmp_path / "mine" / "config.json").write_text("{", encoding="utf-8")
    with refused("config.json", "damaged"):
        bind_folder(tmp_path / "mine", "config.json", {"a": 1})
    (tmp_path / "mine" / "config.json").write_text("[]", encoding="utf-8")
    with refused("config.json", "Expected `object`, got `array`"):
        read_json(tmp_path / "mine" / "config.json", dict[str, Any])
    (tmp_path / "empty").mkdir()
    bind_folder(tmp_path / "empty", "config.json", {"a": 1})


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "file/below", "dangling", "loop", "n" * 300, "n" * 300 + "/below"):
        with refused(tmp_path / name, "choose another"), own_folder(tmp_path / name, "config.json", {}):
            pytest.fail("it is none")
    for name in ("/dev/null", "/dev/full", "/dev/null/below"):
        with refused(name), own_folder(Path(name), "config.json", {}):
            pytest.fail("it is none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "loop"]


def test_a_folder_that_nobody_may_write_into_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    bind_folder(tmp_path / "run", "config.json", {})
    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with refused(tmp_path / "run", "Permission denied"), own_folder(tmp_path / "run", "config.json", {}):
        pytest.fail("it is none")


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_removed_meanwhile_is_told(tmp_path: Path, again: bool) -> None:
    with refused("was removed or replaced"), own_folder(tmp_path / "run", "config.json", {}):
        shutil.rmtree(tmp_path / "run")
        if again:
            (tmp_path / "run").mkdir()


def test_a_run_killed_while_it_first_writes_can_begin_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.4242.tmp").write_text('{"data', encoding="utf-8")
    bind_folder(folder, "config.json", {"a": 1})
    assert read_json(folder / "config.json", dict[str, int]) == {"a": 1}
