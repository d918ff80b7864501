"""Malformed photos, tags, texts, features: one printable line, or an end that is well; never a traceback or a hang."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Command
from hostile.tags import ONNX, Case, cases
from kdgan.errors import RunError, UsageError

SEED, COUNT = 1, 120
PATIENCE = 60
"""Seconds after which something hangs."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # an empty path is the present folder
    monkeypatch.setitem(sys.modules, "onnxruntime", ONNX)
    before = signal.signal(signal.SIGALRM, _hangs)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _hangs(*_: object) -> None:
    raise AssertionError("it hangs")


def is_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.removesuffix("\n").split("\n"))


def fault(case: Case, typed: Command, capfd: pytest.CaptureFixture[str]) -> str:
    """What is wrong with the end of a case; nothing where it ends as it should."""
    try:
        if case.call is None:
            code, printed, errors = typed(*case.arguments)
        else:
            case.call()
            code, (printed, errors) = 0, capfd.readouterr()
    except (UsageError, RunError) as error:
        left = capfd.readouterr()
        code, printed, errors = error.exit_code, left.out, f"{left.err}kdgan: {error}\n"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if not is_printable(printed):
        return f"prints {printed!r}"
    if code == 0:
        return errors
    one_line = errors.startswith("kdgan: ") and errors.count("\n") == 1 and is_printable(errors)
    return "" if one_line and "fault of kdgan" not in errors else f"{code}: {errors}"


def test_malformed_inputs_end_in_one_line_or_well(
    tmp_path: Path, typed: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    faults = {}
    for case in cases(SEED, COUNT, tmp_path):
        signal.alarm(PATIENCE)
        found = fault(case, typed, capfd)
        if found:
            faults[case.name] = found
    assert faults == {}
