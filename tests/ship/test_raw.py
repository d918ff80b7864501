"""The raw form of a student's inputs: what a file of another format takes is what the reader reads."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kdgan.data.split import Scale
from kdgan.ship.raw import RawForm
from kdgan.ship.raw_student import RawStudent
from kdgan.ship.student import Student
from ship.exported_students import RAW, READER, of_digits, of_kind, of_scenes, of_table
from support import refused

ROWS = [
    {"age": "31", "city": "Oslo", "income": "1000", "mood": ""},
    {"age": "?", "city": "Rome", "income": "", "mood": "good"},
    {"age": "7.5", "city": " Köln ", "income": "2e6", "mood": "Oslo"},
    {"age": "-3", "city": None, "income": "0", "mood": None},
]


def test_rows_of_a_table_are_numbers_and_texts() -> None:
    student = of_table()
    form = RawForm(student)
    assert [(each.name, each.dtype, each.shape, each.columns) for each in form.inputs] == [
        ("numbers", "float64", (2,), ("age", "income")),
        ("categories", "str", (2,), ("city", "mood")),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = torch.from_numpy(READER.read(ROWS)[0])
    with torch.no_grad():
        found = RawStudent(form)(*form.coded(RAW))
    torch.testing.assert_close(found, student(inputs), rtol=0, atol=1e-6)
    # And back from what training kept; a number that is missing where no mark says so is its mean.
    back = form.of(inputs)
    np.testing.assert_array_equal(back["numbers"][:, 0], RAW["numbers"][:, 0])
    np.testing.assert_array_equal(back["numbers"][:, 1], [1000, 5e5, 2e6, 0])
    known = [
        [text in each for text, each in zip(row, (("Oslo", "Köln"), ("", "Oslo", "good")), strict=True)]
        for row in RAW["categories"]
    ]
    np.testing.assert_array_equal(back["categories"][known], RAW["categories"][known])
    assert not {*back["categories"][~np.array(known)]} & {*form.codes}


def test_a_table_of_numbers_or_of_texts_alone() -> None:
    for kind, name in (("numbers", "numbers"), ("categories", "categories")):
        columns = tuple(each for each in READER.columns if each.encoding.kind == kind)
        reader = replace(READER, columns=columns)
        ones = torch.ones(reader.width, dtype=torch.float64)
        module = nn.Linear(reader.width, 2).eval()
        student = Student(module, ("a", "b"), None, (reader.width,), Scale(0 * ones, ones), reader=reader)
        form = RawForm(student)
        assert [each.name for each in form.inputs] == [name]
        inputs = form.plausible(50)
        with torch.no_grad():
            found = RawStudent(form)(*form.coded(form.of(inputs)))
        torch.testing.assert_close(found, student(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("student", [of_digits("lenet-2-3-4"), of_scenes("normed-6"), of_table()])
def test_random_inputs_are_of_the_range_of_training_and_the_same_every_time(student: Student) -> None:
    form = RawForm(student)
    inputs = form.plausible(2000, seed=3)
    assert torch.equal(inputs, form.plausible(2000, seed=3))
    assert not torch.equal(inputs, form.plausible(2000, seed=4))
    assert inputs.shape == (2000, *student.shape)
    if student.reader is READER:
        assert {*inputs[:, 2:4].sum(1).tolist()} == {0.0, 1.0}  # one city, or none
        assert inputs[:, 1].mean() == pytest.approx(0.1, abs=0.03)
        assert inputs[:, 0].std() == pytest.approx(40 / 3, rel=0.1)
    elif inputs.dtype == torch.uint8:
        assert (inputs.min(), inputs.max()) == (0, 255)
        assert torch.equal(torch.from_numpy(form.of(inputs.float() / 255)["pixels"]), inputs)
    else:
        torch.testing.assert_close(
            inputs.mean(0), student.scale.mean, rtol=0, atol=0.1 * student.scale.std.max()
        )


def test_the_students_own_module_stays_as_it_is() -> None:
    student = of_digits("lenet-2-3-4")
    before = [type(part) for part in student.module]
    RawStudent(RawForm(student))
    assert [type(part) for part in student.module] == before


def test_other_students() -> None:
    for student in (of_kind("binary", 2), of_kind("multilabel", 3)):
        form = RawForm(student)
        assert [(each.name, each.dtype) for each in form.inputs] == [("features", "float32")]
        inputs = form.plausible(9)
        with torch.no_grad():
            torch.testing.assert_close(RawStudent(form)(inputs), student(inputs))
    with refused("shape"):
        RawForm(Student(nn.Identity(), ("a", "b")))
