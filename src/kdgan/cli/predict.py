"""`kdgan predict`."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from kdgan.cli.options import Files
from kdgan.cli.tags.features import NetworkOptions
from kdgan.errors import UsageError, one_line, wrong

MOST_LABELS = 10_000
_FIRST_ROW = " row 1"
_AT_A_TIME = 64
"""Photos that are read together: one that cannot be read is said, and the others have labels all the same."""


@dataclass(frozen=True)
class Predict:
    """Classes or tags of photos, of rows of tables, or of arrays, by a trained student.

    Prints a line for each instance with the likeliest labels. What cannot be read is said at the end, with exit code 2;
    the others are predicted all the same.
    """

    student: Annotated[Path, tyro.conf.Positional]
    """Folder of a run, or a file student.safetensors."""
    inputs: Annotated[Files, tyro.conf.Positional]
    """Images, folders of images, tables (.csv, .tsv, .parquet), or arrays (.npy, or inputs in .npz)."""
    most: int = 5
    """Labels for each instance."""
    json: bool = False
    """Print JSON: a list with input, labels and probabilities of each instance."""
    csv: bool = False
    """Print CSV: a row for each label, with input, rank, label, probability."""
    trust: bool = False
    """Import the network of one's own that the student's file names: importing runs code."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions] = field(default_factory=NetworkOptions)

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.ship.student import load
        from kdgan.training.devices import find_device

        if not self.inputs:
            raise UsageError("nothing to predict was given: expected photos, a table or arrays")
        if not 1 <= self.most <= MOST_LABELS:
            raise UsageError(f"--most must be from 1 to {MOST_LABELS:,}, not {self.most}")
        if self.json and self.csv:
            raise UsageError("--json and --csv say how to print: give one of them")
        self.network.check_unused()
        student = load(self.student, trust=self.trust).to(find_device(self.device))
        unreadable: list[str] = []
        printer = _printer("json" if self.json else "csv" if self.csv else "text")
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            try:
                for names, predictions in self._predicted(student, unreadable):
                    printer.add(names, predictions)
                    table = names[0].removesuffix(_FIRST_ROW) if names else ""
                    where = f"{table}: " if [table] != names[:1] else ""
                    for note in notes:
                        print(one_line(f"{where}{note.message}"), file=sys.stderr)  # noqa: T201
                    notes.clear()
            finally:
                printer.close()
        if unreadable:
            raise UsageError("; ".join(unreadable))

    def _predicted(self, student: Any, unreadable: list[str]) -> Iterator[tuple[list[str], Any]]:
        """Names and predictions of some instances after the other."""
        from kdgan.data.folder import images_below
        from kdgan.data.images import SUFFIXES
        from kdgan.data.rows import is_table

        photos: list[Path] = []
        for path in self.inputs:
            is_photo = path.is_dir() or path.suffix.lower() in SUFFIXES
            if photos and not is_photo:  # in the order of the arguments
                yield from self._of_photos(student, photos, unreadable)
                photos = []
            try:
                if path.is_dir():
                    photos += images_below(path)
                elif is_photo:
                    photos.append(path)
                else:
                    found = student.predict(path if is_table(path) else _array(path), most=self.most)
                    yield [f"{path} row {row}" for row in range(1, len(found) + 1)], found
            except UsageError as error:
                said = str(error).removeprefix(f"{path.name}: ")
                unreadable.append(said if str(path) in said else f"{path}: {said}")
        if photos:
            yield from self._of_photos(student, photos, unreadable)

    def _of_photos(
        self, student: Any, photos: Sequence[Path], unreadable: list[str]
    ) -> Iterator[tuple[list[str], Any]]:
        read, featurize, at_a_time = self._reader(student)
        for start in range(0, len(photos), at_a_time):
            names, pixels = [], []
            for path in photos[start : start + at_a_time]:
                try:
                    pixels.append(read(path))
                except UsageError as error:
                    unreadable.append(str(error))
                else:
                    names.append(str(path))
            if names:
                yield names, student.predict(pixels, most=self.most, featurize=featurize)

    def _reader(self, student: Any) -> tuple[Any, Any, int]:
        """What reads a photo, what makes features of several where the student takes such, and how many at a time."""
        import numpy as np

        from kdgan.data.images import ImageReader
        from kdgan.tagging.images.networks import MOST_PIXELS
        from kdgan.tagging.images.reading import read_image

        if isinstance(student.reader, ImageReader):
            if self.network.network is not None:
                raise wrong(f"{self.student} takes photos as they are: leave --network out")
            return student.reader.pixels, None, _AT_A_TIME
        if student.features is None and self.network.network is None:
            raise wrong(
                f"{self.student} does not take photos, or only features of them: name their network (--network)"
            )
        network = self.network.load()
        student.check_features(network.identity)
        return (
            lambda path: read_image(path, network.size),
            lambda pixels: network(np.stack(pixels)),
            max(1, min(_AT_A_TIME, MOST_PIXELS // network.size**2)),
        )


def _array(path: Path) -> Any:
    """The array of a `.npy` file, or `inputs` of an `.npz` file."""
    import numpy as np

    from kdgan.data.arrays import read_inputs, read_npy

    if path.suffix.lower() not in (".npy", ".npz"):
        raise wrong(f"{path} is of no kind that can be predicted: expected images, a table, or .npy or .npz")
    if path.suffix.lower() == ".npz":
        return read_inputs(path, name=str(path))[0].inputs
    return np.array(read_npy(path))  # of its own: a network may write into what it is given


@dataclass
class _Text:
    """A line for each instance."""

    def add(self, names: Sequence[str], predictions: Any) -> None:
        for name, found in zip(names, predictions, strict=True):
            print(one_line(f"{name}: {found}"), flush=True)  # noqa: T201

    def close(self) -> None:
        pass


class _Json(_Text):
    """A JSON list."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, names: Sequence[str], predictions: Any) -> None:
        for name, found in zip(names, predictions, strict=True):
            entry = {"input": name, "labels": found.labels, "probabilities": found.probabilities}
            print("[" if not self.count else ",", json.dumps(entry, ensure_ascii=False), flush=True)  # noqa: T201
            self.count += 1

    def close(self) -> None:
        print("]" if self.count else "[]")  # noqa: T201


class _Csv(_Text):
    """A row for each label of each instance."""

    def __init__(self) -> None:
        self.writer = csv.writer(sys.stdout)
        self.writer.writerow(("input", "rank", "label", "probability"))

    def add(self, names: Sequence[str], predictions: Any) -> None:
        for name, found in zip(names, predictions, strict=True):
            for rank, pair in enumerate(zip(found.labels, found.probabilities, strict=True), start=1):
                self.writer.writerow((name, rank, *pair))
        sys.stdout.flush()


def _printer(kind: str) -> _Text:
    return {"text": _Text, "json": _Json, "csv": _Csv}[kind]()
