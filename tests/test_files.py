"""Files that are written whole or not at all."""

import json
from pathlib import Path

import pytest

from kdgan.files import replacing, write_json


def _stopped_while_writing(file: Path) -> None:
    with replacing(file) as temporary:
        temporary.write_text("newer", encoding="utf-8")
        raise KeyboardInterrupt


def test_replacing_shows_nothing_before_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "text"
    with replacing(file) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not file.exists()
    assert file.read_text(encoding="utf-8") == "new"
    with pytest.raises(KeyboardInterrupt):
        _stopped_while_writing(file)
    assert file.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "new" / "values.json"
    write_json(file, {"a": [1, None]})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": [1, None]}
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": [1, None]}
    assert list(file.parent.iterdir()) == [file]
