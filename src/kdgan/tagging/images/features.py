"""Image files to feature vectors, in shards: what is done stays done, whatever stops the work."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kdgan.data.source import unreadable
from kdgan.errors import RunError, UsageError, wrong
from kdgan.files import replacing, write_json
from kdgan.tagging.data import FEATURE_NETWORK
from kdgan.tagging.images.networks import Floats, Network, Scaling, load_network
from kdgan.tagging.images.reading import downloaded, read_image
from kdgan.training import checkpoint

__all__ = [
    "Extracted",
    "Network",
    "Scaling",
    "attach",
    "downloaded",
    "extract",
    "load_features",
    "load_network",
    "photos_in",
    "read_image",
]

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Extracted:
    """Result of `extract`.

    Attributes:
        rows: images in the list, and so rows of features.
        width: F, the length of a row.
        computed: rows that were computed in this call; the others were there.
        unreadable: for images that could not be read, their place in the list and why. Their rows are NaN.
    """

    rows: int
    width: int
    computed: int
    unreadable: dict[int, str]


def extract(
    images: Sequence[Path],
    network: Network,
    folder: Path,
    *,
    batch: int = 32,
    shard: int = 1_000,
    progress: bool = True,
) -> Extracted:
    """The features of images, in their order, as files in `folder`.

    Each shard is written whole or not at all. Called again, with the same list and network, it computes only
    what is missing: shards that are not there or damaged, and images that could not be read before. A
    manifest in the folder says which network and which list its features belong to; of the network, the file
    is compared, or the source of the module that holds the function, but no weights that this loads itself.

    Args:
        images: the files.
        network: from `load_network`.
        folder: for the features only.
        batch: images given to the network at a time.
        shard: rows of each file.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        UsageError: if the folder holds the features of another network or list, cannot be written, or no
            image at all can be read.
        RunError: if the network gives NaN or infinity for an image.
    """
    if not images:
        raise wrong("no images were given: expected at least one")
    for name, value in (("batch", batch), ("shard", shard)):
        if value < 1:
            raise wrong(f"{name} must be at least 1, not {value}")
    computed, failed = 0, dict[int, str]()
    try:
        _bind(folder, images, network, shard)
        with _bar(progress) as bar:
            task = bar.add_task("computing features", total=len(images))
            for number, start in enumerate(range(0, len(images), shard)):
                part = images[start : start + shard]
                path = _path(folder, number)
                done, reasons = _fill(path, part, network, batch, partial(bar.advance, task))
                computed += done
                failed.update({start + row: reason for row, reason in reasons.items()})
    except OSError as error:
        raise wrong(f"cannot write to {folder}: {error.strerror or error}") from error
    if len(failed) == len(images):
        raise wrong(f"none of the {len(images)} images can be read; the first: {failed[0]}")
    return Extracted(len(images), network.width, computed, failed)


def load_features(folder: Path) -> Floats:
    """Features that `extract` wrote, `(N, F)` float32, with NaN in the rows of images that could not be read.

    Raises:
        UsageError: if the folder holds no features, or not yet all of them.
    """
    manifest = _manifest(folder)
    if manifest is None:
        raise wrong(f"{folder} holds no features: it has no {MANIFEST}")
    rows, shard, width = manifest["images"], manifest["shard"], manifest["width"]
    features = np.empty((rows, width), np.float32)
    for number, start in enumerate(range(0, rows, shard)):
        part = _stored(_path(folder, number), min(shard, rows - start), width)
        if part is None:
            raise wrong(
                f"{folder} lacks the features of image {start + 1} and more: compute them to the end first"
            )
        features[start : start + shard] = part[0]
    return features


def photos_in(table: Path) -> set[str]:
    """The identifiers of the photos in a table.

    Raises:
        UsageError: if it cannot be read, or has no column `photo`.
    """
    import polars as pl

    try:
        return set(pl.read_parquet(table, columns=["photo"], glob=False)["photo"])
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"{table} is no table of photos with the column 'photo': {reason}") from error


def attach(
    table: Path,
    photos: Sequence[str],
    features: Floats,
    out: Path,
    network: Mapping[str, Any] | None = None,
) -> int:
    """Writes the rows of a table of photos, with a column `features` more, to another Parquet file.

    Args:
        table: `photos.parquet` of `kdgan.tagging.yfcc.prepare`, or any Parquet file with a column `photo`.
        photos: identifiers of N photos.
        features: theirs, `(N, F)`. Photos with NaN, and those of the table that are not named, are left out.
        out: the file to write.
        network: the `identity` of the network that gave the features: a column `feature_network`, so that a student
            knows what it was trained on.

    Returns:
        The number of rows written.

    Raises:
        UsageError: if a file cannot be read or written, lacks the column, or no photo is left.
    """
    import polars as pl

    places = {photo: row for row, photo in enumerate(photos) if np.isfinite(features[row]).all()}
    try:
        frame = pl.read_parquet(table, glob=False)
        rows = [places.get(photo, -1) for photo in frame["photo"]]
        kept = [row for row in rows if row >= 0]
        if not kept:
            raise wrong(f"{table} holds none of the {len(places)} photos whose features are known")
        joined = frame.filter(pl.Series(row >= 0 for row in rows))
        joined = joined.with_columns(pl.Series("features", features[kept]))
        if network is not None:
            joined = joined.with_columns(pl.lit(json.dumps(network)).alias(FEATURE_NETWORK))
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            joined.write_parquet(temporary)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"cannot write {out} from {table}: {reason}") from error
    return len(joined)


def _fill(
    path: Path, images: Sequence[Path], network: Network, batch: int, advance: Callable[[float], None]
) -> tuple[int, dict[int, str]]:
    """Completes a shard; the number of rows computed, and the reasons of those that could not be."""
    values, failed = _stored(path, len(images), network.width) or (
        np.full((len(images), network.width), np.nan, np.float32),
        dict.fromkeys(range(len(images)), ""),
    )
    before = dict(failed)
    missing = sorted(failed)
    advance(len(images) - len(missing))
    saved = time.monotonic()
    try:
        for start in range(0, len(missing), batch):
            pixels = {}
            for row in missing[start : start + batch]:
                try:
                    pixels[row] = read_image(images[row], network.size)
                except UsageError as error:
                    failed[row] = str(error)
            if pixels:
                rows = list(pixels)
                found = network(np.stack(list(pixels.values())))
                bad = next(
                    (row for row, each in zip(rows, found, strict=True) if not np.isfinite(each).all()), None
                )
                if bad is not None:
                    raise RunError(f"{network.identity['network']} gives NaN or infinity for {images[bad]}")
                values[rows] = found
                for row in rows:
                    del failed[row]
            advance(len(missing[start : start + batch]))
            if time.monotonic() - saved > _SAVED_EVERY:
                _save(path, values, failed)
                saved = time.monotonic()
    finally:  # what is computed is kept, whatever stops the work
        if failed != before:
            _save(path, values, failed)
    return len(before) - len(failed), failed


_SAVED_EVERY = 10.0
"""Seconds of work that a machine which fails may lose."""


def _save(path: Path, values: Floats, failed: Mapping[int, str]) -> None:
    reasons = {str(row): reason for row, reason in failed.items()}
    checkpoint.save(path, {"features": torch.from_numpy(values), "unreadable": reasons})


def _stored(path: Path, rows: int, width: int) -> tuple[Floats, dict[int, str]] | None:
    """The features of a shard and what was unreadable; None if it is not there, or not whole."""
    try:
        tree = checkpoint.load(path)
        values = tree["features"].numpy()
        failed = {int(row): str(reason) for row, reason in tree["unreadable"].items()}
    except (OSError, UsageError, KeyError, AttributeError, ValueError):
        return None
    is_whole = values.shape == (rows, width) and values.dtype == np.float32
    return (values, failed) if is_whole else None


def _path(folder: Path, number: int) -> Path:
    return folder / f"features-{number:05}.safetensors"


def _bind(folder: Path, images: Sequence[Path], network: Network, shard: int) -> None:
    """Ties the folder to network and list, or refuses if it is tied to others."""
    paths = "\n".join(map(str, images)).encode("utf-8", "surrogateescape")
    wanted = network.identity | {
        "width": network.width,
        "images": len(images),
        "list": hashlib.sha256(paths).hexdigest(),
        "shard": shard,
    }
    there = _manifest(folder)
    if there is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / MANIFEST, wanted)
        return
    for key, value in wanted.items():
        if there.get(key) != value:
            raise wrong(
                f"{folder} holds features with {key} {there.get(key)!r}, not {value!r}: name another folder, or "
                "delete this one"
            )


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        there = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {str(key): value for key, value in there.items()}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(folder / MANIFEST, error) from error
    except (ValueError, AttributeError) as error:
        raise wrong(
            f"{folder / MANIFEST} is damaged: delete the folder to compute its features anew"
        ) from error


def _bar(progress: bool) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    off = not (progress and console.is_terminal)
    left = TimeRemainingColumn()
    return Progress(*columns, TextColumn("left"), left, console=console, disable=off, transient=True)
