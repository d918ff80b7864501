"""Photos of any origin as pixels of one size, read safely; and where img2dataset has put them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdgan.data.images import MOST_PIXELS, in_eight_bits, opened, upright
from kdgan.errors import UsageError, wrong
from kdgan.tagging.files import check_regular
from kdgan.tagging.tables import identifiers, read_parquet

_IMAGE_SUFFIXES = ("jpg", "png", "webp")
_COLUMNS = ("photo", "key", "status")


def read_image(path: Path | bytes, size: int, *, most_pixels: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """The square in the middle of an image, resized, as RGB `(3, size, size)` uint8.

    Of an animation it is the first picture. The image is rotated as its EXIF data say, what is transparent lies on
    white, and CMYK, palettes and sixteen bits are converted. Which kinds are read, see `kdgan.data.images.FORMATS`.

    Args:
        path: the image's file, or the content of one.
        size: the side of the result in pixels; smaller images are enlarged.
        most_pixels: an image with more is refused, by what its header says, before it is decoded.

    Raises:
        UsageError: if the file cannot be read, is no image of these kinds, is damaged or cut short, or has
            too many pixels.
    """
    if isinstance(path, Path):
        check_regular(path)
    with opened(path, "the photo", most_pixels=most_pixels) as image:
        # A JPEG can be decoded at a fraction of its size: much faster, and twice the size wanted loses nothing.
        image.draft(None, (2 * size, 2 * size))
        whole = upright(image)
        side = min(whole.size)
        left, top = (whole.width - side) / 2, (whole.height - side) / 2
        whole = in_eight_bits(whole, str(path))
        whole = whole.convert("RGBA" if whole.has_transparency_data else "RGB")
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
