"""Run folders in which something was changed: one printable line, or an end that is well."""

import shutil
from pathlib import Path

import pytest

from commands import Command
from hostile.judging import Case, asked, fault
from hostile.run_folders import COMPARE, TRAIN, cases
from kdgan.training.loop import Loop

SEED, COUNT = 1, 210


def ending(case: Case, typed: Command, capfd: pytest.CaptureFixture[str], before: bytes) -> str:
    """What is wrong with a case: as in every hunt, or a student that an untouched folder would not have."""
    said = fault(Case(case.name, arguments=case.arguments), typed, capfd, codes=(0, 2))
    student = (case.folder or Path()) / "student.safetensors"
    if said or case.arguments[0] != "train" or not (student.is_file() and not student.is_symlink()):
        return said
    touched = "student.safetensors" in case.name or "0 whole" in case.name or " whole " in case.name
    return "" if touched or student.read_bytes() == before else "another student"


def test_changed_folders_are_refused_in_one_line_or_do_no_harm(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped, compared = (tmp_path / name for name in ("whole", "stopped", "compared"))
    assert typed(*TRAIN, "--out", whole)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_evaluates", lambda loop, done: _stops(loop, done))
        assert typed(*TRAIN, "--out", stopped)[0] == 2
    assert (stopped / "checkpoint.safetensors").exists()
    assert typed(*COMPARE, "--out", compared)[0] == 0
    student = (whole / "student.safetensors").read_bytes()
    shutil.copytree(stopped, tmp_path / "again")
    assert typed(*TRAIN, "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "student.safetensors").read_bytes() == student
    (tmp_path / "cases").mkdir()
    made = cases(*asked(SEED, COUNT), tmp_path / "cases", whole, stopped, compared)
    faults = [f"{case.name}: {said}" for case in made if (said := ending(case, typed, capfd, student))]
    assert not faults, "\n".join(faults)


_evaluates = Loop._evaluates


def _stops(loop: Loop, done: int) -> bool:
    """In the middle of the method itself, somebody stops it."""
    if loop.steps == 12 and done == 7:
        loop.stop = lambda: True
    return _evaluates(loop, done)
