"""Objects of one's own by `module:name`."""

import functools
import sys
from pathlib import Path

import pytest

from kdgan.losses import kl
from kdgan.methods import KDGAN
from kdgan.nets import mlp
from kdgan.references import find_object, is_reference, reference_to
from support import refused


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("module:name", True),
        ("package.module:Class.method", True),
        ("_private:_9", True),
        ("mlp-800", False),
        ("kdgan", False),
        ("module:", False),
        (":name", False),
        ("a:b:c", False),
        ("a b:c", False),
        ("module:name()", False),
        ("module:<lambda>", False),
        ("module:name\n", False),
        ("C:\\data", False),
        ("", False),
        (None, False),
        (3, False),
        (kl, False),
    ],
)
def test_what_has_the_form_of_a_reference(name: object, expected: bool) -> None:
    assert is_reference(name) is expected


@pytest.mark.parametrize("found", [KDGAN, kl, mlp, Path, KDGAN.step, functools.partial])
def test_what_is_referred_to_is_found_again(found: object) -> None:
    name = reference_to(found)
    assert is_reference(name)
    assert find_object(name) is found


def test_modules_of_the_present_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "code.py").write_text("class Outer:\n    class Inner:\n        value = 7\n")
    path = list(sys.path)
    with refused("cannot import mine.code:Outer"):
        find_object("mine.code:Outer")
    monkeypatch.chdir(tmp_path)
    inner = find_object("mine.code:Outer.Inner")
    assert inner.value == 7
    assert reference_to(inner) == "mine.code:Outer.Inner"
    assert sys.path == path


@pytest.mark.parametrize("name", ["mlp", "module.name", "a:b:c", ""])
def test_what_is_no_reference_is_refused(name: str) -> None:
    with refused(repr(name), "module:name"):
        find_object(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module_here:x", "ModuleNotFoundError"),
        ("math:no_such_name", "AttributeError"),
        ("pathlib:Path.no_such_name", "AttributeError"),
        (".relative:x", "TypeError"),
        ("pathlib:.", "AttributeError"),
        ("broken:x", "ZeroDivisionError: division by zero"),
        ("unfinished:x", "SyntaxError"),
        ("verbose:x", "ValueError: two lines"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, code in (
        ("broken", "1 / 0"),
        ("unfinished", "def f(:"),
        ("verbose", "raise ValueError('two\\n lines')"),
    ):
        (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    with refused(f"cannot import {name}", reason):
        find_object(name)
    assert sys.path == path


def test_what_no_other_process_finds_is_refused() -> None:
    def local() -> None: ...

    class Local: ...

    for made, name in (
        (local, "local"),
        (Local, "Local"),
        (lambda: None, "<lambda>"),
        (functools.partial(kl, temperature=2.0), "<unnamed>"),
        (3, "<unnamed>"),
    ):
        with refused(name, "top of a module"):
            reference_to(made)
