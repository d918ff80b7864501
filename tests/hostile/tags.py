"""Malformed inputs for all that reads photos, their tags, texts and features: the same for a seed.

Every case is to end in one printable line of kdgan's, or well; `test_tags.py` looks at that.
"""

import bz2
import io
import itertools
import json
import random
import types
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from hostile.judging import Case
from hostile.tag_values import CELLS, EVIL, FIELDS, LINES, damage, place, strange
from kdgan.data.split import Scale
from kdgan.nets import build
from kdgan.ship.student import Student
from kdgan.tagging.data import choose, read_photos
from kdgan.tagging.embeddings import named, read_embeddings
from kdgan.tagging.images.features import extract, load_features
from kdgan.tagging.images.networks import Scaling, load_network
from kdgan.tagging.images.reading import read_image
from kdgan.tagging.yfcc.stopping import Stop
from kdgan.tasks.config import Config, TagsData
from kdgan.tasks.tags import Tags

NETWORK = "hostile.tags:means"
ROWS = 24


def means(images: torch.Tensor) -> torch.Tensor:
    """A network for `--network`."""
    return images.mean((2, 3))


def cases(seed: int, count: int, folder: Path) -> Iterator[Case]:
    """So many cases of all kinds in turn; what they read and write is in `folder`."""
    chance = random.Random(seed)
    kinds = itertools.cycle(_KINDS)
    for number, kind in zip(range(count), kinds, strict=False):
        own = folder / f"{number}"
        own.mkdir()
        case = kind(chance, own)
        yield Case(f"{number} {kind.__name__}: {case.name}", case.call, case.arguments)


# Tables of photos


def _columns() -> dict[str, Any]:
    draws = np.random.default_rng(0)
    return {
        "photo": [f"p{row}" for row in range(ROWS)],
        "features": draws.random((ROWS, 3)).tolist(),
        "text": ["a red boat"] * ROWS,
        "tags": [["sea", "sky", "boat"][: 1 + row % 3] for row in range(ROWS)],
    }


def _cells(chance: random.Random) -> list[Any]:
    return [chance.choice(CELLS)] * ROWS


def _photos(chance: random.Random, folder: Path) -> Case:
    columns = _columns()
    names = [*columns, "part", "tag_choice", "feature_network", "image"]
    said = []
    for name in chance.sample(names, chance.choice([1, 1, 2])):
        values = _cells(chance)
        how = chance.choice(["all", "some", "some", "other lengths", "left out"])
        if how == "some" and name in columns:
            values = [*list(columns[name])[:-1], values[0]]
        elif how == "other lengths" and name == "features":
            values = [[1.0] * (row % 3) for row in range(ROWS)]
        elif how == "left out" and len(columns) > 1:
            columns.pop(name, None)
            said.append(f"no {name}")
            continue
        columns[name] = values
        said.append(f"{name} {how} {str(values[-1])[:40]!r}")
    frame = pl.DataFrame({name: _series(name, values) for name, values in columns.items()})
    path = folder / "photos.parquet"
    frame.head(chance.choice([ROWS] * 5 + [0, 1])).write_parquet(path)
    return Case(", ".join(said), lambda: _learn_from(path))


def _series(name: str, values: Any) -> pl.Series:
    try:
        made = pl.Series(name, values, strict=False)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        made = pl.Series(name, [], dtype=pl.Object)
    return pl.Series(name, [str(value) for value in values]) if made.dtype == pl.Object else made


def _learn_from(path: Path) -> None:
    photos = read_photos(path)
    assert np.isfinite(photos.features).all()
    assert photos.features.dtype == np.float32
    assert all(tag and "\n" not in tag and "\x1b" not in tag for tags in photos.tags for tag in tags)
    choose(photos, photos.choice or "popular", count=2, held_out=4)
    task = Tags(Config(TagsData(str(path), count=2), "supervised", student="normed-4"), photos)
    assert task.train.inputs.isfinite().all()
    task.shown()


def _damaged_photos(chance: random.Random, folder: Path) -> Case:
    path = folder / "photos.parquet"
    pl.DataFrame(_columns()).write_parquet(path)
    if chance.random() < 0.1:
        path.write_bytes(path.read_bytes().replace(b"text", chance.choice([b"tags", b"\xff\x00xx"])))
        return Case("columns of one name", lambda: _learn_from(path))
    how = damage(chance, path)
    if chance.random() < 0.3:
        out = ("--out", str(folder / "out"), "--steps", "1", "--seeds", "1", "--baselines", "")
        if how not in ("flip", "twice"):  # which may still be a table, and would be trained on
            return Case(how, arguments=("tags", "compare", "--data", str(path), *out))
    return Case(how, lambda: _learn_from(path))


