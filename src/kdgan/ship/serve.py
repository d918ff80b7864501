"""A page and an HTTP API for one student: bytes in, labels out; nothing that was uploaded is kept or written."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kdgan import __version__
from kdgan.errors import KdganError, NoMemory, UsageError, failed, is_of_memory, wrong
from kdgan.ship.guard import Guard
from kdgan.ship.predictor import Predictor

MOST_BYTES = 10_000_000
"""Bytes of a request's body."""
DEFAULT_LABELS = 5
_AT_ONCE = 16
"""Requests whose body is in memory together; others wait for their turn."""
_PATIENCE = 30.0
"""Seconds in which a body must have come."""
_MOST_CONNECTIONS = 1_000
_LONGEST_ERROR = 1_000
"""Characters of an error, which may quote what was sent."""
_PAGE = Path(__file__).parent / "page"


def make_app(predictor: Predictor, *, most_bytes: int = MOST_BYTES, loopback: bool = True) -> Guard:
    """The server as an ASGI application, see docs/serve.md for its routes.

    Args:
        predictor: gives the answers, one at a time, in a thread of its own.
        most_bytes: a request with more is refused.
        loopback: whether it is for this machine alone, so that requests that name another host, or come from a page of
            one, are refused: a name that resolves to 127.0.0.1 must not let foreign pages in.
    """
    thread, turn = ThreadPoolExecutor(1, "predictor"), asyncio.Semaphore(_AT_ONCE)

    async def predict(request: Request) -> Response:
        most = _most(request.query_params.get("most", str(DEFAULT_LABELS)))
        answer = _method(predictor, request.headers.get("content-type", ""))
        async with turn:
            body = await _body(request, most_bytes)
            loop = asyncio.get_running_loop()
            return JSONResponse(await loop.run_in_executor(thread, _guarded, answer, body, most))

    async def about(request: Request) -> Response:
        return JSONResponse({**predictor.about(), "most_bytes": most_bytes})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/about", about),
        Route("/health", health),
        _file("/", "index.html", "text/html"),
        _file("/page.css", "page.css", "text/css"),
        _file("/page.js", "page.js", "text/javascript"),
    ]
    handlers: Any = {HTTPException: _refusal, ClientDisconnect: _nothing}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), loopback=loopback)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: for a host that this machine has not, and a port that is taken.
    """
    if not host or not 0 <= port <= 65_535:
        raise wrong(f"the server needs a host and a port from 0 to 65,535, not {host!r:.100} and {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
        # What is accepted inherits it; with Nagle's algorithm an answer of two packets takes 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, UnicodeError) as error:
        number = error.errno or 0 if isinstance(error, OSError) else 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise wrong(
            f"the server cannot listen at {host:.100} port {port} ({reason}): name another --port or --host"
        ) from error


def make_server(app: Guard) -> uvicorn.Server:
    """The server of an application: it says nothing, looks at no environment, and writes no log."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def serve(
    predictor: Predictor,
    listening: socket.socket,
    *,
    most_bytes: int = MOST_BYTES,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves until Ctrl-C or its like, which is raised as ever once the last answers are sent.

    Args:
        predictor: gives the answers.
        listening: what `bind` gave.
        most_bytes: see `make_app`.
        ready: is told the page's address.
    """
    host, port = listening.getsockname()[:2]
    app = make_app(predictor, most_bytes=most_bytes, loopback=ipaddress.ip_address(host).is_loopback)
    predictor.warm()
    ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    make_server(app).run(sockets=[listening])


def _file(path: str, name: str, kind: str) -> Route:
    """A file of the page, read once."""
    content = (_PAGE / name).read_bytes()

    async def page(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, page)


def _most(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) >= 1):
        raise HTTPException(400, f"most must be a whole number of labels from 1 to 999,999, not {text!r:.40}")
    return int(text)


def _method(predictor: Predictor, content_type: str) -> Callable[[bytes, int], dict[str, Any]]:
    """What answers a request of this type."""
    kind = content_type.partition(";")[0].strip().lower()
    if predictor.takes != "image":
        if kind != "application/json":
            raise HTTPException(
                415,
                f"this student takes JSON: send it with Content-Type: application/json, not {kind[:60]!r}",
            )
        return predictor.of_json
    if kind == "application/json" or kind.startswith("multipart/"):
        raise HTTPException(
            415, f"this student takes an image: send the bytes of its file as the body, not {kind[:60]}"
        )
    return predictor.of_image


async def _body(request: Request, most: int) -> bytes:
    """The body of a request, refused as soon as it is known to be too large."""
    too_large = HTTPException(413, f"the request has more than {most:,} bytes: make it smaller")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(408, f"the request did not come within {_PATIENCE:.0f} seconds") from error
    if not body:
        raise HTTPException(400, "the request is empty: send an image, or JSON, as its body")
    return bytes(body)


def _guarded(answer: Callable[[bytes, int], dict[str, Any]], body: bytes, most: int) -> dict[str, Any]:
    """An answer, or an error for whoever asked: nothing that a request holds ends the server."""
    try:
        return answer(body, most)
    except UsageError as error:
        raise HTTPException(400, str(error)) from error
    except Exception as error:  # of any kind, a network of one's own among them
        if isinstance(error, NoMemory) or is_of_memory(error):
            raise HTTPException(503, "there is not enough memory for this request") from error
        said = error if isinstance(error, KdganError) else failed(error, "the prediction")
        print(f"kdgan: {said}", file=sys.stderr)  # noqa: T201
        raise HTTPException(500, str(said)) from error


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        asked = f"{request.method} {request.url.path:.100}"
        error.detail = f"there are GET /, /about and /health, and POST /predict, not {asked}"
    return JSONResponse({"error": error.detail[:_LONGEST_ERROR]}, error.status_code, error.headers)


async def _nothing(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it
