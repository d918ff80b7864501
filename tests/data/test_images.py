"""Images of any kind as pixels of one form."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdgan.data.images import MOST_PIXELS, ImageReader, opened
from support import refused

GREY = np.random.default_rng(0).integers(0, 256, (9, 7), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
EXACT = ImageReader("RGB", 9, 7)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_kinds_without_loss_give_the_pixels(kind: str) -> None:
    content = saved(Image.fromarray(COLOUR), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(EXACT.pixels(content), COLOUR.transpose(2, 0, 1))


def test_the_first_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (7, 9), colour) for colour in ("red", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert EXACT.pixels(content)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_path_its_content_pillow_and_pixels_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(COLOUR).resize((40, 50)).save(path)
    reader = ImageReader("L", 12, 10)
    pixels = np.asarray(Image.open(path))
    forms: list[Any] = [
        path,
        str(path),
        path.read_bytes(),
        Image.open(path),
        pixels,
        pixels.transpose(2, 0, 1),
    ]
    forms += [torch.from_numpy(pixels.copy()), pixels / 255.0, torch.from_numpy(pixels / 255.0).float()]
    found = reader.read(forms)
    assert found.shape == (9, 1, 12, 10)
    assert found.dtype == torch.uint8
    assert all(torch.equal(each, found[0]) for each in found)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int) -> None:
    """The eight images that a camera writes of one scene, each with what it says of how it was held."""
    scene = Image.fromarray(COLOUR)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    written = scene if orientation == 1 else scene.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(EXACT.pixels(saved(written, "PNG", exif=exif)), COLOUR.transpose(2, 0, 1))


def test_what_is_transparent_lies_on_white() -> None:
    clear = Image.fromarray(np.dstack([COLOUR, np.zeros((9, 7), np.uint8)]))
    assert (EXACT.pixels(saved(clear, "PNG")) == 255).all()
    palette = Image.new("P", (7, 9), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert (EXACT.pixels(saved(palette, "GIF", transparency=0)) == 255).all()
    half = Image.new("LA", (7, 9), (0, 128))
    assert (EXACT.pixels(saved(half, "PNG")) == 127).all()


def test_a_grey_of_sixteen_bits_that_cannot_be_seen_is_white() -> None:
    """And its neighbour, which eight bits do not tell from it, is black."""
    grey = np.array([[0, 1, 257], [0, 65535, 0]], np.uint16)
    header = struct.pack(">IIBBBBB", 3, 2, 16, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey)
    chunks = {b"IHDR": header, b"tRNS": b"\0\0", b"IDAT": zlib.compress(rows), b"IEND": b""}
    file = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks.items():
        file += struct.pack(">I", len(content)) + name + content
        file += struct.pack(">I", zlib.crc32(name + content))
    assert ImageReader("L", 2, 3).pixels(file).tolist() == [[[255, 0, 1], [255, 255, 255]]]


def test_sixteen_bits_are_scaled() -> None:
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    reader = ImageReader("L", 9, 7)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(reader.pixels(saved(Image.fromarray(deep), kind))[0], GREY)


def test_cmyk_is_seen_as_colours() -> None:
    red = Image.new("CMYK", (7, 9), (0, 255, 255, 0))
    assert EXACT.pixels(saved(red, "TIFF"))[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (b"", ("image is not an image",)),
        (b"no image", ("not an image of the kinds", "'PNG'")),
        (saved(Image.fromarray(COLOUR), "PNG")[:60], ("damaged",)),
        (saved(Image.fromarray(GREY / np.float32(255)), "TIFF"), ("real numbers",)),
        (Path("nowhere.png"), ("nowhere.png", "No such file")),
        ("nowhere.png", ("nowhere.png",)),
        (np.zeros((2, 2, 2), np.uint8), ("(2, 2, 2)",)),
        (np.zeros((0, 2), np.uint8), ("(0, 2)",)),
        (np.full((2, 2), 300), ("int64", "bytes")),
        (np.full((2, 2), np.nan), ("0 to 1",)),
        (np.full((2, 2), 1.5), ("0 to 1",)),
        (torch.zeros(2), ("(2,)",)),
    ],
    ids=range(12),
)
def test_what_is_no_image_is_refused_in_one_line(image: Any, parts: tuple[str, ...]) -> None:
    with refused(*parts):
        EXACT.pixels(image)


def test_an_image_that_would_fill_the_memory_is_refused_by_its_header() -> None:
    side = int(MOST_PIXELS**0.5) + 1
    content = bytearray(saved(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = side.to_bytes(4, "big") * 2  # width and height, whose checksum is not looked at before
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with refused("pixels", "make it smaller"), opened(bytes(content), "photo"):
        pass
    with refused("pixels", "make it smaller"):
        EXACT.pixels(Image.new("1", (side, side)))


@pytest.mark.parametrize(("mode", "height"), [("CMYK", 3), ("L", 0), ("RGB", 10**6)])
def test_a_form_that_makes_no_sense(mode: Any, height: int) -> None:
    with refused("images cannot be brought to"):
        ImageReader(mode, height, 3)


def test_a_picture_like_a_thread_takes_no_more_memory_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 2), dtype=np.uint8)
    reader = ImageReader("L", 6, 40)
    expected = reader.pixels(pixels)
    made: list[int] = []
    resize = Image.Image.resize

    def counted(image: Image.Image, size: tuple[int, int], *rest: Any) -> Image.Image:
        made.append(image.height * size[0])  # what Pillow makes in between
        return resize(image, size, *rest)

    monkeypatch.setattr(Image.Image, "resize", counted)
    monkeypatch.setattr("kdgan.data.images.MOST_PIXELS", 10_000)
    found = reader.pixels(pixels)
    assert max(made) <= 10_000 < 3000 * 40
    # The one order of rounding or the other.
    assert np.abs(found.astype(int) - expected).max() <= 1
