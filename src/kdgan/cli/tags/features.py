"""`kdgan tags features`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from kdgan.cli.options import Count, Name
from kdgan.errors import one_line, wrong


@dataclass(frozen=True)
class NetworkOptions:
    """Image network, and the scale of its inputs."""

    network: Name = None
    """An ONNX file, or module:function of a function on float32 images (B, 3, H, W)."""
    output: Name = None
    """Name of the output of an ONNX network, where it has several."""
    size: Count = None
    """Side of its images in pixels, where the network does not say."""
    largest: float = 1.0
    """Value of white: 1 or 255."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Taken from each colour after that."""
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Each colour is divided by it."""
    threads: int = 1
    """Threads of the network."""

    def check_unused(self) -> None:
        """Refuses options of a network where none is named."""
        if self.network is None and self != NetworkOptions():
            raise wrong(
                "--output, --size, --largest, --mean, --deviation and --threads are of --network: name one"
            )

    def load(self) -> Any:
        """The network."""
        from kdgan.tagging.images.networks import Scaling, load_network

        if self.network is None:
            raise wrong("name the image network: --network takes an ONNX file, or module:function")
        scaling = Scaling(self.largest, self.mean, self.deviation)
        return load_network(
            self.network, size=self.size, output=self.output, scaling=scaling, threads=self.threads
        )


@dataclass(frozen=True)
class Features:
    """Compute the features of downloaded images, and join them with their table. Goes on where it stopped."""

    table: Annotated[Path, tyro.conf.Positional]
    """photos.parquet of kdgan tags prepare."""
    images: Path
    """Folder that img2dataset wrote with --output_format files."""
    out: Path
    """The table with features to write."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions]
    batch: int = 32
    """Images at a time."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.tagging.images.features import attach, extract, load_features, photos_in
        from kdgan.tagging.images.reading import downloaded

        folder = self._checked()
        wanted = photos_in(self.table)
        found = {photo: path for photo, path in downloaded(self.images).items() if photo in wanted}
        network = self.network.load()
        extracted = extract(list(found.values()), network, folder, batch=self.batch)
        rows = attach(self.table, list(found), load_features(folder), self.out, network.identity)
        unreadable = len(extracted.unreadable)
        print(  # noqa: T201
            one_line(
                f"{rows:,} photos with {extracted.width} features in {self.out}; {unreadable:,} unreadable"
            )
        )

    def _checked(self) -> Path:
        """The folder of features that are not yet in a table; a UsageError if the output cannot be written there, or
        would take the place of what is read."""
        from kdgan.tagging.files import check_output
        from kdgan.tagging.images.features import MANIFEST

        check_output(self.out, [self.table, Path(str(self.network.network))])
        folder = self.out.with_suffix(".features")
        if folder == self.out:
            raise wrong(f"{self.out} is the name of a folder for features: name a .parquet file")
        check_output(folder / MANIFEST, [self.table])
        images = os.path.realpath(self.images)
        for path in (self.out, folder):
            place = os.path.relpath(os.path.realpath(path), images)
            # What img2dataset writes there, 00000.parquet and the folder 00000, begins with a digit.
            if place == os.curdir or place[0].isdigit():
                raise wrong(f"{path} lies among what is read from {self.images}: name another place")
        return folder
