"""The command itself: its help, its version, its errors and exit codes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kdgan
from commands import PATIENCE, Command, is_one_line
from kdgan.cli.main import COMMANDS
from kdgan.cli.tags import TAGS
from kdgan.errors import Interrupted, RunError, UsageError

EVERY = [["kdgan"], *([name] for name in COMMANDS), *(["tags", name] for name in TAGS)]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
@pytest.mark.parametrize("columns", ["40", "100", "300"])
def test_help_says_what_happens_where_nothing_is_given(
    typed: Command, monkeypatch: pytest.MonkeyPatch, command: list[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, printed, errors = typed(*command[command == ["kdgan"] :], "--help")
    assert (code, errors) == (0, "")
    words = " ".join(printed.replace("│", " ").split())
    assert "usage: kdgan" in words
    assert "None" not in words  # neither as {None} nor as (default: None)


def test_help_is_quick_and_needs_no_torch() -> None:
    code = "import sys, kdgan.cli\ntry: kdgan.cli.main(['train', '--help'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--checkpoint-seconds" in done.stdout


def test_the_version_is_that_of_the_package(typed: Command) -> None:
    assert typed("--version") == (0, f"kdgan {kdgan.__version__}\n", "")
    command = [sys.executable, "-m", "kdgan", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"kdgan {kdgan.__version__}\n", "")


KDGAN = f"exec {sys.executable} -m kdgan"


@pytest.mark.skipif(os.name == "nt", reason="it needs a shell")
@pytest.mark.parametrize(
    ("line", "code", "out", "errors"),
    [
        (f"{KDGAN} --version >&-", 0, "", ""),
        (f"{KDGAN} --version 2>&-", 0, f"kdgan {kdgan.__version__}\n", ""),
        (f"{KDGAN} --nope <&- >&- 2>&-", 2, "", ""),
        (f"{KDGAN} --version >/dev/full", 2, "", "kdgan: cannot write to standard output: No space left on device\n"),
        (f"{KDGAN} --nope 2>/dev/full", 2, "", ""),
        (f"({KDGAN} --help; echo $? >&2) | true", 0, "", "0\n"),
    ],
    ids=["stdout closed", "stderr closed", "all closed", "stdout full", "stderr full", "pipe closed"],
)  # fmt: skip
def test_output_that_goes_nowhere(line: str, code: int, out: str, errors: str) -> None:
    line = line.replace("(exec ", "(")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, errors)


def test_a_terminal_of_few_characters(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments, code in ((["train", "--help"], 0), (["evaluate", str(tmp_path / "Müll ☃")], 2)):
        command = [sys.executable, "-m", "kdgan", *arguments]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=PATIENCE, check=False)
        assert done.returncode == code
        assert (done.stdout + done.stderr).decode("ascii")
        assert b"Traceback" not in done.stderr


def test_tags_alone_shows_its_commands(typed: Command) -> None:
    code, printed, errors = typed("tags")
    assert (code, printed) == (0, "")
    assert errors.splitlines() == [f"kdgan tags {name}" for name in ("prepare", "features", "compare")]


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (UsageError("write it otherwise"), 2, "write it otherwise"),
        (Interrupted("stopped; it goes on from there"), 2, "stopped"),
        (RunError("diverged"), 1, "diverged"),
        (KeyboardInterrupt(), 2, "stopped at once"),
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), 2, "no room left to write a.csv"),
        (OSError(errno.EDQUOT, "Quota exceeded"), 2, "no room left to write to the output folder"),
        (OSError(errno.EACCES, "Permission denied", "a.csv"), 2, "a.csv: Permission denied"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(
    typed: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    code: int,
    part: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("kdgan.tasks.evaluate.evaluate_run", fail)
    found, printed, errors = typed("evaluate", tmp_path)
    assert (found, printed) == (code, "")
    assert is_one_line(errors, part)


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (MemoryError(), 2, "not enough memory"),
        (RecursionError("too deep"), 2, "too deep"),
        (OverflowError("too large"), 2, "too large"),
        (KeyError("job\nname"), 1, "KeyError: 'job\\nname'"),
    ],
)
def test_nothing_ends_in_a_traceback(
    typed: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, code: int, part: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("kdgan.tasks.evaluate.evaluate_run", fail)
    found, _, errors = typed("evaluate", tmp_path)
    assert found == code
    assert is_one_line(errors, part)
    if code == 1:
        monkeypatch.setenv("KDGAN_TRACEBACK", "1")
        with pytest.raises(KeyError):
            typed("evaluate", tmp_path)


@pytest.mark.parametrize(
    "option",
    [
        *("--student mlp-99999999999", "--student mlp-60000000", f"--student mlp{'-1' * 100_000}"),
        *("--teacher lenet-9-9-99999999", "--threads 100000", "--batch 1000000000000", "--seeds 100000000"),
        *("--workers 10000000000", "--steps 99999999999999", "--lr inf", "--checkpoint-seconds nan"),
        *(
            "--set distn.temperature=Infinity",
            "--weight-decay inf",
            "--epsilon inf",
            "--evaluations 999999999",
        ),
    ],
)
def test_numbers_that_nobody_means_are_refused(typed: Command, tmp_path: Path, option: str) -> None:
    code, _, errors = typed(
        "compare", "--methods", "supervised,distn", *option.split(), "--out", tmp_path / "c"
    )
    assert code == 2
    assert is_one_line(errors)
    assert not (tmp_path / "c").exists()
