"""What other processes can get of a caller's own."""

import io
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from rich.console import Console

from kdgan.experiments.sending import can_be_sent, check_sent_far
from support import refused

PROGRAM = """
class Above:
    def method(self): ...

def above(): ...

if __name__ == "__main__":
    class Below:
        def method(self): ...

    def below(): ...
    if True:
        def deeper(): ...
    def above_too(): ...
    Made = type("Made", (), {})
else:
    def above_too(): ...
"""


def started(source: str, file: Path | None, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module of a program, as if it had been started."""
    module = types.ModuleType("__main__")
    if file is not None:
        file.write_text(source, encoding="utf-8")
        module.__file__ = str(file)
    exec(source, vars(module))
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def said(value: object) -> str:
    """What is said of a value that cannot be sent; nothing where it can."""
    out = io.StringIO()
    assert can_be_sent(value, Console(file=out, width=1000)) == (not out.getvalue())
    return out.getvalue()


def test_other_machines_run_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(PROGRAM, tmp_path / "program.py", monkeypatch)
    check_sent_far([torch.zeros(3), Path])
    with refused("executor='ray'", "Above is defined in the file that was started"):
        check_sent_far([found.Above()])
    with refused("executor='ray'", "lambda"):
        check_sent_far(lambda: 3)


def test_what_is_defined_under_the_guard_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = started(PROGRAM, tmp_path / "program.py", monkeypatch)
    for value in (found.above, found.Above, found.Above(), [1, {"x": found.Above.method}], 3):
        assert said(value) == ""
    for name in ("Below", "below", "deeper", "above_too", "Made"):
        text = said([found.above, getattr(found, name)])
        assert text.startswith("Runs go one after another in this process")
        assert f'{name} is defined under if __name__ == "__main__":' in text
        assert len(text.splitlines()) == 1
    assert "Below is defined under" in said({"x": (found.Below(),)})
    assert "Below is defined under" in said(found.Below.method)


def test_what_is_typed_is_in_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(PROGRAM, None, monkeypatch)
    assert "typed at a prompt" in said(found.above)
    assert said(3) == ""


def test_a_program_that_cannot_be_read_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(PROGRAM, tmp_path / "program.py", monkeypatch)
    (tmp_path / "program.py").unlink()
    assert said(found.below) == ""


def test_a_lambda_cannot_be_pickled() -> None:
    assert "lambda" in said(lambda: 3)


SCRIPT = """
import torch
from kdgan import Batch, compare, nets

if __name__ == "__main__":
    def student():
        return nets.mlp(6, [4], 3)

    x = torch.randn(60, 6)
    data = Batch(x, x[:, :3].argmax(1))
    found = compare(student, nets.mlp(6, [8], 3), data, data, data, methods=["distn"], seeds=1, steps=5, workers=2)
    print(len(found.records))
"""


def test_a_comparison_of_a_function_under_the_guard_goes_on_here(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    assert "student is defined under" in done.stderr
