"""Folders of runs in which something was changed: the same for a seed. What is read back from them is to be refused in
one printable line, or to give what an untouched folder gives; `test_run_folders.py` looks at that."""

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hostile.calls import SHORT, SMALL
from hostile.judging import Case
from kdgan.training import checkpoint

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        5,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "\x1b[31m",
        [],
        {},
        [None],
        {"a": 1},
        [[]] * 3,
        "nan",
        -0.0,
        1e308,
    ),
    *(
        {"__tensor__": [1]},
        {"__pairs__": 5},
        "a" * 5000,
        [1, 2, 3],
        "os:system",
        {"kind": "tags"},
        2**63,
        "../x",
    ),
)
TRAIN = (
    "train",
    "--method",
    "kdgan",
    *SMALL,
    *SHORT,
    "--steps",
    "12",
    "--teacher-steps",
    "4",
    "--evaluations",
    "3",
)
COMPARE = ("compare", "--methods", "supervised,distn", "--seeds", "1", "--workers", "1", *SMALL, *SHORT)


def finished(folder: Path) -> list[str]:
    """Arguments of a run that ends in this folder."""
    return [*TRAIN, "--out", str(folder)]


def cases(seed: int, count: int, folder: Path, whole: Path, stopped: Path, compared: Path) -> Iterator[Case]:
    """So many changes of all kinds in turn.

    Args:
        seed: of what is changed.
        count: how many cases.
        folder: for the changed copies.
        whole: a run of `TRAIN` that ended.
        stopped: one that did not.
        compared: a comparison of `COMPARE` that ended.
    """
    chance = random.Random(seed)
    for number, kind in zip(range(count), itertools.cycle(_KINDS), strict=False):
        origin = {"whole": whole, "stopped": stopped, "compared": compared}[kind[0]]
        own = folder / f"{number}" / "run"
        shutil.copytree(origin, own)
        files = sorted(path for path in own.rglob("*") if path.is_file() and path.suffix in kind[1])
        path = chance.choice(files)
        said = kind[2](chance, path)
        train, compare = (*TRAIN, "--out", str(own)), (*COMPARE, "--out", str(own))
        command = {
            "whole": chance.choice((train, train, *_of_finished(own, path))),
            "stopped": chance.choice((train, train, train, *_of_finished(own, path))),
            "compared": chance.choice((compare, compare, ("report", str(own)))),
        }
        name = f"{number} {kind[0]} {path.relative_to(own)}: {said}; {command[kind[0]][0]}"
        yield Case(name, arguments=command[kind[0]], folder=own)


def _of_finished(own: Path, changed: Path) -> Iterator[tuple[str, ...]]:
    """What is done with a run that has finished, each with files beside it."""
    beside = own.parent / "beside"
    beside.mkdir(exist_ok=True)
    np.save(beside / "x.npy", np.zeros((2, 1, 8, 8), np.uint8))
    yield ("evaluate", str(own))
    yield ("report", str(own), "--out", str(beside / "page.html"))
    yield ("predict", str(own), str(beside / "x.npy"))
    yield ("export", str(own), "--format", "safetensors", "--out", str(beside / "w.safetensors"))
    if changed.name != "config.json":  # another one may ask for a race that takes hours
        yield ("shrink", "--run", str(own), "--out", str(beside / "race"), "--parameters", "1")


def changed_bytes(chance: random.Random, path: Path) -> str:
    """Some bytes are other ones, gone, or too many."""
    content = path.read_bytes()
    place = chance.randrange(len(content)) if content else 0
    what = chance.choice(("cut", "bit", "hole", "more", "empty", "zeros", "words"))
    changed = {
        "cut": content[:place],
        "bit": content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :],
        "hole": content[:place] + content[place + 9 :],
        "more": content + b"!",
        "empty": b"",
        "zeros": bytes(len(content)),
        "words": b"hello",
    }
    path.write_bytes(changed[what])
    return f"{what} at {place}"


def _value(chance: random.Random, path: Path) -> str:
    """A value somewhere in a file of JSON is another one, gone, or a new one."""
    whole: Any = json.loads(path.read_text(encoding="utf-8"))
    holder: Any = whole
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = chance.choice(keys) if keys else None
        if (
            key is None
            or not isinstance(holder[key], dict | list)
            or not holder[key]
            or chance.random() < 0.3
        ):
            break
        holder = holder[key]
    odd = chance.choice(ODD)
    what = chance.choice(("another", "another", "gone", "new"))
    if what == "new" and isinstance(holder, dict):
        holder["new\x1b"] = odd
    elif what == "gone" and key is not None:
        del holder[key]
    elif key is not None:
        holder[key] = odd
    text = json.dumps(chance.choice((whole, whole, whole, whole, odd)))
    path.write_text(
        chance.choice((text, text, text, text.replace("1", "NaN", 1), "[" * 5000)), encoding="utf-8"
    )
    return f"{what} {key} {str(odd)[:20]!r}"


def changed_tree(chance: random.Random, path: Path) -> str:
    """A value somewhere in a checkpoint or a student, with a checksum that fits."""
    tree = checkpoint.load(path, dict[str, Any])
    holder: Any = tree
    key: Any = chance.choice(list(holder))
    while isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.8:
        holder = holder[key]
        key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    odd = chance.choice(
        (*ODD, torch.ones(2), torch.full((3,), float("nan")), torch.tensor(1), torch.zeros(0))
    )
    if chance.random() < 0.3:
        del holder[key]
        what = "gone"
    else:
        holder[key] = odd
        what = str(odd)[:20]
    checkpoint.save(path, tree)
    return f"{key} {what!r}"


def _swapped(chance: random.Random, path: Path) -> str:
    """A file has the content of another one."""
    root = next(parent for parent in path.parents if parent.name == "run")
    others = sorted(each for each in root.rglob("*") if each.is_file() and each != path)
    other = chance.choice(others)
    path.write_bytes(other.read_bytes())
    return f"is {other.relative_to(root)}"


def _no_file(chance: random.Random, path: Path) -> str:
    """Something else has the name of a file."""
    path.unlink()
    what = chance.choice(("nothing", "folder", "dangling", "loop", "zero"))
    if what == "folder":
        path.mkdir()
    elif what != "nothing":
        path.symlink_to({"dangling": path.with_name("none"), "loop": path, "zero": Path("/dev/zero")}[what])
    return what


_JSON, _TENSORS, _ALL = (".json",), (".safetensors",), (".json", ".safetensors", ".jsonl", ".csv")
_KINDS: tuple[tuple[str, tuple[str, ...], Callable[[random.Random, Path], str]], ...] = (
    ("whole", _JSON, _value),
    ("stopped", _TENSORS, changed_tree),
    ("whole", _TENSORS, changed_tree),
    ("stopped", _ALL, changed_bytes),
    ("whole", _ALL, changed_bytes),
    ("stopped", _ALL, _swapped),
    ("stopped", _JSON, _value),
    ("whole", _ALL, _no_file),
    ("compared", _JSON, _value),
    ("stopped", _ALL, _no_file),
    ("compared", _ALL, changed_bytes),
)
