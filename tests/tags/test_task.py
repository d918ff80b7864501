"""Runs on photos and tags: every method unchanged, privileged text, and a student in a file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdgan.methods import METHODS
from kdgan.tasks.ranking import ranking
from kdgan.ship.recommender import Recommender
from kdgan.tasks.tags import TagRun, TagTask
from kdgan.tagging.scenes import world
from kdgan.training.config import Config
from kdgan.tasks.run import Machine
from support import refused

TINY = Config(
    data="world",
    method="kdgan",
    seed=1,
    tags="popular",
    tag_count=8,
    student="mlp-6",
    teacher="mlp-8",
    batch=16,
    steps=10,
    teacher_steps=6,
    evaluations=2,
    dropout=0.1,
    weight_decay=0.01,
)


def changed(**changes: object) -> Config:

    return replace(TINY, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_unchanged(tmp_path: Path, method: str) -> None:
    run = TagRun(changed(method=method), Machine())
    outcome = run.train(tmp_path / "run", tmp_path / "pretrained")
    assert set(outcome.measures) == {"MAP", "P@3", "P@5", "F@3", "F@5", "MRR"}
    assert outcome.student_accuracy == outcome.measures["MAP"]
    assert bool(outcome.teacher_measures) == ("teacher" in METHODS[method].roles)
    task = run.task
    assert isinstance(task, TagTask)
    saved = Recommender.load(tmp_path / "run" / "student.safetensors")
    rows = task.data.rows["test"]
    features = task.data.features[rows]
    with torch.no_grad():
        scores = saved.module(saved.scale(torch.from_numpy(features))).numpy()
    measured = ranking(scores, task.data.targets[rows]).means()["MAP"]
    assert 100 * measured == pytest.approx(outcome.student_accuracy, abs=1e-6)
    (best,) = saved(features[:1], most=8)
    assert [tag for tag, _ in best] == [saved.tags[place] for place in np.argsort(-scores[0], kind="stable")]
    assert sum(chance for _, chance in best) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("student", ["mlp-6", "normed-6"])
def test_noise_is_for_training_alone_and_any_student_comes_back_from_its_file(
    tmp_path: Path, student: str
) -> None:
    run = TagRun(changed(student=student, augment="noise"), Machine())
    outcome = run.train(tmp_path / "run", tmp_path / "pretrained")
    saved = Recommender.load(tmp_path / "run" / "student.safetensors")
    assert saved.network == student
    assert run.task.measure(saved.module, run.task.test)["MAP"] == outcome.student_accuracy
    still = TagRun(changed(student=student), Machine()).train(tmp_path / "still", tmp_path / "pretrained")
    assert still.student_accuracy != outcome.student_accuracy


def test_labels_are_distributions_over_a_photos_tags_and_text_is_privileged() -> None:
    task = TagTask(TINY)
    assert task.train.privileged is not None
    torch.testing.assert_close(task.train.targets.sum(1), torch.ones(len(task.train)))
    assert ((task.train.targets > 0).numpy() == task.data.targets[task.data.rows["train"]]).all()
    inputs = task.train.inputs
    torch.testing.assert_close(inputs.mean(0), torch.zeros(inputs.shape[1]), atol=1e-4, rtol=0)


def test_text_tells_a_teacher_more_than_the_photo_tells_a_student(tmp_path: Path) -> None:
    config = changed(
        method="mimic", reader="bag", tag_count=12, steps=200, teacher_steps=400, batch=64, lr=3e-3
    )
    config = replace(config, student="mlp-64", teacher="mlp-64")
    outcome = TagRun(config, Machine()).train(tmp_path / "run", tmp_path / "pretrained")
    assert outcome.teacher_accuracy is not None
    assert outcome.teacher_accuracy > outcome.student_accuracy + 5


def test_the_world_is_the_same_for_the_same_seed() -> None:
    world.cache_clear()
    one = world(50)
    world.cache_clear()
    other = world(50)
    assert (one.pictures == other.pictures).all()
    assert one.captions == other.captions
    assert one.photos.tags == other.photos.tags


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    for changes, parts in (
        ({"augment": "affine"}, ("affine", "features")),
        ({"student": "lenet-2-2-2"}, ("lenet-2-2-2", "mlp", "normed")),
        ({"teacher": "normed-8"}, ("normed-8", "mlp")),
        ({"tag_count": 900}, ("900",)),
        ({"reader": "words"}, ("words",)),
        ({"data": "none.parquet"}, ("none.parquet",)),
    ):
        with refused(*parts):
            TagRun(changed(**changes), Machine())
    with refused("nothing.safetensors"):
        Recommender.load(tmp_path / "nothing.safetensors")
    saved = Recommender(torch.nn.Identity(), "mlp-6", 3, ("a", "b"), TagTask(TINY).scale)
    with refused("3 features"):
        saved(np.zeros((1, 4), dtype=np.float32))
