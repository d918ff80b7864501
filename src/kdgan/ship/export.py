"""A student in files of other formats, each checked against the student itself before it appears."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from kdgan.data.forms import Form, as_form, one_tensor
from kdgan.errors import RunError, wrong
from kdgan.extras import needed
from kdgan.files import make_folder, replacing
from kdgan.ship import onnx_file
from kdgan.ship.quantize import quantized
from kdgan.ship.raw import RawForm, RawInput, on_cpu
from kdgan.ship.student import Student
from kdgan.training import checkpoint

Format: TypeAlias = Literal["onnx", "torch", "safetensors"]
FILES: Mapping[tuple[str, str | None], str] = MappingProxyType(
    {
        ("onnx", None): "student.onnx",
        ("onnx", "int8"): "student-int8.onnx",
        ("torch", None): "student.pt2",
        ("safetensors", None): "student-weights.safetensors",
    }
)
"""Names of a student's files beside its own one, by format and quantisation."""
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
MOST_DIFFERENCE = 1e-5
"""Bound of the difference of probabilities from those of the student."""
CHECKED = 1000
"""Examples that a file is checked on."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written.

    Attributes:
        path: of it.
        format: its format.
        size: in bytes.
        inputs: what it takes.
        labels: what its probabilities are of.
        difference: largest one from the student's probabilities; of weights alone 0.
        examples: on how many instances.
        float_size: bytes of the same in float32, where it holds integers.
        again: the file's probabilities `(N, K)` of further instances, where such were given.
    """

    path: Path
    format: Format
    size: int
    inputs: tuple[RawInput, ...]
    labels: tuple[str, ...]
    difference: float
    examples: int
    float_size: int | None = None
    again: NDArray[Any] | None = None

    @property
    def size_note(self) -> str:
        """Its size, and of integers beside that in float32."""
        if self.float_size is None:
            return f"{self.size:,} bytes"
        share = self.size / self.float_size
        if share >= 1:
            return f"{self.size:,} bytes: LARGER than the {self.float_size:,} bytes of float32, so nothing is won"
        return f"{self.size:,} bytes, {100 * share:.1f} % of the {self.float_size:,} bytes of float32"


def export(
    student: Student,
    path: Path | str,
    format: Format = "onnx",  # noqa: A002
    *,
    examples: Form | None = None,
    quantize: Literal["int8"] | None = None,
    calibration: Form | None = None,
    test: Form | None = None,
) -> Exported:
    """Writes a student in another format, whole or not at all.

    `onnx`: a file for ONNX Runtime that takes raw inputs, see `kdgan.ship.raw`, and gives `probabilities`; labels and
    what else there is to know are in its metadata. `torch`: a program of `torch.export` that takes the same, with
    categories by their codes; it holds weights as plain bytes and no pickle, yet `torch.export.load` unpickles what a
    file of somebody else asks it to, so load none that you do not trust. `safetensors`: the weights alone, under the
    names in the module, and the rest as JSON in the metadata.

    Args:
        student: whose inputs are one tensor of a known shape.
        path: of the file.
        format: `onnx`, `torch` or `safetensors`.
        examples: real inputs, as the student is called with; the file is checked on the first 1,000 of them. Without,
            on random ones of the range of training.
        quantize: `int8` for integers of eight bits, static, in ONNX.
        calibration: inputs of training for it, at most 1,000 of which are looked at.
        test: further inputs, whose probabilities by the file come back in `again`.

    Raises:
        UsageError: for what cannot be exported so, and an extra that is not installed.
        RunError: if the file does not give what the student gives: it is not written.

    Example:
        >>> from kdgan import nets
        >>> student = Student(nets.mlp(4, [8], 2).eval(), ("no", "yes"), "mlp-8", (4,))
        >>> export(student, "student.onnx", examples=torch.randn(100, 4))  # doctest: +SKIP
    """
    path = check_path(path, format, quantize)
    if quantize is not None and calibration is None:
        raise wrong("quantize needs calibration, inputs of training")
    form = RawForm(on_cpu(student))
    given = _inputs(form, examples, "examples") if examples is not None else form.plausible(CHECKED)
    further = None if test is None else _inputs(form, test, "test")
    make_folder(path.parent)
    with replacing(path) as temporary:
        difference, float_size, again = 0.0, None, None
        if format == "safetensors":
            _write_weights(form, temporary)
        elif format == "torch":
            difference = _write_program(form, temporary, given[:CHECKED])
        elif quantize is None:
            onnx_file.write(form, temporary, onnx_file.notes_of(form))
            difference = _compared(form, onnx_file.session(temporary), given[:CHECKED])
        else:
            known = _inputs(form, calibration, "calibration")
            difference, float_size = _write_quantized(form, temporary, given[:CHECKED], known)
        if further is not None and format == "onnx":
            again = onnx_file.probabilities(onnx_file.session(temporary), form.of(further))
        size = temporary.stat().st_size
    checked = 0 if format == "safetensors" else len(given[:CHECKED])
    return Exported(path, format, size, form.inputs, student.labels, difference, checked, float_size, again)


def check_path(path: Path | str, kind: str, quantize: object = None) -> Path:
    """The path of a file to be exported.

    Args:
        path: of it.
        kind: its format.
        quantize: `int8` or None.

    Raises:
        UsageError: for what can be no such file, and for settings that there are not.
    """
    if kind not in get_args(Format):
        raise wrong(f"format must be onnx, torch or safetensors, not {kind!r:.60}")
    if quantize not in (None, "int8"):
        raise wrong(f"quantize must be int8, not {quantize!r:.60}")
    if quantize is not None and kind != "onnx":
        raise wrong(f"quantize is for the format onnx, not {kind}")
    if not isinstance(path, Path | str) or not str(path) or "\0" in str(path):
        raise wrong(f"path must be that of a file, not {path!r:.60}")
    path = Path(path)
    if path.suffix.lower() != SUFFIXES[kind]:
        raise wrong(f"{path} should end in {SUFFIXES[kind]}, as files of the format {kind} do")
    if path.is_dir():
        raise wrong(f"{path} is a folder: name a file")
    if kind == "safetensors" and checkpoint.is_own(path):
        raise wrong(f"{path} is a student itself, which would be lost: name another file")
    return path


def _inputs(form: RawForm, inputs: Any, what: str) -> Tensor:
    found = one_tensor(as_form(inputs, what, torch.as_tensor)).to("cpu")
    if tuple(found.shape[1:]) != form.student.shape or not len(found):
        raise wrong(f"{what} must be of shape (N, {str(form.student.shape)[1:]}, not {tuple(found.shape)}")
    return found


def _within(found: NDArray[Any], expected: NDArray[Any], what: str) -> float:
    """The largest difference, which is within the bound."""
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= MOST_DIFFERENCE:  # NaN is not
        raise RunError(
            f"{what} gives probabilities that differ from the student's by {difference:.2g}, and at most "
            f"{MOST_DIFFERENCE:g} is accepted: nothing was written"
        )
    return difference


def _compared(form: RawForm, opened: Any, inputs: Tensor) -> float:
    """The largest difference of a file in float32, on many instances at once, on one and on none."""
    raw, expected = form.of(inputs), form.student(inputs).numpy()
    found = onnx_file.probabilities(opened, raw)
    one = onnx_file.probabilities(opened, {name: each[:1] for name, each in raw.items()})
    none = onnx_file.probabilities(opened, {name: each[:0] for name, each in raw.items()})
    if none.shape != (0, len(form.student.labels)):
        raise RunError(f"the ONNX file gives {none.shape} for no instance: nothing was written")
    _within(one, expected[:1], "the ONNX file, for one instance,")
    return _within(found, expected, "the ONNX file")


def _write_quantized(form: RawForm, path: Path, inputs: Tensor, calibration: Tensor) -> tuple[float, int]:
    onnx = needed("onnx", "export", "--quantize")
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        notes = onnx_file.notes_of(form)
        onnx_file.write(form, plain, notes)
        _compared(form, onnx_file.session(plain), inputs)
        with onnx_file.quiet():
            quantized(plain, small, form.of(calibration))
        model = onnx.load(small)
        onnx_file.described(onnx, model, {**notes, "quantization": "int8, static"})
        path.write_bytes(model.SerializeToString())
        size = plain.stat().st_size
    found = onnx_file.probabilities(onnx_file.session(path), form.of(inputs))
    return float(np.abs(found - form.student(inputs).numpy()).max()), size


def _write_program(form: RawForm, path: Path, inputs: Tensor) -> float:
    program = onnx_file.exported(form)
    program.example_inputs = None  # which would be pickled
    buffer = io.BytesIO()
    with onnx_file.quiet():
        torch.export.save(program, buffer, extra_files={"kdgan.json": json.dumps(onnx_file.notes_of(form))})
        path.write_bytes(buffer.getvalue())
        back = torch.export.load(io.BytesIO(path.read_bytes()))
        found = onnx_file.program_probabilities(back, form.coded(form.of(inputs)))
    return _within(found, form.student(inputs).numpy(), "the exported program")


def _write_weights(form: RawForm, path: Path) -> None:
    student = form.student
    weights = {name: each.detach().clone().contiguous() for name, each in student.module.state_dict().items()}
    scale = student.scale
    rest = {
        "shape": student.shape,
        "mean": None if scale is None else scale.mean.flatten().tolist(),
        "std": None if scale is None else scale.std.flatten().tolist(),
    }
    notes = {**onnx_file.notes_of(form), **{name: json.dumps(value) for name, value in rest.items()}}
    notes["preprocessing"] = "none inside: (inputs - mean) / std, of pixels as 0 to 1"
    checkpoint.write_tensors(weights, path, {"format": "pt", **notes})
    back = load_file(path)
    if any(not torch.equal(back[name], each) for name, each in weights.items()):
        raise RunError(f"the weights came back otherwise from {os.fspath(path.name)}: nothing was written")
