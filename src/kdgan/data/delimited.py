"""Tables in text files: compression, encoding and separator found out, and every cell as it is written."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgan.data.source import listing, unreadable
from kdgan.errors import wrong
from kdgan.files import quiet

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".tsv")
PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MOST_BYTES = 2**32
"""Bound of the text, so that a small packed file cannot fill the memory."""
_SAMPLE = 2**16
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_delimited(path: Path, *, name: str, whole: bool = False) -> tuple[pl.DataFrame, list[str]]:
    """The cells of a `.csv` or `.tsv` file, which may be packed (`.gz`, `.bz2`, `.xz`).

    Commas, semicolons, tabs or bars separate cells, whichever cut the first lines into equally many. The encoding is
    UTF-8, UTF-16 where the file says so, or else Windows-1252.

    Args:
        path: of the file.
        name: in messages.
        whole: whether a row without any value is an error unless it is among the last; else it is left out.

    Returns:
        The table, all of text, null where a cell is empty; and what was found out that is not the usual.

    Raises:
        UsageError: for a file that cannot be read or unpacked, no rows, two columns of one name, and a row that is
            longer or shorter than the header.
    """
    import polars as pl

    text, notes = _text(_content(path, name), name)
    if text.startswith("sep=") and len(text.split("\n", 1)[0].strip("\r")) == 5:
        separator, text = text[4], text.partition("\n")[2]  # as Excel writes it
    else:
        separator = _separator(text)
    if separator != ",":
        notes.append(f"cells separated by {SEPARATORS.get(separator, repr(separator))}")
    try:
        rows = (row for row in csv.reader(io.StringIO(text), delimiter=separator) if row)
        header, second = next(rows, []), next(rows, [])
    except csv.Error as error:
        raise wrong(f"{name} cannot be read as a table: {error}") from error
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(header, start=1)]
    twice = [column for column, count in Counter(names).items() if count > 1]
    if not header:
        raise wrong(f"{name} is empty")
    if len(second) == len(names) + 1 and all(cell.strip() for cell in header):
        names, text = ["row names", *names], f"row names{separator}{text}"  # as R writes a table
    if twice:
        raise wrong(f"{name} has more than one column {twice[0]!r}")
    try:
        with quiet():
            frame = pl.read_csv(
                text.encode(), has_header=False, infer_schema=False, separator=separator, new_columns=names
            )
    except (Exception, pl.exceptions.PanicException) as error:  # of any kind: the file may hold anything
        _check_widths(text, separator, len(names), name)
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"{name} cannot be read as a table: {reason}") from error
    frame = frame.slice(1)
    if frame.width != len(names) or frame.to_series(-1).null_count():
        _check_widths(
            text, separator, len(names), name
        )  # a row that ends too early looks like missing values
    empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    if whole:
        there = (~empty).arg_true().to_list()
        gap = empty[: there[-1] if there else 0].arg_true()
        if len(gap):
            raise wrong(
                f"{name} has no value in row {gap[0] + 1}, and rows are counted: leave it out, or fill it in"
            )
    elif empty.any():
        notes.append(f"{int(empty.sum()):,} rows without any value are left out")
    frame = frame.filter(~empty)
    if frame.height == 0:
        raise wrong(f"{name} has no rows")
    return frame, notes


def _content(path: Path, name: str) -> bytes:
    unpack = PACKED.get(path.suffix.lower(), open)
    try:
        with unpack(path, "rb") as file:
            content: bytes = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise wrong(f"{name} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno is None:  # bz2 says so that it is no such file
            raise wrong(f"{name} cannot be unpacked: {error}") from error
        raise unreadable(name, error) from error
    if len(content) > MOST_BYTES:
        raise wrong(f"{name} holds more than {MOST_BYTES / 2**30:.0f} GiB of text: use a .parquet file")
    return content


def _text(content: bytes, name: str) -> tuple[str, list[str]]:
    notes: list[str] = []
    encoding = next((known for mark, known in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise wrong(f"{name} begins like {encoding.upper()} and is none: {error.reason}") from error
        text = content.decode("cp1252", errors="replace")
        notes.append("not UTF-8, so read as Windows-1252")
    if content.startswith(b"PK\x03\x04"):
        raise wrong(f"{name} is an Excel file or another archive: save it as CSV")
    if "\0" in text:
        raise wrong(f"{name} holds NUL characters: it is no text, or damaged")
    text = text.lstrip("\r\n")
    return (text.replace("\r", "\n") if "\n" not in text else text), notes


def _separator(text: str) -> str:
    """The character that cuts the first lines into the most cells, equally many in each where one does."""
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample.rpartition("\n")[0] or sample
    found = []
    for separator in SEPARATORS:
        widths: list[int] = []
        with suppress(csv.Error):
            widths += (len(row) for row in csv.reader(io.StringIO(sample), delimiter=separator) if row)
        if widths and widths[0] > 1:
            found.append((len(set(widths)) == 1, widths[0], separator))
    return max(found, key=lambda each: each[:2])[2] if found else ","


def _check_widths(text: str, separator: str, width: int, name: str) -> None:
    try:
        reader = csv.reader(io.StringIO(text), delimiter=separator)
        for row in reader:
            if row and len(row) != width:
                cells = listing(row, limit=3)
                raise wrong(
                    f"{name} has {len(row)} cells in line {reader.line_num} ({cells}), but {width} in its header"
                )
    except csv.Error as error:
        raise wrong(f"{name} cannot be read as a table: line {reader.line_num}: {error}") from error
