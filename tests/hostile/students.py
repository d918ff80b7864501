"""Files that claim to be students: the same for a seed."""

import itertools
import json
import pickle
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import kdgan
from hostile.judging import Case
from hostile.run_folders import changed_bytes, changed_tree
from kdgan import nets
from kdgan.data.cells import Reading
from kdgan.data.encoding import Encoding
from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableColumn, TableReader
from kdgan.ship.student import Student
from kdgan.training import checkpoint


def students() -> dict[str, Student]:
    """One of each kind."""
    torch.manual_seed(0)
    image = Scale(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    vector = Scale(torch.zeros(3), torch.ones(3))
    columns = (
        TableColumn("age", Reading("number"), Encoding("numbers", mean=4.0)),
        TableColumn("city", Reading("category"), Encoding("categories", categories=("Oslo", "Rome"))),
    )
    return {
        "images": Student(
            nets.build("lenet-2-3-4", (1, 8, 8), 2),
            ("a", "b"),
            "lenet-2-3-4",
            (1, 8, 8),
            image,
            reader=ImageReader("L", 8, 8),
        ),
        "table": Student(
            nets.build("mlp-4", (3,), 2), ("a", "b"), "mlp-4", (3,), vector, reader=TableReader(columns)
        ),
        "tags": Student(
            nets.build("normed-4", (3,), 3), ("x", "y", "z"), "normed-4", (3,), vector, features={"size": 8}
        ),
        "own": Student(nn.Linear(3, 1), ("no", "yes"), shape=(3,), kind="binary", make="nowhere_at_all:made"),
    }


class _Runs:
    """A pickle that would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def cases(seed: int, count: int, folder: Path, trap: Path) -> Iterator[Case]:
    """So many files of all kinds in turn.

    Args:
        seed: of what is changed.
        count: how many.
        folder: for them.
        trap: what a file that is executed would leave behind.
    """
    chance = random.Random(seed)
    kinds = students()
    for number, (make, (name, student)) in zip(
        range(count), itertools.cycle(itertools.product(_MAKES, kinds.items())), strict=False
    ):
        path = folder / f"{number}" / "student.safetensors"
        student.save(path)
        said = make(chance, path, trap)

        def call(path: Path = path, student: Student = student) -> None:
            back = kdgan.load(path, module=nn.Linear(3, 1) if student.make else None)
            back(torch.zeros(2, *(back.shape or (3,))))

        yield Case(f"{number} {name} {make.__name__}: {said}", call=call, folder=path.parent)


def _bytes(chance: random.Random, path: Path, trap: Path) -> str:
    return changed_bytes(chance, path)


def _tree(chance: random.Random, path: Path, trap: Path) -> str:
    return changed_tree(chance, path)


def _trusted(chance: random.Random, path: Path, trap: Path) -> str:
    """A name of something that would run, in each place that takes a name."""
    tree = checkpoint.load(path, dict[str, Any])
    field = chance.choice(("network", "make"))
    tree[field] = chance.choice(
        ("os:system", "builtins:exit", "antigravity:x", f"pathlib:Path('{trap}').touch")
    )
    checkpoint.save(path, tree)
    return f"{field} {tree[field]}"


def _pickle(chance: random.Random, path: Path, trap: Path) -> str:
    """What torch, numpy or Python would execute."""
    what = chance.choice(("pickle", "torch", "numpy"))
    if what == "pickle":
        path.write_bytes(pickle.dumps(_Runs(trap)))
    elif what == "torch":
        torch.save({"weights": _Runs(trap)}, path)
    else:
        with path.open("wb") as file:
            np.save(file, np.array([_Runs(trap)], dtype=object), allow_pickle=True)
    return what


def _header(chance: random.Random, path: Path, trap: Path) -> str:
    """A header that lies about sizes, types and places."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    what = chance.choice(("length", "shape", "offsets", "type", "metadata", "many", "deep", "other"))
    names = [name for name in header if name != "__metadata__"]
    entry = header[chance.choice(names)]
    if what == "length":
        lie = chance.choice((0, 2**63, 2**40, length * 2, length - 1))
        path.write_bytes(struct.pack("<Q", lie) + content[8:])
        return f"length {lie}"
    if what == "shape":
        entry["shape"] = chance.choice(([2**40, 2**20], [-1], [2**64], [1.5], "x", [[3]], [0]))
    elif what == "offsets":
        entry["data_offsets"] = chance.choice(([0, 2**50], [5, 1], [-4, 4], [0], None))
    elif what == "type":
        entry["dtype"] = chance.choice(("F65", "OBJECT", 3, None, "BOOL", "I64"))
    elif what == "metadata":
        header["__metadata__"] = chance.choice(
            ({}, {"tree": "x"}, {"tree": 5}, [], {"tree": "a " + "[" * 10_000})
        )
    elif what == "many":
        header |= {f"w{number}": entry for number in range(2000)}
    elif what == "deep":
        header["__metadata__"] = {"tree": "0 " + '{"a":' * 3000 + "1" + "}" * 3000}
    else:
        header = {"hello": "world"}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return what


def _foreign(chance: random.Random, path: Path, trap: Path) -> str:
    """A file of another program."""
    content = chance.choice(
        (
            b"",
            b"PK\x03\x04" + bytes(100),
            b"\x7fELF" + bytes(60),
            b"\x89PNG\r\n",
            b"GGUF" + bytes(64),
            b"\x80\x05.",
        )
    )
    path.write_bytes(content)
    return repr(content[:6])


_MAKES: tuple[Callable[[random.Random, Path, Path], str], ...] = (
    _bytes,
    _tree,
    _trusted,
    _pickle,
    _header,
    _foreign,
    _tree,
    _header,
)
