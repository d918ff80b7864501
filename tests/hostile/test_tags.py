"""Malformed photos, tags, texts, features: one printable line, or an end that is well; never a traceback or a hang."""

import sys
from pathlib import Path

import pytest

from commands import Command
from hostile.judging import asked, fault
from hostile.tags import ONNX, cases

SEED, COUNT = 1, 120


def test_malformed_inputs_end_in_one_line_or_well(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # an empty path is the present folder
    monkeypatch.setitem(sys.modules, "onnxruntime", ONNX)
    found = {case.name: fault(case, typed, capfd) for case in cases(*asked(SEED, COUNT), tmp_path)}
    faults = [f"{name}: {said}" for name, said in found.items() if said]
    assert not faults, "\n".join(faults)
