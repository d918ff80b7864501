"""Columns of text files: what they hold, and what nobody can know."""

import gzip
import lzma
from pathlib import Path

import pytest
import torch

from kdgan.data.reading import load
from kdgan.data.source import Source
from kdgan.data.split import split
from support import refused

ROWS = 40


def read(
    tmp_path: Path, cells: list[str], head: str = "a", separator: str = ",", **options: object
) -> Source:
    """A table of one column of these cells, again and again, beside another and a label."""
    rows = [separator.join((cells[row % len(cells)], str(row % 7), "xy"[row % 2])) for row in range(ROWS)]
    text = "\n".join([separator.join((head, "b", "y")), *rows])
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return load(path, target="y", **options)  # type: ignore[arg-type]


def values(source: Source) -> set[float]:
    return set(torch.cat([source.train.inputs, source.test.inputs])[:, 0].tolist())


@pytest.mark.parametrize("none", ["nan", "N/A", "?", "", "NULL", "-", " NA "])
def test_numbers_stay_numbers_where_some_are_missing(tmp_path: Path, none: str) -> None:
    source = read(tmp_path, [*(str(age) for age in range(20, 35)), none])
    assert source.columns == ("a", "a missing", "b")
    assert len(values(source)) == 16  # and the mean


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        ([" 3", "4 ", "+5", "1e1", ".5"], {3, 4, 5, 10, 0.5}),
        (["3 %", "4%"], {3, 4}),
        (['"3,5 %"', '"-4,25 %"'], {3.5, -4.25}),
        (["1 234.5", "2\u202f000", "\u2212 7".replace(" ", "")], {1234.5, 2000, -7}),
        (["01-Jan-1970", "03-Feb-1970"], {0, 33}),
        (["$3", "$4.5"], {3, 4.5}),
        (["true", "False", "TRUE"], {0, 1}),
        (["1970-01-02", "1970-01-04"], {1, 3}),
        (["1970-01-02 12:00:00", "1970-01-04 00:00:00.5"], {1.5, 3 + 0.5 / 86400}),
        (["1970-01-02T12:00:00Z", "1970-01-04T00:00:00Z"], {1.5, 3}),
        (["31.01.1970", "02.01.1970"], {30, 1}),
        (["31/01/1970", "02/01/1970"], {30, 1}),
        (["01/31/1970", "01/02/1970"], {30, 1}),
        (['"1,234.5"', '"2,000.0"'], {1234.5, 2000}),
        (["1700000000", "1700000001", "1700000003"], {1.7e9, 1.7e9 + 1, 1.7e9 + 3}),
        (["16777216", "16777217"], {2.0**24, 2.0**24 + 1}),
    ],
)
def test_numbers_in_the_forms_that_people_write(
    tmp_path: Path, cells: list[str], numbers: set[float]
) -> None:
    source = read(tmp_path, cells)
    assert source.columns == ("a", "b")
    assert sorted(values(source)) == pytest.approx(sorted(numbers))


def test_decimal_commas(tmp_path: Path) -> None:
    source = read(tmp_path, ["1,5", "-2,25", "1.000,5"], separator=";")
    assert values(source) == {1.5, -2.25, 1000.5}
    assert source.notes[:2] == ("cells separated by semicolons", "a: decimal commas")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"] * 19 + ["one"], "column 'a' holds numbers and, in 2 rows, something else ('one' in row 20)"),
        (["unknown", "20", "unknown", "21", "22", "23", "24"], "something else ('unknown' in row 1)"),
        (["<18", "unknown", "<18", *map(str, range(18, 23))], "something else ('<18' in row 1)"),
        (["1", "Infinity"], "column 'a' holds 'Infinity' in row 2"),
        (['"1,234"', '"2,345"'], "the comma may stand between thousands or before decimals"),
        (["01.01.98", "02.02.99", "03.03.01"], "dates with years of two digits, such as '01.01.98'"),
        (["1.2.3", "3.4.5", "6.7.8"], "numbers in a form that is not understood, such as '1.2.3'"),
        (["02/03/2024", "03/04/2024"], "of which nobody can tell the day from the month"),
        ([str(10**29 + row) for row in range(3)], "whole numbers above 2^53"),
        ([str(2**53 + row) for row in range(3)], "whole numbers above 2^53"),
    ],
)
def test_what_nobody_can_know_is_refused(tmp_path: Path, cells: list[str], message: str) -> None:
    with refused("t.csv: ", message):
        read(tmp_path, cells)


