"""What a run is, as plain values and back."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from kdgan.errors import UsageError
from kdgan.methods import METHODS, hyperparameters
from kdgan.tasks import ClassesData, Config, TagsData, run_of
from kdgan.tasks.config import BASELINES, KINDS, from_plain
from kdgan.tasks.run import NetworkRun
from kdgan.training import Execution, Training
from support import refused
from tiny import DIGITS, TAGS, changed, train

TABLE = changed(DIGITS, privileged=("a", "b"), target="y", hyper={"alpha": 0.25}, source="t.csv", sha256="12")
OWN = changed(TAGS, metrics=("tiny:count", "tiny:thrice"), probe="tiny:look", student="tiny:network")


@pytest.mark.parametrize("config", [DIGITS, TAGS, TABLE, OWN, changed(TAGS, method="knn", hyper={"k": 3})])
def test_configurations_survive_json(config: Config) -> None:
    plain = json.loads(json.dumps(config.plain()))
    assert plain == config.plain()
    back = from_plain(plain)
    # What comes back names every hyperparameter.
    assert back == replace(config, hyper=plain["hyper"])
    assert back.plain() == plain
    assert back.name == config.name
    assert type(back.data) is type(config.data)


def test_what_is_no_configuration_is_refused() -> None:
    plain = TABLE.plain()
    data, training = plain["data"], plain["training"]
    for broken in (
        {},
        {"data": "digits"},
        {**plain, "extra": 1},
        {name: value for name, value in plain.items() if name != "seed"},
        {name: value for name, value in plain.items() if name != "training"},
        {**plain, "data": "digits"},
        {**plain, "data": None},
        {**plain, "data": {**data, "kind": "sounds"}},
        {**plain, "data": {**data, "extra": 1}},
        {**plain, "data": {name: value for name, value in data.items() if name != "kind"}},
        {**plain, "data": {name: value for name, value in data.items() if name != "source"}},
        {**plain, "training": {**training, "extra": 1}},
        {**plain, "training": None},
        {**plain, "metrics": None},
    ):
        with refused("not the configuration of a run of this version"):
            from_plain(broken)
    with refused("Expected `int`, got `str` - at `$.steps`"):
        from_plain({**plain, "training": {**training, "steps": "many"}})
    with refused("unknown method 'gan'"):
        from_plain({**plain, "method": "gan"})


def test_data_of_one_kind_have_no_fields_of_another() -> None:
    classes, tags = DIGITS.plain(), TAGS.plain()
    for mine, theirs in ((classes, tags), (tags, classes)):
        for name in set(theirs["data"]) - set(mine["data"]):
            with refused("not the configuration"):
                from_plain({**mine, "data": {**mine["data"], name: theirs["data"][name]}})
    with pytest.raises(TypeError, match="text_encoder"):
        ClassesData("digits", text_encoder="lstm")  # type: ignore[call-arg]
    assert {name: kind.kind for name, kind in KINDS.items()} == {"classes": "classes", "tags": "tags"}


@pytest.mark.parametrize("method", BASELINES)
def test_methods_without_a_network_are_for_tags_alone(method: str) -> None:
    assert changed(TAGS, method=method).method == method
    with refused(method, "recommends tags", "photos with tags alone"):
        changed(DIGITS, method=method)
    with refused(method, "recommends tags"):
        from_plain({**DIGITS.plain(), "method": method})


def test_methods_that_there_are_not_are_refused() -> None:
    with refused("unknown method 'gan'", "kdgan", "module:Class"):
        changed(DIGITS, method="gan")
    # A method of one's own is imported by its run, and not by whoever reads the configuration.
    for method, part in (("nowhere:Method", "cannot import nowhere:Method"), ("tiny:network", "no method")):
        config = changed(DIGITS, method=method)
        with refused(part):
            run_of(config, Execution())


def test_a_name_is_of_one_configuration_alone() -> None:
    others: list[dict[str, Any]] = [
        {},
        {"method": "mimic"},
        {"seed": 2},
        {"hyper": {"alpha": 0.1}},
        {"student": "mlp-9"},
        {"teacher": "mlp-9"},
        {"discriminator": "mlp-9"},
        {"augment": "none"},
        {"metrics": ("tiny:count",)},
        {"probe": "tiny:look"},
        {"labels": 50},
        {"privileged": ("a",)},
        {"sha256": "1"},
        {"weight_decay": 0.5},
        {"teacher_steps": None},
        {"precision": "bfloat16"},
        {"epsilon": 0.1},
    ]
    names = [changed(DIGITS, **changes).name for changes in others]
    assert len(set(names)) == len(names)
    assert names[0].startswith("kdgan-seed1-")
    assert names[2].startswith("kdgan-seed2-")
    # A hyperparameter that is set to its default is no other.
    assert changed(DIGITS, hyper={"alpha": hyperparameters("kdgan")["alpha"]}).name == names[0]
    assert changed(DIGITS, method="kdgan.methods.kdgan:KDGAN").name.startswith("KDGAN-seed1-")


@pytest.mark.parametrize("method", METHODS)
def test_plain_values_hold_every_hyperparameter(method: str) -> None:
    config = changed(DIGITS, method=method)
    assert config.hyper == {}
    assert config.plain()["hyper"] == hyperparameters(method)
    assert set(config.plain()) == {field.name for field in fields(Config)}
    assert config.plain()["data"]["kind"] == "classes"


def test_runs_of_a_comparison_share_all_but_method_seed_and_hyperparameters() -> None:
    shared = DIGITS.shared()
    assert set(DIGITS.plain()) - set(shared) == {"method", "seed", "hyper"}
    assert changed(DIGITS, method="distn", seed=9, hyper={"weight": 0.5}).shared() == shared
    assert changed(DIGITS, labels=50).shared() != shared
    assert changed(DIGITS, lr=0.5).shared() != shared


def test_a_run_of_another_default_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hyperparameter that nobody set is part of a run's record, as its default may change between versions."""
    before = changed(DIGITS, method="distn").name
    train(tmp_path, method="distn")
    monkeypatch.setattr(
        "kdgan.tasks.config.hyperparameters", lambda name: {**hyperparameters(name), "weight": 0.5}
    )
    assert changed(DIGITS, method="distn").name != before
    with refused("hyper.weight 0.9 there and 0.5 now"):
        train(tmp_path, method="distn")
    # One that was set is what it was set to.
    train(tmp_path / "set", method="distn", hyper={"weight": 0.9})


