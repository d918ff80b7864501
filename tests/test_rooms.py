"""Imports go in one direction only: each room knows itself and the rooms below it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdgan

SOURCE = Path(kdgan.__file__).parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("paper",),
    ("experiments",),
    ("distillation",),
    ("tasks",),
    ("tagging", "ship"),
    ("training",),
    ("methods",),
    ("nets", "losses", "data"),
    ("references", "files", "stored", "interrupt", "extras"),
    ("errors",),
)
"""From the top down; rooms of one floor know nothing of each other."""
ENTRANCES = ("__init__", "__main__")
"""Of the whole house: they hand out what is in any room."""
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(SOURCE.rglob("*.py"))
_REFERENCE = re.compile(r"kdgan\.[\w.]+:[\w.]+")


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def modules_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every module that is imported, in functions and for types too, or named as module:name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: an import that begins with a dot"
            # `from kdgan import x` may be of a room or of what the entrance hands out.
            whole = node.module == "kdgan"
            yield from (
                (node.lineno, f"kdgan.{name.name}" if whole else str(node.module)) for name in node.names
            )
        elif isinstance(node, ast.Constant) and _REFERENCE.fullmatch(str(node.value)):
            yield node.lineno, str(node.value).partition(":")[0]


def test_every_file_is_in_a_room() -> None:
    assert {room_of(file) for file in FILES} == {*HEIGHT, *ENTRANCES}


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if room_of(file) not in ENTRANCES],
    ids=lambda file: str(file.relative_to(SOURCE)),
)
def test_a_file_imports_its_own_room_and_those_below(file: Path) -> None:
    own = room_of(file)
    for line, module in modules_in(ast.parse(file.read_text(encoding="utf-8"))):
        top, _, rest = module.partition(".")
        if top != "kdgan" or rest == "__version__":
            continue
        room = rest.partition(".")[0]
        assert room in HEIGHT, f"line {line} imports {module}: not from the room where it is"
        assert room == own or HEIGHT[room] < HEIGHT[own], f"line {line} of {own} imports {module}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import kdgan.cli.main", ["kdgan.cli.main"]),
        ("def f():\n    from kdgan.paper import cells", ["kdgan.paper"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kdgan import tasks", ["kdgan.tasks"]),
        ("x = {'a': 'kdgan.tasks.tags:Tags'}", ["kdgan.tasks.tags"]),
    ],
)
def test_no_import_is_overlooked(text: str, expected: list[str]) -> None:
    assert [name for _, name in modules_in(ast.parse(text)) if name.startswith("kdgan")] == expected
