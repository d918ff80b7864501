"""Data of one's own: folders of images, `.npz` files and tables."""

import datetime
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from kdgan.data.reading import load

GREY = np.arange(5 * 6, dtype=np.uint8).reshape(5, 6) * 8
COLOUR = np.stack([GREY, GREY + 1, 255 - GREY], axis=-1)


# Folders of images


def write_images(folder: Path, pixels: np.ndarray = GREY, classes: str = "ab", count: int = 5) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_small_grey_images_of_one_size_stay_as_they_are(tmp_path):
    source = load(write_images(tmp_path / "pets"))
    assert (source.name, source.kind, source.classes) == ("pets", "image", ("a", "b"))
    assert source.train.inputs.dtype == torch.uint8
    assert np.array_equal(source.train.inputs.numpy(), np.stack([GREY[None]] * 8))
    assert source.train.targets.tolist() == [0] * 4 + [1] * 4
    assert source.test.targets.tolist() == [0, 1]


def test_the_folders_train_and_test_decide_the_split(tmp_path):
    write_images(tmp_path / "train", COLOUR, count=2)
    write_images(tmp_path / "test", 255 - COLOUR, classes="b", count=3)
    write_images(tmp_path / "val", GREY, classes="z", count=1)
    source = load(tmp_path)
    assert source.classes == ("a", "b")
    assert np.array_equal(source.train.inputs[0].numpy(), COLOUR.transpose(2, 0, 1))
    assert np.array_equal(source.test.inputs[0].numpy(), 255 - COLOUR.transpose(2, 0, 1))
    assert source.train.targets.tolist() == [0, 0, 1, 1]
    assert source.test.targets.tolist() == [1, 1, 1]


def test_classes_may_be_called_train_and_test(tmp_path):
    write_images(tmp_path / "train" / "..", classes=["train", "test"])
    assert load(tmp_path).classes == ("test", "train")


def test_one_colour_image_makes_all_colour_and_every_kind_of_file_is_read(tmp_path):
    write_images(tmp_path)
    Image.fromarray(COLOUR).save(tmp_path / "a" / "x.BMP")
    for suffix in ("jpg", "jpeg", "webp"):
        Image.fromarray(GREY).save(tmp_path / "b" / f"y.{suffix}")
    Image.fromarray(GREY).convert("P").save(tmp_path / "b" / "palette.png", transparency=bytes([0, 9]))
    source = load(tmp_path)
    assert source.train.inputs.shape[1:] == (3, 5, 6)
    everything = torch.cat([source.train.inputs, source.test.inputs])
    assert len(everything) == 15
    assert any(np.array_equal(image.numpy(), COLOUR.transpose(2, 0, 1)) for image in everything)


@pytest.mark.parametrize(
    ("shapes", "image_size", "expected"),
    [
        ([(64, 40), (64, 40)], None, (64, 40)),
        ([(65, 40), (65, 40)], None, (32, 32)),
        ([(8, 8), (8, 9)], None, (32, 32)),
        ([(8, 8), (8, 9)], 12, (12, 12)),
        ([(8, 8), (8, 8)], 4, (4, 4)),
    ],
)
def test_images_are_brought_to_one_size(tmp_path, shapes, image_size, expected):
    for name, shape in zip("ab", shapes, strict=True):
        write_images(tmp_path, np.full(shape, 7, np.uint8), name)
    inputs = load(tmp_path, image_size=image_size).train.inputs
    assert inputs.shape[1:] == (1, *expected)
    assert (inputs == 7).all()


