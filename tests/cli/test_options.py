"""What options become: configurations, variants, values."""

import dataclasses
from pathlib import Path

import pytest
import torch

from commands import Command
from kdgan.cli.compare import Compare
from kdgan.cli.options import (
    ClassesOptions,
    MethodsOptions,
    PhotosOptions,
    TagsOptions,
    TrainingOptions,
    check_failures,
    method_names,
    names_in,
    primary,
    settings_of,
    texts,
    usual_methods,
)
from kdgan.cli.tags.compare import CompareTags
from kdgan.errors import RunError
from kdgan.tasks.config import BASELINES, ClassesData, Config, TagsData
from kdgan.training.config import Training
from support import refused


def test_values_of_settings_are_numbers_truth_or_text() -> None:
    texts = ["alpha=0.3", "d_steps=2", "estimator=concrete", "loss=own:loss", "on=true", "x=", "y=a=b"]
    assert settings_of(texts) == {
        **{"alpha": 0.3, "d_steps": 2, "estimator": "concrete", "loss": "own:loss", "on": True},
        **{"x": "", "y": "a=b"},
    }
    for wrong in ("alpha", "=1", ""):
        with refused("NAME=VALUE", wrong):
            settings_of([wrong])


def test_names_are_joined_with_commas() -> None:
    assert names_in("b,a,,b") == ["b", "a"]
    assert names_in("") == []
    assert method_names("kdgan,own:Own") == ["kdgan", "own:Own"]
    with refused("at least one"):
        method_names(",")
    assert primary({"MAP": 3.0, "P@3": 2.0}) == ("MAP", 3.0)


def test_failures_are_counted() -> None:
    check_failures([])
    with pytest.raises(RunError, match="2 runs failed; a seed 0: diverged"):
        check_failures(["a seed 0: diverged", "b seed 0: diverged"])


def test_what_is_not_given_comes_from_the_preset() -> None:
    options = TrainingOptions()
    execution = options.execution()
    config = ClassesOptions().config(options, execution)
    assert config.data == ClassesData("digits", labels=100)
    assert (config.student, config.augment, config.training.steps) == ("mlp-32", "affine", 1000)
    wrong = ClassesOptions(wrong_labels=0.2).config(options, execution)
    assert wrong.data == ClassesData("digits", labels=100, wrong_labels=0.2)
    photos = TagsOptions().config(options, execution)
    assert photos.data == TagsData("scenes", count=12, dropout=0.3)
    assert photos.training.teacher_steps == round(0.4 * photos.training.steps)


def test_what_is_given_is_in_the_configuration_of_any_task() -> None:
    given = {
        **{"steps": 7, "teacher_steps": 5, "batch": 3, "lr": 0.25, "teacher_lr": 0.125, "weight_decay": 2.0},
        **{"student_pretraining": 0.5, "epsilon": 0.75, "teacher_every": 3, "evaluations": 4},
        **{"self_training": "fixmatch", "rounds": 2, "round_steps": 9},
        **{"labelled_share": 0.5, "clip": 1.5, "accumulate": 2, "precision": "bfloat16"},
    }
    rest = {"student": "normed-4", "teacher": "mlp-5", "augment": "noise"}
    options = TrainingOptions(**given, **rest, metrics=("a:b,c:d",))
    execution = options.execution()
    for config in (
        ClassesOptions(labels=50).config(options, execution),
        TagsOptions(count=5, text_encoder="bag", dropout=0.0).config(options, execution),
    ):
        assert {name: getattr(config.training, name) for name in given} == given
        assert {name: getattr(config, name) for name in rest} == rest
        assert config.metrics == ("a:b", "c:d")
    assert config.data == TagsData("scenes", count=5, text_encoder="bag", dropout=0.0)
    assert options.changes() == {**given, **rest, "metrics": ("a:b", "c:d")}


def test_changes_are_what_was_given_and_no_more() -> None:
    assert TrainingOptions().changes() == {}
    assert TrainingOptions(steps=9).changes() == {"steps": 9}
    assert TrainingOptions(steps=9, teacher_steps=2).changes() == {"steps": 9, "teacher_steps": 2}


def test_every_setting_of_training_has_an_option_or_is_meant_for_studies() -> None:
    options = {field.name for field in dataclasses.fields(TrainingOptions)}
    settings = {field.name for field in dataclasses.fields(Training)}
    assert settings - options == {"pretraining_lr", "pretraining_mixup", "smoothing"}
    known = settings | {field.name for field in dataclasses.fields(Config)}
    assert options - known == {"device", "threads", "checkpoint_seconds"}


def test_tags_are_compared_with_the_options_of_classes() -> None:
    classes, tags = (
        {field.name: field for field in dataclasses.fields(kind)} for kind in (Compare, CompareTags)
    )
    assert set(classes) - {"data"} <= set(tags)
    for name in ("training", "compared"):
        assert classes[name].type == tags[name].type


def test_execution_is_where_and_how() -> None:
    execution = TrainingOptions(threads=2, checkpoint_seconds=3.0, device="cpu").execution(Path("d"), 4)
    assert (execution.device, execution.data_dir) == (torch.device("cpu"), Path("d"))
    assert (execution.workers, execution.threads, execution.checkpoint_seconds) == (4, 2, 3.0)
    for options, workers, part in (
        (TrainingOptions(threads=0), None, "--threads"),
        (TrainingOptions(precision="half"), None, "--precision"),
        (TrainingOptions(device="tpu"), None, "tpu"),
        (TrainingOptions(), 0, "--workers"),
    ):
        with refused(part):
            options.execution(None, workers)


