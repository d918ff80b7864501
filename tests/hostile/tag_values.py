"""Values, and things in the place of files, that no reader of tags expects."""

import os
import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

EVIL = (
    *("\x1b[31mred", "a\nb", "é" * 300, "क्या", "\x00", "", "../../x", "[red]", "\u202eabc", "=1+1"),
    *("\U0001f3f3\ufe0f\u200d\U0001f308", "a\r", "cafe\u0301"),
)
"""Texts."""
CELLS: tuple[Any, ...] = (
    *(None, 1, -1.5, True, "text", b"\xff\x00", date(2020, 1, 1), Decimal("1.50"), 2**62, [], [[]], [None]),
    *(
        [1, 2, 3],
        [1.0, float("nan"), 2.0],
        [float("inf")],
        [1e300, 1.0],
        [-(2**60), 2**60],
        ["a", "b"],
        [["a"]],
    ),
    *({"a": 1}, [{"a": 1}], [True, False], [b"a"], [date(2020, 1, 1)], list(EVIL), ["x", "x", "X"], [2**100]),
    *(
        float("nan"),
        "\x1b[2J",
        "train",
        "popular",
        "{}",
        "[" * 100_000,
        "\x00",
        "../../x",
        "loop",
        '{"size": 1e999}',
        [""],
    ),
)
"""Cells of a table."""
LINES = (
    *("boat nan 1 2", "boat 1e999 1 2", "boat 1", "boat", "", " 1 2 3", "boat x y z", f"{'9' * 5000} 3"),
    *("99999999999999999 3", "5 3", "5 0", "0 0", "boat \x00 1 2", "boat 1_0 2 3", "boat １ 2 3", "\x1b[31m"),
)
"""Lines of a file of embeddings."""
FIELDS = (
    *(
        "%",
        "%zz",
        "%00",
        "%1B%5B31m",
        "%ED%A0%80",
        "&%23" + "9" * 5000 + ";",
        ",,,",
        "+",
        "%2C",
        "\x00",
        "%0A",
    ),
    *("a" * 100_000, "<" * 5000, "&%23xD800;", "%E0%A4%95%E0%A5%8D", "%F3%A0%80%81", "%E2%80%8B"),
)
"""Fields of metadata."""


def damage(chance: random.Random, path: Path) -> str:
    """Does something to a sound file, or puts something else in its place; what it was."""
    content = path.read_bytes()
    how = chance.choice(["cut", "flip", "flip", "flip", "text", "zeros", "twice", "empty", "place"])
    if how == "cut":
        path.write_bytes(content[: chance.randrange(len(content))])
    elif how == "flip":
        changed = bytearray(content)
        for _ in range(chance.choice([1, 3, 20])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        path.write_bytes(changed)
    elif how == "text":
        path.write_text("photo,features,tags\n1,2,3\n", encoding="utf-8")
    elif how == "zeros":
        path.write_bytes(bytes(len(content)))
    elif how == "twice":
        path.write_bytes(content * 2)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        return place(chance, path)
    return how


def place(chance: random.Random, path: Path) -> str:
    """Puts something else in the place of a file; what it was."""
    path.unlink(missing_ok=True)
    how = chance.choice(
        ["folder", "fifo", "dangling", "loop", "/dev/zero", "/dev/null", "/dev/full", "closed", "nothing"]
    )
    if how == "folder":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "dangling":
        path.symlink_to(path.parent / "nowhere")
    elif how == "loop":
        path.symlink_to(path)
    elif how == "closed":
        path.touch(0)
    elif how.startswith("/dev"):
        path.symlink_to(how)
    return how


def strange(chance: random.Random, folder: Path) -> str:
    """A path that no file can have."""
    (folder / "file").write_text("x", encoding="utf-8")
    return str(
        chance.choice([folder / "file" / "x", folder / ("n" * 300), folder / "a\x00b", "", "/dev/full", "."])
    )
