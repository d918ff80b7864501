"""Photos of any origin as pixels of one size, read safely; and where img2dataset has put them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kdgan.data.folder import FORMATS
from kdgan.data.source import listing, unreadable
from kdgan.errors import UsageError, wrong
from kdgan.tagging.files import check_regular
from kdgan.tagging.tables import identifiers, read_parquet

MOST_PIXELS = 89_478_485  # where Pillow begins to warn: a quarter of a GiB at three bytes each
_IMAGE_SUFFIXES = ("jpg", "png", "webp")
_COLUMNS = ("photo", "key", "status")


def read_image(path: Path, size: int, *, most_pixels: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """The square in the middle of an image, resized, as RGB `(3, size, size)` uint8.

    Reads PNG, JPEG, WebP and BMP; of an animation the first picture. The image is rotated as its EXIF data
    say, what is transparent lies on white, and CMYK, palettes and sixteen bits are converted.

    Args:
        path: the image.
        size: the side of the result in pixels; smaller images are enlarged.
        most_pixels: an image with more is refused, by what its header says, before it is decoded.

    Raises:
        UsageError: if the file cannot be read, is no image of these kinds, is damaged or cut short, or has
            too many pixels.
    """
    with _opened(path, most_pixels) as image:
        # A JPEG can be decoded at a fraction of its size: much faster, and twice the size wanted loses nothing.
        image.draft(None, (2 * size, 2 * size))
        upright = _upright(image)
        side = min(upright.size)
        left, top = (upright.width - side) / 2, (upright.height - side) / 2
        whole = _colours(upright)
        square = whole.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        if square.mode == "RGBA":
            white = Image.new("RGBA", square.size, "white")
            square = Image.alpha_composite(white, square).convert("RGB")
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def downloaded(folder: Path) -> dict[str, Path]:
    """Paths of the images that img2dataset has downloaded, by the photo's identifier.

    The download is made from the `urls.parquet` of `kdgan.tagging.yfcc.prepare` with its `download_command`.

    Raises:
        UsageError: if `folder` holds no download of that kind.
    """
    found: dict[str, Path] = {}
    for table in sorted(folder.glob("[0-9]*.parquet")):
        try:
            rows = read_parquet(table, _COLUMNS)
            columns = [identifiers(rows, name, table) for name in _COLUMNS]
        except UsageError as error:
            raise wrong(
                f"{table} is no table of img2dataset with the column 'photo' (was the download made with "
                f"--save_additional_columns '[\"photo\"]'?): {error}"
            ) from error
        for photo, key, status in zip(*columns, strict=True):
            # A key is a number: anything else might name a file somewhere else.
            if status != "success" or not key.isdigit():
                continue
            images = (folder / table.stem / f"{key}.{suffix}" for suffix in _IMAGE_SUFFIXES)
            image = next(filter(os.path.isfile, images), None)
            if image is not None:
                found[photo] = image
    if not found:
        raise wrong(
            f"{folder} holds no images that img2dataset downloaded, with tables such as 00000.parquet"
        )
    return found


@contextmanager
def _opened(path: Path, most_pixels: int) -> Iterator[Image.Image]:
    check_regular(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images, which are judged here, and of odd EXIF data
        try:
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > most_pixels:
                    raise wrong(
                        f"{path} has {image.width}x{image.height} pixels, and images of more than "
                        f"{most_pixels:,} are not decoded: make it smaller"
                    )
                yield image
        except UsageError:  # a ValueError as well
            raise
        except Image.DecompressionBombError as error:
            raise wrong(f"{path} has more than {most_pixels:,} pixels: make it smaller") from error
        except UnidentifiedImageError as error:
            raise wrong(f"{path} is not an image of the kinds {listing(FORMATS)}, or is damaged") from error
        except MemoryError:
            raise
        except Exception as error:  # of any kind: what Pillow finds in damaged files has no common base
            if isinstance(error, OSError) and error.errno is not None:
                raise unreadable(path, error) from error
            raise wrong(f"{path} is a damaged image: {error or type(error).__name__}") from error


def _upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF data say; as it is where they are of no form that is known."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of any kind: a camera, or what edited the photo, wrote them, and the pixels are sound
        return image


def _colours(image: Image.Image) -> Image.Image:
    """The image as RGB, or as RGBA where something may be transparent."""
    if image.mode.startswith("I"):
        # Sixteen bits per pixel: Pillow's own conversion would cut off above 255 instead of scaling.
        grey = np.rint(np.asarray(image, np.float32) / 257).clip(0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
