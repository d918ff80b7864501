"""The server: its routes, what it refuses, what it never does; and one in a process of its own under load."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from html_pages import Page
from kdgan.nets import build
from kdgan.ship.predictor import Predictor
from kdgan.ship.serve import bind
from serving import COLOURS, PNG_30000, Asking, colours, knowing, picture, serving
from support import refused

ROUTES = ("/", "/page.css", "/page.js", "/about", "/health")
ELSEWHERE = re.compile(r"(?:https?:)?//[\w-]+\.\w|\bhttps?:|\bwss?:|@import|url\(")
"""A reference to another host, or to what only its content would show."""


@pytest.fixture(scope="module")
def ask() -> Iterator[Asking]:
    with serving(Predictor(colours(), colours(20.0), "sharp")) as asking:
        yield asking


def test_an_image_has_the_same_labels_as_from_the_student_itself(ask: Asking) -> None:
    for colour in COLOURS:
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
            content = picture(colour, kind=kind)
            status, found, _ = ask("/predict", content, {"Content-Type": "image/whatever"})
            (expected,) = colours().predict(content)
            assert status == 200
            assert found["predictions"] == [
                {"labels": list(expected.labels), "probabilities": list(expected.probabilities)}
            ]
            assert expected.label == colour
            teacher = found["teacher"]["predictions"][0]
            assert teacher["labels"][0] == colour
            assert teacher["probabilities"][0] > expected.probability
            for took in (
                found["milliseconds"],
                found["reading_milliseconds"],
                found["teacher"]["milliseconds"],
            ):
                assert 0 < took < 60_000


def test_most_says_how_many_labels(ask: Asking) -> None:
    assert len(ask("/predict?most=2", picture("red"))[1]["predictions"][0]["labels"]) == 2
    for wrong in ("0", "-1", "x", "1e3", "٣", "9" * 5000):
        status, found, _ = ask(f"/predict?most={wrong if wrong.isascii() else '%D9%A3'}", picture("red"))
        assert (status, "whole number of labels" in found["error"]) == (400, True)


def test_it_says_what_it_is(ask: Asking) -> None:
    about = ask("/about")[1]
    assert about["labels"] == list(COLOURS)
    assert (about["takes"], about["teacher"], about["most_bytes"]) == ("image", "sharp", 10_000_000)
    status, found, _ = ask("/health")
    assert (status, found["status"]) == (200, "ok")


@pytest.mark.parametrize(
    ("body", "headers", "status", "part"),
    [
        (b"hello, I am a text\n", {}, 400, "what was sent is not an image of the kinds"),
        (PNG_30000, {}, 400, "50,000,000 pixels"),
        (b"", {}, 400, "is empty"),
        (picture("red")[:60], {}, 400, "damaged"),
        (b"\0" * 11_000_000, {}, 413, "more than 10,000,000 bytes"),
        (b'{"rows": []}', {"Content-Type": "application/json"}, 415, "takes an image"),
        (
            b"--X\r\n",
            {"Content-Type": "multipart/form-data; boundary=X"},
            415,
            "bytes of its file as the body",
        ),
        (b"GIF89a" + b"\xff" * 500, {}, 400, "what was sent"),
        (b"\x93NUMPY" + b"\0" * 99, {}, 400, "not an image"),
        (b"\x80\x04cos\nsystem\n", {}, 400, "not an image"),
    ],
    ids=["text", "huge", "empty", "cut", "large", "json", "multipart", "gif", "numpy", "pickle"],
)
def test_what_is_no_image_is_refused_in_one_line(
    ask: Asking, body: bytes, headers: dict[str, str], status: int, part: str
) -> None:
    found, answer, _ = ask("/predict", body, headers)
    assert found == status, answer
    assert [*answer] == ["error"]
    assert part in answer["error"]
    assert len(answer["error"].splitlines()) == 1
    assert ask("/predict", picture("blue"))[1]["predictions"][0]["labels"][0] == "blue"


def test_a_stream_is_refused_as_soon_as_it_is_too_long(ask: Asking) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(4000):
            sent += 1
            yield b"\0" * 100_000

    try:
        status, answer, _ = ask("/predict", pieces(), {"Transfer-Encoding": "chunked"}, chunked=True)
        assert (status, "more than" in answer["error"]) == (413, True)
    except (BrokenPipeError, ConnectionResetError):
        assert sent < 4000  # it is not read to its end
    assert ask("/health")[0] == 200


def test_a_length_that_is_declared_is_refused_before_a_byte_is_read(ask: Asking) -> None:
    connection = HTTPConnection("127.0.0.1", ask.port, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(10**12))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, "more than" in json.loads(response.read(200).decode())["error"]) == (413, True)
    connection.close()


def test_names_in_a_request_name_no_file(
    ask: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("../../up.png", str(tmp_path / "there.png"), "a\\b.png", "%2e%2e/x.png"):
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Filename": name, "Slug": name}
        assert ask(f"/predict?filename={name}", picture("red"), headers)[0] == 200
        form = f'--X\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        body = form + picture("red") + b"\r\n--X--\r\n"
        assert ask("/predict", body, {"Content-Type": "multipart/form-data; boundary=X"})[0] == 415
        assert ask(f"/{name}")[0] == 404
    assert not [*tmp_path.rglob("*")]
    assert ask("/../../../../etc/passwd")[0] == ask("/page/index.html")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.0.7"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Host": "user@evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_other_hosts_and_their_pages_are_kept_out_of_loopback(ask: Asking, headers: dict[str, str]) -> None:
    for path, body in (("/", None), ("/health", None), ("/predict", picture("red"))):
        status, answer, _ = ask(path, body, headers)
        assert status == 421
        assert "this server is for its own" in answer["error"]


def test_this_machine_has_several_names(ask: Asking) -> None:
    for host in ("localhost", f"LOCALHOST:{ask.port}", "127.0.0.1:80", "[::1]:9", "127.9.9.9"):
        assert ask("/health", None, {"Host": host})[0] == 200
    own = {"Host": f"localhost:{ask.port}", "Origin": f"http://localhost:{ask.port}"}
    assert ask("/predict", picture("red"), own)[0] == 200
    with serving(Predictor(colours()), loopback=False) as elsewhere:
        assert elsewhere("/health", None, {"Host": "lab.example"})[0] == 200


def test_nothing_is_fetched_from_elsewhere_and_no_other_page_may_ask(ask: Asking) -> None:
    pages: dict[str, Any] = {}
    for path in ROUTES:
        status, pages[path], headers = ask(path)
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]
        assert headers["x-content-type-options"] == "nosniff"
        assert ELSEWHERE.search(str(pages[path])) is None, path
    page = Page(pages["/"])
    assert page.tags["script"] == page.tags["style"] + 1 == 1
    referenced = [value for name, value in page.attributes if name in ("src", "href", "action", "srcset")]
    assert sorted(referenced) == ["data:,", "page.css", "page.js"]
    assert "innerHTML" not in pages["/page.js"]


def test_the_documented_answer_has_the_form_of_those_that_are_given(ask: Asking) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    example = re.search(r'\n( +\{"predictions".*?"notes": \[\]\})', text, re.DOTALL)
    assert example is not None
    documented, given = json.loads(example[1]), ask("/predict?most=2", picture("red"))[1]

    def form(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: form(each) for name, each in value.items()}
        return [form(each) for each in value] if isinstance(value, list) else type(value)

    assert form(documented) == form(given)
    for path in ROUTES[:1] + ROUTES[3:]:
        assert f"| `GET {path}` |" in text


def test_routes_that_there_are_not(ask: Asking) -> None:
    for path, body, status in (("/x", None, 404), ("/predict", None, 405), ("/health", b"x", 405)):
        found, answer, _ = ask(path, body)
        assert (found, "POST /predict" in answer["error"]) == (status, True)
    connection = HTTPConnection("127.0.0.1", ask.port, timeout=30)
    connection.request("OPTIONS", "/predict", headers={"Access-Control-Request-Method": "POST"})
    assert connection.getresponse().status == 405
    connection.close()


def test_garbage_on_the_wire(ask: Asking) -> None:
    import socket

    for sent in (
        b"\0" * 4000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: -4\r\n\r\n",
        b"x",
    ):
        with socket.create_connection(("127.0.0.1", ask.port), 10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4000)
    assert ask("/health")[0] == 200


class Failing(nn.Module):
    """A network of one's own that does not hold what it promised."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "raise":
            raise KeyError("nothing\nthere")
        if self.how == "memory":
            raise MemoryError
        return torch.full((len(x), 3), math.nan)


