"""What a table's columns were in training, as a value that reads further rows."""

import bz2
import gzip
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from data_files import both
from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.reading import load
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.stored import as_kind, from_json
from support import refused
from table_files import ROWS, reader_of, simple, written

MESSY: dict[str, list[str]] = {
    "amount": ["1.234,5 €", "3 €", "-0,25 €", "", "12.000 €"],
    "größe": ["1,5", "?", "-2,25", "1.000,5", "N/A", "7"],
    "share": ["3 %", "4%", "5 %", "--"],
    "people": ["1 234", "12", "7\u202f000\u202f000", "\u2212 5".replace(" ", "")],
    "born": ["31.01.1970", "02.01.1998", "NULL", "1.12.2001"],
    "seen": ["2024-03-31 12:30:00.25", "1969-01-01 00:00:01", "", "1970-01-01 00:00:00"],
    "at": ["2024-03-31T12:30:00+02:00", "2024-03-31T12:30:00+00:00", "2020-01-01T00:00:00-05:30"],
    "day": ["31/01/1970", "02-03-1980", "1/1/2000", "."],
    "member": ["true", "False", "TRUE", "nan", " false"],
    "town": ["Köln am Rhein", " Oslo", "NA", "", "Łódź", "Oslo "],
    "code": ["01", "1", "x", "-"],
    "nothing": ["", "NA", "?"],
    "new": ["7", "8", "9"],  # with a value missing in rows that are not for training, see below
}


def messy_cells() -> dict[str, list[str]]:
    columns = {name: [cells[row % len(cells)] for row in range(ROWS)] for name, cells in MESSY.items()}
    columns["town"][-1], columns["new"][-2] = "nowhere else", "missing"
    columns["row"] = [str(row + 1) for row in range(ROWS)]
    columns["kind"] = ["xy"[row % 2] for row in range(ROWS)]
    columns["part"] = ["train"] * (ROWS - 8) + ["test"] * 8
    return columns


def file_of(tmp_path: Path, kind: str, columns: dict[str, list[str]]) -> Path:
    text = {
        "t.csv": lambda: written(columns, ",").encode(),
        "semicolons.csv": lambda: written(columns, ";").replace("\n", "\r\n").encode("utf-8-sig"),
        "bars.csv.gz": lambda: gzip.compress(written(columns, "|").encode()),
        "tabs.tsv.bz2": lambda: bz2.compress(written(columns, "\t").encode("utf-16")),
        "windows.csv": lambda: (
            written(columns, ";").replace("Łódź", "Genève").replace("\u202f", "\xa0").replace("\u2212", "-")
        ).encode("cp1252"),
        "of_r.csv": lambda: written(columns, ",", names_of_rows=True).encode(),
    }[kind]()
    path = tmp_path / kind
    path.write_bytes(text)
    return path


def copied(reader: TableReader) -> TableReader:
    return from_json(json.dumps(asdict(reader), allow_nan=False), TableReader, "a student's file")


def test_reader_of_a_messy_file_gives_its_inputs_bit_for_bit(tmp_path: Path) -> None:
    columns = messy_cells()
    for kind in ("t.csv", "semicolons.csv", "bars.csv.gz", "tabs.tsv.bz2", "windows.csv", "of_r.csv"):
        path = file_of(tmp_path, kind, columns)
        source = load(path, target="kind")
        whole, reader = both(source), copied(reader_of(source))
        assert reader == source.reader
        assert (reader.names, reader.width) == (source.columns, whole.shape[1])
        found, notes = reader.read(path)
        assert found.dtype == np.float64
        assert found.tobytes() == whole.tobytes(), kind
        assert "not read: 'kind', 'part'" in notes
        if kind not in ("windows.csv", "of_r.csv"):  # whose cells are others
            frame = pl.DataFrame(columns).select(reversed(columns))
            assert reader.read(frame)[0].tobytes() == whole.tobytes(), kind
    assert "town=nowhere else" not in reader.names


@pytest.mark.parametrize("kind", ["t.csv", "windows.csv"])
def test_rows_one_by_one_are_read_as_in_their_column(tmp_path: Path, kind: str) -> None:
    columns = messy_cells()
    source = load(file_of(tmp_path, kind, columns), target="kind")
    reader, whole = copied(reader_of(source)), both(source)
    for row in range(ROWS):
        cells = {name: column[row] for name, column in columns.items()}
        if kind == "windows.csv":
            cells["town"] = cells["town"].replace("Łódź", "Genève")
        assert reader.read([cells])[0].tobytes() == whole[row : row + 1].tobytes(), cells
        without = {
            name: cell or None for name, cell in cells.items() if name not in ("kind", "nothing", "row")
        }
        assert reader.read([without])[0].tobytes() == whole[row : row + 1].tobytes()


def test_inputs_are_those_that_a_person_would_compute(tmp_path: Path) -> None:
    reader = reader_of(load(file_of(tmp_path, "t.csv", messy_cells()), target="kind"))
    row = {name: cells[0] for name, cells in messy_cells().items()}
    inputs = dict(zip(reader.names, reader.read([row])[0][0].tolist(), strict=True))
    day = (datetime(2024, 3, 31, 12, 30, 0, 250_000) - datetime(1970, 1, 1)) / timedelta(days=1)
    assert inputs["amount"] == 1234.5
    assert inputs["größe"] == 1.5
    assert (inputs["share"], inputs["people"], inputs["born"], inputs["member"]) == (3, 1234, 30, 1)
    assert inputs["seen"] == pytest.approx(day, abs=1e-9)
    assert inputs["at"] == pytest.approx(19813 + 10.5 / 24, abs=1e-9)
    assert inputs["day"] == 30
    assert [name for name, value in inputs.items() if "=" in name and value] == [
        "town=Köln am Rhein",
        "code=01",
    ]
    assert not {"nothing", "row"} & set(reader.names)


