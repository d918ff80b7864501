"""The tutorial runs as it stands, and what it leads to agrees with what kdgan predicts."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kdgan
from commands import Command

TUTORIAL = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", TUTORIAL, re.DOTALL)
ALONE = "import sys\nassert not {'torch', 'kdgan'} & {*sys.modules}\n"
"""At the end of a script that is to need neither."""


def python(*arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_block_runs(typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    printed: dict[str, list[str]] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            name = re.match(r"# (\w+\.py)\n", block)
            assert name is not None
            alone = ALONE if name[1].startswith("use_") else ""
            Path(name[1]).write_text(block + alone, encoding="utf-8")
            continue
        for line in block.splitlines():
            words = shlex.split(line)
            if words[0] == "python":
                if words[1] == "use_photos.py":
                    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
                    np.save(words[2], pixels)
                printed[words[1]] = python(*words[1:])
                continue
            if words[1] in ("train", "compare"):
                words += ["--steps", "6", "--workers", "1", "--seeds", "1"][
                    : 6 if words[1] == "compare" else 2
                ]
            code, out, errors = typed(*words[1:])
            assert code == 0, errors
            printed[words[1]] = out.splitlines()
    student = kdgan.load("runs/photos", trust=True)
    expected = student.predict(np.load("pixels.npy"), most=1)
    assert [line.rsplit(" ", 1)[0] for line in printed["use_photos.py"]] == [each.label for each in expected]
    # The first five patients by ONNX Runtime, and by kdgan out of the table itself.
    rows = [line.split(",") for line in printed["predict"][1:6]]
    for mine, (_, _, label, probability) in zip(printed["use_table.py"], rows, strict=True):
        assert mine.split()[0] == label
        assert float(mine.split()[1]) == pytest.approx(float(probability), abs=2e-3)
