"""Settings of a search come back from its file."""

from pathlib import Path

import pytest

from kdgan.experiments.tuned import read_tuned
from kdgan.files import write_json
from support import refused


def test_settings_are_those_of_each_method(tmp_path: Path) -> None:
    found = {"kdgan": {"settings": {"beta": 3.0}, "trials": 2}, "a": {"settings": {}}}
    write_json(tmp_path / "tuned.json", {"seeds": [100, 101], "methods": found})
    assert read_tuned(tmp_path / "tuned.json") == {"kdgan": {"beta": 3.0}, "a": {}}


@pytest.mark.parametrize("text", ["{}", '{"methods": 3}', '{"methods": {"kdgan": 3}}', "no", "[]"])
def test_files_of_something_else_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tuned.json").write_text(text, encoding="utf-8")
    with refused("tuned.json"):
        read_tuned(tmp_path / "tuned.json")
    with refused("none.json"):
        read_tuned(tmp_path / "none.json")
