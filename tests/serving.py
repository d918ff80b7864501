"""A server of a student that knows colours, in a thread of this process, and what asks it."""

import http.client
import io
import json
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from kdgan.data.images import ImageReader
from kdgan.data.split import Scale
from kdgan.ship.predictor import Predictor
from kdgan.ship.serve import bind, make_app, make_server
from kdgan.ship.student import Student

COLOURS = {"red": (230, 20, 10), "green": (20, 200, 30), "blue": (10, 30, 240)}
PNG_30000 = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0\xe9\x45\x6f\xed"
    b"\0\0\0\x08IDAT" + zlib.compress(b"") + zlib.crc32(b"IDAT" + zlib.compress(b"")).to_bytes(4, "big")
)
"""The header of 30,000 x 30,000 pixels."""


class Means(nn.Module):
    """Logits that are the mean of each colour."""

    def __init__(self, sharpness: float = 10.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, x: Tensor) -> Tensor:
        return self.sharpness * x.mean((2, 3))


def knowing(module: nn.Module, network: str | None = None) -> Student:
    """A student of photos of 8 x 8 pixels that has this module."""
    scale = Scale(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    reader = ImageReader.of((3, 8, 8))
    return Student(module.eval(), tuple(COLOURS), network, (3, 8, 8), scale, reader=reader)


def colours(sharpness: float = 10.0) -> Student:
    return knowing(Means(sharpness))


def picture(colour: str, *, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, kind)
    return file.getvalue()


@dataclass
class Asking:
    """Asks a server at a port."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __call__(
        self,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, what the body says (JSON or text), headers; a POST where there is a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
            response = connection.getresponse()
            text = response.read().decode()
            found = dict(response.getheaders())
            is_json = found["content-type"] == "application/json"
            return response.status, json.loads(text) if is_json else text, found
        finally:
            connection.close()

    def json(self, value: Any, path: str = "/predict") -> tuple[int, Any]:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, found, _ = self(path, content, {"Content-Type": "application/json; charset=utf-8"})
        return status, found


@contextmanager
def serving(predictor: Predictor, **options: Any) -> Iterator[Asking]:
    """A server, for the block."""
    with bind("127.0.0.1", 0) as listening:
        server = make_server(make_app(predictor, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield Asking(listening.getsockname()[1])
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "it hangs"