def test_networks_by_role() -> None:
    assert [DIGITS.network(role) for role in ("student", "teacher", "peer", "discriminator")] == [
        "mlp-8",
        *["lenet-2-4-8"] * 3,
    ]
    other = changed(DIGITS, discriminator="mlp-4")
    assert [other.network(role) for role in ("teacher", "discriminator")] == ["lenet-2-4-8", "mlp-4"]


def test_a_discriminator_has_its_own_network() -> None:
    run = NetworkRun(changed(DIGITS, discriminator="mlp-4"), Execution())
    counts = {
        role: sum(parameter.numel() for parameter in module.parameters())
        for role, module in run.modules.items()
    }
    assert counts["discriminator"] == 64 * 4 + 4 + 4 * 10 + 10
    assert counts["teacher"] == 482


PRETRAINING: list[tuple[dict[str, Any], set[str]]] = [
    # What is changed, and whose pretraining is another one then.
    ({"method": "codis"}, set()),
    ({"hyper": {"alpha": 0.1}}, set()),
    ({"teacher_lr": 0.5}, set()),
    ({"probe": "tiny:look"}, set()),
    ({"teacher_every": 4}, set()),
    ({"metrics": ("tiny:count",)}, {"student"}),
    ({"student": "mlp-9"}, {"student"}),
    ({"epsilon": 0.1}, {"student"}),
    ({"evaluations": 9}, {"student"}),
    ({"student_pretraining": 0.5}, {"student"}),
    ({"steps": 40}, {"student"}),
    ({"teacher": "mlp-9"}, {"teacher", "discriminator"}),
    ({"discriminator": "mlp-9"}, {"discriminator"}),
    ({"teacher_steps": 5}, {"teacher", "discriminator"}),
    ({"pretraining_lr": 0.5}, {"teacher", "discriminator"}),
    ({"smoothing": 0.5}, {"teacher", "discriminator"}),
    ({"lr": 0.5}, {"student", "teacher", "discriminator"}),
    ({"batch": 3}, {"student", "teacher", "discriminator"}),
    ({"seed": 2}, {"student", "teacher", "discriminator"}),
    ({"augment": "none"}, {"student", "teacher", "discriminator"}),
    ({"labels": 50}, {"student", "teacher", "discriminator"}),
    ({"sha256": "1"}, {"student", "teacher", "discriminator"}),
]


@pytest.mark.parametrize(("changes", "roles"), PRETRAINING)
def test_runs_share_a_player_unless_they_differ_in_what_it_depends_on(
    changes: dict[str, Any], roles: set[str]
) -> None:
    other = changed(DIGITS, **changes)
    different = set()
    for role in ("student", "teacher", "discriminator"):
        if role == "student" and other.method == "codis":
            continue  # which does not pretrain it
        if role == "discriminator" and other.method == "codis":
            continue
        if other.pretraining(role) != DIGITS.pretraining(role):
            different.add(role)
    assert different == roles


@pytest.mark.parametrize("base", [DIGITS, TAGS], ids=["digits", "tags"])
def test_how_a_teacher_trains_itself_matters_where_there_is_something_to_learn_from(base: Config) -> None:
    own: dict[str, Any]
    for own in ({"self_training": "fixmatch"}, {"rounds": 2}, {"round_steps": 3}, {"labelled_share": 0.5}):
        for more, methods in (({}, ("kdgan",)), ({"labels": 40, "unlabelled": "rest"}, ("kdgan", "mimic"))):
            for method in methods:
                one, other = changed(base, method=method, **more), changed(base, method=method, **more, **own)
                assert (one.pretraining("teacher") == other.pretraining("teacher")) == (not more)
                assert one.pretraining("discriminator") == other.pretraining("discriminator")
    both = [changed(base, labels=40, unlabelled="rest", method=method) for method in ("mimic", "codis")]
    assert both[0].pretraining("teacher") == both[1].pretraining("teacher")


