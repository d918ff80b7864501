"""Answers to requests: the same as the student's own, and one line for what is none."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.ship.predictor import MOST_ROWS, Predictor
from kdgan.ship.student import Student
from serving import PNG_30000, colours, knowing, picture, serving
from support import refused


def network(features: int, labels: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(features, labels).eval()


def of_table(kind: Any = "classes") -> Student:
    columns = (
        TableColumn("age", Reading("number"), Encoding("numbers", mean=30.0, marks_missing=True)),
        TableColumn("city", Reading("category"), Encoding("categories", categories=("Oslo", "Rome"))),
        TableColumn("since", Reading("date"), Encoding("numbers", mean=7000.0)),
        TableColumn("number of the row", Reading("number"), Encoding("left out")),
    )
    scale = Scale(torch.full((5,), 10.0), torch.full((5,), 3.0))
    labels = ("a", "b", "c") if kind != "binary" else ("no", "yes")
    outputs = 1 if kind == "binary" else 3
    return Student(network(5, outputs), labels, None, (5,), scale, kind, TableReader(columns))


ROWS = [
    {"age": "31", "city": "Oslo", "since": "2020-02-03", "more": None},
    {"age": None, "city": "Paris", "since": "1999-01-01", "more": True},
    {"age": 12.5, "city": None, "since": None, "more": 3},
]


@pytest.mark.parametrize("kind", ["classes", "binary", "multilabel"])
def test_rows_have_the_labels_that_the_student_gives_them(kind: Any) -> None:
    student = of_table(kind)
    answer = Predictor(student).of_json(json.dumps({"rows": ROWS}).encode(), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = student.predict(ROWS, most=2)
    found = [(each["labels"], each["probabilities"]) for each in answer["predictions"]]
    assert found == [(each.labels, each.probabilities) for each in expected]
    assert any("Paris" in note for note in answer["notes"])
    assert any("'more'" in note for note in answer["notes"])


def test_about_a_table_says_what_may_be_in_its_cells() -> None:
    about = Predictor(of_table(), of_table(), "").about()
    assert [each["name"] for each in about["columns"]] == ["age", "city", "since"]
    assert about["columns"][1]["categories"] == ("Oslo", "Rome")
    assert "date" in about["columns"][2]["expected"]
    assert (about["teacher"], about["student"]) == ("teacher", None)
    json.dumps(about)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"", ("must be JSON such as",)),
        (b"age=31", ("must be JSON",)),
        (b"[]", ("must be JSON", "rows")),
        (b'{"rows": {}}', ("must be JSON",)),
        (b'{"inputs": [1]}', ("must be JSON", "rows")),
        (b'{"rows": []}', ("1 to 1,000 instances, not 0",)),
        (b'{"rows": [[1]]}', ("must be JSON",)),
        (b'{"rows": [{"age": [1]}]}', ("must be JSON",)),
        (b'{"rows": [{"age": NaN}]}', ("no finite number",)),
        (b'{"rows": [{"age": 1e999}]}', ("no finite number",)),
        (b'{"rows": [{"age": ' + b"9" * 5000 + b"}]}", ("must be JSON",)),
        (b'{"rows": [{"age": 3, "age": 4}]}', ("must be JSON", "'age' stands there twice")),
        (b'{"rows": [], "rows": [{"age": 4}]}', ("must be JSON", "'rows' stands there twice")),
        (b"[" * 100_000, ("must be JSON",)),
        (b"\xff\xfe\x00", ("must be JSON",)),
        (b'{"rows": [{}]}', ("no column 'age'",)),
        (b'{"rows": [{"age": 1}]}', ("no column 'city'",)),
        (b'{"rows": [{"age": "old", "city": "Oslo", "since": null}]}', ("'age'", "'old'", "a number")),
        (b'{"rows": [{"age": 1, "city": 2, "since": "2.3.4"}]}', ("since",)),
        (
            json.dumps({"rows": [dict.fromkeys(map(str, range(1005)))]}).encode(),
            ("at most 1,004", "not 1,005"),
        ),
        (json.dumps({"rows": [ROWS[0]] * (MOST_ROWS + 1)}).encode(), ("1 to 1,000 instances, not 1,001",)),
    ],
    ids=range(21),
)
def test_what_is_no_row(body: bytes, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        Predictor(of_table()).of_json(body, 5)


def test_rows_over_the_wire() -> None:
    with serving(Predictor(of_table())) as asking:
        status, answer = asking.json({"rows": ROWS})
        assert (status, len(answer["predictions"])) == (200, 3)
        for body in (b"{", b"{}", b'{"rows": 5}', b"[" * 10**6):
            status, answer = asking.json(body)
            assert (status, "must be JSON" in answer["error"]) == (400, True)
        status, answer = asking.json({"rows": [{"a" * 9_000_000: 1}]})
        assert (status, "no column 'age'" in answer["error"]) == (400, True)
        assert len(answer["error"]) <= 1000
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ):
            status, answer, _ = asking("/predict", json.dumps({"rows": ROWS}), {"Content-Type": kind})
            assert (status, "application/json" in answer["error"]) == (415, True)


def test_numbers() -> None:
    student = Student(network(4, 3), ("a", "b", "c"), None, (4,))
    predictor = Predictor(student)
    inputs = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    answer = predictor.of_json(json.dumps({"inputs": inputs.tolist()}).encode(), 3)
    expected = student.predict(inputs)
    assert [each["probabilities"] for each in answer["predictions"]] == [e.probabilities for e in expected]
    one = predictor.of_json(json.dumps({"inputs": inputs[0].tolist()}).encode(), 3)
    assert one["predictions"] == answer["predictions"][:1]
    assert predictor.about()["shape"] == (4,)
    for wrong in ([], [[1, 2, 3]], [[1, 2, 3, "4"]], [["1", "2", "3", "4"]], [[1, 2, 3], [1]], [[None] * 4]):
        with refused("(N, 4)"):
            predictor.of_json(json.dumps({"inputs": wrong}).encode(), 3)
    with refused("finite"):
        predictor.of_json(b'{"inputs": [[1e300, 0, 0, 0]]}', 3)
    with refused("1 to 1,000 instances"):
        predictor.of_json(json.dumps({"inputs": [[0, 0, 0, 0]] * 1001}).encode(), 3)


def test_a_student_of_features_takes_photos() -> None:
    student = Student(network(3, 2), ("light", "dark"), None, (3,))

    def pixels(content: bytes) -> Any:
        return knowing(nn.Identity()).reader.pixels(content)  # type: ignore[union-attr]

    def featurize(photos: Any) -> Any:
        return np.stack(photos).mean((2, 3), dtype=np.float32)

    predictor = Predictor(student, pixels=pixels, featurize=featurize)
    predictor.warm()
    assert predictor.takes == "image"
    answer = predictor.of_image(picture("red"), 2)
    (expected,) = student.predict([pixels(picture("red"))], featurize=featurize)
    assert answer["predictions"] == [{"labels": expected.labels, "probabilities": expected.probabilities}]


def test_images_are_bounded_in_pixels_by_their_header() -> None:
    with refused("what was sent", "pixels"):
        Predictor(colours()).of_image(PNG_30000, 5)
    with refused("what was sent is 1x65536 pixels", "65,535"):
        Predictor(colours()).of_image(picture("red", size=(1, 65_536)), 5)
    assert Predictor(colours()).of_image(picture("red", size=(1, 65_535)), 5)["predictions"]
    small = Predictor(colours(), most_pixels=1200)
    assert small.of_image(picture("red", size=(40, 30)), 1)["predictions"][0]["labels"] == ("red",)
    with refused("41x30 pixels", "1,200"):
        small.of_image(picture("red", size=(41, 30)), 1)


def test_what_no_request_can_hold() -> None:
    with refused("several tensors"):
        Predictor(Student(nn.Identity(), ("a", "b")))


@pytest.mark.parametrize("student", [colours(), of_table(), Student(network(4, 2), ("a", "b"), None, (4,))])
def test_warming_up_predicts_something(student: Student) -> None:
    Predictor(student, student).warm()