# Texts


def _embeddings(chance: random.Random, folder: Path) -> Case:
    path = folder / "words.txt"
    lines = [f"{word} {chance.random()} 1 2" for word in ("the", "boat", "sky", "café", "Boat")]
    for _ in range(chance.choice([0, 1, 2])):
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(LINES))
    content = "\n".join(lines).encode()
    path.write_bytes(bz2.compress(content) if chance.random() < 0.4 else content)
    how = damage(chance, path) if chance.random() < 0.6 else "lines"

    def read() -> None:
        found = read_embeddings(path, named(path)["embeddings_sha256"], ("boat", "café"))
        assert np.isfinite(found.vectors).all()
        assert found.table(2).shape == (4, found.vectors.shape[1])

    return Case(how, read)


def _record(chance: random.Random, number: int) -> str:
    fields = [""] * 25
    fields[0], fields[1], fields[3] = str(number), str(10**6 + number), f"{number % 37}@N00"
    fields[8], fields[9], fields[10] = "A+walk", "by+the+pier", "sea,sky+blue"
    fields[16], fields[24] = f"http://images.org/{number}.jpg", "0"
    if chance.random() < 0.3:
        fields[chance.choice([1, 3, 8, 9, 10, 16, 24])] = chance.choice(FIELDS)
    if chance.random() < 0.05:
        fields = fields[: chance.randrange(25)]
    return "\t".join(fields)


def _metadata(chance: random.Random, folder: Path) -> Case:
    path = folder / "dump"
    content = "\n".join(_record(chance, number) for number in range(99)).encode("utf-8", "surrogatepass")
    content = content.replace(b"A+walk", b"\xff\xfe", chance.choice([0, 0, 3]))
    path.write_bytes(bz2.compress(content) if chance.random() < 0.4 else content)
    how = damage(chance, path) if chance.random() < 0.6 else "records"
    return Case(how, arguments=_prepare(path, folder / chance.choice(["out", "o\udcff", "o\x1b[31m", "o\n"])))


def _prepare(path: Path, out: Path | str, *options: str) -> tuple[str, ...]:
    sizes = ("--count", "2", "--minimum", "2", "--train", "9", "--validation", "4", "--test", "4")
    return ("tags", "prepare", str(path), "--out", str(out), *sizes, *options)


def _stop(chance: random.Random, folder: Path) -> Case:
    path = folder / "stop.txt"
    path.write_bytes(b"\n".join(each.encode() for each in EVIL) + chance.choice([b"", b"\xff", b"\x00" * 9]))
    how = damage(chance, path) if chance.random() < 0.7 else "lines"
    return Case(how, lambda: Stop(path)("sea"))


# Pixels


