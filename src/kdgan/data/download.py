"""Download a file once, checked, into the user's cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from kdgan.errors import wrong


def fetch(url: str, md5: str, folder: str, *, progress: bool = True) -> Path:
    """The file behind `url` as a path on this machine, downloaded unless the cache has it already.

    The download goes to a temporary name and gets its own name only when the checksum agrees.

    Args:
        url: where the file is; its last part names it in the cache.
        md5: the checksum as 32 hexadecimal digits.
        folder: the folder below the cache of kdgan.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        UsageError: if the file cannot be downloaded or has another checksum.
    """
    from requests.exceptions import RequestException

    name = url.rsplit("/", 1)[-1]
    remedy = "check the network, or put the files into a folder and name it with --data-dir"
    try:
        with _quiet_pooch(), _Bar(name, progress) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar)
            path = Path(pooch.os_cache("kdgan")) / folder
            return Path(pooch.retrieve(url, f"md5:{md5}", fname=name, path=path, downloader=downloader))
    except RequestException as error:
        answer = error.response
        reason = type(error).__name__ if answer is None else f"HTTP status {answer.status_code}"
        if answer is not None:
            answer.close()  # pooch leaves the connection of a refused request open
        raise wrong(f"cannot download {url} ({reason}): {remedy}") from error
    except OSError as error:
        raise wrong(
            f"cannot store {name} in the cache ({error.strerror or error}): name a --data-dir"
        ) from error
    except ValueError as error:  # what pooch raises for a checksum that differs
        raise wrong(f"{url} does not have the checksum {md5} and was not kept: {remedy}") from error


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    # Pooch announces each download on stderr, which would tear the progress bar apart.
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Bar:
    """A rich progress bar in the form that pooch asks for: `total`, `update`, `reset` and `close`."""

    def __init__(self, name: str, shown: bool) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        off = not (shown and console.is_terminal)
        self._progress = Progress(*columns, console=console, disable=off, transient=True)
        self._name = name
        self.total = 0

    def __enter__(self) -> _Bar:
        self._task = self._progress.add_task(self._name, total=None, start=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, count: int) -> None:
        """`count` more bytes have come."""
        self._progress.start()  # only now, so that nothing appears for a file that the cache has
        self._progress.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        """Start counting again."""
        self._progress.reset(self._task, total=self.total or None)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()
