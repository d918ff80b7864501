"""Folders of images of one's own."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdgan.data.reading import load
from support import refused

GREY = np.arange(5 * 6, dtype=np.uint8).reshape(5, 6) * 8
COLOUR = np.stack([GREY, GREY + 1, 255 - GREY], axis=-1)


def write_images(folder: Path, pixels: np.ndarray = GREY, classes: str = "ab", count: int = 5) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_small_grey_images_of_one_size_stay_as_they_are(tmp_path: Path) -> None:
    source = load(write_images(tmp_path / "pets"))
    assert (source.name, source.kind, source.classes) == ("pets", "image", ("a", "b"))
    assert source.train.inputs.dtype == torch.uint8
    assert np.array_equal(source.train.inputs.numpy(), np.stack([GREY[None]] * 8))
    assert source.train.targets.tolist() == [0] * 4 + [1] * 4
    assert source.test.targets.tolist() == [0, 1]


def test_the_folders_train_and_test_decide_the_split(tmp_path: Path) -> None:
    write_images(tmp_path / "train", COLOUR, count=2)
    write_images(tmp_path / "test", 255 - COLOUR, classes="b", count=3)
    write_images(tmp_path / "Val", COLOUR // 2, classes="a", count=1)
    write_images(tmp_path / "more", GREY, classes="z", count=1)
    source = load(tmp_path)
    assert source.validation is not None
    assert np.array_equal(source.validation.inputs[0].numpy(), COLOUR.transpose(2, 0, 1) // 2)
    assert source.classes == ("a", "b")
    assert np.array_equal(source.train.inputs[0].numpy(), COLOUR.transpose(2, 0, 1))
    assert np.array_equal(source.test.inputs[0].numpy(), 255 - COLOUR.transpose(2, 0, 1))
    assert source.train.targets.tolist() == [0, 0, 1, 1]
    assert source.test.targets.tolist() == [1, 1, 1]


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "..", classes=["train", "test"])
    assert load(tmp_path).classes == ("test", "train")


def test_one_colour_image_makes_all_colour_and_every_kind_of_file_is_read(tmp_path: Path) -> None:
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
def test_images_are_brought_to_one_size(
    tmp_path: Path, shapes: list[tuple[int, int]], image_size: int | None, expected: tuple[int, ...]
) -> None:
    for name, shape in zip("ab", shapes, strict=True):
        write_images(tmp_path, np.full(shape, 7, np.uint8), name)
    inputs = load(tmp_path, image_size=image_size).train.inputs
    assert inputs.shape[1:] == (1, *expected)
    assert (inputs == 7).all()


def test_images_are_turned_as_their_exif_data_say(tmp_path: Path) -> None:
    write_images(tmp_path, GREY.T.copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    for path in tmp_path.glob("*/*.png"):
        Image.fromarray(GREY).save(path, exif=exif)
    source = load(tmp_path)
    assert np.array_equal(source.train.inputs[0, 0].numpy(), np.rot90(GREY, -1))


def test_sixteen_bit_images_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    write_images(tmp_path, GREY.astype(np.uint16) * 257)
    assert np.array_equal(load(tmp_path).train.inputs[0, 0].numpy(), GREY)


def test_hidden_files_other_files_and_links_that_leave_are_left_out(tmp_path: Path) -> None:
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


def test_damaged_images_are_refused_by_name(tmp_path: Path) -> None:
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


def test_images_that_would_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_images(tmp_path)
    (folder / "a" / "2.png").write_bytes(bomb())
    with refused("2.png has", "pixels", "make it smaller"):
        load(folder)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300_000_000)  # of which Pillow only warns
    with refused("2.png has", "pixels", "make it smaller"):
        load(folder)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with refused(
        "holds no folders of images (.png, .jpg, .jpeg, .webp, .bmp, .gif, .tif, .tiff): expected one folder per class"
    ):
        load(tmp_path)


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    write_images(tmp_path, np.zeros((70, 80), np.uint8), count=5)
    for name in ("empty", "__MACOSX"):
        (tmp_path / name).mkdir()
    for name in ("x.svg", "y.svg", "notes.txt"):
        (tmp_path / "a" / name).touch()
    source = load(tmp_path)
    assert source.classes == ("a", "b")
    assert source.notes == (
        "13 files: 10 images read, 3 skipped (2 .svg, 1 .txt); resized to 32×32",
        "classes without images are left out: 'empty'",
        "2 of 2 test examples are among the training ones, too",
    )


def test_damaged_images_are_left_out_where_that_is_wanted(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "in")
    whole = whole_png(tmp_path)
    (folder / "a" / "1.png").write_bytes(b"no image")
    for number in (2, 3):  # in the training and in the test part
        (folder / "b" / f"{number}.png").write_bytes(whole[:900])
    with refused("is not an image", "--skip-damaged leaves such files out"):
        load(folder)
    source = load(folder, skip_damaged=True)
    assert len(source.train) + len(source.test) == 7
    assert "10 files: 7 images read, 3 damaged ones skipped" in source.notes[0]


def test_validation_beside_training_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "train", COLOUR)
    write_images(tmp_path / "val", GREY, count=2)
    source = load(tmp_path)
    assert source.validation is not None
    assert [len(part) for part in (source.train, source.test, source.validation)] == [8, 2, 4]


def test_an_image_size_below_one_is_refused(tmp_path: Path) -> None:
    with refused("image_size must be from 1 to 4,096 pixels, not 0"):
        load(write_images(tmp_path), image_size=0)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    """A black line on a transparent background, of which files keep black pixels."""
    drawn = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (0, 0, 8, 2))
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(3):
            file = tmp_path / label / f"{number}.png"
            if mode == "P":
                flat = Image.new("P", (8, 8), 1)
                flat.putpalette([0, 0, 0, 0, 0, 0])
                flat.paste(0, (0, 0, 8, 2))
                flat.save(file, transparency=1)
            else:
                drawn.convert(mode).save(file)
    pixels = load(tmp_path).train.inputs
    assert (pixels[:, :, :2] == 0).all()
    assert (pixels[:, :, 2:] == 255).all()


def test_names_that_differ_in_case_alone_are_all_read(tmp_path: Path) -> None:
    for label in ("Cat", "cat"):
        (tmp_path / label).mkdir()
        for name in ("IMG1.PNG", "img1.png", "2.png"):
            Image.new("L", (4, 4), 9).save(tmp_path / label / name)
    found = load(tmp_path)
    assert found.classes == ("Cat", "cat")
    assert len(found.train) + len(found.test) == 6


def test_images_beside_the_classes_are_counted(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.fromarray(GREY).save(tmp_path / "loose.png")
    assert load(tmp_path).notes[0] == "11 files: 10 images read, 1 skipped (1 images beside the classes)"


def test_an_image_beside_the_classes_of_a_part_makes_the_part_no_class(tmp_path: Path) -> None:
    """Or else a network would learn to tell train from test."""
    for part, count in (("train", 4), ("test", 2)):
        write_images(tmp_path / part, count=count)
        for number in range(5):
            Image.fromarray(GREY).save(tmp_path / part / f"loose{number}.png")
    source = load(tmp_path)
    assert source.classes == ("a", "b")
    assert (len(source.train), len(source.test)) == (8, 4)
    assert source.notes[:2] == (
        "22 files: 12 images read, 10 skipped (10 images beside the classes)",
        "parts: test for test, train for train",
    )


def test_files_of_several_images_are_said(tmp_path: Path) -> None:
    write_images(tmp_path)
    frames = [Image.fromarray(np.full((5, 6), 50 * number, np.uint8)) for number in range(3)]
    for name in ("moves.gif", "pages.tiff"):
        frames[0].save(tmp_path / "a" / name, save_all=True, append_images=frames[1:])
    source = load(tmp_path)
    assert source.notes[0] == "12 files: 12 images read"
    assert source.notes[1] == "of 2 files that hold several images the first is read"
    firsts = [image for part in (source.train, source.test) for image in part.inputs if (image == 0).all()]
    assert len(firsts) == 2


def test_a_folder_of_which_nothing_can_be_read_says_so(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"no")
    with refused("no image for training that can be read"):
        load(tmp_path, skip_damaged=True)


def test_what_has_the_name_of_an_image_and_is_no_file_is_counted_as_such(tmp_path: Path) -> None:
    write_images(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "out.png").symlink_to("/dev/zero")
    (note,) = load(tmp_path).notes[:1]
    assert "2 skipped (1 links that lead out, 1 no files)" in note
