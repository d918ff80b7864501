"""Images of one's own: a folder with one folder of images per class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import ExifTags
from rich.console import Console
from rich.progress import track

from kdgan.data.files import entries
from kdgan.data.images import LARGEST_SIDE, SUFFIXES, ImageReader, opened
from kdgan.data.labels import Labels
from kdgan.data.source import PARTS, Part, Source, assemble, fixed_split, listing
from kdgan.errors import UsageError, wrong

UNLABELLED = ("unlabelled", "unlabeled")
"""Names, in lower case, of a folder of images without labels, beside those of the classes or of the parts."""
LARGEST_KEPT = 64  # images of one common size up to this stay as they are
DEFAULT_SIZE = 32
_Item = TypeVar("_Item")
_Labelled: TypeAlias = tuple[Path, str | None]
"""An image and its class, None where it has no label."""
_ON_ITS_SIDE = (5, 6, 7, 8)  # the EXIF orientations that swap width and height


def read_folder(
    folder: Path,
    *,
    name: str,
    image_size: int | None = None,
    skip_damaged: bool = False,
    progress: bool = True,
) -> Source:
    """The images in `folder/CLASS/`, or in `folder/train/CLASS/` and likewise in `test` and `val`.

    A folder `unlabelled` or `unlabeled` beside those of the classes, or beside `train`, holds images for training that
    have no label.

    What becomes of an image, see `kdgan.data.images.ImageReader`. Classes are sorted by name; hidden files, `__MACOSX`,
    and symbolic links that lead out of the folder, are left out, and so is a class without images. Where there is no
    folder `test` a fixed stratified fifth of the others becomes the test part.

    Args:
        folder: the folder.
        name: the name of the source.
        image_size: the side in pixels of the squares to which all images are resized. None: images that have
            one common size of at most 64x64 pixels are left as they are, and others become 32x32.
        skip_damaged: leave out images that cannot be read, and say how many, in place of refusing the folder.
        progress: show a bar on stderr, where that is a terminal.

    Returns:
        A source of uint8 `(N, 1, H, W)` where every image is grey, otherwise `(N, 3, H, W)`. Its notes say how many
        files were read and skipped, and what became of their size.

    Raises:
        UsageError: if a folder holds no images, or images are damaged or larger than Pillow takes for safe.
    """
    if image_size is not None and not 1 <= image_size <= LARGEST_SIDE:
        raise wrong(f"image_size must be from 1 to {LARGEST_SIDE:,} pixels, not {image_size}")
    found = _Found(folder)
    places = _places_of_parts(folder)
    parts = {which: found.images(place) for which, place in places.items()}
    beside = (
        [] if places["train"] == folder else [path for path in entries(folder) if _holds_unlabelled(path)]
    )
    parts["train"] += [each for path in beside for each in found.unlabelled(path)]
    everything = [path for part in parts.values() for path, _ in part]
    looks = _looked_at(everything, progress)
    damaged = {path: look for path, look in looks.items() if isinstance(look, UsageError)}
    good = {path: look for path, look in looks.items() if not isinstance(look, UsageError)}
    _refuse(damaged, skip_damaged)
    if not any(path in good for path, _ in parts["train"]):
        raise wrong(f"{folder} holds no image for training that can be read")
    # Images without labels are brought to the form of the others.
    decisive = [good[path] for part in parts.values() for path, label in part if label and path in good]
    width, height = (image_size, image_size) if image_size else _common_size(decisive)
    reader = ImageReader("L" if all(look.grey for look in decisive) else "RGB", height, width)
    parts = {which: [each for each in part if each[0] in good] for which, part in parts.items()}
    if "test" not in parts:
        # Decided before anything is decoded, so that no image is held twice.
        labels = _labels(label for _, label in parts["train"])
        is_train = fixed_split(name, labels)
        whole = parts["train"]
        parts["train"] = [each for each, kept in zip(whole, is_train, strict=True) if kept]
        parts["test"] = [each for each, kept in zip(whole, is_train, strict=True) if not kept]
    decoded = {
        which: _decode(parts[which], reader, damaged, progress)
        for which in ("train", "test", "validation")
        if which in parts
    }
    _refuse(damaged, skip_damaged)
    resized = any(look.size != (width, height) for look in good.values())
    notes = found.note(len(everything), damaged, reader if resized else None)
    count = sum(look.several for look in good.values())
    if count:
        notes.append(f"of {count:,} files that hold several images the first is read")
    notes += [*_about_places(folder, places, beside), *found.about_unlabelled()]
    return assemble(name, "image", *decoded.values(), notes=notes)


def read_images(
    folder: Path, reader: ImageReader, *, skip_damaged: bool = False, progress: bool = True
) -> tuple[Part, list[str]]:
    """The images in a folder and in the folders within it, as examples without labels; and notes for people.

    Args:
        folder: the folder.
        reader: brings all to one form.
        skip_damaged: as in `read_folder`.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        UsageError: as `read_folder` does for images.
    """
    found = _Found(folder)
    images: list[_Labelled] = [(image, None) for image in _images_in(folder, folder)]
    for path in (path for path in entries(folder) if path.is_dir() and path.name != "__MACOSX"):
        images += found.unlabelled(path)
    if not images:
        raise wrong(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    damaged: dict[Path, UsageError] = {}
    decoded = _decode(images, reader, damaged, progress)
    _refuse(damaged, skip_damaged)
    if not len(decoded.labels):
        raise wrong(f"{folder} holds no image that can be read")
    return decoded, found.note(len(images), damaged, reader)


def _places_of_parts(folder: Path) -> dict[str, Path]:
    """The folder of each part; the folder itself where it is not one of parts."""
    named = [(PARTS.get(path.name.lower()), path) for path in entries(folder) if path.is_dir()]
    places = {which: path for which, path in named if which is not None}
    # A class may be called train, too: then images lie in it, and not folders of them.
    if "train" not in places or not any(
        _images_in(path, folder) for path in entries(places["train"]) if path.is_dir()
    ):
        return {"train": folder}
    twice = [path.name for which, path in named if which is not None and places[which] != path]
    if twice:
        raise wrong(f"{folder} has two folders for one part: {twice[0]!r} and another of that meaning")
    return places


def _holds_unlabelled(path: Path) -> bool:
    return path.name.lower() in UNLABELLED and path.is_dir()


def _about_places(folder: Path, places: Mapping[str, Path], beside: Sequence[Path]) -> list[str]:
    """Which folder served as which part, and which are none."""
    if places == {"train": folder}:
        return []
    notes = ["parts: " + ", ".join(f"{path.name} for {which}" for which, path in places.items())]
    known = [*places.values(), *beside]
    others = [each.name for each in entries(folder) if each not in known and each.name != "__MACOSX"]
    return [*notes, *([f"not read: {listing(others, limit=5)}"] if others else [])]


class _Found:
    """Files and folders below a folder, and what was passed over among them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: Counter[str] = Counter()
        self.empty: list[str] = []
        self.without: list[str] = []

    def images(self, part: Path) -> list[_Labelled]:
        """Each image of a part with its class."""
        found: list[_Labelled] = []
        within = entries(part)
        self.skipped.update("images beside the classes" for path in within if _is_image(path))
        for path in (path for path in within if path.is_dir() and path.name != "__MACOSX"):
            if _holds_unlabelled(path):
                found += self.unlabelled(path)
                continue
            images = self._within(path)
            found += [(image, path.name) for image in images]
            if not images:
                self.empty.append(path.name)
        if not found:
            kinds = listing(sorted(self.skipped), limit=3)
            there = f", but {kinds}" if self.skipped else ""
            raise wrong(
                f"{part} holds no folders of images ({', '.join(SUFFIXES)}){there}: expected one folder per class, "
                f"such as {part / 'cats'}; links that lead out of the folder are not followed"
            )
        return found

    def unlabelled(self, folder: Path) -> list[_Labelled]:
        """Each image that lies in a folder, without a label."""
        images = self._within(folder)
        (self.without if images else self.empty).append(str(folder.relative_to(self.root)))
        return [(image, None) for image in images]

    def about_unlabelled(self) -> list[str]:
        """Which folders were taken for images without labels."""
        return [f"taken for images without labels: {listing(self.without)}"] if self.without else []

    def _within(self, folder: Path) -> list[Path]:
        images = _images_in(folder, self.root)
        self.skipped.update(_kind(each) for each in set(entries(folder)).difference(images))
        return images

    def note(self, count: int, damaged: Collection[Path], reader: ImageReader | None) -> list[str]:
        """How many files were read and passed over, and what became of their size."""
        passed = sum(self.skipped.values())
        counts = f"{count + passed:,} files: {count - len(damaged):,} images read"
        if damaged:
            counts += f", {len(damaged):,} damaged ones skipped"
        if passed:
            ordered = sorted(self.skipped.items(), key=lambda each: (-each[1], each[0]))
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in ordered[:5])
            kinds += ", and others" if len(ordered) > 5 else ""
            counts += f", {passed:,} skipped ({kinds})"
        shape = f"; resized to {reader.width}×{reader.height}" if reader else ""
        empty = [f"classes without images are left out: {listing(self.empty, limit=5)}"] if self.empty else []
        return [counts + shape, *empty]


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folders within classes"
    if path.suffix.lower() in SUFFIXES:
        return "links that lead out" if path.is_symlink() else "no files"
    return path.suffix.lower() or "without a suffix"


