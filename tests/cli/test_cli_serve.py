"""`kdgan serve` as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Command, refuses
from kdgan.ship.serve import bind
from serving import Asking, colours, knowing, picture


def test_wrong_calls(typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdgan.nets import build

    knowing(build("mlp-4", (3, 8, 8), 3), "mlp-4").save(tmp_path / "s.safetensors")
    colours().save(tmp_path / "own.safetensors")
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for arguments, parts in (
            ([tmp_path / "none"], ("none", "does not exist")),
            ([tmp_path / "own.safetensors"], ("own.safetensors", "module=")),
            ([tmp_path / "s.safetensors", "--port", port], ("cannot listen", "Address already in use")),
            ([tmp_path / "s.safetensors", "--port", 70_000], ("a port from 0 to 65,535",)),
            ([tmp_path / "s.safetensors", "--port", "x"], ("--port",)),
            ([tmp_path / "s.safetensors", "--host", "nowhere.invalid"], ("cannot listen", "nowhere.invalid")),
            ([tmp_path / "s.safetensors", "--most-bytes", 0], ("--most-bytes", "from 1 to")),
            ([tmp_path / "s.safetensors", "--most-pixels", 10**9], ("--most-pixels", "from 1 to")),
            ([tmp_path / "s.safetensors", "--device", "abacus"], ("abacus",)),
            ([tmp_path / "s.safetensors", "--threads", 0], ("--threads", "of --network")),
            ([tmp_path / "s.safetensors", "--student-only", "--network", "a:b"], ("leave --network out",)),
        ):
            if "--port" not in arguments:
                arguments += ["--port", 0]
            assert refuses(typed, "serve", *arguments, parts=parts)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "kdgan.ship.serve")
    assert refuses(
        typed, "serve", tmp_path / "s.safetensors", parts=("uvicorn", "pip install 'kdgan[serve]'")
    )


def test_a_run_is_served_with_its_teacher(typed: Command, tmp_path: Path) -> None:
    short = ["--steps", 20, "--teacher-steps", 40, "--teacher", "mlp-16", "--student", "mlp-8"]
    assert typed("train", "--method", "distn", *short, "--out", tmp_path / "run")[0] == 0
    (tmp_path / "red.png").write_bytes(picture("red"))
    code, printed, _ = typed("predict", tmp_path / "run", tmp_path / "red.png", "--json")
    assert code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "kdgan", "serve", str(tmp_path / "run"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[0]
            asking = Asking(int(url.rstrip("/").rpartition(":")[2]))
            status, answer, _ = asking("/predict", picture("red"))
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=60)
    assert errors.splitlines() == ["teacher: mlp-16", "kdgan: the server has stopped"]
    assert (process.returncode, status) == (2, 200)
    (expected,) = json.loads(printed)
    assert answer["predictions"][0]["labels"] == expected["labels"]
    assert answer["predictions"][0]["probabilities"] == expected["probabilities"]
    assert len(answer["teacher"]["predictions"][0]["labels"]) == 5
