"""A run's folder of a stranger: no command imports what it names, unless --trust says so."""

import json
from pathlib import Path

import pytest

from commands import Command

EVIL = """
open({marker!r}, "a").write("imported")


def thing(*arguments, **options):
    open({marker!r}, "a").write("called")
"""


@pytest.mark.parametrize("field", ["method", "student", "teacher", "discriminator", "metrics", "probe"])
def test_nothing_that_a_folder_names_is_imported(
    typed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "marker"
    Path("evil_thing.py").write_text(EVIL.format(marker=str(marker)), encoding="utf-8")
    train = ["train", "--data", "digits", "--student", "mlp-4", "--teacher", "mlp-8", "--method", "mimic"]
    assert typed(*train, "--steps", 2, "--out", "run")[0] == 0
    config = Path("run/config.json")
    values = json.loads(config.read_text(encoding="utf-8"))
    values[field] = ["-evil_thing:thing"] if field == "metrics" else "evil_thing:thing"
    config.write_text(json.dumps(values), encoding="utf-8")
    Path("x.csv").write_text("a\n1\n", encoding="utf-8")
    for command in (
        ["evaluate", "run"],
        ["report", "run"],
        ["predict", "run", "x.csv"],
        ["export", "run", "--format", "safetensors"],
        ["export", "run/student.safetensors", "--format", "safetensors", "--out", "w.safetensors"],
        ["shrink", "--run", "run", "--out", "shrunk"],
    ):
        code, _, errors = typed(*command)
        assert code in (0, 1, 2)
        assert "fault of kdgan" not in errors
        assert not marker.exists(), command
