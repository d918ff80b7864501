"""Rows in whatever holds them: the same inputs, whether training saw text or a typed table."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_files import both
from kdgan.data.reading import load
from support import refused
from table_files import reader_of, simple, written

TYPED: dict[str, Any] = {
    "n": [1.5, None, -3.0, 7.25],
    "whole": [1, 2, 3, 4],
    "truth": [True, False, None, True],
    "day": [date(1970, 1, 31), date(2024, 3, 31), None, date(1998, 1, 2)],
    "moment": [
        datetime(1970, 1, 2, 12),
        datetime(2024, 3, 31, 23, 59, 59, 999_999),
        None,
        datetime(1999, 1, 1),
    ],
    "zoned": [
        datetime(1970, 1, 2, 12, tzinfo=UTC),
        None,
        datetime(2024, 7, 1, tzinfo=UTC),
        datetime(1999, 1, 1, tzinfo=UTC),
    ],
    "price": [Decimal("1.10"), Decimal("2.35"), None, Decimal("-7.00")],
    "city": ["Oslo", "Łódź", None, "Rome"],
    "kind": ["x", "y", "y", "x"],
}
AS_TEXT = {
    "n": ["1,5", "", "-3", "7,25"],
    "whole": ["1", "2", "3", "4"],
    "truth": ["true", "False", "NA", "TRUE"],
    "day": ["31.01.1970", "31.03.2024", "-", "2.1.1998"],
    "moment": ["1970-01-02 12:00:00", "2024-03-31 23:59:59.999999", "", "1999-01-01 00:00:00"],
    "zoned": ["1970-01-02T13:00:00+01:00", "?", "2024-06-30T20:00:00-04:00", "1999-01-01T00:00:00+00:00"],
    "price": ["1,10 €", "2,35 €", "", "-7,00 €"],
    "city": ["Oslo", "Łódź", "", "Rome"],
    "kind": ["x", "y", "y", "x"],
}


def typed_frame() -> pl.DataFrame:
    frame = pl.DataFrame(TYPED, schema_overrides={"price": pl.Decimal(10, 2)})
    return pl.concat([frame] * 10).with_columns(
        pl.col("zoned").dt.convert_time_zone("Europe/Oslo"), pl.col("whole").cast(pl.UInt8)
    )


def frames() -> dict[str, Callable[[], Any]]:
    """The same rows in all that may hold them."""
    frame = typed_frame()
    columns = frame.to_dict(as_series=False)
    return {
        "polars": lambda: frame,
        "categorical": lambda: frame.with_columns(pl.col("city").cast(pl.Categorical)),
        "enum": lambda: frame.with_columns(pl.col("city").cast(pl.Enum(["Rome", "Łódź", "Oslo"]))),
        "nanoseconds": lambda: frame.with_columns(pl.col("moment", "zoned").dt.cast_time_unit("ns")),
        "columns": lambda: columns,
        "arrays": lambda: columns | {"n": np.array(columns["n"], float), "whole": np.array(columns["whole"])},
        "rows": lambda: frame.to_dicts(),
        "reversed": lambda: frame.select(reversed(frame.columns)).with_columns(pl.lit([1]).alias("list")),
        "mixed": lambda: columns | {"n": ["1.5", None, Decimal(-3), np.float32(7.25)] * 10},
    }


@pytest.mark.parametrize("form", [*frames()])
def test_a_student_of_parquet_reads_all_that_holds_its_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / "t.parquet"
    typed_frame().with_columns(pl.Series("split", ["train"] * 32 + ["test"] * 8)).write_parquet(path)
    source = load(path, target="kind")
    reader = reader_of(source)
    assert reader.read(path)[0].tobytes() == both(source).tobytes()
    assert reader.read(frames()[form]())[0].tobytes() == both(source).tobytes()


# Texts in the mixed one are written as those of a typed table.
@pytest.mark.parametrize("form", [form for form in frames() if form != "mixed"])
def test_a_student_of_text_reads_typed_tables(tmp_path: Path, form: str) -> None:
    path = tmp_path / "t.csv"
    columns = {name: cells * 10 for name, cells in AS_TEXT.items()} | {"split": ["train"] * 32 + ["test"] * 8}
    path.write_text(written(columns, ";"), encoding="utf-8")
    source = load(path, target="kind")
    assert reader_of(source).read(frames()[form]())[0].tobytes() == both(source).tobytes()


def test_a_student_of_parquet_reads_text(tmp_path: Path) -> None:
    frame = typed_frame().with_columns(pl.Series("split", ["train"] * 32 + ["test"] * 8))
    frame = frame.with_columns(
        pl.Series("clock", [time(12, 30), time(0, 0, 0, 100_000), None, time(23, 59, 59)] * 10),
        pl.Series(
            "span",
            [timedelta(hours=36, seconds=5), timedelta(0), None, timedelta(minutes=1)] * 10,
            dtype=pl.Duration("ns"),
        ),
    )
    frame.write_parquet(tmp_path / "t.parquet")
    source = load(tmp_path / "t.parquet", target="kind")
    text = {name: cells * 10 for name, cells in AS_TEXT.items()} | {
        "n": ["1.5", "", "-3", "7.25"] * 10,
        "price": ["1.1", "2.35", "", "-7"] * 10,
        "clock": ["12:30", "00:00:00.1", "", "23:59:59"] * 10,
        "span": ["36:00:05", "0:00", "", "0:01"] * 10,
    }
    # In a typed table dates are of no form, so that any goes that is no riddle; with a zone it must be named.
    text["zoned"] = [
        "1970-01-02 13:00:00+01:00",
        "",
        "2024-06-30T20:00:00-04:00",
        "1999-01-01T00:00:00Z",
    ] * 10
    (tmp_path / "text.csv").write_text(written(text, "|"), encoding="utf-8")
    assert reader_of(source).read(tmp_path / "text.csv")[0].tobytes() == both(source).tobytes()
    for column, cell in (
        ("day", "02/03/2024"),
        ("zoned", "1999-01-01 00:00:00"),
        ("span", "5"),
        ("clock", "25:61"),
    ):
        with refused(f"column {column!r} holds {cell!r} in row 1, and must hold a "):
            reader_of(source).read(
                {name: [cell if name == column else cells[0]] for name, cells in text.items()}
            )


def test_pandas_frames_are_read_and_pandas_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "t.csv"
    columns = {name: cells * 10 for name, cells in AS_TEXT.items()} | {"split": ["train"] * 32 + ["test"] * 8}
    path.write_text(written(columns, ";"), encoding="utf-8")
    source = load(path, target="kind")
    reader, frame = reader_of(source), pandas.DataFrame(typed_frame().to_dict(as_series=False))
    variants = [frame, frame.astype(object), frame.assign(city=frame["city"].astype("category"))]
    variants.append(
        frame.assign(
            n=frame["n"].astype("Float64"),
            whole=frame["whole"].astype("Int64"),
            truth=frame["truth"].astype("boolean"),
            zoned=frame["zoned"].dt.tz_convert("Asia/Tokyo"),
            moment=frame["moment"].astype("datetime64[ns]"),
        )
    )
    variants += [{name: frame[name] for name in frame}, frame.to_dict("records"), frame.iloc[::-1].iloc[::-1]]
    for each in variants:
        assert reader.read(each)[0].tobytes() == both(source).tobytes()
    with refused("there is more than one column 'n'"):
        reader.read(pandas.concat([frame, frame[["n"]]], axis=1))
    rows = typed_frame().to_dicts()
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert reader.read(rows)[0].tobytes() == both(source).tobytes()


def test_columns_are_found_by_name_and_others_are_not_read(tmp_path: Path) -> None:
    reader = simple({"b": ["1", "2"], "a": ["1", "5"], "none": ["", "NA"]}, tmp_path)
    inputs, notes = reader.read({"more": [object()], "a": [5], "b": [2], "also": [1]})
    assert (inputs.tolist(), notes) == ([[2, 5]], ("not read: 'more', 'also'",))
    assert reader.read(pl.DataFrame({"a": [], "b": []}))[0].shape == (0, 2)
    for rows, message in (
        ({"a": [1]}, "there is no column 'b', which training had: the columns are 'a'"),
        ([{"a": 1, "b": 2}, {"a": 1}], "row 2 has no column 'b': give None where there is no value"),
        ({"a": [1, 2], "b": [1]}, "column 'a' has 2 values, and 'b' 1"),
        ({"a": 1, "b": [1]}, "column 'a' is 1: expected a list of its values, one for each row"),
        ({"a": "12", "b": [1, 2]}, "column 'a' is '12': expected a list"),
        ({"a": [1], "b": [1], 1: [1], "1": [1]}, "there is more than one column '1'"),
        ([], "[] holds no rows: expected a DataFrame, a mapping"),
        (7, "7 holds no rows"),
        ("t.xlsx", "t.xlsx is no table: expected .parquet, .csv or .tsv"),
        (tmp_path / "absent.csv", "cannot read absent.csv"),
    ):
        with refused(message):
            reader.read(rows)


def test_columns_of_few_rows_are_read_at_once_and_errors_name_their_own(tmp_path: Path) -> None:
    reader = simple({name: ["1", "2,5", "3"] for name in "abc"}, tmp_path)
    later = pl.DataFrame({"a": ["1", "2,5"], "b": ["3", "4"], "c": [5, 6]})
    assert reader.read(later)[0].tolist() == [[1, 3, 5], [2.5, 4, 6]]
    with refused("column 'b' holds '4.5' in row 2, and must hold a number"):
        reader.read(later.with_columns(b=pl.Series(["3", "4.5"])))
    many = pl.concat([later] * 1000)
    assert reader.read(many)[0].tolist() == [[1, 3, 5], [2.5, 4, 6]] * 1000
