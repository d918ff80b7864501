"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import kdgan.losses

MODULES = [
    *(f"kdgan.losses.{module.name}" for module in pkgutil.iter_modules(kdgan.losses.__path__)),
    "kdgan.data.reading",
    "kdgan.distillation",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed, capfd.readouterr().out


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    counts = {
        name: sum(len(test.examples) for test in finder.find(importlib.import_module(name)))
        for name in MODULES
    }
    with_examples = [name for name, count in counts.items() if count]
    assert "kdgan.distillation" in with_examples
    assert "kdgan.data.reading" in with_examples
    assert "kdgan.losses.distillation" in with_examples
    assert "kdgan.losses.adversarial" in with_examples
    assert "kdgan.losses.concrete" in with_examples
