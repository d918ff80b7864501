"""`results.csv` while it grows: always whole, whoever writes into it and whoever is killed."""

import multiprocessing
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdgan.experiments.records import Record, read_records, write_records
from kdgan.experiments.results_file import ResultsFile
from made_records import RECORD, runs

TEN = runs({"kdgan": [float(number) for number in range(10)]})


class Known:
    """A process, as far as a file goes."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self.file = ResultsFile(path, lambda: sorted(self.records, key=lambda each: (each.seed, each.method)))

    def add(self, *records: Record) -> None:
        for record in records:
            self.records.append(record)
            self.file.add(record)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def settled(path: Path, *known: Known) -> bytes:
    for each in known:
        each.file.settle()
    return path.read_bytes()


def written_at_once(folder: Path, records: Sequence[Record]) -> bytes:
    write_records(folder / "whole.csv", records)
    return (folder / "whole.csv").read_bytes()


def test_rows_come_as_runs_end_and_are_ordered_at_the_end(path: Path) -> None:
    known = Known(path)
    for count, record in enumerate(reversed(TEN), start=1):
        known.add(record)
        assert read_records(path) == TEN[::-1][:count]
    assert settled(path, known) == written_at_once(path.parent, TEN)


def test_a_row_is_added_and_the_others_are_not_touched(path: Path) -> None:
    known = Known(path)
    known.add(TEN[0])
    file = path.stat().st_ino
    known.add(*TEN[1:])
    assert path.stat().st_ino == file


def test_the_first_row_of_a_process_takes_the_place_of_what_is_there(path: Path) -> None:
    write_records(path, runs({"of another call": [1.0]}))
    known = Known(path)
    known.add(TEN[0])
    assert read_records(path) == TEN[:1]


def test_nothing_is_written_where_nothing_has_ended(path: Path) -> None:
    path.write_text("mine")
    Known(path).file.settle()
    assert path.read_text() == "mine"


def test_columns_grow_with_what_runs_measure(path: Path) -> None:
    more = replace(RECORD, method="own", metrics={"MAP": 0.1})
    beside = replace(RECORD, method="selftrain", unlabelled=7)
    known = Known(path)
    known.add(TEN[0], more, beside, TEN[1])
    assert {(each.method, each.seed) for each in read_records(path)} == {
        *(("kdgan", 0), ("own", 0), ("selftrain", 0), ("kdgan", 1))
    }
    assert settled(path, known) == written_at_once(path.parent, [TEN[0], more, beside, TEN[1]])


@pytest.mark.parametrize("end", [b"digits,50,kdg", b"digits,50,kdgan\n", b"\0\0\0\0", b'"', b"\xff\n"])
def test_what_a_killed_process_left_is_mended(path: Path, end: bytes) -> None:
    known = Known(path)
    known.add(*TEN[:3])
    with path.open("ab") as file:
        file.write(end)
    known.add(TEN[3])
    assert read_records(path) == TEN[:4]
    with path.open("ab") as file:
        file.write(end)
    again = Known(path)  # the next start
    again.add(TEN[0], TEN[1])
    assert read_records(path) == TEN[:2]


@pytest.mark.parametrize("how", ["removed", "truncated", "emptied"])
def test_a_file_that_is_spoilt_comes_again(path: Path, how: str) -> None:
    known = Known(path)
    known.add(*TEN[:3])
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20] if how == "truncated" else b"")
    known.add(TEN[3])
    assert read_records(path) == TEN[:4]


def test_two_processes_leave_each_others_rows_and_add_none_twice(path: Path) -> None:
    one, other = Known(path), Known(path)
    one.add(TEN[0], TEN[1])
    other.add(TEN[2])  # its start takes the rows of the first out
    one.add(TEN[3])  # which brings them back
    assert {each.seed for each in read_records(path)} == {0, 1, 2, 3}
    other.add(TEN[0], TEN[4])
    one.add(TEN[2], TEN[4])
    seeds = [each.seed for each in read_records(path)]
    assert sorted(seeds) == [0, 1, 2, 3, 4]
    for each in (one, other):
        each.add(*(record for record in TEN if record not in each.records))
    assert settled(path, one, other) == written_at_once(path.parent, TEN)


def add_all(path: Path, records: Sequence[Record], started: Any) -> None:
    known = Known(path)
    known.add(records[0])
    started.wait()  # whoever starts takes the rows of the others out
    known.add(*records[1:])


def test_processes_and_threads_at_once_damage_nothing(path: Path) -> None:
    many = runs({f"m{number}": [float(seed) for seed in range(40)] for number in range(4)})
    context = multiprocessing.get_context("fork")
    started, begun = context.Barrier(2), threading.Barrier(2)
    parts = [many[start : start + 40] for start in range(0, 160, 40)]
    processes = [context.Process(target=add_all, args=(path, part, started)) for part in parts[:2]]
    threads = [threading.Thread(target=add_all, args=(path, part, begun)) for part in parts[2:]]
    for each in (*processes, *threads):  # processes first: a thread must not be forked while it has the lock
        each.start()
    for each in (*processes, *threads):
        each.join()
    found = read_records(path)  # whole, and no run twice
    assert len(found) == len({(each.method, each.seed) for each in found})
    assert all(each in many for each in found)


def test_two_processes_at_once_lose_nothing(path: Path) -> None:
    many = runs({f"m{number}": [float(seed) for seed in range(100)] for number in range(2)})
    context = multiprocessing.get_context("fork")
    started = context.Barrier(2)
    working = [context.Process(target=add_all, args=(path, many[at : at + 100], started)) for at in (0, 100)]
    for process in working:
        process.start()
    for process in working:
        process.join()
    assert sorted(read_records(path), key=lambda each: (each.method, each.seed)) == many
