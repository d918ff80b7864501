"""Data of a configuration on classes, as they are in their files."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from kdgan.data.idx import MNIST_SHA256
from kdgan.data.reading import BUNDLED, KNOWN, load
from kdgan.data.source import Source
from kdgan.errors import wrong
from kdgan.tasks.config import ClassesData, Config


def identified(data: ClassesData, data_dir: Path | None) -> tuple[ClassesData, Source | None]:
    """The data with a hash of what their files hold, and what was read for it.

    Nothing is read of what is known by its name alone: bundled data, and downloads, whose checksum is known.

    Raises:
        UsageError: for data that cannot be read.
    """
    if data.source in KNOWN and data_dir is None and data.more is None:
        return data, None
    read.cache_clear()  # files may have changed since
    if data.source in BUNDLED and data_dir is not None:
        load(data.source, data_dir=data_dir)  # which says that it does not fit
    source = read(replace(data.as_read, sha256=None), data_dir)
    return replace(data, sha256=_sha256(source)), source


def unchanged(data: ClassesData, data_dir: Path | None) -> Source:
    """The source of a configuration.

    Raises:
        UsageError: for data that cannot be read, or are not those that the run was configured with.
    """
    source = read(replace(data.as_read, sha256=None), data_dir)
    if data.sha256 is not None and _sha256(source) != data.sha256:
        raise wrong(f"{data_dir or data.source} is no longer what it was when this run was configured")
    return source


def notes_of(config: Config, data_dir: Path | None) -> tuple[str, ...]:
    """What reading did that is not plain, for people."""
    data = config.data
    if not isinstance(data, ClassesData) or (data.source in KNOWN and data.more is None):
        return ()
    return read(replace(data.as_read, sha256=None), data_dir).notes


def _sha256(source: Source) -> str | None:
    found = source.sha256
    return None if found == MNIST_SHA256 else found  # as in what is downloaded


@lru_cache(maxsize=1)
def read(data: ClassesData, data_dir: Path | None) -> Source:
    """The source, read once for many runs on the same data.

    Of the cells of a study some have files in a folder, and others are bundled.
    """
    return load(data.source, data_dir=None if data.source in BUNDLED else data_dir, **data.reading)
