"""Tables as people write them."""

from pathlib import Path
from typing import Any

from kdgan.data.reading import load
from kdgan.data.table_reader import TableReader

ROWS = 40


def written(columns: dict[str, list[str]], separator: str, names_of_rows: bool = False) -> str:
    """The text of a file, all cells quoted but those that are empty, as spreadsheets do."""
    lines = [separator.join(columns)]
    for row in range(len(next(iter(columns.values())))):
        cells = [f'"{cells[row]}"' if cells[row] else "" for cells in columns.values()]
        lines.append(separator.join([*([f'"r{row % 3}"'] if names_of_rows else []), *cells]))
    return "\n".join([*lines, ""])


def reader_of(source: Any) -> TableReader:
    assert source.reader is not None
    return source.reader


def simple(cells: dict[str, list[str]], tmp_path: Path) -> TableReader:
    """The reader of a file of these columns."""
    columns = {name: [column[row % len(column)] for row in range(ROWS)] for name, column in cells.items()}
    columns["kind"] = ["xy"[row // 2 % 2] for row in range(ROWS)]
    path = tmp_path / "simple.csv"
    path.write_text(written(columns, ";"), encoding="utf-8")
    return reader_of(load(path, target="kind"))
