"""`kdgan tags prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdgan.cli.options import File, Files


@dataclass(frozen=True)
class Prepare:
    """Make a data set from YFCC100M's metadata: photos with text, their tags, split by owner.

    Writes photos.parquet, and urls.parquet for img2dataset, which downloads the images.
    """

    metadata: Files
    """The published files, as they are (.bz2) or unpacked."""
    out: Path
    """Folder of the data set."""
    tags: Literal["popular", "random"] = "popular"
    """The most used tags, or tags drawn by seed."""
    count: int = 200
    """Number of tags."""
    minimum: int = 1000
    """Fewest uses of a chosen tag."""
    train: int = 20_000
    """Photos to train on."""
    validation: int = 2000
    """Photos to choose settings with."""
    test: int = 2000
    """Photos to report on."""
    seed: int = 0
    """Seed of tags, owners and photos."""
    stop_file: File = None
    """Tags that must not be chosen, one a line, besides those of cameras and apps."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.errors import one_line
        from kdgan.tagging.yfcc.prepare import Selection, download_command, prepare

        selection = Selection(
            tags=self.tags,
            count=self.count,
            minimum=self.minimum,
            seed=self.seed,
            train=self.train,
            validation=self.validation,
            test=self.test,
            stop_file=self.stop_file,
        )
        made = prepare(self.metadata, self.out, selection)
        malformed = ", ".join(f"{count:,} {reason}" for reason, count in made.malformed.items()) or "none"
        parts = ", ".join(f"{count:,} {part}" for part, count in made.parts.items())
        for line in (
            f"{made.lines:,} lines; malformed: {malformed}",
            f"photos: {parts}; {len(made.tags)} tags",
            f"data set: {self.out / 'photos.parquet'}   images to download: {self.out / 'urls.parquet'}, with",
            download_command(self.out),
        ):
            print(one_line(line))  # noqa: T201
