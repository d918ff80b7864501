"""A trained student in a file of its own: there and back, for classes and for tags."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import kdgan
from kdgan import nets
from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.errors import KdganError
from kdgan.ship.student import Student
from kdgan.training import checkpoint
from support import refused
from tiny import network

IDENTITY = {"network": "vgg.onnx", "sha256": "12ab", "size": 224, "mean": [0.1, 0.2, 0.3]}


def classes(form: str = "mlp-7") -> Student:
    """Of grey images 8×8."""
    scale = Scale(torch.full((1, 1, 1), 0.3), torch.full((1, 1, 1), 0.2))
    module = nets.build(form, (1, 8, 8), 3).eval()
    return Student(module, ("cat", "dog", "Größe"), form, (1, 8, 8), scale, reader=ImageReader("L", 8, 8))


def tags(form: str = "normed-6") -> Student:
    """Of features."""
    scale = Scale(torch.randn(5), torch.rand(5) + 0.5)
    module = nets.build(form, (5,), 4, dropout=0.5).eval()
    return Student(module, ("sun", "sea", "beach", "dog"), form, (5,), scale, features=IDENTITY)


STUDENTS = {
    "mlp": lambda: classes(),
    "lenet": lambda: classes("lenet-2-3-4"),
    "resnet": lambda: classes("resnet-8-2"),
    "normed": lambda: tags(),
    "projected": lambda: tags("projected-6-7"),
    "without features": lambda: replace(tags(), features=None),
}


def raw(student: Student, count: int = 6) -> Tensor:
    return torch.rand(count, *student.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    student = STUDENTS[name]()
    state = torch.get_rng_state()
    student.save(tmp_path / "run" / "student.safetensors")
    for place in (
        tmp_path / "run" / "student.safetensors",
        str(tmp_path / "run" / "student.safetensors"),
        tmp_path / "run",
        str(tmp_path / "run"),
    ):
        back = Student.load(place)
        assert (back.network, back.shape, back.labels) == (student.network, student.shape, student.labels)
        assert back.features == student.features
        assert torch.equal(back.scale.mean, student.scale.mean)
        assert torch.equal(back.scale.std, student.scale.std)
        assert not back.module.training
        assert torch.equal(back(raw(student)), student(raw(student)))
        assert back.predict(raw(student)) == student.predict(raw(student))
        assert back.reader == student.reader
    assert torch.equal(torch.get_rng_state(), state)
    assert kdgan.Student is Student


@pytest.mark.parametrize("name", STUDENTS)
def test_a_call_gives_probabilities_of_raw_inputs(name: str) -> None:
    student = STUDENTS[name]()
    inputs = raw(student)
    chances = student(inputs)
    assert not chances.requires_grad
    torch.testing.assert_close(chances.sum(1), torch.ones(6))
    scaled = (inputs - student.scale.mean) / student.scale.std
    torch.testing.assert_close(chances, student.module(scaled).softmax(-1).detach())


def test_labels_are_ranked_by_probability_and_equal_ones_by_their_order() -> None:
    student = Student(nn.Identity(), ("a", "b", "c", "d"), "mlp", (4,), Scale(torch.zeros(4), torch.ones(4)))
    inputs = torch.tensor([[0.0, 3.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    first, second = student.predict(inputs)
    assert first.labels == ("b", "c", "d", "a")
    assert second.labels == ("a", "b", "c", "d")
    assert second.probabilities == (0.25,) * 4
    assert first.probabilities == pytest.approx(inputs[0].softmax(0)[[1, 2, 3, 0]].tolist())
    assert (first.label, first.probability) == ("b", first.probabilities[0])
    assert str(second) == "a 25 %  b 25 %  c 25 %  d 25 %"
    assert [each.labels for each in student.predict(inputs, most=2)] == [("b", "c"), ("a", "b")]
    # Arrays will do, of any type of numbers, and a single instance.
    for kind in (np.float32, np.float64, np.int64):
        assert student.predict(inputs.numpy().astype(kind)) == student.predict(inputs)
    assert student.predict(inputs[0]) == [first]
    assert student.predict(inputs[:0]) == []
    for most in (0, -1, 2.5, "3"):
        with refused("most", repr(most)):
            student.predict(inputs, most=most)  # type: ignore[arg-type]


def test_binary_and_several_labels() -> None:
    logits = torch.tensor([[1.5], [-1.5]])
    binary = Student(nn.Identity(), ("off", "on"), kind="binary", shape=(1,))
    p = logits.sigmoid()
    torch.testing.assert_close(binary(logits), torch.cat([1 - p, p], 1))
    assert [each.label for each in binary.predict(logits)] == ["on", "off"]
    several = Student(nn.Identity(), ("a", "b"), kind="multilabel", shape=(2,))
    bits = torch.tensor([[2.0, 3.0]])
    torch.testing.assert_close(several(bits), bits.sigmoid())
    assert several.predict(bits)[0].labels == ("b", "a")


def test_photos_in_any_form_are_as_the_pixels_that_it_learned_from(tmp_path: Path) -> None:
    student = classes("lenet-2-3-4")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    paths = [tmp_path / f"{row}.png" for row in range(20)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    found = student.predict(torch.from_numpy(pixels)[:, None])
    assert student.predict(paths) == found
    assert student.predict([str(path) for path in paths]) == found
    assert student.predict([path.read_bytes() for path in paths]) == found
    assert student.predict([Image.open(path) for path in paths]) == found
    assert student.predict(list(pixels)) == found
    assert student.predict(paths[3]) == [found[3]]  # alone as in company, bit for bit
    assert student.predict(pixels[3]) == [found[3]]
    with refused(tmp_path / "none.png"):
        student.predict([paths[0], tmp_path / "none.png"])


def test_features_are_computed_for_photos() -> None:
    student = tags()
    features = raw(student)
    found = student.predict(["a"] * 6, featurize=lambda photos: features[: len(photos)].numpy())
    assert found == student.predict(features)


def test_inputs_of_another_shape_and_numbers_that_are_none_are_refused() -> None:
    student = tags()
    for shape in ((3, 6), (5,), (3, 5, 1)):
        with refused("inputs of shape (5,)", f"not {tuple(shape[1:])}"):
            student(torch.zeros(shape))
    with refused("inputs of shape (5,)"):
        student.predict(np.zeros((1, 4), dtype=np.float32))
    for bad in (float("nan"), float("inf")):
        with refused("inputs must be finite"):
            student(torch.full((2, 5), bad))
    with refused("inputs of shape (1, 8, 8)"):
        classes()(torch.zeros(3, 3, 8, 8))


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint16, np.float32])
def test_pixels_that_are_neither_bytes_nor_shares_are_refused(kind: Any) -> None:
    """As numbers beyond 1 they would be scaled as if white were 1."""
    pixels = np.random.default_rng(0).integers(2, 256, (5, 1, 8, 8), dtype=np.uint8)
    assert classes().predict(pixels)[0].labels
    with refused("pixels must be bytes", "0 to 1"):
        classes().predict(pixels.astype(kind))


def test_three_grey_images_are_no_photo_of_three_colours() -> None:
    student = classes()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    assert student.predict(pixels) == student.predict(pixels[:, None])
    assert len(student.predict(pixels[:3])) == 3
    assert len(student.predict(pixels[:1])) == 1


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    for labels in (("a", "b"), ("a", "b", "c", "d")):
        with refused("3", "name each of them"):
            Student(nets.mlp(4, [], 3), labels, shape=(4,)).predict(torch.zeros(2, 4))
    with refused("do not tell classes apart"):
        Student(nets.mlp(4, [], 3), ("a", "a", "b"), shape=(4,)).save(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_what_is_no_input_is_one_line() -> None:
    student = Student(nets.mlp(4, [], 3), ("a", "b", "c"), shape=(4,))
    for wrong in ("t.csv", None, object()):
        with refused("this student takes arrays" if wrong else "nothing to predict"):
            student.predict(wrong)
    assert len(student.predict(np.zeros((2, 4)))) == 2  # numpy's own type of numbers


def test_features_of_another_network_are_refused() -> None:
    student = tags()
    student.check_features(IDENTITY)
    student.check_features({**IDENTITY, "network": "renamed.onnx", "more": 1})
    with refused("another network", "sha256 12ab there, ff here"):
        student.check_features({**IDENTITY, "sha256": "ff"})
    with refused("size 224 there, None here"):
        student.check_features({name: value for name, value in IDENTITY.items() if name != "size"})
    replace(student, features=None).check_features({"sha256": "ff"})


def test_a_network_of_ones_own_takes_a_module(tmp_path: Path) -> None:
    scale = Scale(torch.zeros(5), torch.ones(5))
    student = Student(network((5,), 3).eval(), ("a", "b", "c"), "tiny:network", (5,), scale)
    student.save(tmp_path / "s")
    with refused(tmp_path / "s", "tiny:network", "pass a fresh one as module="):
        Student.load(tmp_path / "s")
    module = network((5,), 3).train()
    back = Student.load(tmp_path / "s", module=module)
    assert back.module is module
    assert not module.training
    assert torch.equal(back(raw(student)), student(raw(student)))
    with refused(tmp_path / "s", "belongs to another network"):
        Student.load(tmp_path / "s", module=network((5,), 4))


def test_nothing_that_a_file_names_is_imported(tmp_path: Path) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    replace(tags(), network="evil_module:network").save(tmp_path / "s")
    with refused("evil_module:network", "module="):
        Student.load(tmp_path / "s")


def test_a_file_says_what_it_lacks(tmp_path: Path) -> None:
    for place in (tmp_path / "none", str(tmp_path / "none")):
        with refused(tmp_path / "none", "does not exist"):
            Student.load(place)
    with refused(tmp_path / "student.safetensors", "does not exist", "has its run finished?"):
        Student.load(tmp_path)
    for file, part in (("comparison.json", tmp_path / "runs"), ("distill.json", "save(PATH)")):
        (tmp_path / file).write_text("{}")
        with refused("does not exist", part):
            Student.load(tmp_path)
        (tmp_path / file).unlink()
    os.mkfifo(tmp_path / "pipe")
    with refused(tmp_path / "pipe", "neither the file of a student"):
        Student.load(tmp_path / "pipe")
    (tmp_path / "damaged").write_bytes(b"\0" * 64)
    with refused(tmp_path / "damaged", "no file of kdgan, or is damaged"):
        Student.load(tmp_path / "damaged")
    tags().save(tmp_path / "whole")
    tree = checkpoint.load(tmp_path / "whole", dict[str, Any])
    lacking: list[dict[str, Any]] = [
        {"network": "mlp-4"},
        *({name: value for name, value in tree.items() if name != lacks} for lacks in tree),
        {**tree, "weights": {}},
        {**tree, "network": "normed-7"},
        {**tree, "network": 3},
        {**tree, "shape": None},
        {**tree, "labels": tree["labels"][:2]},
        {**tree, "labels": ["a", "a", "b", "c"]},
        {**tree, "kind": "binary"},
        {**tree, "kind": "regression"},
        {**tree, "std": None},
        {**tree, "std": torch.zeros(5)},
        {**tree, "shape": [2**40]},
        {**tree, "images": {"mode": "L", "height": 5, "width": 1}},
        {**tree, "images": {"mode": "L", "height": -5, "width": 1}},
    ]
    for place, broken in enumerate(lacking):
        checkpoint.save(tmp_path / str(place), broken)
        with refused(tmp_path / str(place), "should hold a student" if place < len(tree) + 1 else ""):
            Student.load(tmp_path / str(place))


def make() -> nn.Module:
    """A module of one's own, for whoever trusts the file that names it."""
    return nn.Linear(5, 3)


