"""The columns of the paper's tables, with frozen settings and published figures."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdgan.experiments.variants import Variant
from kdgan.methods import METHODS, check_hyperparameters, find
from kdgan.paper.cells import CLASSES, PHOTOS, PUBLISHED, SETTINGS, WRONG, cell, published, settings
from kdgan.paper.studies import TABLE_1, TABLE_2
from kdgan.tasks.config import BASELINES, ClassesData, TagsData
from support import refused

SCENES = {"source": "scenes", "count": 12}


@pytest.mark.parametrize("name", CLASSES)
def test_a_cell_of_classes_is_what_its_name_says(name: str) -> None:
    found = cell(name)
    data = found.base.data
    assert isinstance(data, ClassesData)
    assert f"{data.source}-{data.labels}" == found.name == name
    training = found.base.training
    assert training.precision == "bfloat16"
    assert training.teacher_steps == CLASSES[name].get("teacher_steps", training.steps)
    assert set(found.settings) == (set(TABLE_1) if name in SETTINGS else set())


@pytest.mark.parametrize("name", WRONG)
def test_a_cell_with_wrong_labels_is_another_one_otherwise(name: str) -> None:
    right, share = WRONG[name]
    found, other = cell(name, None, {"steps": 7}), cell(right, None, {"steps": 7})
    assert found.name == name == f"{right}-wrong-{round(100 * share)}"
    assert found.base == replace(other.base, data=replace(other.base.data, wrong_labels=share))
    assert found.settings == other.settings


@pytest.mark.parametrize("name", PHOTOS)
def test_a_cell_of_photos_is_half_of_table_2(name: str) -> None:
    found = cell(name, SCENES)
    assert found.base.data == TagsData("scenes", choice=name, count=12, dropout=0.3)
    assert found.base.training.evaluations == 20  # Figure 3b draws curves through them
    assert set(found.settings) == set(TABLE_2) - set(BASELINES)
    for photos in (None, {}, {"source": None}):
        with refused(name, "--table"):
            cell(name, photos)


def test_what_is_changed_is_changed_for_all_runs() -> None:
    changed = cell("mnist-100", None, {"steps": 7, "student": "mlp-4", "metrics": ("a:b",)})
    assert (changed.base.training.steps, changed.base.student, changed.base.metrics) == (7, "mlp-4", ("a:b",))
    usual = cell("mnist-100")
    assert usual.base.training.steps == 1000
    assert changed.settings == usual.settings


def test_there_is_no_other_cell() -> None:
    for name in ("mnist-7", "", "tags"):
        with refused("choose from mnist-100", "popular, random"):
            cell(name)


@pytest.mark.parametrize("name", sorted({*SETTINGS.values()}))
def test_frozen_settings_are_what_methods_take(name: str) -> None:
    found = settings(name)
    assert settings(None) == {}
    for method, values in found.items():
        assert set(values) <= {*METHODS[method].search_space, "teacher_steps"}
        check_hyperparameters(find(method), Variant.of(method, values).hyper)


def test_settings_of_the_package_are_those_of_the_search() -> None:
    results = Path(__file__).parents[2] / "results" / "tuning"
    for name in {*SETTINGS.values()}:
        committed = (results / name / "tuned.json").read_bytes()
        package = Path(__file__).parents[2] / "src" / "kdgan" / "paper" / "settings" / f"{name}.json"
        assert package.read_bytes() == committed


def test_published_figures_are_of_the_papers_tables() -> None:
    assert published("accuracy", "mnist-100", "kdgan") == 77.95
    assert published("accuracy", "cifar10-50000", "mimic") == 84.33
    assert published("MAP", "random", "knn") == 39.70
    assert published("MAP", "popular", "mimic") is None
    assert published("accuracy", "popular", "kdgan") is None
    assert published("accuracy", "mnist-7", "kdgan") is None
    for metric, cells in (("accuracy", CLASSES), ("MAP", PHOTOS)):
        assert {len(values) for values in PUBLISHED[metric].values()} == {len(cells)}
    # The paper's own best in every column is KDGAN.
    for values in PUBLISHED.values():
        for place in range(len(values["kdgan"])):
            assert max(values, key=lambda name: values[name][place]) == "kdgan"
