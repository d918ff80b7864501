"""Records and curves in files, and one line about what is wrong with a file."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.errors import UsageError
from kdgan.experiments.records import (
    Record,
    read_csv,
    read_curves,
    read_records,
    record_of,
    write_csv,
    write_curves,
    write_records,
)
from kdgan.tasks.run import Outcome
from made_records import RECORD
from support import refused

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(list(" ,;\"'")))
metrics = st.dictionaries(st.sampled_from(["accuracy", "teacher/accuracy", "P@3"]), finite, min_size=1)
records = st.builds(
    Record, text, st.integers(), text, st.integers(), metrics, st.integers() | st.none(), finite | st.none(),
    finite | st.none(), st.integers() | st.none(), st.integers() | st.none(),
)  # fmt: skip


@given(st.lists(records, max_size=4))
def test_records_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Record]
) -> None:
    path = tmp_path_factory.getbasetemp() / "deep" / "results.csv"
    path.parent.mkdir(exist_ok=True)
    write_records(path, rows)
    assert read_records(path) == rows
    assert [file.name for file in path.parent.iterdir()] == ["results.csv"]


def test_columns_are_those_of_a_record_with_one_for_each_metric(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    alone = replace(RECORD, method="knn", metrics={"MAP": 3.0}, student_updates=None, teacher_parameters=None)
    write_records(path, [replace(RECORD, metrics={"MAP": 0.1, "teacher/MAP": 2.0}), alone])
    assert path.read_text(encoding="utf-8").splitlines() == [
        "data,labels,method,seed,MAP,teacher/MAP,student_updates,seconds,pretraining_seconds,"
        "student_parameters,teacher_parameters",
        "digits,50,kdgan,0,0.1,2.0,1000,3.5,1.25,5000,80000",
        "digits,50,knn,0,3.0,,,3.5,1.25,5000,",
    ]


def test_records_take_numpy_numbers(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_records(path, [replace(RECORD, metrics={"accuracy": np.float64(0.1)}, seed=np.int64(7))])
    assert read_records(path) == [replace(RECORD, metrics={"accuracy": 0.1}, seed=7)]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.csv"
    write_records(path, [RECORD])

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_records(path, [])
    assert read_records(path) == [RECORD]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("91.25", "high", "row 2, column accuracy: expected a finite number, got 'high'"),
        ("91.25", "nan", "row 2, column accuracy: expected a finite number, got 'nan'"),
        ("3.5", "inf", "row 2, column seconds: expected a finite number, got 'inf'"),
        ("50,kdgan", ",kdgan", "row 2, column labels: expected a whole number, got ''"),
        ("kdgan,0", "kdgan,", "row 2, column seed: expected a whole number, got ''"),
        ("1000", "1e3", "row 2, column student_updates: expected a whole number, got '1e3'"),
        (",80000", "", "row 2: expected 13 cells, data to teacher_parameters, got 12"),
        ("digits", '"di\ngits"', "row 2, column data: expected printable text, got 'di\\ngits'"),
        ("labels,", "", "row 1: expected the columns data,labels,method,seed,METRIC...,student_updates"),
        ("teacher/accuracy", "accuracy", "row 1: expected the columns data,labels,method"),
        ("digits", '"digits', "not a results file"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "results.csv"
    write_records(path, [RECORD])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError) as error:
        read_records(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    for content, message in ((b"", "row 1"), (b"\xff\xfe", "not a results file"), (None, "cannot read")):
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        with refused(path, message):
            read_records(path)


def test_a_file_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.touch()
    os.truncate(path, 2**40)
    with refused(path, "is larger than the 256 MiB"):
        read_records(path)


def test_a_record_refuses_what_is_not_finite_or_no_line() -> None:
    with refused("accuracy of 'kdgan', seed 0: nan"):
        replace(RECORD, metrics={"accuracy": math.nan})
    with refused("seconds of 'kdgan', seed 0: inf"):
        replace(RECORD, seconds=math.inf)
    with refused("data of 'kdgan', seed 0: ", "is not printable"):
        replace(RECORD, data="a\rb")


def test_a_record_is_what_a_run_found() -> None:
    outcome = Outcome({"MAP": 3.0}, 50, 2.5, pretraining_seconds=1.5, student_updates=9, student_parameters=8)
    assert record_of("photos", "own", 7, outcome) == Record(
        "photos", 50, "own", 7, {"MAP": 3.0}, 9, 2.5, 1.5, 8, None
    )


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    curves = {
        ("kdgan", 0): {"accuracy": [(5, 0.1), (10, 0.2)], "variance/exact": [(10, 3.5)], "other": [(1, 1.0)]},
        ("a, b", 3): {"accuracy": [(7, 0.3)]},
        ("none", 0): {},
    }
    write_curves(path, curves, ["accuracy", "variance/exact"])
    assert path.read_text(encoding="utf-8").splitlines() == [
        "method,seed,student_updates,accuracy,variance/exact",
        "kdgan,0,5,0.1,",
        "kdgan,0,10,0.2,3.5",
        '"a, b",3,7,0.3,',
    ]
    assert read_curves(path) == {
        ("kdgan", 0): {"accuracy": [(5, 0.1), (10, 0.2)], "variance/exact": [(10, 3.5)]},
        ("a, b", 3): {"accuracy": [(7, 0.3)]},
    }


@pytest.mark.parametrize(
    "content",
    [
        "method,seed,accuracy\nkdgan,0,1\n",
        "method,seed,student_updates,accuracy\nkdgan,0,1,high\n",
        "method,seed,student_updates,accuracy\nkdgan,zero,1,2\n",
        "method,seed,student_updates,accuracy\nkdgan,0,,2\n",
    ],
)
def test_files_without_curves_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x-curves.csv").write_text(content, encoding="utf-8")
    with refused("x-curves.csv", "curves"):
        read_curves(tmp_path / "x-curves.csv")
    with refused("none.csv"):
        read_curves(tmp_path / "none.csv")


def test_any_table_can_be_read_by_the_names_in_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, [["method", "settings"], ["a", '{"x": 1}'], ["b", None]])
    assert read_csv(path) == [{"method": "a", "settings": '{"x": 1}'}, {"method": "b", "settings": ""}]
    path.write_text("")
    assert read_csv(path) == []
    with refused("none.csv"):
        read_csv(tmp_path / "none.csv")


def test_how_many_have_no_label_is_a_column_where_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rows = [replace(RECORD, unlabelled=1300), replace(RECORD, seed=1)]
    write_records(path, rows)
    assert path.read_text(encoding="utf-8").splitlines()[0].startswith("data,labels,unlabelled,method,seed,")
    assert read_records(path) == rows
    assert record_of("digits", "a", 0, Outcome({"accuracy": 1.0}, 50, 1.0, unlabelled=7)).unlabelled == 7