def test_images_are_turned_as_their_exif_data_say(tmp_path):
    write_images(tmp_path, GREY.T.copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    for path in tmp_path.glob("*/*.png"):
        Image.fromarray(GREY).save(path, exif=exif)
    source = load(tmp_path)
    assert np.array_equal(source.train.inputs[0, 0].numpy(), np.rot90(GREY, -1))


def test_sixteen_bit_images_are_scaled_and_not_cut_off(tmp_path):
    write_images(tmp_path, GREY.astype(np.uint16) * 257)
    assert np.array_equal(load(tmp_path).train.inputs[0, 0].numpy(), GREY)


def test_hidden_files_other_files_and_links_that_leave_are_left_out(tmp_path):
    folder = write_images(tmp_path / "in")
    write_images(tmp_path / "out", 255 - GREY)
    (folder / ".cache").mkdir()
    (folder / "a" / ".hidden.png").write_text("no image")
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / "a" / "linked.png").symlink_to(tmp_path / "out" / "a" / "0.png")
    (folder / "a" / "within.png").symlink_to(folder / "b" / "0.png")
    (folder / "a" / "broken.png").symlink_to(folder / "none.png")
    (folder / "a" / "loop.png").symlink_to(folder / "a" / "loop.png")
    source = load(folder)
    assert len(source.train) + len(source.test) == 11
    assert (source.train.inputs == torch.from_numpy(GREY)).all()


