"""`--executor` and `--address`: what is wrong is said in one line, before anything is read or written."""

import importlib.util
from pathlib import Path

import pytest

from commands import Command


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
@pytest.mark.parametrize(
    "command", ["compare", "tags compare", "reproduce figure4", "tune", "shrink --parameters 1000"]
)
@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--address 127.0.0.1:1", "say --executor ray"),
        ("--executor nonsense", "'nonsense'"),
        ("--executor ray --address nonsense", "HOST:PORT"),
        ("--executor ray --address 127.0.0.1:1", "no Ray cluster listens at 127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    typed: Command, command: str, options: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = typed(*command.split(), *options.split())
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert part in error
    assert not [*tmp_path.iterdir()]


def test_where_ray_is_missing_it_is_said_how_to_get_it(
    typed: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kdgan.extras.importlib.util.find_spec", lambda name: None)
    code, _, error = typed("compare", "--executor", "ray")
    assert (code, error) == (2, "kdgan: --executor ray needs ray: pip install 'kdgan[scale]'\n")
