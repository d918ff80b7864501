"""Cells read as their column was in training, or refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.table_reader import TableColumn, TableReader
from support import refused
from table_files import simple


@pytest.mark.parametrize(
    ("cells", "later", "number"),
    [
        (["1,234.5", "7"], "1,234", 1234.0),
        (["1,5", "7,25"], "1,234", 1.234),
        (["1,5", "7,25"], "1.234", 1234.0),
        (["1.5", "7.25"], "1.234", 1.234),
        (["31/01/1970", "3/1/1970"], "02/01/1970", 1.0),
        (["01/31/1970", "1/3/1970"], "02/01/1970", 31.0),
        (["1,5 €", "2 €"], "€ 3,5", 3.5),
        (["true", "false"], "1", 1.0),
        (["1 234", "5"], "1234", 1234.0),
        (["1,234.5", "7"], "1e3", 1000.0),
    ],
)
def test_a_cell_that_is_doubtful_alone_is_read_as_training_was(
    tmp_path: Path, cells: list[str], later: str, number: float
) -> None:
    assert simple({"a": cells}, tmp_path).read({"a": [later]})[0].tolist() == [[number]]


@pytest.mark.parametrize(
    ("cells", "later", "expected"),
    [
        (["1.5", "7"], "1,5", "a number, such as 1234.5"),
        (["1.5", "7"], "1,234", "a number, such as 1234.5"),
        (["1.5", "7"], "abc", "a number, such as 1234.5"),
        (["1.5", "7"], "1e101", "numbers up to 1e+100"),
        (["1.5", "7"], float("inf"), "numbers up to 1e+100"),
        (["1.5", "7"], 10**400, "numbers up to 1e+100"),
        (["1.5", "7"], date(2024, 3, 31), "a number, such as 1234.5"),
        (["1.5", "7"], [1.5], "a number, such as 1234.5"),
        (["1.5", "7"], object(), "a number, such as 1234.5"),
        (["1.5", "7"], "true", "a number, such as 1234.5"),
        (["1,5", "7"], "1.5", "a number, such as 1234,5"),
        (["1,5", "7"], "1,234.5", "a number, such as 1234,5"),
        (["1,234.5", "7"], "1,5", "a number, such as 1,234.5"),
        (["1,5 €", "7 €"], "1,5", "a number, such as 1234,5 €"),
        (["1,5 €", "7 €"], "1,5 $", "a number, such as 1234,5 €"),
        (["1 234,5", "7,5"], "1 2", "a number, such as 1 234,5"),
        (["31.01.1970", "2.1.1970"], "31.01.24", "a date with no time zone, such as 31.03.2024"),
        (["31.01.1970", "2.1.1970"], "1970-01-31", "a date with no time zone, such as 31.03.2024"),
        (["31.01.1970", "2.1.1970"], 30, "a date with no time zone, such as 31.03.2024"),
        (["31.01.1970", "2.1.1970"], datetime(1970, 1, 2, tzinfo=UTC), "a date with no time zone"),
        (["31/01/1970", "2/1/1970"], "01/31/1970", "a date with no time zone, such as 31/03/2024"),
        (["31/01/1970", "2/1/1970"], "31/01/24", "a date with no time zone, such as 31/03/2024"),
        (
            ["1970-01-01T00:00:00Z"] * 2,
            "1970-01-01T00:00:00",
            "a date with a time zone, such as 2024-03-31T12:30:00Z",
        ),
        (["1970-01-01T00:00:00Z"] * 2, datetime(1970, 1, 2), "a date with a time zone"),
        (
            ["1970-01-01T00:00:00+01:00"] * 2,
            date(1970, 1, 2),
            "a date with a time zone, such as 2024-03-31T12:30:00+00:00",
        ),
        (["true", "false"], "yes", "true or false"),
        (["true", "false"], 2, "true or false"),
        (["Oslo", "Rome"], 1.5, "text"),
        (["Oslo", "Rome"], True, "text"),
        (["Oslo", "Rome"], b"Oslo", "text"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_with_its_row(
    tmp_path: Path, cells: list[str], later: Any, expected: str
) -> None:
    reader = simple({"a": cells}, tmp_path)
    rows = [{"a": cells[0]}, {"a": None}, {"a": later}, {"a": later}]
    for given_rows in (rows, {"a": [row["a"] for row in rows]}):
        with refused("column 'a' holds ", " in row 3, and must hold ", expected):
            reader.read(given_rows)
    if isinstance(later, str):
        frame = pl.DataFrame({"a": [cells[0], later]})
        with refused(f"column 'a' holds {later!r} in row 2, and must hold {expected}"):
            reader.read(frame)
        frame.write_csv(tmp_path / "later.csv", separator="|", quote_style="always")
        with refused(f"later.csv: column 'a' holds {later!r} in row 2, and must hold"):
            reader.read(tmp_path / "later.csv")


def test_offsets_of_python_objects_are_those_of_utc(tmp_path: Path) -> None:
    reader = simple({"a": ["1970-01-01T00:00:00Z", "1971-01-01T00:00:00Z"]}, tmp_path)
    east = datetime(1970, 1, 2, 3, tzinfo=timezone(timedelta(hours=3)))
    assert reader.read([{"a": east}, {"a": "1970-01-02T00:00:00Z"}])[0].tolist() == [[1], [1]]
    with refused("column 'a' holds '1970-01-03 00:00:00' in row 2, and must hold a date with a time zone"):
        reader.read([{"a": east}, {"a": datetime(1970, 1, 3)}])


@given(
    st.text(max_size=12)
    | st.floats()
    | st.integers()
    | st.none()
    | st.binary(max_size=3)
    | st.dates()
    | st.times()
)
def test_any_cell_is_read_or_refused_in_one_line(cell: Any) -> None:
    columns = tuple(
        TableColumn(
            reading.kind,
            reading,
            Encoding("categories", categories=("x",)) if reading.kind == "category" else Encoding("numbers"),
        )
        for reading in (
            Reading("number"),
            Reading("truth"),
            Reading("date"),
            Reading("seconds"),
            Reading("category"),
        )
    )
    for column in columns:
        try:
            inputs, _ = TableReader((column,)).read([{column.name: cell}])
        except ValueError as error:
            said = str(error)
        else:
            assert inputs.shape == (1, 1)
            assert np.isfinite(inputs).all()
            continue
        assert "\n" not in said
        assert f"column {column.name!r} holds" in said
