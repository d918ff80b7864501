"""Execution of training: device, processes, progress; nothing of the result depends on it but the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

Progress = Callable[[str, int, int], None]
"""Called with what is being trained (`teacher`, `kdgan`, ...), finished steps, and of how many."""


def unseen(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Execution:
    """Execution; a result is the same for any of these on one kind of device, with the same number of threads.

    Attributes:
        device: of the players.
        data_dir: folder with the files of mnist or cifar10; None downloads them once.
        workers: processes at a time, where there are several runs; 0 for none but this one. Of a cluster no more than
            its CPUs allow.
        threads: of each process.
        checkpoint_seconds: time between two checkpoints.
        executor: of several runs: processes of this machine, or those of a Ray cluster.
        address: of the cluster, HOST:PORT or auto; None starts one of this machine alone.
        progress: called with how far training is.
        stop: asked after every step; True saves and raises `Interrupted`.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data_dir: Path | None = None
    workers: int = 1
    threads: int = 1
    checkpoint_seconds: float = 10.0
    executor: Literal["processes", "ray"] = "processes"
    address: str | None = None
    progress: Progress = unseen
    stop: Callable[[], bool] = _never
