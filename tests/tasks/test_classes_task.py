"""Classes: images and tables, and players that take them."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdgan.data import Batch, load
from kdgan.data.semi import Semi
from kdgan.errors import Interrupted
from kdgan.tasks import ClassesData, Config, evaluate_run, run_of
from kdgan.tasks.classes import Classes
from kdgan.tasks.run import NetworkRun, task_of
from kdgan.tasks.sources import identified, notes_of, read
from kdgan.training import Execution
from support import refused
from tiny import DIGITS, changed, train, untimed


@pytest.fixture
def table(tmp_path: Path) -> ClassesData:
    """A table whose column `known` tells the label."""
    file = tmp_path / "table.csv"
    rows = [
        f"{i % 7},{(i * 5) % 11},{i % 2},{'yes' if i % 2 else 'no'},{'test' if i % 5 == 0 else 'train'}"
        for i in range(100)
    ]
    file.write_text("\n".join(["a,b,known,kind,split", *rows]) + "\n", encoding="utf-8")
    return identified(ClassesData(str(file), target="kind", privileged=("known",)), None)[0]


def of_table(table: ClassesData, **changes: object) -> Config:
    return changed(changed(DIGITS, data=table, student="mlp-4", teacher="mlp-6", augment="none"), **changes)


def test_images_in_standard_units() -> None:
    task = task_of(DIGITS, None)
    assert isinstance(task, Classes)
    assert len(task.train) == 40
    assert task.train.targets.bincount().tolist() == [4] * 10
    assert task.labels == tuple("0123456789")
    assert task.metrics == ("accuracy",)
    assert task.shown() == []
    torch.testing.assert_close(task.train.inputs.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(task.train.inputs.std(correction=0), torch.tensor(1.0))
    student = task.student(task.build("mlp-4", "student"))
    assert (student.shape, student.network, student.features) == ((1, 8, 8), "mlp-8", None)


def test_only_labels_to_learn_from_are_wrong() -> None:
    right, found = task_of(DIGITS, None), task_of(changed(DIGITS, wrong_labels=0.3), None)
    assert torch.equal(found.train.tensor, right.train.tensor)
    assert int((found.train.targets != right.train.targets).sum()) == 12
    for part in ("validation", "test"):
        assert torch.equal(getattr(found, part).targets, getattr(right, part).targets)
        assert torch.equal(getattr(found, part).tensor, getattr(right, part).tensor)
    again = task_of(changed(DIGITS, wrong_labels=0.3), None)
    assert torch.equal(again.train.targets, found.train.targets)
    other, others = (task_of(changed(DIGITS, seed=2, **more), None) for more in ({}, {"wrong_labels": 0.3}))
    places = [
        (one.train.targets != two.train.targets).tolist() for one, two in ((right, found), (other, others))
    ]
    assert places[0] != places[1]
    beside = task_of(changed(DIGITS, wrong_labels=0.3, unlabelled="rest"), None)
    assert torch.equal(beside.train.targets, found.train.targets)


def test_views_are_the_augmentation_of_that_name() -> None:
    assert task_of(changed(DIGITS, augment="none"), None).augment is None
    task = task_of(DIGITS, None)
    assert task.augment is not None
    views = task.augment(task.train.inputs, torch.Generator().manual_seed(0))
    assert views.shape == task.train.inputs.shape
    assert not torch.equal(views, task.train.inputs)
    with refused("mirror"):
        task_of(changed(DIGITS, augment="mirror"), None)


def test_all_but_the_student_see_privileged_columns(table: ClassesData, tmp_path: Path) -> None:
    task = task_of(of_table(table, labels=None), None)
    assert isinstance(task, Classes)
    assert task.train.privileged is not None
    assert task.train.privileged.shape[1] == 1
    inputs = task.train.inputs
    assert task.build("mlp-4", "student")(inputs).shape == (len(inputs), 2)
    for role in ("teacher", "discriminator", "peer"):
        player = task.build("mlp-4", role)
        assert player(inputs, task.train.privileged).shape == (len(inputs), 2)
    config = of_table(table, labels=None, method="mimic", steps=60, lr=0.02, teacher_steps=200)
    outcome = run_of(config, Execution()).train(tmp_path / "run", tmp_path / "pretrained")
    assert outcome.metrics["teacher/accuracy"] == 100


def test_vectors_are_no_images(table: ClassesData) -> None:
    for augment in ("affine", "elastic", "crop-flip", "photo", "photo-light", "mirror"):
        with refused(f"augmentation {augment!r} is for images", "use none or noise"):
            task_of(of_table(table, labels=40, augment=augment), None)
    assert task_of(of_table(table, labels=40, augment="noise"), None).augment is not None
    with refused("lenet-2-4-8", "takes images"):
        run_of(changed(of_table(table, labels=40), teacher="lenet-2-4-8"), Execution())


def test_a_table_that_has_changed_is_no_longer_the_data_of_the_run(
    table: ClassesData, tmp_path: Path
) -> None:
    config = of_table(table, labels=40)
    train(tmp_path, base=config)
    file = Path(table.source)
    file.write_text(file.read_text(encoding="utf-8") + "1,1,1,yes,train\n", encoding="utf-8")
    read.cache_clear()  # as in another process
    with refused(file, "no longer what it was when this run was configured"):
        run_of(changed(config, seed=7), Execution())


def test_too_many_or_too_few_labels() -> None:
    for labels, part in ((5, "5 labels"), (5000, "5000 labels")):
        with refused(part):
            task_of(changed(DIGITS, labels=labels), None)


def test_uneven_classes_have_the_share_of_the_largest_and_balanced_accuracy(tmp_path: Path) -> None:
    file = tmp_path / "rare.csv"
    rows = [f"{i % 7},{(i * 5) % 11},{'yes' if i % 50 == 0 else 'no'}" for i in range(1000)]
    file.write_text("\n".join(["a,b,kind", *rows]) + "\n", encoding="utf-8")
    data = identified(ClassesData(str(file), target="kind"), None)[0]
    rare = of_table(data, method="supervised")
    found = train(tmp_path, base=rare).metrics
    assert found["majority/accuracy"] == 98.0
    assert found["balanced_accuracy"] == pytest.approx(50, abs=10)
    assert "balanced_accuracy" not in train(tmp_path / "even", base=DIGITS).metrics


def test_what_was_read_is_part_of_the_data_and_not_how_it_lies_in_files(tmp_path: Path) -> None:
    source = load("digits")
    arrays = {"x": source.train.inputs.numpy(), "y": source.train.targets.numpy()}
    for name, compressed in (("a.npz", False), ("b.npz", True)):
        (np.savez_compressed if compressed else np.savez)(tmp_path / name, **arrays)
    a, b = (identified(ClassesData(str(tmp_path / name)), None)[0].sha256 for name in ("a.npz", "b.npz"))
    assert a == b
    np.savez(tmp_path / "a.npz", **{**arrays, "y": np.roll(arrays["y"], 1)})
    assert identified(ClassesData(str(tmp_path / "a.npz")), None)[0].sha256 != a
    assert identified(ClassesData("digits", labels=3), None) == (ClassesData("digits", labels=3), None)


def test_large_images_stay_bytes_until_a_batch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = run_of(DIGITS, Execution())
    monkeypatch.setattr(sys.modules["kdgan.data.split"], "MOST_NUMBERS", 1000)
    large = run_of(DIGITS, Execution())
    assert large.task.train.inputs.dtype == large.task.test.inputs.dtype == torch.uint8
    assert torch.equal(large.task.train.standardised().inputs, usual.task.train.inputs)
    student = large.task.build("mlp-4", "student")
    assert large.task.measure(student, large.task.test) == usual.task.measure(student, usual.task.test)


def test_a_run_on_bytes_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = train(tmp_path / "a", base=DIGITS)
    monkeypatch.setattr(sys.modules["kdgan.data.split"], "MOST_NUMBERS", 1000)
    large = train(tmp_path / "b", base=DIGITS)
    assert (large.metrics, large.curves) == (usual.metrics, usual.curves)


def test_the_rest_of_the_examples_are_learned_from_without_labels(tmp_path: Path) -> None:
    config = changed(DIGITS, unlabelled="rest", method="mimic", labelled_share=0.5)
    run = run_of(config, Execution())
    assert isinstance(run, NetworkRun)
    assert isinstance(run.trainer.data, Semi)
    assert len(run.task.validation) == 143
    assert run.task.count_unlabelled == 1437 - 143 - 40
    batch = run.trainer.feed(0)(0)
    assert batch.labelled is not None
    assert batch.labelled.tolist() == [True] * 4 + [False] * 4
    assert (batch.targets[4:] == -1).all()
    outcome = run.train(tmp_path / "run", tmp_path / "pretrained")
    assert (outcome.labels, outcome.unlabelled) == (40, 1254)
    evaluated = evaluate_run(tmp_path / "run", Execution())
    assert evaluated.metrics["accuracy"] == outcome.metrics["accuracy"]
    # The control does not learn from them, but sees its inputs in the same scale.
    control = run_of(changed(config, method="supervised"), Execution())
    assert isinstance(control, NetworkRun)
    assert isinstance(control.trainer.data, Batch)
    assert torch.equal(control.task.train.tensor, run.task.train.tensor)
    # One teacher, which was trained on the labels alone, serves all methods.
    train(tmp_path / "again", base=changed(config, method="noisy"))
    (shared,) = (path.name for path in (tmp_path / "again" / "pretrained").iterdir())
    assert shared in {path.name for path in (tmp_path / "pretrained").iterdir()}


def test_nothing_unlabelled_is_as_if_nobody_had_asked() -> None:
    assert changed(DIGITS, unlabelled="none").name == DIGITS.name
    assert changed(DIGITS, unlabelled="rest").name != DIGITS.name


def test_a_stopped_run_with_unlabelled_examples_ends_as_it_would_have(tmp_path: Path) -> None:
    config = changed(DIGITS, unlabelled="rest", method="mimic")
    whole = untimed(train(tmp_path / "whole", base=config))
    polls = iter(range(1000))
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", Execution(stop=lambda: next(polls) == 17), base=config)
    assert untimed(train(tmp_path / "parts", base=config)) == whole


def test_other_examples_come_out_of_a_file_which_is_part_of_the_identity(
    table: ClassesData, tmp_path: Path
) -> None:
    more = tmp_path / "more.csv"
    more.write_text(
        "known,b,a\n" + "".join(f"{i % 2},{i % 11},{i % 7}\n" for i in range(30)), encoding="utf-8"
    )
    data = identified(replace(table, sha256=None, unlabelled=str(more)), None)[0]
    assert data.sha256 not in (None, table.sha256)
    assert data.files != table.files
    config = of_table(data, method="mimic")
    outcome = train(tmp_path, base=config)
    task = task_of(config, None)
    assert task.unlabelled is not None
    assert task.unlabelled.privileged is not None
    assert (outcome.unlabelled, outcome.labels) == (30, len(task.train))
    assert evaluate_run(tmp_path / "run", Execution()).metrics["accuracy"] == outcome.metrics["accuracy"]
    more.write_text("known,b,a\n1,1,1\n", encoding="utf-8")
    read.cache_clear()
    with refused("is no longer what it was"):
        run_of(config, Execution())


def test_digits_beside_images_of_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / f"{number}.png")
    data = identified(ClassesData("digits", labels=40, unlabelled=str(tmp_path)), None)[0]
    assert data.sha256 is not None
    task = task_of(changed(DIGITS, data=data), None)
    assert task.count_unlabelled == 3
    assert "3 examples without labels" in " ".join(notes_of(changed(DIGITS, data=data), None))
