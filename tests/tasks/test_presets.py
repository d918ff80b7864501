"""Sensible settings where nothing is given."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdgan.data import load
from kdgan.files import sha256_of
from kdgan.methods import CONTROL
from kdgan.nets import build
from kdgan.tagging.scenes import scenes
from kdgan.tasks import ClassesData, TagsData, presets, run_of
from kdgan.tasks.presets import PRESETS
from kdgan.training import Execution, Training
from support import refused

SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "image": (3, 32, 32),
    "large-image": (3, 96, 96),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_networks_that_can_be_built(name: str) -> None:
    for role in ("student", "teacher"):
        assert build(PRESETS[name][role], SHAPES.get(name, (5,)), 10)


def test_digits_with_nothing_given() -> None:
    config = presets.classes({"source": "digits"}, {})
    assert (config.method, config.seed, config.hyper) == (CONTROL, 0, {})
    assert config.data == ClassesData("digits", labels=100)
    assert (config.student, config.teacher, config.augment) == ("mlp-32", "lenet-16-32-128", "affine")
    assert config.training == Training(steps=1000, teacher_steps=1000, batch=32, lr=2e-3)
    run_of(config, Execution())


def test_what_is_given_comes_first_and_none_gives_nothing() -> None:
    data = {"source": "digits", "labels": 50, "target": None, "image_size": None}
    given = {"lr": 0.5, "student": "mlp-4", "steps": None, "batch": None, "metrics": ("tiny:count",)}
    config = presets.classes(data, given)
    assert config.data == ClassesData("digits", labels=50)
    assert config.training == Training(steps=1000, teacher_steps=1000, batch=32, lr=0.5)
    assert (config.student, config.teacher) == ("mlp-4", "lenet-16-32-128")
    assert config.metrics == ("tiny:count",)


def test_players_are_pretrained_as_long_as_the_student_learns() -> None:
    data = {"source": "digits"}
    assert presets.classes(data, {"steps": 40}).training.teacher_steps == 40
    assert presets.classes(data, {"steps": 40, "teacher_steps": 7}).training.teacher_steps == 7
    assert presets.classes(data, {"teacher_steps": 7}).training.steps == 1000


def test_a_table_has_the_preset_of_vectors_and_its_content_is_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = [f"{i % 9},{i % 3},{'yes' if i % 2 else 'no'}" for i in range(60)]
    file.write_text("\n".join(["a,b,kind", *rows]) + "\n", encoding="utf-8")
    config = presets.classes({"source": str(file), "target": "kind", "privileged": ("b",)}, {})
    sha256 = load(file, target="kind", privileged=("b",)).sha256
    assert config.data == ClassesData(str(file), sha256=sha256, target="kind", privileged=("b",), labels=None)
    assert (config.student, config.training.teacher_steps) == ("mlp-64", 2000)
    with refused("none.csv"):
        presets.classes({"source": str(tmp_path / "none.csv")}, {})


def test_scenes_with_nothing_given() -> None:
    config = presets.tags({"source": "scenes"}, {})
    assert config.data == TagsData("scenes", count=12, dropout=0.3)
    assert (config.student, config.teacher) == ("normed-800-800", "mlp-1200-1200")
    training = config.training
    assert (training.steps, training.teacher_steps, training.batch) == (1500, 600, 128)
    assert (training.weight_decay, training.smoothing, training.evaluations) == (1.0, 0.0, 5)
    for steps, expected in ((100, 40), (1, 1), (3, 1)):
        assert presets.tags({"source": "scenes"}, {"steps": steps}).training.teacher_steps == expected
    given = {"steps": 100, "teacher_steps": 7}
    assert presets.tags({"source": "scenes"}, given).training.teacher_steps == 7


def test_a_table_of_photos_has_the_papers_number_of_tags_and_its_content(tmp_path: Path) -> None:
    photos = scenes().photos
    file = tmp_path / "mine.parquet"
    pl.DataFrame({"features": photos.features[:50].tolist(), "tags": photos.tags[:50]}).write_parquet(file)
    config = presets.tags({"source": str(file), "count": None, "dropout": None, "choice": "random"}, {})
    assert config.data == TagsData(str(file), sha256=sha256_of(file), choice="random", count=200, dropout=0.3)
    assert presets.tags({"source": str(file), "count": 5, "dropout": 0.0}, {}).data == TagsData(
        str(file), sha256=sha256_of(file), count=5, dropout=0.0
    )


def test_data_that_have_examples_without_labels_are_learned_from_with_them(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, -1] * 10)
    np.savez(tmp_path / "a.npz", x=np.arange(80.0).reshape(40, 2), y=labels)
    data = {"source": str(tmp_path / "a.npz")}
    assert presets.classes(data, {}).data.unlabelled == "rest"
    assert presets.classes({**data, "unlabelled": "none"}, {}).data.unlabelled is None
    assert presets.classes({"source": "digits"}, {}).data.unlabelled is None
    assert presets.classes({"source": "digits", "unlabelled": "rest"}, {}).data == ClassesData(
        "digits", labels=100, unlabelled="rest"
    )
