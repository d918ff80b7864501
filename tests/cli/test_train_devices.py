"""`kdgan train` over several processes, as it is typed, stopped, killed and taken up again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from commands import is_one_line, json_in, wait_until
from kdgan.cli import main
from processes import Ended, Together
from support import without_progress

STEPS = 400
TRAIN = (
    f"train --data digits --labels 100 --method codis --student mlp-8 --teacher mlp-16 --augment noise --batch 17 "
    f"--steps {STEPS} --teacher-steps 20 --evaluations 4 --device cpu --checkpoint-seconds 0 --out"
).split()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "student.safetensors")


def stopped(folder: Path, out: Path, count: int, who: int, number: int = signal.SIGTERM) -> list[Ended]:
    """The command in so many processes, of which one is told to end after the next checkpoint."""
    file = out / "checkpoint.safetensors"
    before = file.stat().st_mtime_ns if file.exists() else 0
    run = Together(folder, main, [*TRAIN, str(out)], count=count)
    wait_until(lambda: file.exists() and file.stat().st_mtime_ns > before)
    os.kill(run.processes[who].pid, number)
    return run.end()


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    (alone,) = stopped(tmp_path / "1", out, 1, 0)
    assert (alone.code, alone.out) == (2, "")
    assert is_one_line(alone.err, "stopped after", f"of {STEPS} steps; the same command goes on from there")
    first, second = stopped(tmp_path / "2", out, 2, 1)
    assert (first.code, second.code) == (2, 2)
    assert is_one_line(first.err, "stopped after")
    assert (first.out, second.out, second.err) == ("", "", "")
    first, second = stopped(tmp_path / "3", out, 2, 1, signal.SIGKILL)
    assert (first.code, first.out, second.code) == (1, "", -signal.SIGKILL)
    assert is_one_line(
        first.err, "another of the 2 processes of this run has ended", "from the last checkpoint"
    )
    assert not (out / "result.json").exists()
    (alone,) = Together(tmp_path / "4", main, [*TRAIN, str(out)], count=1).end()
    assert (alone.code, alone.err) == (0, "")

    (straight,) = Together(tmp_path / "5", main, [*TRAIN, str(tmp_path / "straight")], count=1).end()
    assert straight.code == 0
    for name, weight in weights(tmp_path / "straight").items():
        torch.testing.assert_close(weights(out)[name], weight, rtol=0, atol=1e-4)
    told = [json_in(folder / "result.json")["metrics"] for folder in (out, tmp_path / "straight")]
    assert told[0] == pytest.approx(told[1], rel=1e-4)


def test_the_command_starts_its_processes_and_finds_what_one_finds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kdgan", *TRAIN, "run", "--steps", "40", "--devices", "2"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert (run.returncode, without_progress(run.stderr)) == (0, "")
    assert run.stdout.startswith("codis: student ")
    assert run.stdout.count("\n") == 2  # one process prints
    (alone,) = Together(tmp_path / "1", main, [*TRAIN, str(tmp_path / "one"), "--steps", "40"], count=1).end()
    assert alone.code == 0
    told = [json_in(tmp_path / name / "result.json") for name in ("run", "one")]
    assert told[0]["metrics"] == pytest.approx(told[1]["metrics"], rel=1e-4)
    assert json_in(tmp_path / "run" / "config.json") == json_in(tmp_path / "one" / "config.json")
    names = [
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")}
        for name in ("run", "one")
    ]
    assert names[0] == names[1]
