"""`results.csv` of a comparison while it grows: another row costs the same however many there are."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kdgan.experiments.records import Layout, Record, as_csv, write_records
from kdgan.files import locked

Run = tuple[str, str]
"""Variant and seed, as they are written."""


class ResultsFile:
    """Records of the runs of a comparison, in the order in which they end; `settle` brings them into its own.

    All of it can be made again from the runs' own folders, so that a row that is lost to a power cut does no harm, and
    no row waits for the disk. Several processes may add to one file: each looks at what the others have added since it
    last looked, leaves out what is there already, and writes anew what is damaged, such as a row of a process that was
    killed while it wrote. Where locks come too late, as on network file systems they may, rows may be lost or damaged
    until a process settles them.

    Args:
        path: of the file, in a folder that exists.
        records: gives all records that this process knows, in the order of the comparison.
    """

    def __init__(self, path: Path, records: Callable[[], Sequence[Record]]) -> None:
        self.path, self.records = path, records
        self._layout: Layout | None = None  # of the file, once this process has written it
        self._there: set[Run] = set()
        self._file, self._size = 0, 0

    def add(self, record: Record) -> None:
        """One more record; the first writes all anew, since the file may be of an earlier call with other settings."""
        with locked(self.path.parent):
            is_whole = None if self._layout is None else self._look()
            if is_whole is None or self._layout is None:
                self._write()
                return
            known = [record] if is_whole else self.records()
            missing = [each for each in known if _run(each) not in self._there]
            if all(map(self._layout.holds, missing)):
                self._append(missing, self._layout)
            else:
                self._write()

    def settle(self) -> None:
        """Brings the rows into the order of the comparison, and columns into that of their metrics."""
        if self._layout is not None:
            with locked(self.path.parent):
                self._write()

    def _look(self) -> bool | None:
        """Takes note of rows that others have added: whether all of this process are still there; None if the file is
        gone or damaged."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                same = found.st_ino == self._file and found.st_size >= self._size
                if same and found.st_size == self._size:
                    return True
                file.seek(self._size if same else 0)
                added = file.read()
        except OSError:
            return None
        rows = _rows(added)
        if not same:
            self._layout, self._there = Layout.of(rows[0]) if rows else None, set()
            rows = rows and rows[1:]
        if rows is None or self._layout is None or any(len(row) != len(self._layout.header) for row in rows):
            return None
        places = [self._layout.header.index(name) for name in ("method", "seed")]
        self._there.update((row[places[0]], row[places[1]]) for row in rows)
        self._file, self._size = found.st_ino, found.st_size
        return same

    def _append(self, records: Sequence[Record], layout: Layout) -> None:
        content = as_csv(map(layout.cells, records))
        # In one write, at the end of the file wherever that is by now.
        with self.path.open("ab", buffering=0) as file:
            self._size += file.write(content)
        self._there.update(map(_run, records))

    def _write(self) -> None:
        records = self.records()
        write_records(self.path, records)
        self._layout, self._there = Layout.for_all(records), set(map(_run, records))
        found = self.path.stat()
        self._file, self._size = found.st_ino, found.st_size


def _run(record: Record) -> Run:
    return record.method, str(record.seed)


def _rows(content: bytes) -> list[list[str]] | None:
    """Rows of whole lines; None where some are damaged."""
    try:
        if content.endswith(b"\n"):
            return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        pass
    return None
