"""What stands between the network and a server: which requests come in, and what every response says to browsers."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = (
    # The page may load and ask nothing but this server, so that it works offline and tells nobody.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_LINGERING = 5.0
"""Seconds in which what a refused client still sends is dropped, so that it reads why instead of seeing a reset."""


class Guard:
    """An ASGI application around another.

    Args:
        app: answers what is let in.
        loopback: whether requests must name this machine as their host, and may come from its own pages alone.
    """

    def __init__(self, app: App, *, loopback: bool) -> None:
        self.app, self.loopback = app, loopback

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        request = _Request(receive, send, has_body=any(name in _BODY for name, _ in headers))
        reason = _foreign(headers) if self.loopback else None
        if reason is None:
            await self.app(scope, request.receive, request.send)
            return
        body = json.dumps({"error": reason}).encode()
        kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await request.send({"type": "http.response.start", "status": 421, "headers": kind})
        await request.send({"type": "http.response.body", "body": body})


class _Request:
    """The two ends of a request; the response has `HEADERS`, and ends when the client has sent all, or long enough."""

    def __init__(self, receive: Receive, send: Send, *, has_body: bool) -> None:
        self._receive, self._send, self._sending = receive, send, has_body

    async def receive(self) -> Message:
        message = await self._receive()
        self._sending = self._sending and bool(message.get("more_body"))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        elif self._sending and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            try:
                async with asyncio.timeout(_LINGERING):
                    while self._sending:
                        await self.receive()
            except TimeoutError:
                pass
            message = {"type": "http.response.body"}
        await self._send(message)


_BODY = (b"content-length", b"transfer-encoding")


def _foreign(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Why a request is none of this machine's own; None for one that is."""
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _is_here(f"//{hosts[0]}"):
        shown = hosts[0][:100] if hosts else "none"
        return f"this server is for its own machine: the host must be localhost or 127.0.0.1, not {shown!r}"
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
        return f"this server is for its own page, and the request comes from {origins[0][:100]!r}"
    return None


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
