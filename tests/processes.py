"""Several processes that share a run on the CPU, as torchrun would have started them."""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from support import served, without_progress

PATIENCE = 300.0
"""Seconds after which something hangs."""


@dataclass
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str


class Together:
    """Processes that are at one call, each in a folder of its own for what it says.

    Args:
        folder: where.
        call: of a module, so that it can be found there.
        arguments: of the call.
        count: processes.
        environment: of all of them, beside what torchrun says.
    """

    def __init__(
        self,
        folder: Path,
        call: Callable[..., object],
        *arguments: Any,
        count: int = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "TORCHELASTIC_RUN_ID": "test",
            **(environment or {}),
        }
        self.folders = [folder / f"process-{rank}" for rank in range(count)]
        self.processes = []
        for rank, own in enumerate(self.folders):
            own.mkdir(parents=True)
            said = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = served().Process(target=_begin, args=(own, said, call, arguments), daemon=True)
            process.start()
            self.processes.append(process)

    def end(self) -> list[Ended]:
        """Waits for all."""
        found = []
        for process, own in zip(self.processes, self.folders, strict=True):
            process.join(PATIENCE)
            assert process.exitcode is not None, "it hangs"
            out, err = ((own / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
            found.append(Ended(process.exitcode, out, without_progress(err)))
        return found


def _begin(folder: Path, said: Mapping[str, str], call: Callable[..., object], arguments: Any) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(said)
    torch.set_num_threads(1)
    call(*arguments)
    sys.stdout.flush()
