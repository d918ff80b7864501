"""The command `kdgan` as a process: its signals, its output and its exit code; `kdgan.cli` does the work."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from kdgan.interrupt import STOPPED, end_on_signals, ignore_signals

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.RawIOBase):
    """Standard output or error that no command fails by: after an error it drops what comes, and keeps the error."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int | None:
        if self.error is None:
            try:
                return self.raw.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.raw.fileno()

    def isatty(self) -> bool:
        return self.raw.isatty()


def main() -> None:
    """The command `kdgan`, from the first moment of its process to the last."""
    end_on_signals()
    code: object = 0
    outputs: list[_Output] = []
    try:
        outputs += _outputs()
        from kdgan.cli.main import main as carry_out

        carry_out()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        print(f"kdgan: {STOPPED}", file=sys.stderr)  # noqa: T201
        code = 2
    ignore_signals()
    sys.stdout.flush()
    broken = outputs[0].error if outputs else None
    # Whoever closed a pipe has read enough; a disk that is full has lost what was found.
    if broken is not None and broken.errno != errno.EPIPE and not code:
        print(f"kdgan: cannot write to standard output: {broken.strerror}", file=sys.stderr)  # noqa: T201
        code = 2
    sys.stderr.flush()
    sys.exit(code)  # type: ignore[arg-type]


def _outputs() -> list[_Output]:
    """Makes standard output and error bear whatever is written to them: closed ones, full ones, characters that they
    have not."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so that no file of ours gets it
    outputs = []
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        raw: Any = io.FileIO(number, "w", closefd=False)
        encoding, lines = "utf-8", number == 2
        if stream is not None:
            raw, encoding = getattr(stream.buffer, "raw", stream.buffer), stream.encoding
            lines = lines or bool(stream.line_buffering or getattr(stream, "write_through", False))
        outputs.append(_Output(raw))
        buffer = io.BufferedWriter(outputs[-1])
        setattr(sys, name, io.TextIOWrapper(buffer, encoding, errors="replace", line_buffering=lines))
    return outputs


if __name__ == "__main__":
    main()
