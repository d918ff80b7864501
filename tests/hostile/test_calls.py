"""Wrong calls of the command line: exit code 2, one printable line, nothing left behind."""

from pathlib import Path

import pytest

from commands import Command
from hostile.calls import cases
from hostile.judging import asked, fault

SEED, COUNT = 1, 330


def test_wrong_calls_are_refused_in_one_line(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {
        case.name: fault(case, typed, capfd, codes=(2,)) for case in cases(*asked(SEED, COUNT), tmp_path)
    }
    faults = [f"{name}: {said}" for name, said in found.items() if said]
    assert not faults, "\n".join(faults)