@pytest.mark.parametrize(
    ("how", "status", "part"), [("raise", 500, "KeyError"), ("nan", 500, "NaN"), ("memory", 503, "memory")]
)
def test_a_network_that_fails_ends_no_server(
    how: str, status: int, part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    student = knowing(Failing(how))
    with serving(Predictor(student)) as asking:
        for _ in range(2):
            found, answer, _ = asking("/predict", picture("red"))
            assert (found, part in answer["error"]) == (status, True)
            assert len(answer["error"].splitlines()) == 1
        assert asking("/health")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_and_hosts_that_there_are_not() -> None:
    with bind("127.0.0.1", 0) as listening, refused("cannot listen", "Address already in use", "--port"):
        bind("127.0.0.1", listening.getsockname()[1])
    with refused("cannot listen", "nowhere.invalid"):
        bind("nowhere.invalid", 0)
    for host, port in (("", 0), ("127.0.0.1", -1), ("127.0.0.1", 65_536)):
        with refused("a host and a port from 0 to 65,535"):
            bind(host, port)
    with bind("localhost", 0) as listening:
        assert listening.getsockname()[0] in ("127.0.0.1", "::1")


def test_a_server_of_its_own_loses_nothing_and_stays_as_small_as_it_was(tmp_path: Path) -> None:
    student = knowing(build("mlp-16", (3, 8, 8), 3), "mlp-16")
    student.save(tmp_path / "s.safetensors")
    (expected,) = student.predict(picture("green"))
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "kdgan",
        "serve",
        str(tmp_path / "s.safetensors"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ ", process.stdout.readline())
        assert found, process.communicate()
        asking = Asking(int(found[1]))
        together, body = threading.Barrier(200), picture("green", size=(400, 300))

        def at_once(_: int) -> tuple[int, Any]:
            together.wait(60)
            status, answer, _ = asking("/predict", body)
            return status, answer["predictions"][0]["labels"]

        with ThreadPoolExecutor(200) as threads:
            answers = [*threads.map(at_once, range(200))]
        assert answers == [(200, list(expected.labels))] * 200
        before = _resident(process.pid)
        connection = HTTPConnection("127.0.0.1", asking.port, timeout=60)
        small = picture("green")
        for _ in range(2000):
            connection.request("POST", "/predict", small)
            assert len(json.loads(connection.getresponse().read())["predictions"]) == 1
        connection.close()
        if before is not None:
            grown = (_resident(process.pid) or 0) - before
            assert grown < 30 * 2**20, f"{grown / 2**20:.0f} MiB more"
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.splitlines()[-1] == "kdgan: the server has stopped"
    assert len(errors.splitlines()) == 2  # and that there is no teacher


def _resident(pid: int) -> int | None:
    """Bytes of a process in memory, where the system says."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1])  # type: ignore[index]