def test_a_module_of_ones_own_is_imported_only_for_who_trusts_the_file(tmp_path: Path) -> None:
    student = Student(make().eval(), ("a", "b", "c"), shape=(5,))
    student.save(tmp_path / "alone")
    with refused(tmp_path / "alone", "pass a fresh one as module="):
        Student.load(tmp_path / "alone", trust=True)
    replace(student, make=f"{__name__}:make").save(tmp_path / "named")
    with refused(tmp_path / "named", f"{__name__}:make", "module=", "trust=True"):
        Student.load(tmp_path / "named")
    for back in (
        Student.load(tmp_path / "named", trust=True),
        Student.load(tmp_path / "alone", module=make()),
    ):
        assert back.predict(raw(student)) == student.predict(raw(student))
    for name, part in (
        ("nowhere:make", "nowhere"),
        (f"{__name__}:raw", "raw"),
        (f"{__name__}:classes", "no torch.nn"),
    ):
        replace(student, make=name).save(tmp_path / "other")
        with pytest.raises(KdganError, match=part):
            Student.load(tmp_path / "other", trust=True)


def test_complex_numbers_are_refused_as_nobody_knows_their_order() -> None:
    student = classes()
    for inputs in (np.zeros((2, 1, 8, 8), np.complex64), torch.zeros(2, 1, 8, 8, dtype=torch.complex64)):
        with refused("real numbers"):
            student.predict(inputs)
