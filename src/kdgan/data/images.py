"""Images of any origin as pixels of one form, decoded safely: what a network saw in training, it sees afterwards."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from kdgan.data.source import listing, unreadable
from kdgan.errors import UsageError, wrong

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MOST_PIXELS = 89_478_485
"""Pixels of an image that is decoded, where Pillow begins to warn: a quarter of a GiB at three bytes each."""
LARGEST_SIDE = 4096
"""Side of what images are brought to."""
Picture: TypeAlias = "Path | str | bytes | Image.Image | NDArray[Any] | Tensor"
"""An image: its file, the content of one, as Pillow opened it, or pixels `(H, W)`, `(H, W, C)` or `(C, H, W)`."""


@dataclass(frozen=True, slots=True)
class ImageReader:
    """The form to which images of any size and kind are brought.

    They are rotated as their EXIF data say, what is transparent lies on white, sixteen bits become eight, and then they
    are resized. Of an animation it is the first picture.

    Attributes:
        mode: "L" for grey, "RGB" for colours.
        height: of the result, in pixels.
        width: likewise.

    Raises:
        UsageError: for a mode or size that makes no sense: they may come from a file.
    """

    mode: Literal["L", "RGB"]
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.mode not in ("L", "RGB") or not all(
            1 <= side <= LARGEST_SIDE for side in (self.height, self.width)
        ):
            raise wrong(
                f"images cannot be brought to {self.height}x{self.width} pixels of mode {self.mode!r}"
            )

    @staticmethod
    def of(shape: Sequence[int]) -> ImageReader:
        """The reader of images whose pixels are `(C, H, W)`, with C 1 or 3."""
        colours, height, width = shape
        return ImageReader("L" if colours == 1 else "RGB", height, width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image's pixels, (C, H, W)."""
        return 1 if self.mode == "L" else 3, self.height, self.width

    def read(self, images: Sequence[Picture]) -> Tensor:
        """Pixels uint8 `(N, C, H, W)` of images.

        Raises:
            UsageError: for what is no image, is damaged, or has more than `MOST_PIXELS` pixels.
        """
        found = np.empty((len(images), *self.shape), np.uint8)
        for row, image in enumerate(images):
            found[row] = self.pixels(image, f"image {row + 1}")
        return torch.from_numpy(found)

    def pixels(self, image: Picture, name: str = "image") -> NDArray[np.uint8]:
        """Pixels uint8 `(C, H, W)` of one image.

        Args:
            image: of any kind.
            name: in messages, where it has no path.

        Raises:
            UsageError: as `read`.
        """
        if isinstance(image, np.ndarray | Tensor):
            image = _from_array(image, name)
        if isinstance(image, Image.Image):
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(name, image)
            with decoding(name):
                return self._brought(image, name)
        path = Path(image) if isinstance(image, str) else image
        with opened(path, name) as found:
            return self._brought(found, name if isinstance(path, bytes) else str(path))

    def _brought(self, image: Image.Image, name: str) -> NDArray[np.uint8]:
        plain = on_white(upright(image), name).convert(self.mode)
        if plain.height * self.width > MOST_PIXELS:
            # Pillow brings rows to their width first, at full height, which of a picture like a thread fills memory.
            plain = plain.resize((plain.width, self.height), Image.Resampling.BILINEAR)
        if plain.size != (self.width, self.height):
            plain = plain.resize((self.width, self.height), Image.Resampling.BILINEAR)
        planes = np.asarray(plain)
        return planes[None] if planes.ndim == 2 else np.ascontiguousarray(planes.transpose(2, 0, 1))


