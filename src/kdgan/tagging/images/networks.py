"""Any image network that a user names, an ONNX file or a function, as a function from pixels to features."""

from __future__ import annotations

import hashlib
import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kdgan.data.source import listing
from kdgan.errors import wrong
from kdgan.files import sha256_of
from kdgan.references import find_object, is_reference
from kdgan.tagging.files import check_regular

Floats: TypeAlias = NDArray[np.float32]
DEFAULT_SIZE = 224
MOST_THREADS = 1024
MOST_SIDE, MOST_PIXELS = 4096, 2**26
"""The side of an image, and the pixels of a batch (805 MB): bounds that nobody meets who means what is written."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scale from bytes to the inputs of a network: (byte / 255 · largest − mean) / deviation, in each of R, G and B.

    Attributes:
        largest: what white becomes, commonly 1 or 255.
        mean, deviation: in that range, for red, green and blue.
    """

    largest: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, pixels: NDArray[np.uint8]) -> Floats:
        """Bytes `(B, 3, H, W)` as float32 of the same shape."""
        mean, deviation = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.deviation))
        scaled = pixels.astype(np.float32) * np.float32(self.largest / 255)
        return ((scaled - mean) / deviation).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Network:
    """An image network, called with uint8 pixels `(B, 3, size, size)` for float32 features `(B, width)`.

    Attributes:
        size: the side of its images in pixels.
        width: the length of its features.
        identity: plain values that tell it from other networks, its file's contents included.
    """

    size: int
    width: int
    identity: dict[str, Any]
    scaling: Scaling
    run: Callable[[Floats], Any]

    def __call__(self, pixels: NDArray[np.uint8]) -> Floats:
        """The features of pixels; a UsageError if the network gives anything else."""
        name = str(self.identity["network"])
        return _vectors(_run(self.run, self.scaling(pixels), name), len(pixels), name)


def load_network(
    name: str,
    *,
    size: int | None = None,
    output: str | None = None,
    scaling: Scaling | None = None,
    threads: int = 1,
) -> Network:
    """The network behind a name.

    Args:
        name: the path of an ONNX file with one float32 input `(B, 3, H, W)`; or "module:function" for
            something callable from a float32 tensor `(B, 3, H, W)` to `(B, F)`, which is imported as Python
            would in the present folder. An `nn.Module` is put into evaluation mode, and gets its input where its
            parameters are.
        size: the side of its images in pixels; what the ONNX file says by default, or else 224.
        output: which output of an ONNX file the features are, where it has several.
        scaling: what becomes of the bytes, 0 to 1 by default.
        threads: how many an ONNX file may use.

    Raises:
        UsageError: if there is no such network, or it does not take or give what it should.
    """
    scaling = scaling or Scaling()
    if size is not None:
        _check_side(size)
    if not 1 <= threads <= MOST_THREADS:
        raise wrong(f"threads must be from 1 to {MOST_THREADS:,}, not {threads}")
    if not all(0 < value < math.inf for value in (scaling.largest, *scaling.deviation)):
        raise wrong(f"white and deviations must be above zero, not {scaling.largest} and {scaling.deviation}")
    if not all(map(math.isfinite, scaling.mean)):
        raise wrong(f"means must be numbers, not {scaling.mean}")
    if name.lower().endswith(".onnx"):
        path = Path(name)
        run, size, output = _onnx(path, size, output, threads)
        label, digest = path.name, sha256_of(path)
    elif is_reference(name):
        if output is not None:
            raise wrong(f"output {output!r} is for ONNX files, and {name} has only one")
        run, digest = _function(name)
        label, size = name, size or DEFAULT_SIZE
    else:
        raise wrong(f"{name!r} names no network: expected the path of an .onnx file or module:function")
    probe = _run(run, np.zeros((1, 3, size, size), np.float32), name)
    identity = {
        "network": label,
        "sha256": digest,
        "output": output,
        "size": size,
        "largest": scaling.largest,
        "mean": list(scaling.mean),
        "deviation": list(scaling.deviation),
    }
    return Network(size, _vectors(probe, 1, name).shape[1], identity, scaling, run)


def _check_side(size: int) -> None:
    if not 1 <= size <= MOST_SIDE:
        raise wrong(f"the size of images must be at least 1 pixel and at most {MOST_SIDE:,}, not {size}")


def _run(run: Callable[[Floats], Any], inputs: Floats, name: str) -> Any:
    try:
        return run(inputs)
    except Exception as error:  # of any kind: it is the user's code, or that of another library
        reason = f"{type(error).__name__}: {error}"
        raise wrong(f"{name} fails for a float32 input {inputs.shape}: {reason[:300]}") from error


def _vectors(values: Any, rows: int, name: str) -> Floats:
    """The output of a network as `(B, F)`; trailing axes of length one are left out."""
    try:
        array = np.asarray(values)
    except Exception as error:  # of any kind, as above: rows of different lengths, or no numbers
        raise wrong(f"{name} gives no array of features: {str(error)[:300]}") from error
    shape = array.shape
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 or len(array) != rows or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise wrong(
            f"{name} gives {array.dtype} {shape} for {rows} images: expected floating-point features "
            f"({rows}, F); name another output, or pool feature maps first"
        )
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused where it is used
        return array.astype(np.float32, copy=False)


def _function(name: str) -> tuple[Callable[[Floats], Any], str]:
    function: Any = find_object(name)
    if not callable(function):
        raise wrong(f"{name} is a {type(function).__name__}: expected a function, or a module of torch")
    device = torch.device("cpu")
    if isinstance(function, torch.nn.Module):
        function.eval()
        device = next((parameter.device for parameter in function.parameters()), device)

    def run(inputs: Floats) -> Any:
        with torch.inference_mode():
            features = function(torch.from_numpy(inputs).to(device))
        return features.float().cpu().numpy() if isinstance(features, torch.Tensor) else features

    source = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    return run, hashlib.sha256(Path(source).read_bytes() if source else b"").hexdigest()


def _onnx(
    path: Path, size: int | None, output: str | None, threads: int
) -> tuple[Callable[[Floats], Any], int, str | None]:
    session = _session(path, threads)
    inputs, outputs = session.get_inputs(), [each.name for each in session.get_outputs()]
    if len(inputs) != 1:
        have = listing(each.name for each in inputs) or "none"
        raise wrong(f"{path} has the inputs {have}: expected one, the image")
    shape, kind = inputs[0].shape, inputs[0].type  # an axis of any length has a name, or None
    is_rgb = len(shape) == 4 and (shape[1] == 3 or not isinstance(shape[1], int))
    if not is_rgb or kind != "tensor(float)":
        raise wrong(f"{path} takes {kind} of shape {shape}: expected tensor(float) of shape (B, 3, H, W)")
    fixed = {side for side in shape[2:] if isinstance(side, int)}
    if len(fixed) > 1 or (size is not None and fixed - {size}):
        raise wrong(
            f"{path} takes images of {shape[2]}x{shape[3]} pixels: expected a square of the size asked for"
        )
    if output is None and len(outputs) != 1:
        raise wrong(
            f"{path} has the outputs {listing(outputs) or 'none'}: name the one that holds the features"
        )
    if output is not None and output not in outputs:
        raise wrong(f"{path} has no output {output!r}: it has {listing(outputs)}")
    chosen = output or outputs[0]
    side = next(iter(fixed), size or DEFAULT_SIZE)
    _check_side(side)
    feed, batch = inputs[0].name, shape[0] if isinstance(shape[0], int) else None
    if batch is not None and not 1 <= batch <= MOST_PIXELS // side**2:
        raise wrong(f"{path} takes {batch} images at a time: expected from 1 to {MOST_PIXELS // side**2:,}")

    def run(images: Floats) -> Any:
        if batch is None:
            return session.run([chosen], {feed: images})[0]
        # Some files are made for one size of batch: the last piece is filled up, and what that gives is cut off.
        missing = -len(images) % batch
        filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.float32)])
        pieces = [filled[start : start + batch] for start in range(0, len(filled), batch)]
        return np.concatenate([session.run([chosen], {feed: piece})[0] for piece in pieces])[: len(images)]

    return run, side, chosen


def _session(path: Path, threads: int) -> Any:
    try:
        # By name, as the types of an extra that may be missing cannot be checked.
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise wrong(f"{path} needs onnxruntime: pip install 'kdgan[tags]'") from error
    check_regular(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # one class for each kind of damage, without a common base
        reason = str(error).split("\n", 1)[0]
        raise wrong(f"{path} cannot be loaded as an ONNX network: {reason[:300]}") from error