def _refuse(damaged: Mapping[Path, UsageError], skip: bool) -> None:
    if damaged and not skip:
        first = next(iter(damaged.values()))
        more = f" (and {len(damaged) - 1:,} more such files)" if len(damaged) > 1 else ""
        raise wrong(f"{first}{more}; --skip-damaged leaves such files out")


def _images_in(folder: Path, root: Path) -> list[Path]:
    return [path for path in entries(folder) if _is_image(path) and _stays_within(path, root)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def images_below(folder: Path) -> list[Path]:
    """Images in a folder and in those within it, in the order of their names; links that lead out are not followed.

    Raises:
        UsageError: if there are none, or a folder cannot be read.
    """
    found: list[Path] = []
    pending = [folder]
    while pending:
        place = pending.pop()
        found += _images_in(place, folder)
        inner = [path for path in entries(place) if path.is_dir() and path.name != "__MACOSX"]
        pending += [path for path in inner if _stays_within(path, folder) and not path.is_symlink()]
    if not found:
        raise wrong(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return sorted(found)


def _stays_within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


@dataclass(frozen=True, slots=True)
class _Look:
    """What the beginning of an image says: width and height as it is seen, whether it is without colours, and whether
    others follow in the same file."""

    size: tuple[int, int]
    grey: bool
    several: bool


def _looked_at(paths: Sequence[Path], progress: bool) -> dict[Path, _Look | UsageError]:
    found: dict[Path, _Look | UsageError] = {}
    for path in _watched(paths, "looking at images", progress):
        try:
            with opened(path) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
                size = image.size[::-1] if turned else image.size
                several = getattr(image, "is_animated", False)
                found[path] = _Look(size, image.mode.startswith(("1", "L", "I")), several)
        except UsageError as error:
            found[path] = error
    return found


def _common_size(looks: Sequence[_Look]) -> tuple[int, int]:
    """Width and height that all images share if both are at most 64, otherwise the default."""
    sizes = {look.size for look in looks}
    common = next(iter(sizes)) if len(sizes) == 1 else (LARGEST_KEPT + 1, 0)
    return common if max(common) <= LARGEST_KEPT else (DEFAULT_SIZE, DEFAULT_SIZE)


def _decode(
    part: Sequence[_Labelled], reader: ImageReader, damaged: dict[Path, UsageError], progress: bool
) -> Part:
    """The images of a part; those that turn out damaged are left out, and added to `damaged`."""
    images = np.empty((len(part), *reader.shape), np.uint8)
    labels: list[str | None] = []
    for path, label in _watched(part, "reading images", progress):
        try:
            images[len(labels)] = reader.pixels(path)
        except UsageError as error:
            damaged[path] = error
            continue
        labels.append(label)
    return Part(images[: len(labels)], _labels(labels))


def _labels(labels: Iterable[str | None]) -> Labels:
    found = list(labels)
    return Labels.of(np.array(found, dtype=object if None in found else None))


def _watched(items: Sequence[_Item], what: str, progress: bool) -> Iterable[_Item]:
    console = Console(stderr=True)
    return track(items, what, console=console, disable=not (progress and console.is_terminal), transient=True)