def test_unlabelled_rows_below_are_read_by_the_same_reader(tmp_path: Path) -> None:
    columns = messy_cells()
    more = {name: [*cells[:10], *cells[:10]] for name, cells in columns.items()}
    more["größe"] = ["100,5"] * 20
    (tmp_path / "more.csv").write_text(written(more, ","), encoding="utf-8")
    source = load(
        file_of(tmp_path, "t.csv", columns),
        target="kind",
        privileged=("amount",),
        unlabelled=tmp_path / "more.csv",
    )
    assert source.unlabelled is not None
    reader = reader_of(source)
    assert "amount" not in [column.name for column in reader.columns]
    assert torch.equal(torch.from_numpy(reader.read(tmp_path / "more.csv")[0]), source.unlabelled.inputs)
    assert reader.read(tmp_path / "t.csv")[0].tobytes() == both(source).tobytes()


def test_missing_values_are_imputed_where_training_had_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [
        f"{row % 3},{'ab'[row % 2]},{'xy'[row % 2]},{'train' if row < 30 else 'test'}" for row in range(36)
    ]
    path.write_text("\n".join(["age,city,y,split", *rows]), encoding="utf-8")
    reader = reader_of(load(path, target="y"))
    missing: tuple[Any, ...] = (None, "", "NA", " n/a ", "?", float("nan"), np.float64("nan"))
    inputs, notes = reader.read({"age": [*missing, 5], "city": ["a"] * 8})
    assert inputs.tolist() == [[1, 1, 0]] * 7 + [[5, 1, 0]]
    assert notes == ("age: 7 missing, as the mean of training rows",)
    inputs, notes = reader.read({"age": [1, 1, 1], "city": ["", None, "a"]})
    assert inputs.tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert notes == ("city: 2 missing",)
    assert reader.read({"age": [None], "city": [float("nan")]})[0].tolist() == [[1, 0, 0]]


def test_categories_that_training_did_not_hold_are_said(tmp_path: Path) -> None:
    reader = simple({"city": ["Oslo", "Rome", "1"], "n": ["1", "2"]}, tmp_path)
    inputs, notes = reader.read({"city": ["Bern", "Oslo ", "oslo", "Bern", 1], "n": [1, 1, 1, 1, 1]})
    assert inputs[:, :3].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert notes == ("city: 3 rows hold what no training row holds: 'Bern', 'oslo'",)


def changed(reader: TableReader, **change: Any) -> Any:
    """What a file might hold: the reader, of which the first column's parts are others."""
    plain = json.loads(json.dumps(asdict(reader)))
    for name, value in change.items():
        part = plain["columns"][0]
        *path, last = name.split("__")
        for each in path:
            part = part[each]
        part[last] = value
    return plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "b"}, "a table has more than one column 'b'"),
        ({"name": 7}, "Expected `str`, got `int`"),
        ({"encoding__mean": "1"}, "Expected `float`, got `str`"),
        ({"encoding__mean": float("nan")}, "the mean of a column is nan"),
        ({"encoding__mean": float("inf")}, "the mean of a column is inf"),
        ({"encoding__kind": "words"}, "Invalid enum value 'words'"),
        ({"encoding__categories": ["x"]}, "a column of numbers has 1 categories"),
        ({"encoding": {"kind": "categories"}}, "a column of categories has 0 categories"),
        (
            {"encoding": {"kind": "categories", "categories": list("ab")}},
            "'a' is read as number and is categories",
        ),
        ({"encoding": {"kind": "categories", "categories": list("aa")}}, "a column has a category twice"),
        ({"encoding": {"kind": "categories", "categories": [str(n) for n in range(51)]}}, "51 categories"),
        ({"reading__kind": "category"}, "column 'a' is read as category and is numbers"),
        ({"reading__form": "%H"}, "'%H' is no form of dates that is known"),
        (
            {"reading": {"kind": "date", "form": "%Y-%m-%d", "zone": True}},
            "dates of the form %Y-%m-%d have no time zone",
        ),
        ({"reading__numerals__sign": "x"}, "Invalid enum value 'x'"),
        ({"reading__numerals__commas": "x"}, "Invalid enum value 'x'"),
    ],
)
def test_what_no_training_gives_is_refused_when_it_is_loaded(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    reader = simple({"a": ["1", "2"], "b": ["1", "3"]}, tmp_path)
    assert as_kind(changed(reader), TableReader, "t.safetensors") == reader
    with refused("t.safetensors is damaged, or was written by something else: ", message):
        as_kind(changed(reader, **change), TableReader, "t.safetensors")


def test_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    column = TableColumn("a", Reading("number"), Encoding("numbers"))
    with refused("a table has no input column"):
        TableReader((TableColumn("a", Reading("number"), Encoding("left out")),))
    with refused("1,001 texts stand for no value: at most 1,000 can"):
        TableReader((column,), nulls=("x",) * 1001)
    monkeypatch.setattr("kdgan.data.table_reader.MOST_COLUMNS", 1)
    with refused("a table has 2 input columns: at most 1 can be read"):
        TableReader((column, TableColumn("b", Reading("number"), Encoding("numbers"))))
