"""A Ray cluster: its address, what is wanted of it, its machines. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kdgan.errors import KdganError, one_line, wrong
from kdgan.experiments.ray_worker import EXTRA, Beginning, check_machine
from kdgan.extras import needed
from kdgan.interrupt import SIGNALS

ANSWER = 5.0
"""Seconds within which a machine must take a connection."""
CHECKING = 120.0
"""Seconds within which every machine must say what it sees."""
EVERYTHING = 1024
"""Workers at a time that mean: as many as there is room for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command wants of the cluster.

    Attributes:
        address: of the cluster, as HOST:PORT or auto; None for one that is started here.
        workers: jobs at a time, or None for as many as there is room for.
        gpu: whether each needs a GPU of its own.
        beginning: what each process needs, `prepare` left out.
    """

    address: str | None
    workers: int | None
    gpu: bool
    beginning: Beginning


def check_address(address: str) -> None:
    """Raises a UsageError for what is no address of a cluster, or one where nothing listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise wrong(f"the address must be HOST:PORT of ray start --head, or auto, not {address!r:.60}")
    try:
        answers(address)
    except (OSError, UnicodeError) as error:  # the latter for what can be no name of a machine
        why = one_line(getattr(error, "strerror", None) or str(error))
        raise wrong(
            f"no Ray cluster listens at {address} ({why}): start one with ray start --head"
        ) from error


def answers(address: str) -> None:
    """Raises an OSError if nothing listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()


@contextlib.contextmanager
def joined(wishes: Wishes) -> Iterator[Any]:
    """Ray, connected to the cluster, or to one of this machine alone that ends with the block.

    Raises:
        UsageError: if that cannot be.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if wishes.address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # as other processes of this machine
        # A token of its own, or Ray leaves one in the user's home; read when Ray is imported.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ray = needed("ray", *EXTRA)
    options: dict[str, Any] = {"include_dashboard": None, "log_to_driver": False}
    made = None
    if wishes.address is None:
        made = tempfile.mkdtemp(prefix="kdgan-ray-", dir="/tmp")  # names of sockets must be short
        cores = (wishes.workers or 0) * wishes.beginning.threads
        options |= {"include_dashboard": False, "num_cpus": cores or os.cpu_count(), "_temp_dir": made}
    try:
        ray.init(address=wishes.address or "local", **options)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # Ray has its own for one of them
        yield ray
    except (ConnectionError, RuntimeError, ValueError) as error:
        if isinstance(error, KdganError):
            raise
        if wishes.address == "auto" and isinstance(error, ConnectionError):
            raise wrong(
                "this machine is in no Ray cluster: join one (ray start), or say HOST:PORT"
            ) from error
        place, token = "of this machine", ""
        if wishes.address is not None:
            place, token = f"at {wishes.address}", "; one that asks for a token needs RAY_AUTH_MODE=token"
        raise wrong(f"cannot work with the Ray cluster {place}: {shortened(error)}{token}") from error
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def machines(ray: Any, wishes: Wishes) -> list[tuple[str, int]]:
    """Every machine of the cluster that jobs can be carried out on, and how many at a time."""
    found = []
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        places = int(has.get("CPU", 0) // wishes.beginning.threads)
        if wishes.gpu:
            places = min(places, int(has.get("GPU", 0)))
        if places:
            found.append((node["NodeID"], places))
    return found


def check(ray: Any, wishes: Wishes) -> None:
    """Raises a UsageError if a machine of the cluster cannot carry out jobs of ours."""
    found = machines(ray, wishes)
    if not found:
        gpu = " and a GPU" if wishes.gpu else ""
        raise wrong(
            f"no machine of the Ray cluster has {wishes.beginning.threads} CPUs{gpu} for a run: see threads and device"
        )
    pinned = needed("ray.util.scheduling_strategies", *EXTRA).NodeAffinitySchedulingStrategy
    ask = ray.remote(num_cpus=0, max_retries=0)(Beginning.machine)
    try:
        asked = [
            ask.options(scheduling_strategy=pinned(node, soft=False)).remote(wishes.beginning)
            for node, _ in found
        ]
        for said in ray.get(asked, timeout=CHECKING):
            check_machine(said, wishes.beginning.versions)
    except ray.exceptions.RayError as error:
        raise wrong(f"a machine of the Ray cluster cannot work for kdgan: {shortened(error)}") from error


def shortened(error: Exception) -> str:
    """What an error of Ray's says, whose messages are of many lines, the cause in the last."""
    cause = getattr(error, "cause", None) or error
    said = one_line(str(cause)) or type(cause).__name__
    return said if len(said) <= 300 else f"{said[:300]}..."
