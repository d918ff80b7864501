"""Commands that are killed at any moment: no process stays, and the repeated command ends as an undisturbed one.

`PYTHONPATH=tests python -m hostile.kills --count 30 --seed 1` carries out that many kills. It needs /proc.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import without_progress

SMALL = "--data digits --student mlp-8 --teacher lenet-2-4-8 --batch 8 --checkpoint-seconds 0"
COMMANDS = {
    "train": f"train --method kdgan {SMALL} --labels 40 --steps 200 --teacher-steps 50 --student-pretraining 0.2",
    "compare": f"compare --methods supervised,kdgan {SMALL} --steps 100 --teacher-steps 40 --seeds 1 --workers 2",
}
TARGETS = ("parent", "worker", "group")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FORGOTTEN = 5.0
"""Seconds after which no process may be left."""
PATIENCE = 120.0
"""Seconds after which something hangs."""
BEGIN = 0.3
"""Seconds in which Python itself begins, and nobody has been able to catch a signal."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Whom to send what, and when, as a share of the time that the command takes."""

    command: str
    target: str
    signal: signal.Signals
    moment: float


def kills(seed: int, commands: tuple[str, ...] = tuple(COMMANDS)) -> Iterator[Kill]:
    """Kills without end."""
    chance = random.Random(seed)
    while True:
        for command in commands:
            targets = TARGETS if command == "compare" else ("parent", "group")
            yield Kill(command, chance.choice(targets), chance.choice(SIGNALS), chance.uniform(0, 1))


def started(command: str, out: Path) -> subprocess.Popen[str]:
    """The command at work, in a session of its own."""
    line = [sys.executable, "-m", "kdgan", *COMMANDS[command].split(), "--out", str(out)]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def undisturbed(command: str, out: Path) -> float:
    """Carries out the command to its end; the seconds it took."""
    began = time.monotonic()
    process = started(command, out)
    said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert without_progress(said[1]) == ""
    return time.monotonic() - began


def killed(kill: Kill, out: Path, seconds: float) -> tuple[int, str]:
    """Carries out the command and the kill; the exit code, and what came of it."""
    process, after = started(kill.command, out), kill.moment * seconds
    time.sleep(after)
    try:
        _send(kill, process)
        printed, errors = process.communicate(timeout=PATIENCE)
        errors = without_progress(errors)
        until = time.monotonic() + FORGOTTEN
        while left := _session(process.pid):
            assert time.monotonic() < until, f"left after {FORGOTTEN:.0f} s: {left}"
            time.sleep(0.05)
    finally:
        for pid in _session(process.pid):
            os.kill(pid, signal.SIGKILL)
    code = process.returncode
    if after > BEGIN:
        assert "Traceback" not in errors, errors
        if kill.signal != signal.SIGKILL:
            assert code in (0, 2), (code, errors)
            assert errors.count("\n") == (1 if code else 0), errors
        elif kill.target == "worker":
            assert code in (0, 1, -signal.SIGKILL), (code, errors)
    return code, f"after {after:.1f} s exit code {code}: {errors.strip() or printed.strip()[-60:]}"


def _send(kill: Kill, process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    if kill.target == "group":
        os.killpg(process.pid, kill.signal)
        return
    workers = [pid for pid, line in _session(process.pid).items() if "multiprocessing-fork" in line]
    worker = workers[0] if workers and kill.target == "worker" else process.pid
    os.kill(worker, kill.signal)


def _session(leader: int) -> dict[int, str]:
    """The processes of a session that are not dead, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == leader and state not in "ZX":
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
    return found


def outcome(out: Path) -> dict[str, Any]:
    """All that a command has found, without what depends on how fast the machine is."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.name == "student.safetensors":
            found[name] = path.read_bytes()
        elif path.name == "metrics.jsonl":
            found[name] = [_untimed(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.name == "result.json":
            found[name] = _untimed(json.loads(path.read_text()))
        elif path.name == "results.csv":
            with path.open(newline="") as file:
                found[name] = [_untimed(row) for row in csv.DictReader(file)]
    return found


def _untimed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if "seconds" not in name}


def check_same(out: Path, whole: Path) -> None:
    """Checks that one folder holds what another does, bit for bit, and nothing half written."""
    ours, theirs = outcome(out), outcome(whole)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if ours[name] != theirs[name]]
    assert not different, different
    assert any(name.endswith("student.safetensors") for name in ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chain", type=int, default=3, help="kills before a command may end")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = {command: Path(folder, command) for command in COMMANDS}
        seconds = {command: undisturbed(command, out) for command, out in whole.items()}
        print({command: round(value, 1) for command, value in seconds.items()}, flush=True)
        done, in_chain = dict.fromkeys(COMMANDS, 0), dict.fromkeys(COMMANDS, 0)
        for number, kill in zip(range(given.count), kills(given.seed), strict=False):
            name = kill.command
            out = Path(folder, f"{name}-{done[name]}")
            code, said = killed(kill, out, seconds[name])
            print(number, name, kill.target, kill.signal.name, said, flush=True)
            in_chain[name] += 1
            if code == 0 or in_chain[name] == given.chain:
                undisturbed(name, out)
                check_same(out, whole[name])
                done[name], in_chain[name] = done[name] + 1, 0


if __name__ == "__main__":
    main()
