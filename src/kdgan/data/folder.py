"""Images of one's own: a folder with one folder of images per class."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from kdgan.data.files import entries
from kdgan.data.source import Array, Part, Source, assemble, listing
from kdgan.errors import wrong

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
LARGEST_KEPT = 64  # images of one common size up to this stay as they are
DEFAULT_SIZE = 32
_ON_ITS_SIDE = (5, 6, 7, 8)  # the EXIF orientations that swap width and height
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError)


def read_folder(folder: Path, *, name: str, image_size: int | None = None, progress: bool = True) -> Source:
    """The images in `folder/CLASS/`, or in `folder/train/CLASS/` and `folder/test/CLASS/`.

    PNG, JPEG, WebP and BMP, rotated as their EXIF data say; what is transparent lies on white. Classes are sorted by
    name; hidden files, and symbolic links that lead out of the folder, are left out. Without the folders `train` and
    `test` a fixed stratified fifth becomes the test part; beside them anything else, such as `val`, is not read.

    Args:
        folder: the folder.
        name: the name of the source.
        image_size: the side in pixels of the squares to which all images are resized. None: images that have
            one common size of at most 64x64 pixels are left as they are, and others become 32x32.
        progress: show a bar on stderr, where that is a terminal.

    Returns:
        A source of uint8 `(N, 1, H, W)` where every image is grey, otherwise `(N, 3, H, W)`.

    Raises:
        UsageError: if a folder holds no images, or an image is damaged or larger than Pillow takes for safe.
    """
    if image_size is not None and not 1 <= image_size <= 4096:
        raise wrong(f"image_size must be from 1 to 4,096 pixels, not {image_size}")
    given = [folder / "train", folder / "test"]
    split = all(part.is_dir() and not _images_in(part, folder) for part in given)
    parts = [_paths(part, folder) for part in (given if split else [folder])]
    everything = [path for part in parts for path, _ in part]
    with _strict_about_bombs():
        mode = _common_mode(everything)
        size = (image_size, image_size) if image_size else _common_size(everything)
        train, *test = [_decode(part, mode, size, progress) for part in parts]
    return assemble(name, "image", train, test[0] if test else None)


def _paths(part: Path, root: Path) -> list[tuple[Path, str]]:
    """Each image with its class."""
    found = []
    classes = [path for path in entries(part) if path.is_dir()]
    for path in classes:
        images = _images_in(path, root)
        if not images:
            raise wrong(
                f"{path} holds no images ({', '.join(SUFFIXES)}), and should hold those of the class "
                f"{path.name!r}; links that lead out of the folder are not followed"
            )
        found += [(image, path.name) for image in images]
    if not found:
        raise wrong(
            f"{part} holds no folders of images: expected one folder per class, such as {part / 'cats'}"
        )
    return found


def _images_in(folder: Path, root: Path) -> list[Path]:
    files = (path for path in entries(folder) if path.suffix.lower() in SUFFIXES)
    return [path for path in files if path.is_file() and _stays_within(path, root)]


def _stays_within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


@contextmanager
def _strict_about_bombs() -> Iterator[None]:
    # Pillow warns of images whose decoding may fill the memory, and of much else that does not matter here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise wrong(f"{path} is too large an image to be decoded safely: {error}") from error
    except UnidentifiedImageError as error:
        raise wrong(f"{path} is not an image of the kinds {listing(FORMATS)}, or is damaged") from error
    except _DAMAGED as error:
        raise wrong(f"{path} is a damaged image: {error or type(error).__name__}") from error


def _common_mode(paths: list[Path]) -> str:
    for path in paths:
        with _opened(path) as image:
            if not image.mode.startswith(("1", "L", "I")):
                return "RGB"
    return "L"


def _common_size(paths: list[Path]) -> tuple[int, int]:
    """Width and height that all images share if both are at most 64, otherwise the default."""
    common = None
    for path in paths:
        with _opened(path) as image:
            # From the header where possible; the first large image ends the search before many are decoded.
            if max(image.size) > LARGEST_KEPT:
                return DEFAULT_SIZE, DEFAULT_SIZE
            turned = image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
            size = image.size[::-1] if turned else image.size
        if common not in (None, size):
            return DEFAULT_SIZE, DEFAULT_SIZE
        common = size
    return common or (DEFAULT_SIZE, DEFAULT_SIZE)


def _decode(part: list[tuple[Path, str]], mode: str, size: tuple[int, int], progress: bool) -> Part:
    width, height = size
    images = np.empty((len(part), len(mode), height, width), np.uint8)  # "L" is one plane, "RGB" three
    console = Console(stderr=True)
    off = not (progress and console.is_terminal)
    for row, (path, _) in enumerate(
        track(part, "reading images", console=console, disable=off, transient=True)
    ):
        with _opened(path) as image:
            images[row] = _pixels(image, mode, size)
    return Part(images, np.array([label for _, label in part]))


def _pixels(image: Image.Image, mode: str, size: tuple[int, int]) -> Array:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        # Sixteen bits per pixel: Pillow's own conversion would cut off above 255 instead of scaling.
        upright = Image.fromarray(
            np.rint(np.asarray(upright, np.float64) / 257).clip(0, 255).astype(np.uint8)
        )
    if upright.has_transparency_data:
        # On white, as people see it: below what is transparent lies black as a rule.
        seen = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    plain = upright.convert(mode)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.BILINEAR)
    planes = np.asarray(plain)
    return planes[None] if planes.ndim == 2 else planes.transpose(2, 0, 1)