def _image(chance: random.Random, folder: Path) -> Case:
    kind = chance.choice(["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
    mode = chance.choice(["RGB", "L", "P", "1", "CMYK", "RGBA", "LA", "I;16", "I", "F"])
    path = folder / f"image.{kind.lower()}"
    size = chance.choice([(9, 7), (1, 1), (1, 999), (64, 64)])
    image = Image.new("RGB", size, (10, 20, 200))
    if mode in ("L", "P", "1", "CMYK", "RGBA", "LA", "I", "F"):
        image = image.convert("L" if mode == "LA" else mode)
    elif mode == "I;16":
        image = Image.fromarray(np.full(size[::-1], 40_000, np.uint16))
    garbage = bytes(chance.randrange(256) for _ in range(60))
    options: dict[str, Any] = {"exif": chance.choice([b"", b"Exif\0\0II*\0\x08\0\0\0\x05\0"]) + garbage}
    options = options if kind in ("PNG", "JPEG", "WEBP") else {}
    if chance.random() < 0.2 and kind in ("GIF", "WEBP"):
        options = {"save_all": True, "append_images": [image.copy()] * 3}
    try:
        image.save(path, kind, **options)
    except (OSError, ValueError, TypeError, KeyError):
        image.convert("RGB").save(path, kind)
    how = damage(chance, path) if chance.random() < 0.6 else "whole"
    if how == "whole" and chance.random() < 0.3:
        how = "bomb"
        path.write_bytes(_claiming(chance.choice([10**4, 10**5, 2**31 - 1, 0])))

    def read() -> None:
        pixels = read_image(path, 8)
        assert (pixels.shape, pixels.dtype) == ((3, 8, 8), np.uint8)

    return Case(f"{kind} {mode} {size} {how}", read)


def _claiming(side: int) -> bytes:
    """A PNG whose header says that it is so large."""
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = side.to_bytes(4, "big") * 2
    return bytes(content)


class _Session:
    """In place of onnxruntime's, which is an extra: a file of JSON says what it takes and gives."""

    def __init__(self, path: str, options: object, providers: list[str]) -> None:
        self.values = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(self.values, dict) or set(self.values) != {"shape", "inputs", "outputs", "gives"}:
            raise RuntimeError("not a model\nat all")

    def get_inputs(self) -> list[object]:
        return [
            types.SimpleNamespace(name="x", shape=self.values["shape"], type="tensor(float)")
        ] * self.values["inputs"]

    def get_outputs(self) -> list[object]:
        return [types.SimpleNamespace(name=name) for name in self.values["outputs"]]

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        return [GIVES[str(self.values["gives"])](feed["x"])]


GIVES: dict[str, Callable[[Any], Any]] = {
    "means": lambda x: x.mean((2, 3)),
    "maps": lambda x: x,
    "ragged": lambda x: [[1], [1, 2]],
    "infinite": lambda x: x.mean((2, 3)) / 0,
    "text": lambda x: np.array("a"),
    "nothing": lambda x: None,
    "an error": lambda x: 1 / 0,
    "a number": lambda x: x.sum(),
    "truth": lambda x: x.mean((2, 3)) > 0,
    "large": lambda x: np.full((len(x), 2), 1e300),
    "empty": lambda x: np.empty((len(x), 0)),
    "a dictionary": lambda x: {"a": 1},
    "objects": lambda x: [np.ones(3), object()],
}


ONNX = types.ModuleType("onnxruntime")
ONNX.__spec__ = ModuleSpec("onnxruntime", None)  # torch asks for it
ONNX.InferenceSession, ONNX.SessionOptions = _Session, types.SimpleNamespace  # type: ignore[attr-defined]
ONNX.get_available_providers = lambda: ["CPUExecutionProvider"]  # type: ignore[attr-defined]


def _onnx(chance: random.Random, folder: Path) -> Case:
    path = folder / "model.onnx"
    side = chance.choice([8, 8, 10**6, 10**9, 0, -1, "H", None])
    shape = chance.choice(
        [[1, 3, side, side], ["N", 3, side, side], [10**9, 3, 8, 8], [0, 3, 8, 8], [3, 8, 8], [], [None] * 4]
    )
    gives = chance.choice([*GIVES])
    outputs = chance.choice([["f"], ["f"], ["f", "g"], ["\x1b[31m"], []])
    values = {
        "shape": shape,
        "inputs": chance.choice([1, 1, 1, 0, 2]),
        "outputs": outputs,
        "gives": gives,
    }
    path.write_text(json.dumps(values), encoding="utf-8")
    how = damage(chance, path) if chance.random() < 0.3 else json.dumps(values)

    def load() -> None:
        with np.errstate(all="ignore"):
            network = load_network(str(path))
            assert network(np.zeros((2, 3, network.size, network.size), np.uint8)).shape == (2, network.width)

    return Case(how, load)


# Features, and what img2dataset leaves


def _downloads(folder: Path) -> tuple[Path, Path]:
    table, images = folder / "photos.parquet", folder / "images"
    (images / "00000").mkdir(parents=True)
    keys = [f"{row:09}" for row in range(5)]
    pl.DataFrame({"photo": [f"p{row}" for row in range(5)], "tags": [["sea"]] * 5}).write_parquet(table)
    frame = pl.DataFrame({"photo": [f"p{row}" for row in range(5)], "key": keys, "status": ["success"] * 5})
    frame.write_parquet(images / "00000.parquet")
    for row, key in enumerate(keys):
        Image.new("RGB", (9, 9), (20 * row, 0, 99)).save(images / "00000" / f"{key}.png")
    return table, images


def _command(table: Path, images: Path, out: Path | str, *options: str) -> tuple[str, ...]:
    given = ("--images", str(images), "--network", NETWORK, "--size", "8", "--out", str(out))
    return ("tags", "features", str(table), *given, *options)


def _features(chance: random.Random, folder: Path) -> Case:
    """A folder of features that was tampered with."""
    table, images = _downloads(folder)
    kept = folder / "out.features"
    listed = [images / "00000" / f"{row:09}.png" for row in range(5)]
    extract(listed, load_network(NETWORK, size=8, scaling=Scaling()), kept)
    manifest = kept / "manifest.json"
    how = chance.choice(["value", "value", "manifest", "shard", "shard"])
    if how == "value":
        values = json.loads(manifest.read_text(encoding="utf-8"))
        name = chance.choice([*values])
        values[name] = chance.choice([None, -1, 0, 10**18, 1.0, True, "x", [1], {}, 1e999])
        how = f"{name} {values[name]!r}"
        manifest.write_text(json.dumps(values), encoding="utf-8")
    elif how == "manifest":
        how += " " + damage(chance, manifest)
    else:
        how += " " + damage(chance, kept / "features-00000.safetensors")
    if chance.random() < 0.5:
        return Case(how, arguments=_command(table, images, folder / "out.parquet"))
    return Case(how, lambda: _finite(load_features(kept)))


def _finite(values: Any) -> None:
    assert np.isfinite(values).all()


def _download(chance: random.Random, folder: Path) -> Case:
    table, images = _downloads(folder)
    name = chance.choice(["photo", "key", "status"])
    path = chance.choice([images / "00000.parquet", table])
    if chance.random() < 0.5:
        frame = pl.read_parquet(path)
        name = chance.choice(frame.columns)
        values = (
            _cells(chance)[:5] if chance.random() < 0.5 else ["../../x", "n" * 999, "\x00", None, "\x1b[31m"]
        )
        frame.with_columns(_series(name, values)).write_parquet(path)
        how = f"{path.name} {name} {str(values[0])[:40]!r}"
    else:
        how = f"{path.name} {damage(chance, path)}"
    if chance.random() < 0.2:
        how += " " + damage(chance, images / "00000" / "000000001.png")
    out = folder / chance.choice(["out.parquet", "o\udcff.parquet", "o\x1b[31m.parquet", "o\n.x"])
    return Case(how, arguments=_command(table, images, out))


def _recommend(chance: random.Random, folder: Path) -> Case:
    labels = tuple(dict.fromkeys(["sea", chance.choice(EVIL), "sky"]))
    module = build("normed-4", (3,), len(labels))
    student = folder / "student.safetensors"
    Student(module.eval(), labels, "normed-4", (3,), Scale(torch.zeros(3), torch.ones(3))).save(student)
    images = [folder / name for name in ("a.png", "b\x1b[31m.png", "c\udcff.png", "d\n.png")]
    for image in images:
        Image.new("RGB", (9, 9), (9, 99, 199)).save(image)
    how = damage(chance, chance.choice(images)) if chance.random() < 0.7 else "names"
    given = ("--student", str(student), "--network", NETWORK, "--size", "8")
    return Case(how, arguments=("tags", "recommend", *map(str, images), *given))


# What is typed


def _output(chance: random.Random, folder: Path) -> Case:
    table, images = _downloads(folder)
    dump = folder / "dump"
    dump.write_text(
        "\n".join(_record(chance, number) for number in range(99)), encoding="utf-8", errors="replace"
    )
    out = strange(chance, folder)
    if chance.random() < 0.5:
        made = folder / "o"
        made.mkdir()
        name = chance.choice(["photos.parquet", "urls.parquet", "prepared.json", ""])
        out = str(made) if name else out
        how = place(chance, made / name) if name else out
        return Case(f"prepare {name} {how[-20:]}", arguments=_prepare(dump, out))
    if chance.random() < 0.5:
        own = chance.choice(
            [table, images / "00000.parquet", folder / "link.parquet", images / "x.parquet", folder]
        )
        if own.name == "link.parquet":
            own.symlink_to(table)
        out = str(own)
    return Case(f"features {out[-20:]}", arguments=_command(table, images, out))


def _number(chance: random.Random, folder: Path) -> Case:
    value = str(
        chance.choice([0, -1, 10**9, 10**12, 10**19, 10**30, "nan", "inf", "1.5", "x", "9" * 5000, "", "١"])
    )
    table, images = _downloads(folder)
    option = chance.choice(
        ["count", "minimum", "train", "test", "seed", "batch", "size", "threads", "largest"]
    )
    if option in ("count", "minimum", "train", "test", "seed"):
        dump = folder / "dump"
        dump.write_text(
            "\n".join(_record(chance, number) for number in range(99)), encoding="utf-8", errors="replace"
        )
        return Case(f"{option} {value[:20]}", arguments=_prepare(dump, folder / "o", f"--{option}", value))
    return Case(
        f"{option} {value[:20]}",
        arguments=_command(table, images, folder / "o.parquet", f"--{option}", value),
    )


_KINDS = (
    *(
        _photos,
        _damaged_photos,
        _embeddings,
        _metadata,
        _stop,
        _image,
        _onnx,
        _features,
        _download,
        _recommend,
    ),
    *(_photos, _output, _number, _metadata, _image),
)
