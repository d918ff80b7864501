"""Find the files of a known data set in a folder of the user's."""

from __future__ import annotations

from pathlib import Path

from kdgan.data.source import listing, unreadable
from kdgan.errors import UsageError, wrong


def entries(folder: Path) -> list[Path]:
    """Entries of `folder` by name, hidden ones left out.

    Raises:
        UsageError: if `folder` is not a folder or cannot be read.
    """
    try:
        return [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    except NotADirectoryError:
        raise wrong(f"{folder} is not a folder") from None
    except OSError as error:
        raise unreadable(folder, error) from error


def children(folder: Path) -> dict[str, Path]:
    """The same by lower-case name, for files of a known data set, whose names people write as they like."""
    return {path.name.lower(): path for path in entries(folder)}


def places(folder: Path, below: tuple[str, ...]) -> list[Path]:
    """`folder` and those of the paths `below` it ("mnist/raw") that are folders, in any letter case."""
    found = [folder]
    for relative in below:
        place: Path | None = folder
        for name in relative.split("/"):
            place = children(place).get(name) if place is not None and place.is_dir() else None
        if place is not None and place.is_dir():
            found.append(place)
    return found


def find(where: list[Path], names: tuple[str, ...]) -> Path | None:
    """The first file with one of the lower-case `names` in the folders `where`, or None."""
    for folder in where:
        found = children(folder)
        for name in names:
            if name in found and found[name].is_file():
                return found[name]
    return None


def missing(what: str, folder: Path, below: tuple[str, ...]) -> UsageError:
    """The error for a file that is in none of the `places`: names it and everywhere it was looked for."""
    return wrong(f"{what} is missing: looked in {listing([folder, *(folder / name for name in below)])}")
