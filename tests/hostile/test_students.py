"""Files that claim to be students: one printable line, nothing executed, no memory beyond their own size."""

import resource
from pathlib import Path

import pytest
from torch import nn

import kdgan
from commands import Command
from hostile.judging import asked, fault
from hostile.students import cases, students

SEED, COUNT = 1, 400
MOST_GROWTH = 2**26
"""Bytes of memory for all files together, each of which has a few KiB."""


def test_files_that_are_no_students(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    trap = tmp_path / "trap"
    for number, student in enumerate(students().values()):  # what is imported late, once
        student.save(tmp_path / f"good{number}")
        kdgan.load(tmp_path / f"good{number}", module=nn.Linear(3, 1) if student.make else None)
    made = cases(*asked(SEED, COUNT), tmp_path, trap)
    before = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults = [f"{case.name}: {said}" for case in made if (said := fault(case, typed, capfd))]
    assert not faults, "\n".join(faults)
    assert not trap.exists()
    assert 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH
