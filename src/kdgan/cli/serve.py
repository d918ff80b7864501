"""`kdgan serve`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from kdgan.cli.tags.features import NetworkOptions
from kdgan.errors import Interrupted, UsageError, one_line, wrong

_LARGEST_REQUEST = 2**30


@dataclass(frozen=True)
class Serve:
    """A page to try a trained student on, and an HTTP API, until Ctrl-C. Nothing that is uploaded is kept.

    The teacher's predictions stand beside the student's where the folder of the run keeps one that sees the same.
    """

    student: Annotated[Path, tyro.conf.Positional]
    """Folder of a run, or a file student.safetensors."""
    host: str = "127.0.0.1"
    """Address to listen at. The default is for this machine alone; 0.0.0.0 lets everybody in who can reach it, without
    a password."""
    port: int = 7860
    """Port to listen at; 0 for any that is free."""
    student_only: bool = False
    """Leave the teacher out."""
    most_bytes: int = 10_000_000
    """Bytes of a request; one with more is refused."""
    most_pixels: int = 50_000_000
    """Pixels of an image; one with more is refused by what its header says."""
    trust: bool = False
    """Import networks of one's own that the files name: importing runs code."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    network: tyro.conf.OmitArgPrefixes[NetworkOptions] = field(default_factory=NetworkOptions)

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.data.images import MOST_PIXELS

        try:
            from kdgan.ship.serve import bind, serve
        except ModuleNotFoundError as error:
            raise UsageError(f"kdgan serve needs {error.name}: pip install 'kdgan[serve]'") from error
        for name, value, most in (
            ("--most-bytes", self.most_bytes, _LARGEST_REQUEST),
            ("--most-pixels", self.most_pixels, MOST_PIXELS),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"{name} must be from 1 to {most:,}, not {value}")
        self.network.check_unused()
        try:
            with bind(self.host, self.port) as listening:
                serve(self._predictor(), listening, most_bytes=self.most_bytes, ready=_say)
        except KeyboardInterrupt:
            raise Interrupted("the server has stopped") from None

    def _predictor(self) -> Any:
        from kdgan.data.images import ImageReader
        from kdgan.ship.predictor import Predictor
        from kdgan.ship.student import load
        from kdgan.tasks.kept import kept_teacher
        from kdgan.training.devices import find_device

        device = find_device(self.device)
        student = load(self.student, trust=self.trust).to(device)
        teacher, title = None, ""
        if not self.student_only:
            teacher, title = kept_teacher(self.student, student, trust=self.trust)
            print(one_line(title if teacher is None else f"teacher: {title}"), file=sys.stderr)  # noqa: T201
        if teacher is not None:
            teacher.to(device)
        if self.network.network is None:
            return Predictor(student, teacher, title, self.most_pixels)
        if isinstance(student.reader, ImageReader):
            raise wrong(f"{self.student} takes photos as they are: leave --network out")
        return self._of_features(student)

    def _of_features(self, student: Any) -> Any:
        import numpy as np

        from kdgan.ship.predictor import Predictor
        from kdgan.tagging.images.reading import read_image

        network = self.network.load()
        student.check_features(network.identity)
        return Predictor(
            student,
            most_pixels=self.most_pixels,
            pixels=lambda content: read_image(content, network.size, most_pixels=self.most_pixels),
            featurize=lambda pixels: network(np.stack([np.asarray(each) for each in pixels])),
        )


def _say(url: str) -> None:
    print(f"{url} (Ctrl-C ends it)", flush=True)  # noqa: T201
    if not url.startswith(("http://127.", "http://[::1]")):
        print(  # noqa: T201
            "everybody who can reach this machine can use it: there is no password", file=sys.stderr
        )
