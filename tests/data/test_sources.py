"""What holds for every source, and the choice of the reader."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from kdgan.data.batch import Batch
from kdgan.data.reading import load
from kdgan.data.source import Part, assemble, fixed_split, listing
from kdgan.errors import wrong

SHARED = Path(os.environ.get("KDGAN_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def vectors(labels: list[object]) -> Part:
    return Part(np.arange(len(labels), dtype=np.float32)[:, None], np.array(labels))


def test_digits_are_the_bundled_ones_scaled_to_bytes():
    source = load("digits")
    assert (source.name, source.kind, source.classes) == ("digits", "image", tuple("0123456789"))
    assert (len(source.train), len(source.test)) == (1437, 360)
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.inputs.shape[1:] == (1, 8, 8)
    assert source.train.targets.dtype == torch.int64
    counts, labels = load_digits(return_X_y=True)
    together = torch.cat([source.train.inputs, source.test.inputs]).flatten(1).double() * 16 / 255
    rows = {(tuple(image), label) for image, label in zip(counts.tolist(), labels.tolist(), strict=True)}
    targets = torch.cat([source.train.targets, source.test.targets]).tolist()
    assert {(tuple(i), t) for i, t in zip(together.round().tolist(), targets, strict=True)} == rows


def test_digits_are_split_by_class_and_always_alike():
    first, second = load("digits"), load(Path("digits"))
    assert torch.equal(first.test.inputs, second.test.inputs)
    assert torch.equal(first.train.targets, second.train.targets)
    everything = torch.cat([first.train.targets, first.test.targets]).bincount()
    assert ((first.test.targets.bincount() - everything * 0.2).abs() < 1).all()


def test_fixed_split_keeps_the_order_and_takes_each_instance_once():
    source = assemble("x", "vector", vectors([0, 1] * 50))
    train, test = source.train.inputs[:, 0], source.test.inputs[:, 0]
    assert (len(train), len(test)) == (80, 20)
    assert (train.diff() > 0).all()
    assert (test.diff() > 0).all()
    assert sorted(torch.cat([train, test]).tolist()) == list(range(100))
    assert torch.equal(source.train.targets, train.long() % 2)


def test_fixed_split_does_not_ask_the_global_generators():
    np.random.seed(1)
    first = fixed_split("x", np.arange(40) % 4)
    np.random.seed(2)
    torch.manual_seed(5)
    assert np.array_equal(first, fixed_split("x", np.arange(40) % 4))


def test_two_instances_per_class_are_enough():
    source = assemble("x", "vector", vectors(["a", "a", "b", "b", "c", "c"]))
    assert source.train.targets.tolist() == source.test.targets.tolist() == [0, 1, 2]


def test_classes_are_ordered_by_number_or_letter():
    numbers = assemble("x", "vector", vectors([10, 9, 2, 10, 9, 2]), vectors([9, 2]))
    assert numbers.classes == ("2", "9", "10")
    assert numbers.train.targets.tolist() == [2, 1, 0, 2, 1, 0]
    assert numbers.test.targets.tolist() == [1, 0]
    assert assemble("x", "vector", vectors(["b", "a", "b", "a"])).classes == ("a", "b")


def test_bytes_of_all_tensors_are_counted():
    source = assemble("x", "vector", vectors([0, 1] * 5))
    assert source.nbytes == 10 * (4 + 8)
    assert isinstance(source.train, Batch)


def test_read_only_arrays_become_tensors_of_their_own():
    part = vectors([0, 1] * 5)
    part.inputs.setflags(write=False)
    source = assemble("x", "vector", part, vectors([0, 1]))
    source.train.inputs.zero_()
    assert part.inputs.sum() == 45


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 1, 1], None, "x: all 3 examples are of the class '1', and at least two classes are needed"),
        ([0, 0, 1], None, "x: class '1' has only one example: each class needs at least two"),
        ([0, 0, 1, 2], None, "x: class '1' has only one example (as have 1 more classes)"),
        ([0, 0, 1, 1], [2, 2], "x: class '2' is in the test part but not in the training part"),
        ([], None, "x: the training part has no examples"),
        ([0, 0, 1, 1], [], "x: the test part has no examples"),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(refused, train, test, message):
    with refused(message):
        assemble("x", "vector", vectors(train), None if test is None else vectors(test))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cifar", "unknown data 'cifar': known are 'digits', 'mnist', 'cifar10', or give the path"),
        ("MNIST", "unknown data 'MNIST'"),
        ("", "unknown data ''"),
        ("no/such/folder", "the path no/such/folder does not exist"),
        ("table.csv", "the path table.csv does not exist"),
        ("a\nb\0", "unknown data 'a"),
    ],
)
def test_unknown_data_are_refused(refused, monkeypatch, tmp_path, data, message):
    monkeypatch.chdir(tmp_path)
    with refused(message):
        load(data)


def test_a_name_too_long_for_the_system_is_refused(refused):
    with refused("cannot read", "name too long"):
        load("a" * 5000)


def test_a_file_of_another_kind_is_refused(refused, tmp_path):
    (tmp_path / "data.xls").write_text("a")
    with refused(
        "data.xls is of no kind that can be read: expected a folder, or a file .npz, .csv or .parquet"
    ):
        load(tmp_path / "data.xls")


@pytest.mark.parametrize(
    ("data", "option", "message"),
    [
        ("digits", {"data_dir": Path()}, "data_dir does not fit the data digits: it says where"),
        ("mnist", {"target": "y"}, "target does not fit the data mnist: it names a column of a table"),
        (
            "cifar10",
            {"image_size": 8},
            "image_size does not fit the data cifar10: it resizes a folder of images",
        ),
        ("digits", {"privileged": ("a",)}, "privileged does not fit the data digits"),
        ("a.npz", {"target": "y"}, "target does not fit the data a.npz"),
        ("a.csv", {"image_size": 8}, "image_size does not fit the data a.csv"),
        ("a.csv", {"data_dir": Path()}, "data_dir does not fit the data a.csv"),
        ("pictures", {"target": "y"}, "target does not fit the data pictures"),
    ],
)
def test_options_that_do_not_fit_are_refused(refused, monkeypatch, tmp_path, data, option, message):
    monkeypatch.chdir(tmp_path)
    Path("a.npz").touch()
    Path("a.csv").touch()
    Path("pictures").mkdir()
    with refused(message):
        load(data, **option)


def test_a_folder_that_cannot_be_read_is_refused(refused, monkeypatch, tmp_path):
    def denied(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with refused(f"cannot read {tmp_path}: Permission denied"):
        load(tmp_path)


def test_errors_are_one_printable_line():
    assert str(wrong("a\n  b\r\n\u2028c\x1b[31m\ud800")) == "a b c?[31m?"
    assert listing("abc", limit=2) == "'a', 'b' and 1 more"


def test_mnist_is_read_from_the_original_files():
    folder = SHARED / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the original MNIST files are not in {folder}; KDGAN_DATA can name another place")
    source = load("mnist", data_dir=SHARED)
    assert source.classes == tuple("0123456789")
    assert source.train.inputs.shape == (60000, 1, 28, 28)
    assert source.test.inputs.shape == (10000, 1, 28, 28)
    assert source.train.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert source.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert source.train.targets.bincount().tolist() == counts
    assert (
        round(source.train.inputs.sum(dtype=torch.int64).item() / source.train.inputs.numel() / 255, 4)
        == 0.1307
    )
