"""A real Chromium without a window, driven by its DevTools protocol over a pipe."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

PATIENCE = 60.0
"""Seconds after which something hangs."""
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--mute-audio",
    ),
)

_START = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
"""The browser reads commands from descriptor 3 and writes to 4."""


class Browser:
    """One page of a browser.

    Args:
        folder: holds its profile.
        width: of the window, in pixels.
        height: likewise.

    Attributes:
        events: what the page has told so far.
    """

    def __init__(self, folder: Path, width: int = 390, height: int = 844) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("no chromium on PATH")
        (reads, self._to), (self._from, writes) = os.pipe(), os.pipe()
        options = (*_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, str(reads), str(writes), program, *options],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        os.set_blocking(self._from, False)
        self.events: list[dict[str, Any]] = []
        self._number, self._buffer, self._session = 0, b"", ""
        try:
            self._begin(width, height)
        except BaseException:
            self.close()
            raise

    def _begin(self, width: int, height: int) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=True
        )

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        os.close(self._to)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._from)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for message in self._messages():
                if message.get("id") == self._number:
                    assert "error" not in message, (method, message["error"])
                    found: dict[str, Any] = message["result"]
                    return found
                self.events.append(message)
            assert self.process.poll() is None, "the browser has ended"
            time.sleep(0.01)
        raise AssertionError(f"{method} hangs")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of an expression, once it is true."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if value := self.evaluate(script):
                return value
            time.sleep(0.02)
        raise AssertionError(f"{script} is never true: {self.evaluate('document.body.innerText')}")

    def open(self, url: str) -> None:
        """Goes to a page."""
        self.call("Page.navigate", url=url)

    def choose(self, selector: str, file: Path) -> None:
        """Puts a file into an input, as a user does in its dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key, down and up."""
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of events of one kind."""
        self.evaluate("1")  # what has come until now is read
        return [event["params"] for event in self.events if event.get("method") == method]

    def _messages(self) -> list[dict[str, Any]]:
        try:
            self._buffer += os.read(self._from, 2**20)
        except BlockingIOError:
            return []
        *whole, self._buffer = self._buffer.split(b"\0")
        return [json.loads(message) for message in whole]