def test_variants_have_their_settings(tmp_path: Path) -> None:
    tuned = tmp_path / "tuned.json"
    tuned.write_text('{"methods": {"kdgan": {"settings": {"beta": 3.0, "lr": 0.5}}}}', encoding="utf-8")
    chosen = MethodsOptions("kdgan,tiny:Own,mimic", set=("kdgan.alpha=0.25", "Own.lr=0.125"), settings=tuned)
    variants = chosen.variants(list(BASELINES)[:1])
    assert list(variants) == ["knn", "kdgan", "Own", "mimic"]
    assert (variants["knn"].method, variants["Own"].method) == ("knn", "tiny:Own")
    assert variants["kdgan"].hyper == {"beta": 3.0, "alpha": 0.25}
    assert variants["kdgan"].training == {"lr": 0.5}
    assert variants["Own"].training == {"lr": 0.125}
    assert variants["mimic"].hyper == variants["mimic"].training == {}
    for options, part in (
        (MethodsOptions(seeds=0), "--seeds"),
        (MethodsOptions("mimic", set=("kdgan.alpha=1",)), "mimic"),
        (MethodsOptions("mimic", set=("alpha=1",)), "METHOD.NAME=VALUE"),
    ):
        with refused(part):
            options.variants()


def test_options_for_photos_are_refused_where_there_are_none() -> None:
    PhotosOptions().unused("table1")
    for options in (PhotosOptions(Path("t.parquet")), PhotosOptions(text_encoder="bag")):
        with refused("--table", "table1 has none"):
            options.unused("table1")
    assert PhotosOptions().fields() == {"source": None, "text_encoder": "lstm"}
    assert PhotosOptions(Path("scenes")).fields() == {"source": "scenes", "text_encoder": "lstm"}


def test_a_file_of_embeddings_is_named_with_its_content(tmp_path: Path) -> None:
    assert texts("bag", None) == {"text_encoder": "bag"}
    (tmp_path / "e.txt").write_text("sky 1 2\n", encoding="utf-8")
    fields = texts("lstm", tmp_path / "e.txt")
    assert fields["embeddings"] == str(tmp_path / "e.txt")
    assert len(fields["embeddings_sha256"]) == 64
    with refused("none.txt"):
        texts("lstm", tmp_path / "none.txt")


def test_a_student_that_teaches_itself_is_compared_where_there_is_something_to_learn_from() -> None:
    usual = ["supervised", "distn", "mimic", "noisy", "codis", "nagan", "kdgan"]
    assert usual_methods(False) == usual
    assert [name for name in usual_methods(True) if name != "selftrain"] == usual
    assert "selftrain" in usual_methods(True)
    assert MethodsOptions("mimic").names(True) == ["mimic"]
    assert list(MethodsOptions().variants(["knn"], unlabelled=True)) == ["knn", *usual_methods(True)]


def test_photos_without_tags_and_without_text() -> None:
    options = TrainingOptions(labelled_share=0.5)
    config = TagsOptions(labels=30, unlabelled="rest", no_text=True).config(options, options.execution())
    assert config.data == TagsData("scenes", count=12, dropout=0.3, labels=30, unlabelled="rest", text=False)
    assert config.training.labelled_share == 0.5


def test_settings_that_nobody_uses_are_refused() -> None:
    every, share = TrainingOptions(teacher_every=4), TrainingOptions(labelled_share=0.5)

    def of(options: TrainingOptions, unlabelled: bool) -> Config:
        data = ClassesOptions(labels=60, unlabelled="rest" if unlabelled else "none")
        return data.config(options, options.execution())

    every.check_use(["knn", "distn", "codis"], of(every, False))
    share.check_use(["supervised", "distn"], of(share, True))
    TrainingOptions().check_use(["knn"], of(TrainingOptions(), False))
    itself = TrainingOptions(self_training="none")
    itself.check_use(["supervised", "selftrain", "distn"], of(itself, True))
    for options, methods, unlabelled, said in (
        (every, ["knn", "supervised", "distn"], True, "--teacher-every: there is no method to use it"),
        (share, ["supervised"], True, "--labelled-share: there is no method to use it"),
        (share, ["distn"], False, "--labelled-share: there is no example without a label to use it"),
        (itself, ["supervised", "selftrain"], True, "--self-training: there is no method to use it"),
        (TrainingOptions(rounds=2), ["distn"], False, "--rounds: there is no example without a label"),
        (
            TrainingOptions(self_training="none", rounds=2),
            ["distn"],
            True,
            "--rounds: with --self-training none",
        ),
        (TrainingOptions(round_steps=2), ["distn"], False, "--round-steps: there is no example without"),
    ):
        with refused(said, "leave it out"):
            options.check_use(methods, of(options, unlabelled))
    rounds = TrainingOptions(rounds=2)
    photos = TagsOptions(labels=30, unlabelled="rest").config(rounds, rounds.execution())
    with refused("--rounds", "photos with tags", "leave it out"):
        rounds.check_use(["distn"], photos)


def test_texts_cannot_be_mixed() -> None:
    options = TrainingOptions(mixup=0.5)
    assert ClassesOptions(labels=50).config(options, options.execution()).training.mixup == 0.5
    with refused("mixup", "photos with tags"):
        TagsOptions().config(options, options.execution())


def test_commands_refuse_settings_that_nobody_uses(typed: Command, tmp_path: Path) -> None:
    for command in (["train", "--method", "distn"], ["compare", "--methods", "distn"]):
        code, _, errors = typed(*command, "--steps", 2, "--teacher-every", 4, "--out", tmp_path / "a")
        assert (code, errors.count("\n")) == (2, 1)
        assert "--teacher-every" in errors
    assert not (tmp_path / "a").exists()
