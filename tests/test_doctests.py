"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import kdgan

SOURCE = Path(kdgan.__file__).parents[1]
MODULES = [
    ".".join(file.relative_to(SOURCE).with_suffix("").parts)
    for file in sorted(SOURCE.rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert not failed, capfd.readouterr().out
    assert tried


def test_there_are_examples() -> None:
    assert {
        "kdgan.data.reading",
        "kdgan.distillation",
        "kdgan.losses.adversarial",
        "kdgan.losses.concrete",
        "kdgan.losses.distillation",
        "kdgan.tasks.ranking",
    } <= set(MODULES)
