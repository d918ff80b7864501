"""Killing a run again and again changes nothing of its result."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdgan.cli import main
from support import served

STEPS, TEACHER_STEPS = 700, 40
COMMAND = (
    f"train --method kdgan --data digits --labels 100 --student mlp-16 --teacher lenet-4-8-16 --batch 16 "
    f"--steps {STEPS} --teacher-steps {TEACHER_STEPS} --student-pretraining 0.1 --checkpoint-seconds 0.05 "
    "--set estimator=concrete --out"
)
PATIENCE = 300.0
"""Seconds after which something hangs."""


def progress(folder: Path) -> dict[str, int]:
    """When each file that grows with training was last written."""
    found = {}
    for pattern in ("**/checkpoint.safetensors", "**/metrics.jsonl"):
        for file in folder.glob(pattern):
            try:
                found[str(file)] = file.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # it was replaced, or removed at the end
    return found


def wait_for_changes(folder: Path, changes: int, alive: Callable[[], bool]) -> None:
    """Returns when files of the run have changed that many times."""
    before, until = progress(folder), time.monotonic() + PATIENCE
    while changes and alive():
        assert time.monotonic() < until, "no progress"
        now = progress(folder)
        if now != before:
            before, changes = now, changes - 1
        time.sleep(0.002)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def untimed(value: Any) -> Any:
    """Without what depends on how fast the machine is."""
    if isinstance(value, dict):
        return {k: untimed(item) for k, item in value.items() if k not in ("seconds", "pretraining_seconds")}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def kill_ten_times(folder: Path) -> None:
    """The command again and again, each time in a process of its own that is killed; at last to its end."""
    context = served()
    chance = random.Random(20180712)
    arguments = [*COMMAND.split(), str(folder)]
    # How many writes to wait for: two kills as soon as it begins, three in pretraining, five or so in the game.
    for kills, changes in enumerate([1, 0, 2, 2, 2, 3, 6, 0, 8, 8]):
        process = context.Process(target=main, args=(arguments,), daemon=True)
        process.start()
        wait_for_changes(folder, changes, process.is_alive)
        time.sleep(chance.uniform(0, 0.05 if changes else 0.5))
        assert process.is_alive(), f"finished or failed after {kills} kills: STEPS must be higher"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
    assert not (folder / "result.json").exists()

    last = context.Process(target=main, args=(arguments,), daemon=True)
    last.start()
    last.join(PATIENCE)
    assert last.exitcode == 0


def test_a_run_killed_at_ten_moments_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "kdgan", *COMMAND.split(), str(whole)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as undisturbed:
        kill_ten_times(killed)
        output, _ = undisturbed.communicate(timeout=PATIENCE)
    assert undisturbed.returncode == 0
    assert "student.safetensors" in output

    ours, theirs = files(killed), files(whole)
    assert ours["student.safetensors"] == theirs["student.safetensors"]
    results = [json.loads(each["result.json"]) for each in (ours, theirs)]
    assert untimed(results[0]) == untimed(results[1])
    assert results[0]["student_updates"] == STEPS
    names = [name for name in theirs if name.endswith("metrics.jsonl")]
    assert {name.rpartition("-")[0] for name in names} >= {"", "pretrained/student-seed0"}
    for name in names:
        records = [[json.loads(line) for line in each[name].splitlines()] for each in (ours, theirs)]
        assert untimed(records[0]) == untimed(records[1])
