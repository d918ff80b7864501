"""Malformed data files: one printable line, or numbers that can be computed with."""

from pathlib import Path

import pytest

from commands import Command
from hostile.data_files import cases
from hostile.judging import asked, fault

SEED, COUNT = 1, 220


def test_malformed_data_are_refused_in_one_line_or_read(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    found = {
        case.name: fault(case, typed, capfd, codes=(0, 2)) for case in cases(*asked(SEED, COUNT), tmp_path)
    }
    faults = [f"{name}: {said}" for name, said in found.items() if said]
    assert not faults, "\n".join(faults)