def bomb() -> bytes:
    """A PNG whose header promises 20,000 by 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def whole_png(tmp_path: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    return (tmp_path / "whole.png").read_bytes()


def test_damaged_images_are_refused_by_name(refused, tmp_path):
    folder = write_images(tmp_path / "in")
    path = folder / "b" / "3.png"
    whole = whole_png(tmp_path)
    for content in (b"", b"no image", whole[:30], b"GIF89a" + bytes(50)):
        path.write_bytes(content)
        with refused(f"{path} is "):
            load(folder)
    for content in (whole[:900], whole[:200] + bytes(50) + whole[250:]):
        path.write_bytes(content)
        with refused(f"{path} is a damaged image"):
            load(folder)


def test_images_that_would_fill_the_memory_are_refused(refused, tmp_path, monkeypatch):
    folder = write_images(tmp_path)
    (folder / "a" / "2.png").write_bytes(bomb())
    with refused("2.png is too large an image to be decoded safely"):
        load(folder)
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 300_000_000
    )  # more than a half: only a warning of Pillow's
    with refused("2.png is too large an image to be decoded safely"):
        load(folder)


def test_folders_without_images_are_refused(refused, tmp_path):
    with refused("holds no folders of images: expected one folder per class"):
        load(tmp_path)
    write_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with refused(f"{tmp_path / 'empty'} holds no images (.png, .jpg, .jpeg, .webp, .bmp)", "'empty'"):
        load(tmp_path)


def test_an_image_size_below_one_is_refused(refused, tmp_path):
    with refused("image_size must be at least 1 pixel, not 0"):
        load(write_images(tmp_path), image_size=0)


# Arrays

VECTORS = np.arange(20, dtype=np.float64).reshape(10, 2)
LABELS = np.array([0, 1] * 5)


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path / "mine.npz", **arrays)
    return path / "mine.npz"


def both(source) -> np.ndarray:
    return torch.cat([source.train.inputs, source.test.inputs]).numpy()


def test_vectors_are_read_from_npz(tmp_path):
    source = load(npz(tmp_path, inputs=VECTORS, targets=LABELS, privileged=VECTORS.astype(np.int16) * 2))
    assert (source.name, source.kind, source.classes) == ("mine.npz", "vector", ("0", "1"))
    assert source.train.inputs.dtype == source.train.privileged.dtype == torch.float32
    assert sorted(both(source)[:, 0].tolist()) == VECTORS[:, 0].tolist()
    assert torch.equal(source.train.privileged, source.train.inputs * 2)
    assert torch.equal(source.test.privileged, source.test.inputs * 2)
    assert torch.equal(source.train.targets, source.train.inputs[:, 0].long() // 2 % 2)


def test_npz_may_give_its_own_test_part_and_text_labels(tmp_path):
    file = npz(
        tmp_path, x=VECTORS, y=np.array(["no", "yes"] * 5), test_x=VECTORS[:3] + 1, test_y=["no", "yes", "no"]
    )
    with np.load(file) as archive:
        held = dict(archive)
    names = {"test_x": "test_inputs", "test_y": "test_targets"}
    source = load(npz(tmp_path, **{names.get(key, key): array for key, array in held.items()}))
    assert source.classes == ("no", "yes")
    assert np.array_equal(source.train.inputs.numpy(), VECTORS)
    assert np.array_equal(source.test.inputs.numpy(), VECTORS[:3] + 1)
    assert source.test.targets.tolist() == [0, 1, 0]
    assert source.train.privileged is None


@pytest.mark.parametrize("order", ["big-endian", "fortran", "bool"])
def test_unusual_layouts_of_vectors_are_read(tmp_path, order):
    inputs = {
        "big-endian": VECTORS.astype(">f4"),
        "fortran": np.asfortranarray(VECTORS),
        "bool": VECTORS > 3,
    }[order]
    source = load(
        npz(tmp_path, inputs=inputs, targets=LABELS.astype(">i2"), test_inputs=inputs, test_targets=LABELS)
    )
    assert np.array_equal(source.train.inputs.numpy(), inputs.astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7, 6), (1, 7, 6)),
        ((7, 6, 1), (1, 7, 6)),
        ((7, 6, 3), (3, 7, 6)),
        ((1, 7, 6), (1, 7, 6)),
        ((3, 7, 6),) * 2,
    ],
)
@pytest.mark.parametrize("floating", [True, False])
def test_images_are_read_from_npz(tmp_path, shape, expected, floating):
    images = np.random.default_rng(0).integers(0, 256, (10, *shape), np.uint8)
    stored = (images / 255).astype(np.float32) if floating else images
    source = load(
        npz(tmp_path, inputs=stored, targets=LABELS, test_inputs=stored[:2], test_targets=LABELS[:2])
    )
    assert source.kind == "image"
    assert source.train.inputs.dtype == torch.uint8
    planes = images.transpose(0, 3, 1, 2) if shape[-1] in (1, 3) else images
    assert np.array_equal(source.train.inputs.numpy(), planes.reshape(10, *expected))
    assert source.test.inputs.shape == (2, *expected)


NAN, HUGE = VECTORS.copy(), VECTORS.copy()
NAN[3, 1] = np.nan
HUGE[4, 0] = 1e300
IMAGES = np.zeros((10, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"targets": LABELS}, "mine.npz holds no array 'inputs': what it holds is 'targets'"),
        ({"inputs": VECTORS}, "mine.npz holds no array 'targets'"),
        ({"inputs": VECTORS, "x": VECTORS, "y": LABELS}, "mine.npz holds both 'inputs' and 'x'"),
        ({"x": VECTORS, "y": LABELS, "z": LABELS}, "mine.npz: unknown array 'z': the known names are"),
        ({"x": VECTORS, "y": LABELS[:9]}, "x has shape (10, 2) but y (9,): unequal lengths"),
        ({"x": VECTORS, "y": LABELS, "privileged": VECTORS[:9]}, "but privileged (9, 2): unequal lengths"),
        (
            {"x": VECTORS, "y": np.eye(10)},
            "mine.npz: y must be integers or text of shape (N,), not float64 (10, 10)",
        ),
        ({"x": VECTORS, "y": LABELS * 0.5}, "y must be integers or text of shape (N,), not float64 (10,)"),
        (
            {"x": VECTORS[:, 0], "y": LABELS},
            "x must be numbers of shape (N, F), or images, not float64 (10,)",
        ),
        ({"x": VECTORS * 1j, "y": LABELS}, "not complex128 (10, 2)"),
        ({"x": VECTORS[:, :0], "y": LABELS}, "not float64 (10, 0)"),
        ({"x": np.array(5), "y": LABELS}, "unequal lengths"),
        ({"x": NAN, "y": LABELS}, "mine.npz: x holds NaN in row 4, column 2 (counted from 1)"),
        (
            {"x": HUGE, "y": LABELS},
            "x holds an infinite value (or one too large for float32) in row 5, column 1",
        ),
        ({"x": VECTORS, "y": LABELS, "privileged": NAN}, "privileged holds NaN in row 4, column 2"),
        ({"x": VECTORS[:0], "y": LABELS[:0]}, "mine.npz: the training part has no examples"),
        ({"x": IMAGES.astype(int), "y": LABELS}, "neither uint8 nor numbers from 0 to 1, but int64"),
        ({"x": IMAGES + 1.5, "y": LABELS}, "neither uint8 nor numbers from 0 to 1, but float64"),
        ({"x": IMAGES * np.nan, "y": LABELS}, "neither uint8 nor numbers from 0 to 1"),
        (
            {"x": np.zeros((10, 4, 4, 2), np.uint8), "y": LABELS},
            "none of the axes is the one of 1 or 3 colours",
        ),
        ({"x": np.zeros((10, 3, 4, 3), np.uint8), "y": LABELS}, "it is not clear which axis is the one of"),
        ({"x": IMAGES[:, :0], "y": LABELS}, "holds images without pixels: (10, 1, 0, 4)"),
        ({"x": VECTORS, "y": LABELS, "test_inputs": VECTORS}, "holds no array 'test_targets'"),
        ({"x": VECTORS, "y": LABELS, "test_privileged": VECTORS}, "holds no array 'test_inputs'"),
        (
            {"x": VECTORS, "y": LABELS, "test_inputs": IMAGES, "test_targets": LABELS},
            "mine.npz: test_inputs holds images of shape (1, 4, 4), but inputs vectors of shape (2,)",
        ),
        (
            {
                "x": VECTORS,
                "y": LABELS,
                "privileged": VECTORS,
                "test_inputs": VECTORS,
                "test_targets": LABELS,
            },
            "privileged has 2 columns but test_privileged has no array",
        ),
        (
            {"x": VECTORS, "y": LABELS, "test_inputs": VECTORS, "test_targets": LABELS.astype(str)},
            "of targets and test_targets one holds text and the other numbers",
        ),
    ],
)
def test_npz_files_that_do_not_fit_are_refused(refused, tmp_path, arrays, message):
    with refused(message):
        load(npz(tmp_path, **arrays))


def test_damaged_npz_files_are_refused(refused, tmp_path):
    path = npz(tmp_path, x=VECTORS, y=LABELS)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:100]):
        path.write_bytes(content)
        with refused("mine.npz is not an .npz file: it is damaged, or something else under that name"):
            load(path)
    path.write_bytes(whole[:150] + b"\xff" * 20 + whole[170:])
    with refused("mine.npz is damaged: "):
        load(path)
    huge = whole.replace(b"(10, 2)", b"(9**9,2)"[:7])
    path.write_bytes(huge)
    with refused("mine.npz is damaged: "):
        load(path)


class Boom:
    def __reduce__(self):
        return os.abort, ()


def test_pickled_objects_are_refused_and_never_run(refused, tmp_path):
    path = npz(tmp_path, x=VECTORS, y=np.array([Boom()] * 10, dtype=object))
    with refused("mine.npz holds pickled objects, which are never read: save numbers or text"):
        load(path)


# Tables

TABLE = {
    "age": [1.5, 2.0, 3.0, 4.0, 5.0, 6.0],
    "city": ["Oslo", "Rome", "Oslo", None, "Rome", "Bern"],
    "member": [True, False, True, True, False, False],
    "later": [10, 20, 30, 40, 50, 60],
    "kind": ["x", "y", "x", "y", "x", "y"],
    "split": ["train", "train", "train", "train", "test", "test"],
}


def write_table(tmp_path: Path, suffix: str = ".csv", **change: list[object] | None) -> Path:
    columns = {name: values for name, values in (TABLE | change).items() if values is not None}
    path = tmp_path / f"people[1]*{suffix}"
    frame = pl.DataFrame(columns, strict=False)
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_with_text_as_one_column_per_value(tmp_path, suffix):
    source = load(write_table(tmp_path, suffix), target="kind", privileged=("later",))
    assert (source.name, source.kind, source.classes) == (f"people[1]*{suffix}", "vector", ("x", "y"))
    assert source.columns == ("age", "city=Oslo", "city=Rome", "member")
    assert source.train.inputs.dtype == torch.float32
    assert source.train.inputs.tolist() == [[1.5, 1, 0, 1], [2, 0, 1, 0], [3, 1, 0, 1], [4, 0, 0, 1]]
    # Bern is not in the training part: no column is made for it.
    assert source.test.inputs.tolist() == [[5, 0, 1, 0], [6, 0, 0, 0]]
    assert source.train.privileged.tolist() == [[10], [20], [30], [40]]
    assert source.test.privileged.tolist() == [[50], [60]]
    assert source.train.targets.tolist() == [0, 1, 0, 1]


def test_without_a_column_split_a_fixed_fifth_is_the_test_part(tmp_path):
    source = load(write_table(tmp_path, city=None, split=None), target="kind")
    assert (len(source.train), len(source.test)) == (4, 2)
    assert source.columns == ("age", "member", "later")
    assert sorted(both(source)[:, 2].tolist()) == TABLE["later"]


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ([3, 11, 3, 11, 3, 11], ("3", "11")),
        ([True, False] * 3, ("False", "True")),
        (["10", "x"] * 3, ("10", "x")),
    ],
)
def test_labels_may_be_integers_truth_values_or_text(tmp_path, kind, classes):
    source = load(write_table(tmp_path, kind=kind), target="kind")
    assert source.classes == classes
    assert source.test.targets.tolist() == [classes.index(str(value)) for value in kind[4:]]


def test_a_column_split_may_be_the_target(tmp_path):
    assert load(write_table(tmp_path, kind=None), target="split").classes == ("test", "train")


def test_categories_and_decimals_of_parquet_are_read(tmp_path):
    path = write_table(tmp_path, ".parquet", split=None)
    frame = pl.read_parquet(path, glob=False).with_columns(
        pl.col("city").cast(pl.Categorical),
        pl.col("later").cast(pl.Decimal(10, 2)),
        pl.col("kind").cast(pl.Categorical),
    )
    frame.write_parquet(path)
    source = load(path, target="kind")
    assert source.classes == ("x", "y")
    assert sorted(both(source)[:, -1].tolist()) == TABLE["later"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {},
            {},
            "is a table: name its column of labels with --target; its columns are 'age', 'city', 'member'",
        ),
        (
            {},
            {"target": "Kind"},
            "has no column 'Kind': its columns are 'age', 'city', 'member', 'later', 'kind'",
        ),
        ({}, {"target": "kind", "privileged": ("z",)}, "has no column 'z': its columns are"),
        ({}, {"target": "kind", "privileged": ("kind",)}, "column 'kind' can be only one of: the target, or"),
        ({}, {"target": "kind", "privileged": ("age", "age")}, "column 'age' can be only one of"),
        (
            {"city": None, "member": None, "later": None},
            {"target": "kind", "privileged": ("age",)},
            "has no columns left for the inputs besides 'kind', 'age'",
        ),
        ({"age": [1, 2, None, 4, None, 6]}, {"target": "kind"}, "column 'age' has no value in row 3"),
        ({"age": [1.0, 2, 3, float("nan"), 5, 6]}, {"target": "kind"}, "column 'age' holds NaN in row 4"),
        (
            {"age": [1.0, 2, 3, 4, 5, float("-inf")]},
            {"target": "kind"},
            "column 'age' holds an infinite value",
        ),
        ({"age": [1.0, 1e300, 3, 4, 5, 6]}, {"target": "kind"}, "too large for float32) in row 2 (counted"),
        (
            {"later": [1.0, None, 3, 4, 5, 6]},
            {"target": "kind", "privileged": ("later",)},
            "column 'later' has no value in row 2",
        ),
        (
            {"kind": ["x", "y", None, "y", "x", "y"]},
            {"target": "kind"},
            "column 'kind' has no value in row 3",
        ),
        ({}, {"target": "age"}, "column 'age' is the target and must hold text or integers, not Float64"),
        (
            {"split": ["train"] * 5 + ["val"]},
            {"target": "kind"},
            "column 'split' holds 'val' in row 6: it must hold",
        ),
        ({"split": ["train"] * 5 + [None]}, {"target": "kind"}, "column 'split' has no value in row 6"),
        ({"split": [0, 0, 0, 0, 1, 1]}, {"target": "kind"}, "column 'split' holds '0' in row 1"),
        ({"split": ["train"] * 6}, {"target": "kind"}, "column 'split' holds 'test' in no row"),
        (
            {"split": ["test"] * 6},
            {"target": "kind", "privileged": ("later",)},
            "column 'split' holds 'train' in no row",
        ),
        (
            {"city": [None] * 4 + ["a", "b"]},
            {"target": "kind"},
            "column 'city' has no value in any row for training",
        ),
        (
            {"kind": ["x", "x", "x", "x", "y", "y"]},
            {"target": "kind"},
            "class 'y' is in the test part but not",
        ),
        ({"kind": ["x"] * 6}, {"target": "kind"}, "all 6 examples are of the class 'x'"),
        ({"kind": ["x"] * 5 + ["y"], "split": None}, {"target": "kind"}, "class 'y' has only one example"),
        (
            {"age": [datetime.date(2020, 1, day) for day in range(1, 7)]},
            {"target": "kind"},
            "column 'age' holds Date, of which no numbers can be made: convert it or leave it out",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_that_do_not_fit_are_refused(refused, tmp_path, suffix, change, options, message):
    with refused(f"people[1]*{suffix}" if "only one of" not in message else "", message):
        load(write_table(tmp_path, suffix, **change), **options)


def test_text_of_too_many_values_is_refused(refused, tmp_path):
    names = [f"person{number}" for number in range(120)]
    path = tmp_path / "t.csv"
    pl.DataFrame({"name": names[:50] * 10, "y": [0, 1] * 250}).write_csv(path)
    assert load(path, target="y").train.inputs.shape[1] == 50
    pl.DataFrame({"name": names, "y": [0, 1] * 60}).write_csv(path)
    with refused(
        "column 'name' is text with 96 different values ('person", "and 93 more): at most 50 can be"
    ):
        load(path, target="y")


def test_nested_columns_are_refused(refused, tmp_path):
    with refused("column 'age' holds List(Int64), of which no numbers can be made"):
        load(write_table(tmp_path, ".parquet", age=[[1, 2]] * 6), target="kind")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv is empty"),
        (b"a,y\n", "t.csv has no rows"),
        (b"a,y,a\n1,2,3\n", "t.csv has more than one column 'a'"),
        (b"a,y\n1,2\n1,2,3\n", "t.csv cannot be read as a .csv table: "),
        (b"a,y\n\xff\xfe,2\n", "t.csv cannot be read as a .csv table: "),
        (b"a;y\n1;2\n", "t.csv has no column 'y': its columns are 'a;y'"),
        (b'a,y\n"open,2\n', "t.csv "),
    ],
)
def test_malformed_csv_files_are_refused(refused, tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with refused(message):
        load(tmp_path / "t.csv", target="y")


def test_a_byte_order_mark_does_not_belong_to_the_first_name(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfy,a\r\n0,1\r\n1,2\r\n0,3\r\n1,4\r\n")
    assert load(tmp_path / "t.csv", target="y").columns == ("a",)


def test_malformed_parquet_files_are_refused(refused, tmp_path):
    path = write_table(tmp_path, ".parquet")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (b"", b"PAR1", whole[:-20], whole[:middle] + b"\xff" * 30 + whole[middle + 30 :]):
        path.write_bytes(content)
        with refused("people[1]*.parquet"):
            load(path, target="kind")


def test_a_panic_of_polars_is_a_damaged_file(refused, tmp_path, monkeypatch):
    def panic(_: object) -> None:
        raise pl.exceptions.PanicException("called unwrap\nat a line")

    path = write_table(tmp_path, ".parquet")
    monkeypatch.setattr(pl, "read_parquet", panic)
    with refused("cannot be read as a .parquet table: called unwrap"):
        load(path, target="kind")


def test_a_table_that_is_a_folder_is_no_table(refused, tmp_path):
    (tmp_path / "t.csv").mkdir()
    with refused("holds no folders of images"):
        load(tmp_path / "t.csv")