@contextmanager
def opened(image: Path | bytes, name: str = "", *, most_pixels: int = MOST_PIXELS) -> Iterator[Image.Image]:
    """An image whose header was looked at, for decoding within the block.

    Args:
        image: its file, or the content of one.
        name: in messages, where it is no file.
        most_pixels: an image with more is refused by what its header says, before it is decoded.

    Raises:
        UsageError: if it cannot be read, is no image of the kinds of `FORMATS`, is damaged, cut short or too large.
    """
    what = name if isinstance(image, bytes) else str(image)
    with (
        decoding(what, most_pixels),
        io.BytesIO(image) if isinstance(image, bytes) else image.open("rb") as file,
        Image.open(file, formats=FORMATS) as found,
    ):
        if found.width * found.height > most_pixels:
            raise _too_large(what, found, most_pixels)
        yield found


@contextmanager
def decoding(name: str, most_pixels: int = MOST_PIXELS) -> Iterator[None]:
    """What Pillow finds wrong with an image as one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are judged here, and of odd EXIF data
            yield
    except (UsageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise wrong(f"{name} has more than {most_pixels:,} pixels: make it smaller") from error
    except UnidentifiedImageError as error:
        raise wrong(f"{name} is not an image of the kinds {listing(FORMATS)}, or is damaged") from error
    except Exception as error:  # of any kind: what Pillow finds in damaged files has no common base
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(name, error) from error
        raise wrong(f"{name} is a damaged image: {error or type(error).__name__}") from error


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF data say; as it is where they are of no form that is known."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of any kind: a camera, or what edited the photo, wrote them, and the pixels are sound
        return image


def in_eight_bits(image: Image.Image, name: str) -> Image.Image:
    """The image with eight bits for each number, with white for a grey that cannot be seen; its name is for messages.

    Raises:
        UsageError: for real numbers, of which nobody knows what is white.
    """
    if image.mode.startswith("I"):
        # Sixteen bits per pixel: Pillow's own conversion would cut off above 255 instead of scaling.
        grey = np.rint(np.asarray(image, np.float64) / 257).clip(0, 255)
        hidden = image.info.get("transparency")
        if isinstance(
            hidden, int
        ):  # one grey of sixteen bits, which eight bits cannot tell from its neighbours
            grey[np.asarray(image) == hidden] = 255
        return Image.fromarray(grey.astype(np.uint8))
    if image.mode == "F":
        raise wrong(
            f"{name} has pixels of real numbers, of which nobody knows what is white: save them as 8 or 16 bits"
        )
    return image


def on_white(image: Image.Image, name: str) -> Image.Image:
    """The image in eight bits as people see it; below what is transparent lies black as a rule."""
    image = in_eight_bits(image, name)
    if not image.has_transparency_data:
        return image
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)


def _too_large(name: str, image: Image.Image, most_pixels: int = MOST_PIXELS) -> UsageError:
    return wrong(
        f"{name} has {image.width}x{image.height} pixels, and images of more than {most_pixels:,} are not decoded: "
        "make it smaller"
    )


def _from_array(pixels: NDArray[Any] | Tensor, name: str) -> Image.Image:
    """Pixels in bytes, or as 0 to 1, as an image."""
    found = np.asarray(pixels.detach().cpu().numpy() if isinstance(pixels, Tensor) else pixels)
    if found.ndim == 3 and found.shape[0] in (1, 3, 4) and found.shape[2] not in (1, 3, 4):
        found = found.transpose(1, 2, 0)
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[:, :, 0]
    is_image = found.ndim == 2 or (found.ndim == 3 and found.shape[2] in (3, 4))
    if not is_image or 0 in found.shape:
        raise wrong(
            f"{name} must be pixels (H, W), (H, W, C) or (C, H, W) of 1, 3 or 4 colours, not {found.shape}"
        )
    if found.dtype == bool or found.dtype.kind == "f":
        # A comparison with NaN is false, so NaN is refused as well.
        if not bool(np.all((found >= 0) & (found <= 1))):
            raise wrong(f"{name} must be pixels in bytes, or numbers from 0 to 1")
        found = np.rint(found * 255.0).astype(np.uint8)
    if found.dtype != np.uint8:
        raise wrong(f"{name} must be pixels in bytes, or numbers from 0 to 1, not {found.dtype}")
    return Image.fromarray(np.ascontiguousarray(found))
