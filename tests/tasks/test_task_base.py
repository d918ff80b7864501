"""What every task does: measure, save, load."""

from pathlib import Path

import pytest
import torch

from kdgan.tasks import Config
from kdgan.tasks.run import task_of
from kdgan.training.evaluate import logits_of
from support import refused
from tiny import DIGITS, TAGS, changed

BASES = pytest.mark.parametrize("base", [DIGITS, TAGS], ids=["classes", "tags"])


@BASES
def test_a_player_is_measured_by_the_task_and_by_metrics_of_ones_own(base: Config) -> None:
    task = task_of(changed(base, metrics=("tiny:count", "tiny:thrice")), None)
    student, teacher = task.build(base.student, "student"), task.build(base.teacher, "teacher")
    found = task.measure(student, task.test)
    assert list(found) == ["count", "thrice", *task.metrics, *task.recorded]
    assert found["count"] == len(task.test)
    logits = logits_of(student, task.test)
    assert {name: found[name] for name in (*task.metrics, *task.recorded)} == task.metrics_of(
        logits, task.test.targets
    )
    taught = task.measure(teacher, task.validation, role="teacher")
    assert list(taught) == list(found)
    assert taught["count"] == len(task.validation)
    assert all(0 <= taught[name] <= 100 for name in task.metrics)
    assert list(task.further_metrics) == ["count", "thrice"]


@BASES
def test_a_perfect_player_has_all_of_every_metric_that_can_be_had(base: Config) -> None:
    task = task_of(base, None)
    targets = task.test.targets
    logits = targets if targets.ndim == 2 else torch.nn.functional.one_hot(targets).float()
    primary = task.metrics[0]
    assert task.metrics_of(logits, targets)[primary] == 100
    assert task.metrics_of(-logits, targets)[primary] < 50


@BASES
def test_a_student_comes_back_from_its_file(tmp_path: Path, base: Config) -> None:
    task = task_of(base, None)
    module = task.build(base.student, "student")
    task.save(module, tmp_path / "s")
    student = task.load(tmp_path / "s")
    assert student.labels == task.labels
    assert student.network == base.student
    assert task.measure(student.module, task.test) == task.measure(module, task.test)


def test_a_student_of_other_labels_is_refused(tmp_path: Path) -> None:
    tags, other = task_of(TAGS, None), task_of(changed(TAGS, count=9), None)
    tags.save(tags.build("normed-6", "student"), tmp_path / "s")
    with refused("scenes, popular tags has other labels", tmp_path / "s"):
        other.load(tmp_path / "s")
    with refused("digits has other labels"):
        task_of(DIGITS, None).load(tmp_path / "s")


@BASES
def test_parts_of_the_data_depend_on_the_seed_alone(base: Config) -> None:
    one, same, other = (
        task_of(changed(base, seed=seed, method=method), None)
        for seed, method in ((1, "kdgan"), (1, "mimic"), (2, "kdgan"))
    )
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(one, part), getattr(same, part)
        assert torch.equal(mine.inputs, theirs.inputs)
        assert torch.equal(mine.targets, theirs.targets)
    assert one.train.inputs.shape != other.train.inputs.shape or not torch.equal(
        one.train.inputs, other.train.inputs
    )
    # Test examples are the same for every seed, and only their scale is not.
    assert torch.equal(one.test.targets, other.test.targets)