def test_a_players_pretraining_is_plain_and_its_own() -> None:
    found = {role: DIGITS.pretraining(role) for role in ("student", "teacher", "discriminator")}
    assert json.loads(json.dumps(found)) == found
    assert len({json.dumps(values) for values in found.values()}) == 3


def test_wrong_labels_are_said_only_where_there_are_some() -> None:
    for none in (0, 0.0):
        same = changed(DIGITS, wrong_labels=none)
        assert "wrong_labels" not in same.plain()["data"]
        assert (same.name, from_plain(same.plain()).data) == (DIGITS.name, DIGITS.data)
    some = changed(DIGITS, wrong_labels=0.4)
    assert some.plain()["data"]["wrong_labels"] == 0.4
    assert from_plain(json.loads(json.dumps(some.plain()))).data == some.data
    assert some.name != DIGITS.name
    assert some.data.files == DIGITS.data.files
    for role in ("student", "teacher", "discriminator"):
        assert some.pretraining(role) != DIGITS.pretraining(role)
    for share in (-0.1, 1, 1.0, float("nan"), "0.2"):
        with refused("wrong_labels", repr(share), "[0, 1)"):
            changed(DIGITS, wrong_labels=share)
    with refused("wrong_labels"):
        from_plain({**TAGS.plain(), "data": {**TAGS.plain()["data"], "wrong_labels": 0.0}})


@pytest.mark.parametrize(("name", "usual"), [("mixup", 0.0), ("pretraining_mixup", None)])
def test_mixtures_are_said_only_where_there_are_some(name: str, usual: float | None) -> None:
    assert name not in DIGITS.plain()["training"]
    assert from_plain(json.loads(json.dumps(DIGITS.plain()))).training == DIGITS.training
    assert changed(DIGITS, **{name: usual}).name == DIGITS.name
    some = changed(DIGITS, **{name: 0.5})
    assert some.plain()["training"][name] == 0.5
    assert from_plain(json.loads(json.dumps(some.plain()))).training == some.training
    assert some.name != DIGITS.name


def test_what_results_call_the_data() -> None:
    assert ClassesData("digits", wrong_labels=0.07).title == "digits, 7 % wrong labels"
    assert DIGITS.data.title == "digits"
    assert TAGS.data.title == "scenes, popular tags"
    assert TagsData("data/photos.parquet", choice="random").title == "photos, random tags"


def test_reading_depends_on_the_file_and_not_on_what_is_drawn_from_it() -> None:
    for base, same, other in (
        (ClassesData("a"), ClassesData("a", labels=7), ClassesData("a", target="y")),
        (ClassesData("a"), ClassesData("a"), ClassesData("a", privileged=("b",))),
        (ClassesData("a"), ClassesData("a"), ClassesData("a", image_size=8)),
        (ClassesData("a"), ClassesData("a"), ClassesData("a", exclude=("b",))),
        (TagsData("a"), TagsData("a", count=3, choice="random", dropout=0.5), TagsData("a", sha256="1")),
    ):
        assert base.files == same.files
        assert base.files != other.files
    assert ClassesData("a").files != TagsData("a").files


def test_wrong_settings_of_training_are_refused_where_they_are_made() -> None:
    for name in ("steps", "batch", "teacher_steps", "evaluations"):
        with refused(name, "at least 1", "0"):
            changed(DIGITS, **{name: 0})
    with refused("student_pretraining", "1.0"):
        changed(DIGITS, student_pretraining=1.0)
    assert Config(ClassesData("digits"), "kdgan").training == Training()
    assert issubclass(UsageError, ValueError)


def test_what_is_unlabelled_matters_to_files_only_where_it_is_one() -> None:
    plain = ClassesData("a", labels=3)
    assert ClassesData("a", unlabelled="none") == ClassesData("a")
    assert ClassesData("a", unlabelled="rest").files == plain.files
    more = ClassesData("a", unlabelled="folder/more.csv")
    assert more.files != plain.files
    assert (more.more, more.reading["unlabelled"]) == ("folder/more.csv", "folder/more.csv")
    config = Config(more, "supervised")
    assert from_plain(config.plain()).data == more
    assert config.shared(portable=True)["data"]["unlabelled"] == "more.csv"
    tags = Config(TagsData("a", labels=7, unlabelled="rest", text=False), "supervised")
    assert from_plain(tags.plain()).data == tags.data
    assert TagsData("a", unlabelled="none") == TagsData("a")


def test_one_tag_alone_is_no_task() -> None:
    with refused("count must be at least 2"):
        TagsData("scenes", count=1)
