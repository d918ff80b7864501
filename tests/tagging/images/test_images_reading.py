"""Images read safely, of every kind, and what img2dataset leaves behind."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from kdgan.tagging.images.reading import downloaded, read_image
from support import refused

QUARTERS = np.zeros((60, 60, 3), np.uint8)
QUARTERS[:30, :30], QUARTERS[:30, 30:] = (250, 10, 10), (10, 240, 10)
QUARTERS[30:, :30], QUARTERS[30:, 30:] = (10, 10, 230), (200, 200, 20)
CORNERS = [(2, 2), (2, -3), (-3, 2), (-3, -3)]


def corners(pixels: np.ndarray) -> np.ndarray:
    """Colours near the four corners of `(3, H, W)`."""
    return np.array([pixels[:, row, column] for row, column in CORNERS], int)


TRUE = corners(QUARTERS.transpose(2, 0, 1))


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95, "subsampling": 0}),
        ("a.jpeg", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.webp", {"quality": 95}),
        ("a.bmp", {}),
    ],
)
@pytest.mark.parametrize("size", [20, 60, 100])
def test_every_kind_of_file_is_read(tmp_path, name, options, size):
    pixels = read_image(saved(tmp_path / name, Image.fromarray(QUARTERS), **options), size)
    assert pixels.shape == (3, size, size)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.abs(corners(pixels) - TRUE).max() < 25


def test_an_image_of_the_size_asked_for_is_not_changed(tmp_path):
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(QUARTERS)), 60)
    assert np.array_equal(pixels, QUARTERS.transpose(2, 0, 1))


@pytest.mark.parametrize("turns", [0, 1])
def test_the_square_in_the_middle_is_taken(tmp_path, turns):
    wide = np.zeros((60, 160, 3), np.uint8)
    wide[:, 50:110] = np.rot90(QUARTERS, -turns)
    pixels = read_image(saved(tmp_path / "a.png", Image.fromarray(np.rot90(wide, turns))), 60)
    assert np.array_equal(pixels, QUARTERS.transpose(2, 0, 1))


def test_a_large_photo_looks_the_same_as_a_small_one(tmp_path):
    large = Image.fromarray(QUARTERS).resize((1200, 1200), Image.Resampling.NEAREST)
    pixels = read_image(saved(tmp_path / "a.jpg", large, quality=95), 30)
    assert np.abs(corners(pixels) - TRUE).max() < 10


# For each EXIF orientation, how the stored image must be turned to be upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_images_are_rotated_as_their_exif_data_say(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.pad(QUARTERS, ((0, 0), (20, 20), (0, 0))))
    pixels = read_image(saved(tmp_path / f"a.{kind}", stored, exif=exif, quality=95), 60)
    expected = np.asarray(Image.fromarray(QUARTERS).transpose(UPRIGHT[orientation])).transpose(2, 0, 1)
    assert np.abs(corners(pixels) - corners(expected)).max() < 25


def test_cmyk_and_palettes_become_rgb(tmp_path):
    plain = Image.fromarray(QUARTERS)
    cmyk = read_image(saved(tmp_path / "a.jpg", plain.convert("CMYK"), quality=95, subsampling=0), 60)
    assert np.abs(corners(cmyk) - TRUE).max() < 40
    palette = read_image(saved(tmp_path / "a.png", plain.quantize(16)), 60)
    assert np.abs(corners(palette) - TRUE).max() < 10


def test_grey_of_any_depth_becomes_rgb(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    eight = read_image(saved(tmp_path / "8.png", Image.fromarray(ramp)), 16)
    sixteen = read_image(saved(tmp_path / "16.png", Image.fromarray(ramp.astype(np.uint16) * 257)), 16)
    one = read_image(saved(tmp_path / "1.png", Image.fromarray(ramp > 127)), 16)
    assert np.array_equal(eight, [ramp] * 3)
    assert np.array_equal(sixteen, eight)
    assert np.array_equal(one, (eight > 127) * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    if mode == "RGB":
        image, options = Image.new("RGB", (40, 40), (1, 2, 3)), {"transparency": (1, 2, 3)}
    elif mode == "P":
        image, options = Image.new("P", (40, 40), 0), {"transparency": b"\x00"}
    else:
        image, options = Image.new(mode, (40, 40), 0), {}
    assert (read_image(saved(tmp_path / "a.png", image, **options), 20) == 255).all()


def test_what_is_half_transparent_is_half_white(tmp_path):
    path = saved(tmp_path / "a.webp", Image.new("RGBA", (40, 40), (0, 0, 100, 128)), lossless=True)
    assert np.abs(read_image(path, 40)[:, 20, 20].astype(int) - (127, 127, 177)).max() <= 1


def test_files_that_are_no_images_are_refused(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no image\n" * 100)
    with refused("text.jpg", "not an image", "JPEG"):
        read_image(text, 32)
    (tmp_path / "empty.png").touch()
    with refused("empty.png", "not an image"):
        read_image(tmp_path / "empty.png", 32)
    with refused("cannot read", "none.jpg", "No such file"):
        read_image(tmp_path / "none.jpg", 32)
    with refused("cannot read", tmp_path, "directory"):
        read_image(tmp_path, 32)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_images_that_were_cut_short_are_refused(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    path = saved(tmp_path / f"a.{kind}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with refused(path):
        read_image(path, 32)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_500, 12_000, 60_000])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with refused("bomb.png", "pixels", "smaller"):
        read_image(path, 32)


def test_the_most_pixels_can_be_set(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(QUARTERS))
    read_image(path, 32, most_pixels=3600)
    with refused("60x60", "3,599"):
        read_image(path, 32, most_pixels=3599)


def test_odd_exif_data_do_not_matter(tmp_path):
    path = saved(
        tmp_path / "a.jpg", Image.fromarray(QUARTERS), exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"
    )
    assert read_image(path, 32).shape == (3, 32, 32)


def test_of_an_animation_the_first_picture_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert read_image(tmp_path / "a.webp", 4)[:, 0, 0].tolist() == [255, 0, 0]


# What img2dataset leaves behind


def test_downloaded_images_are_found_by_their_photo(tmp_path):
    rows = {"photo": ["7", "8", "9"], "key": ["000000000", "000000001", "000000002"]}
    table = pl.DataFrame(rows | {"status": ["success", "failed_to_download", "success"]})
    table.write_parquet(tmp_path / "00000.parquet")
    (tmp_path / "00000").mkdir()
    image = saved(tmp_path / "00000" / "000000000.jpg", Image.fromarray(QUARTERS))
    assert downloaded(tmp_path) == {"7": image}


def test_folders_without_downloads_are_refused(tmp_path):
    with refused("no images", tmp_path):
        downloaded(tmp_path)
    pl.DataFrame({"url": ["x"]}).write_parquet(tmp_path / "00000.parquet")
    with refused("00000.parquet", "photo"):
        downloaded(tmp_path)


@pytest.mark.parametrize("garbage", [b"garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(99)), b""])
def test_exif_data_of_no_known_form_say_nothing(tmp_path, garbage):
    path = tmp_path / "image.png"
    Image.new("RGB", (4, 2), (10, 20, 30)).save(path, exif=garbage)
    assert (read_image(path, 2) == np.array([10, 20, 30])[:, None, None]).all()


def test_pipes_and_devices_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with refused(path, "a device or a pipe"):
            read_image(path, 2)


def test_a_key_of_a_download_names_no_file_elsewhere(tmp_path):
    folder = tmp_path / "images"
    (folder / "00000").mkdir(parents=True)
    for place in (tmp_path / "secret.png", folder / "00000" / "0.png"):
        Image.new("RGB", (2, 2)).save(place)
    keys = ["../../secret", "0", "9" * 400, "\x00"]
    frame = pl.DataFrame({"photo": [1, 2, 3, 4], "key": keys, "status": ["success"] * 4})
    frame.write_parquet(folder / "00000.parquet")
    assert downloaded(folder) == {"2": folder / "00000" / "0.png"}
    for column, values in (("status", [1.5] * 4), ("photo", [["a"]] * 4), ("key", [None] * 4)):
        frame.with_columns(pl.Series(column, values)).write_parquet(folder / "00000.parquet")
        with refused("no table of img2dataset", repr(column)):
            downloaded(folder)
