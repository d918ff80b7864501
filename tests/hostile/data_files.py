"""Malformed and odd data files for `kdgan.data.load`: the same for a seed. Each is to be refused in one printable line,
or to give numbers that are finite and labels that are classes; `test_data_files.py` looks at that."""

import bz2
import gzip
import io
import itertools
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from hostile.judging import Case
from kdgan.data import Source, load, split

ROWS = 24
TOKENS = (
    *(
        "",
        " ",
        "NA",
        "?",
        "nan",
        "-inf",
        "Infinity",
        "1e999",
        "1e308",
        "1" * 30,
        "0x1F",
        "1_000",
        "1,5",
        "1.234,5",
        "12%",
    ),
    *(
        "$5",
        "true",
        "2024-02-30",
        "31/12/2024",
        "2024-01-01T00:00:00Z",
        "99999-01-01",
        "é",
        "\u202e",
        "=1+1",
        "-",
        "--",
    ),
    *(
        "\\N",
        "None",
        '"',
        '""',
        "'",
        ";",
        "\t",
        "\r",
        "\x1b[31m",
        "１２",
        "١٢",
        "+",
        "1e",
        ".",
        "a" * 3000,
        "1 000",
        "½",
    ),
)
HEADS = (
    "a",
    "a b",
    "é",
    "",
    " ",
    "split",
    "y",
    "a" * 300,
    "1",
    "=x",
    "a\tb",
    "\x1b",
    "column 1",
    "a missing",
)


def cases(seed: int, count: int, folder: Path) -> Iterator[Case]:
    """So many files and folders of all kinds in turn, below `folder`."""
    chance = random.Random(seed)
    for number, kind in zip(range(count), itertools.cycle(_KINDS), strict=False):
        own = folder / f"{number}"
        own.mkdir()
        path, options = kind(chance, own)
        yield Case(
            f"{number} {kind.__name__}", call=lambda path=path, options=options: judged(path, **options)
        )


def judged(path: Path, **options: Any) -> None:
    """Reads and splits the data, and looks whether all of it can be computed with."""
    source = load(path, progress=False, **options)
    for part in (source.train, source.test, source.validation, source.unlabelled):
        if part is not None:
            assert len(part), "an empty part"
            assert part.inputs[:1].numel(), "examples without inputs"
            assert all(
                each.double().isfinite().all() for each in (part.inputs, part.privileged) if each is not None
            )
            if part is source.unlabelled:
                assert set(part.targets.tolist()) == {-1}
                continue
            assert 0 <= int(part.targets.min()) <= int(part.targets.max()) < len(source.classes)
    assert len(set(source.classes)) == len(source.classes) > 1, source.classes
    assert all(note.isprintable() for note in source.notes) or _said(source)
    parts = split(source, labels=None, seed=0, unlabelled="none" if source.unlabelled is None else "own")
    assert (parts.unlabelled is None) == (source.unlabelled is None)
    beside = [] if parts.unlabelled is None else [parts.unlabelled]
    for each in (parts.train, parts.validation, parts.test, *beside):
        inputs = each.standardised().inputs
        assert inputs.dtype == torch.float32
        assert inputs.isfinite().all()


def _said(source: Source) -> bool:
    raise AssertionError(f"notes that cannot be printed: {source.notes!r}")


def _cells(chance: random.Random) -> list[list[str]]:
    """A table of text, some of it odd."""
    width = chance.randint(1, 4)
    columns = []
    for _ in range(width):
        kind = chance.choice(("number", "word", "date", "odd", "number"))
        column = {
            "number": lambda: [str(chance.randint(0, 9)) for _ in range(ROWS)],
            "word": lambda: [chance.choice(("red", "blue", "Ünü")) for _ in range(ROWS)],
            "date": lambda: [f"2024-01-{chance.randint(1, 28):02}" for _ in range(ROWS)],
            "odd": lambda: [chance.choice(TOKENS) for _ in range(ROWS)],
        }[kind]()
        for _ in range(chance.choice((0, 0, 1, 3))):
            column[chance.randrange(ROWS)] = chance.choice(TOKENS)
        columns.append(column)
    columns.append(
        [chance.choice(("x", "y")) if chance.random() < 0.97 else chance.choice(TOKENS) for _ in range(ROWS)]
    )
    return [list(row) for row in zip(*columns, strict=True)]


