"""A server on loopback that takes what huggingface_hub sends, in place of the Hub."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_standin0123456789"


class StandIn:
    """What was sent: repositories that were made and files by name, with what the requests were signed with."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.signed: set[str | None] = set()
        self.refuses = False
        self.endpoint = ""

    def answer(self, path: str, content: bytes) -> tuple[int, Any]:
        if self.refuses:
            return 403, {"error": f"no right to write with {TOKEN}"}
        if path == "/api/repos/create":
            self.made.append(json.loads(content))
            name = "/".join(
                filter(None, (self.made[-1].get("organization") or "someone", self.made[-1]["name"]))
            )
            return 200, {"url": f"{self.endpoint}/{name}", "name": name, "id": name}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:
            files = json.loads(content)["files"]
            return 200, {
                "files": [
                    {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in files
                ]
            }
        if "/commit/" in path:
            whole = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return 200, {
                "commitUrl": f"{self.endpoint}/{whole}/commit/1",
                "commitOid": "1",
                "success": True,
            }
        return 404, {"error": f"{path} is not of this stand-in"}


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """The server, while the block lasts."""
    state = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api/repos/create" or "/commit/" in self.path:
                state.signed.add(self.headers.get("Authorization"))
            code, answer = state.answer(self.path, content)
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
