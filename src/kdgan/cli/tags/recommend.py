"""`kdgan tags recommend`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from kdgan.cli.options import Files
from kdgan.cli.tags.features import NetworkOptions
from kdgan.errors import UsageError, one_line


@dataclass(frozen=True)
class Recommend:
    """Recommend tags for photos with a trained student: no text needed."""

    images: Files
    """JPEG, PNG or WebP files."""
    student: Path
    """student.safetensors of a run of kdgan tags compare."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions]
    most: int = 5
    """Tags for each photo."""

    def __call__(self) -> None:
        """Carry out the command."""
        import numpy as np

        from kdgan.ship.student import Student
        from kdgan.tagging.images.networks import MOST_PIXELS
        from kdgan.tagging.images.reading import read_image

        if not self.images:
            raise UsageError("no photos were given: expected at least one")
        if not 1 <= self.most <= MOST_TAGS:
            raise UsageError(f"--most must be from 1 to {MOST_TAGS:,}, not {self.most}")
        student, network = Student.load(self.student), self.network.load()
        student.check_features(network.identity)
        unreadable = []
        many = max(1, min(_AT_A_TIME, MOST_PIXELS // network.size**2))
        for start in range(0, len(self.images), many):
            pictures = {}
            for path in self.images[start : start + many]:
                try:
                    pictures[path] = read_image(path, network.size)
                except UsageError as error:  # the others have tags all the same
                    unreadable.append(str(error))
            if pictures:
                features = network(np.stack(list(pictures.values())))
                for path, found in zip(pictures, student.predict(features, most=self.most), strict=True):
                    print(one_line(f"{path}: {found}"), flush=True)  # noqa: T201
        if unreadable:
            raise UsageError("; ".join(unreadable))


_AT_A_TIME = 32
"""Images that are in memory together, or fewer where they are large."""
MOST_TAGS = 10_000
