"""The address of a Ray cluster, and how many workers at a time it has."""

from __future__ import annotations

import socket

from kdgan.errors import wrong

ANSWER = 5.0
"""Seconds within which a machine must take a connection."""
EVERYTHING = 1024
"""Workers at a time that mean: as many as there is room for."""


def check_address(address: str) -> None:
    """Raises a UsageError for what is no address of a cluster, or one where nothing listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise wrong(f"the address must be HOST:PORT of ray start --head, or auto, not {address!r:.60}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise wrong(
            f"no Ray cluster listens at {address} ({why}): start one with ray start --head"
        ) from error
