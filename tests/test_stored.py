"""The door for what is read back from files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kdgan.errors import UsageError
from kdgan.stored import as_kind, from_json, read_json
from kdgan.tasks.run import Outcome
from support import refused


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    values: dict[str, float]
    weights: Tensor | None = None


def test_a_value_is_of_its_type(tmp_path: Path) -> None:
    file = tmp_path / "kind.json"
    file.write_text('{"name": "a", "values": {"b": 1}}', encoding="utf-8")
    assert read_json(file, Kind) == Kind("a", {"b": 1.0})
    weights = torch.ones(2)
    assert as_kind({"name": "a", "values": {}, "weights": weights}, Kind, "it").weights is weights


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "5", "null", "[]", '{"name": "a"}', '{"name": 5, "values": {}}', "\xff"),
        *('{"name": "a", "values": {"b": NaN}}', '{"name": "a", "values": {"b": 1e999}}', "[" * 100_000),
        '{"name": "a", "values": {}, "name": "b"}',
        '{"name": "a", "values": {"b": 1, "b": 1}}',
        *(
            '{"name": "a", "values": {"b": "1"}}',
            '{"name": "a", "values": {}, "weights": {"__tensor__": [1]}}',
        ),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "kind.json"
    file.write_bytes(content.encode("latin-1"))
    with refused(file, "is damaged, or was written by something else"):
        read_json(file, Kind)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("none.json", "cannot be read"):
        read_json(tmp_path / "none.json", Kind)
    with refused("cannot be read"):
        read_json(tmp_path, Kind)
    monkeypatch.setattr("kdgan.stored.MOST_BYTES", 10)
    (tmp_path / "long.json").write_text("5" * 11, encoding="utf-8")
    with refused("long.json", "is larger than"):
        read_json(tmp_path / "long.json", Kind)


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(_PLAIN)
def test_whatever_is_read_is_of_the_type_or_refused(value: Any) -> None:
    for kind in (Kind, Outcome, dict[str, dict[str, int]], list[tuple[int, float]]):
        try:
            found: Any = as_kind(value, kind, "it")  # type: ignore[arg-type]
        except UsageError as error:
            found = str(error)
        assert (
            found.isprintable() if isinstance(found, str) else isinstance(found, Kind | Outcome | dict | list)
        )


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_are_refused(content: bytes) -> None:
    try:
        found: Any = from_json(content, dict[str, float], "it")
    except UsageError as error:
        found = str(error)
    assert found.isprintable() if isinstance(found, str) else isinstance(found, dict)