def test_points_where_others_have_decimal_commas_are_doubtful(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{row % 3},5;1.{row % 3}34;{'xy'[row % 2]}" for row in range(ROWS)]
    path.write_text("\n".join(["a;b;y", *rows]), encoding="utf-8")
    with refused("column 'b' holds '1.034', where the point may stand between thousands"):
        load(path, target="y")


def test_categories_stay_as_they_are_written(tmp_path: Path) -> None:
    assert read(tmp_path, ["NA", "01", "1", "x"]).columns == ("a=01", "a=1", "a=NA", "a=x", "b")


def test_numbers_among_categories_are_categories(tmp_path: Path) -> None:
    assert read(tmp_path, ["A", "B", "1", "2"]).columns == ("a=1", "a=2", "a=A", "a=B", "b")
    assert read(tmp_path, ["A", "B", "C", *"12345"]).columns[:3] == ("a=1", "a=2", "a=3")


def test_labels_stay_apart_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{row % 7},{('10', '01', '1', '2')[row % 4]}" for row in range(ROWS)]
    path.write_text("\n".join(["a,y", *rows]), encoding="utf-8")
    assert load(path, target="y").classes == ("01", "1", "2", "10")


def test_a_column_that_numbers_the_rows_is_left_out(tmp_path: Path) -> None:
    source = read(tmp_path, [str(row) for row in reversed(range(ROWS))], head="")
    assert source.columns == ("b",)
    assert source.notes[0] == "column 1: numbers the rows and is left out"
    shuffled = read(
        tmp_path, [str(row * 7 % ROWS) for row in range(ROWS)]
    )  # 7 and 40 have no divisor in common
    assert shuffled.columns == ("a", "b")
    assert shuffled.notes[0].startswith("a: another whole number in each row: --exclude")


def test_packed_text_and_other_encodings(tmp_path: Path) -> None:
    plain = read(tmp_path, ["kühl", "heiß"])
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    for name, content in (
        ("t.csv.gz", gzip.compress(text.encode())),
        ("t.tsv.xz", lzma.compress(text.replace(",", "\t").encode())),
        ("latin.csv", text.encode("latin-1")),
        ("wide.csv", text.encode("utf-16")),
        ("excel.csv", ("sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n")).encode("utf-8-sig")),
        ("mac.csv", text.replace("\n", "\r").encode()),
        ("blank.csv", ("\n" + text.replace("\n", "\n\n") + "\n\n").encode()),
    ):
        (tmp_path / name).write_bytes(content)
        source = load(tmp_path / name, target="y")
        assert (source.columns, source.sha256) == (plain.columns, plain.sha256), name
    (tmp_path / "t.csv.gz").write_bytes(b"no archive")
    with refused("t.csv.gz cannot be unpacked"):
        load(tmp_path / "t.csv.gz", target="y")


def test_a_small_packed_file_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdgan.data.delimited.MOST_BYTES", 100)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * 1000))
    with refused("holds more than", "GiB"):
        load(tmp_path / "t.csv.gz", target="y")


def test_standard_units_are_computed_before_anything_is_rounded(tmp_path: Path) -> None:
    train = split(read(tmp_path, [str(1_700_000_000 + row) for row in range(6)]), labels=30, seed=0).train
    assert len(train.inputs[:, 0].unique()) == 6
    assert train.inputs[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert (split(read(tmp_path, ["0.1"]), labels=30, seed=0).train.inputs[:, 0] == 0).all()


def test_a_semicolon_file_whose_points_may_divide_thousands_is_doubtful(tmp_path: Path) -> None:
    with refused("column 'a' holds '64.058', where the point may stand between thousands"):
        read(tmp_path, ["64.058", "584", "67.154"], separator=";")
    assert values(read(tmp_path, ["64.05", "0.584"], separator=";")) == {64.05, 0.584}


@pytest.mark.parametrize("none", ["NA", "nan", "?", "null"])
def test_a_label_that_means_none_is_refused(tmp_path: Path, none: str) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{row % 7},{('x', 'y', none)[row % 3]}" for row in range(ROWS)]
    path.write_text("\n".join(["a,y", *rows]), encoding="utf-8")
    with refused(f"column 'y', the target, holds {none!r} in 13 rows"):
        load(path, target="y")


def test_what_people_should_know_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    labels = ["yes", "Yes", "no", "no"]
    rows = [f"{row % 3},{labels[row % 4]},{('train', 'train', 'Test')[row % 3]}" for row in range(60)]
    path.write_text("\n".join(["a,y,Part", *rows]), encoding="utf-8")
    source = load(path, target="y")
    assert len(source.test) == 20
    assert source.notes == (
        "column 'Part' decides the parts",
        "labels that look alike are kept apart: 'Yes', 'yes'",
    )
    rows = [f"{row % 3},{'xy'[row % 2]}" for row in range(60)]
    path.write_text("\n".join(["a,y", *rows]), encoding="utf-8")
    assert load(path, target="y").notes == ("12 of 12 test examples are among the training ones, too",)


def test_tables_of_r_and_of_excel(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"r{row},{row % 7},{'xy'[row % 2]}" for row in range(ROWS)]
    path.write_text("\n".join(["a,y", *rows]), encoding="utf-8")
    assert load(path, target="y", exclude=("row names",)).columns == ("a",)
    path.write_bytes(b"PK\x03\x04 and so on")
    with refused("t.csv is an Excel file or another archive: save it as CSV"):
        load(path, target="y")
