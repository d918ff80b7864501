"""`kdgan export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kdgan.cli.options import File, Name
from kdgan.errors import one_line


@dataclass(frozen=True)
class Export:
    """Write a trained student in another format, checked against itself, and a model card beside it."""

    student: Annotated[Path, tyro.conf.Positional]
    """Folder of a run, or a file student.safetensors."""
    format: Literal["onnx", "torch", "safetensors"] = "onnx"
    """onnx, for ONNX Runtime, with the scaling and encoding of inputs inside; torch, a program of torch.export with the
    same; safetensors, the weights alone."""
    out: File = None
    """The file, which ends in .onnx, .pt2 or .safetensors. Default: beside the student."""
    quantize: Annotated[Literal["int8"] | None, tyro.conf.arg(metavar="int8", help_behavior_hint="")] = None
    """Integers of eight bits in place of float32, for onnx, calibrated on training data of the run; what that costs is
    measured on its test data."""
    to_hub: Name = None
    """Send file and card to this model repository, OWNER/NAME, on the Hugging Face Hub; a new one is private."""
    data_dir: File = None
    """Folder with the files of mnist or cifar10, as in training."""
    trust: bool = False
    """Import the network of one's own that the student's file names: importing runs code."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.ship.hub import check_name, send
        from kdgan.tasks.export import export_run

        if self.to_hub is not None:
            check_name(self.to_hub)
        left = export_run(
            self.student,
            self.out,
            self.format,
            quantize=self.quantize,
            data_dir=self.data_dir,
            trust=self.trust,
        )
        done = left.exported
        lines = [f"{done.path}: {done.size_note}"]
        lines += [
            f"takes {each.name} {each.dtype} {('N', *each.shape)}: {each.about}" for each in done.inputs
        ]
        if done.examples:
            which = "random inputs" if left.notes else "test examples"
            lines.append(
                f"probabilities differ from PyTorch's in float32 by at most {done.difference:.1e}, of "
                f"{done.examples:,} {which}"
            )
        lines += [f"int8: {left.price}"] if left.price is not None else []
        lines += [*left.notes, f"model card: {left.card}"]
        if self.to_hub is not None:
            lines.append(f"sent to {send(self.to_hub, done.path, left.text)}")
        for line in lines:
            print(one_line(line))  # noqa: T201