def _csv(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    rows = _cells(chance)
    names = [
        chance.choice(HEADS) if chance.random() < 0.3 else f"c{place}" for place in range(len(rows[0]) - 1)
    ]
    separator = chance.choice((",", ",", ";", "\t", "|", "::"))
    quote = chance.choice((lambda cell: cell, lambda cell: '"' + cell.replace('"', '""') + '"'))
    lines = [separator.join(quote(cell) for cell in row) for row in [[*names, "y"], *rows]]
    if chance.random() < 0.2:
        place = chance.randrange(len(lines))
        lines[place] = chance.choice(
            (lines[place] + separator + "9", lines[place][:-2], "", '"' + lines[place], "\0")
        )
    content = (
        chance.choice(("\n", "\r\n", "\n", "\r"))
        .join(lines)
        .encode(chance.choice(("utf-8", "utf-8-sig", "utf-16")))
    )
    name = chance.choice(("t.csv", "t.csv", "t.tsv", "T.CSV", "t[1]*.csv"))
    pack = chance.choice((None, None, None, gzip.compress, bz2.compress))
    if pack is not None:
        content, name = pack(content), name + (".gz" if pack is gzip.compress else ".bz2")
    options: dict[str, Any] = {"target": chance.choice(("y", "y", "y", "z", names[0]))}
    if chance.random() < 0.3:
        options["privileged"] = (chance.choice(names),)
    if chance.random() < 0.2:
        options["missing"] = "refuse"
    return _written(chance, folder / name, content), options


def _parquet(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    odd: list[Any] = [
        *(list(range(ROWS)), [2**63 - 1 - row for row in range(ROWS)], [1e308] * ROWS, [float("nan")] * ROWS),
        *([None] * ROWS, [[1, 2]] * ROWS, [{"a": 1}] * ROWS, [b"x"] * ROWS, [True, False] * (ROWS // 2)),
        *(["red", "blue"] * (ROWS // 2), [10**30 + row for row in range(ROWS)], [0.5] * ROWS, [[]] * ROWS),
        *(
            pl.datetime_range(pl.datetime(1, 1, 1), pl.datetime(1, 1, 24), "1d", eager=True).to_list(),
            [""] * ROWS,
        ),
        *([*([1] * (ROWS - 1)), None], [*(["x"] * (ROWS - 1)), "\x1b\n"], [1.5, float("inf")] * (ROWS // 2)),
    ]
    columns = {f"c{place}": chance.choice(odd) for place in range(chance.randint(1, 3))}
    columns["y"] = chance.choice((["x", "y"] * (ROWS // 2), ["x", "y"] * (ROWS // 2), chance.choice(odd)))
    try:
        frame = pl.DataFrame(columns, strict=False)
    except (pl.exceptions.PolarsError, OverflowError, TypeError):
        frame = pl.DataFrame({"c0": range(ROWS), "y": [2**64 - 1, 0] * (ROWS // 2)})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return _written(chance, folder / "t.parquet", buffer.getvalue()), {
        "target": chance.choice(("y", "y", "y", "c0"))
    }


def _npz(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    draws = np.random.default_rng(chance.randrange(100))
    inputs: tuple[Any, ...] = (
        *(
            draws.random((ROWS, 3)),
            draws.integers(0, 255, (ROWS, 4, 4)).astype(np.uint8),
            draws.random((ROWS, 3, 4, 4)),
        ),
        *(
            draws.random((ROWS, 4, 4, 3)),
            draws.random(ROWS),
            draws.random((ROWS, 0)),
            draws.random((0, 3)),
            np.float64(3),
        ),
        *(
            np.full((ROWS, 2), np.nan),
            np.full((ROWS, 2), 1e300),
            np.full((ROWS, 2), "a"),
            np.ones((ROWS, 2), complex),
        ),
        *(
            np.full((ROWS, 2), 2**63, np.uint64) + np.arange(ROWS, dtype=np.uint64)[:, None],
            draws.random((ROWS, 3, 4, 3)),
        ),
        *(
            np.zeros((ROWS, 2), bool),
            np.zeros((ROWS, 2), "datetime64[D]"),
            np.zeros((ROWS, 1, 0, 4), np.uint8),
        ),
    )
    labels: tuple[Any, ...] = (
        *(
            np.arange(ROWS) % 2,
            np.arange(ROWS) % 2 == 0,
            (np.arange(ROWS) % 2).astype(np.uint64) + np.uint64(2**63 + 5),
        ),
        *(
            np.array(["a", "b"] * (ROWS // 2)),
            np.arange(ROWS) * 1.0,
            np.full(ROWS, np.nan),
            np.arange(ROWS - 1) % 2,
        ),
        *(
            np.array(["\x1b", "b"] * (ROWS // 2)),
            np.zeros(ROWS, int),
            np.arange(ROWS),
            -(np.arange(ROWS) % 2),
            np.arange(ROWS) % 4 - 1,
            np.where(np.arange(ROWS) % 3 == 0, np.nan, np.arange(ROWS) % 2),
            np.array(["a", "b", ""] * ROWS)[:ROWS],
            np.ones((ROWS, 2)),
        ),
    )
    arrays = {chance.choice(("inputs", "x", "z")): chance.choice(inputs[:4] + inputs)}
    arrays[chance.choice(("targets", "y", "y"))] = chance.choice(labels[:1] * 6 + labels)
    if chance.random() < 0.3:
        prefix = chance.choice(("test_", "validation_", "test_"))
        arrays |= {f"{prefix}inputs": chance.choice(inputs), f"{prefix}targets": chance.choice(labels)}
    if chance.random() < 0.2:
        arrays["privileged"] = chance.choice(inputs)
    path = folder / "t.npz"
    np.savez(path, **arrays)
    content = path.read_bytes()
    if chance.random() < 0.3:  # what is in the archive need be no array
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x.npy", chance.choice((b"", b"text", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'")))
            archive.writestr("y.npy", content[:50])
            archive.writestr(chance.choice(("note.txt", "../x.npy", "y.npy ")), b"hello")
        content = buffer.getvalue()
    return _written(chance, path, content), {}


def _images(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    root = folder / "images"
    places = chance.choice(
        (("",), ("",), ("train", "test"), ("train", "val"), ("train", "test", "val"), ("Train", "valid"))
    )
    for place in places:
        for label in chance.choice(
            (
                *(("cat", "dog"), ("cat", "dog"), ("cat", "Cat", "é"), ("one",), ("a", "b", "empty")),
                *(("cat", "dog", "unlabelled"), ("cat", "unlabeled")),
            )
        ):
            own = root / place / label
            own.mkdir(parents=True)
            for number in range(0 if label == "empty" else chance.randint(1, 4)):
                name = chance.choice(
                    ("{}.png", "{}.JPG", "{}.webp", "{}.bmp", "{}.gif", ".{}.png", "{}\x1b.png", "{}")
                )
                _picture(chance, own / name.format(number))
    for name in chance.choice(((), (), ("__MACOSX",), ("notes.txt", ".DS_Store"))):
        (root / name).mkdir() if name == "__MACOSX" else (root / name).touch()
    options: dict[str, Any] = {}
    if chance.random() < 0.3:
        options["image_size"] = chance.choice((1, 8, 0, -1, 5000))
    if chance.random() < 0.4:
        options["skip_damaged"] = True
    return root, options


def _picture(chance: random.Random, path: Path) -> None:
    mode = chance.choice(("L", "RGB", "RGBA", "P", "1", "I;16", "LA", "CMYK", "F", "RGB"))
    size = chance.choice(((6, 6), (6, 6), (6, 6), (1, 1), (70, 5), (5, 300)))
    image = Image.new(mode, size)
    buffer = io.BytesIO()
    for form in (chance.choice(("PNG", "PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")), "TIFF"):
        try:
            image.save(buffer, form)
            break
        except (OSError, ValueError, KeyError):
            buffer = io.BytesIO()
    _written(chance, path, buffer.getvalue(), often=0.15)


def _idx(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    shape = (ROWS, 4, 4)
    images = (
        b"\x00\x00\x08\x03"
        + b"".join(each.to_bytes(4, "big") for each in shape)
        + bytes(range(256))
        + bytes(128)
    )
    labels = b"\x00\x00\x08\x01" + ROWS.to_bytes(4, "big") + bytes([0, 1]) * (ROWS // 2)
    odd = (
        b"\x00\x00\x08\x03" + b"\xff" * 12,
        b"\x00\x00\x0d\x03" + images[4:],
        images + b"!",
        labels,
        b"",
        b"\x1f\x8b\x08",
    )
    for prefix in ("train", "t10k"):
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            if chance.random() < 0.15:
                content = chance.choice(odd)
            name = f"{prefix}-{kind}-ubyte"
            if chance.random() < 0.3:
                name, content = f"{name}.gz", gzip.compress(content)
            if chance.random() > 0.05:
                _written(chance, folder / name, content, often=0.1)
    return folder, {}


def _cifar(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    record = 1 + 3 * 32 * 32
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    contents = {name: b"".join(bytes([label]) + bytes(record - 1) for label in range(4)) for name in names}
    for name in names:
        if chance.random() < 0.1:
            contents[name] = chance.choice(
                (b"", contents[name][:-1], bytes([99]) * record, b"\0" * record * 3)
            )
    if chance.random() < 0.5:
        with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(content)
                if chance.random() < 0.1:
                    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
                archive.addfile(member, io.BytesIO(content))
        whole = (folder / "cifar-10-binary.tar.gz").read_bytes()
        _written(chance, folder / "cifar-10-binary.tar.gz", whole)
    else:
        for name, content in contents.items():
            if chance.random() > 0.05:
                (folder / name).write_bytes(content)
    return folder, {}


def _no_file(chance: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    """What has the name of data and is something else."""
    name = chance.choice(("t.csv", "t.parquet", "t.npz", "t.csv.gz", "images", "t.txt"))
    path = folder / name
    options = {"target": "y"} if "csv" in name or "parquet" in name else {}
    what = chance.choice(("fifo", "dangling", "loop", "device", "folder", "long", "empty", "denied"))
    if what == "fifo":
        os.mkfifo(path)
    elif what in ("dangling", "loop", "device"):
        path.symlink_to({"dangling": folder / "none", "loop": path, "device": Path("/dev/zero")}[what])
    elif what == "folder":
        path.mkdir()
        options = {}
    elif what == "long":
        path = folder / ("x" * 5000)
    elif what == "empty":
        path.touch()
    return path, options


def _written(chance: random.Random, path: Path, content: bytes, *, often: float = 0.35) -> Path:
    """The file with this content, which more or less often is damaged."""
    if content and chance.random() < often:
        place = chance.randrange(len(content))
        content = chance.choice(
            (
                content[:place],
                content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :],
                content[:place] + b"\xff" * 20 + content[place + 20 :],
                content[:place] + content[place + 7 :],
                content + content,
                content[place:] + content[:place],
                b"",
            )
        )
    path.write_bytes(content)
    return path


_KINDS: tuple[Callable[[random.Random, Path], tuple[Path, dict[str, Any]]], ...] = (
    *(_csv, _parquet, _npz, _images, _csv, _idx, _csv, _npz, _cifar, _images, _no_file),
)
