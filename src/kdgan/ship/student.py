"""A trained student in a file of its own: weights, and all that it takes to use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdgan.data.split import Scale
from kdgan.errors import UsageError, wrong
from kdgan.nets import build
from kdgan.references import is_reference
from kdgan.training import checkpoint


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a student's file holds."""

    network: str
    shape: list[int]
    labels: list[str]
    mean: Tensor
    std: Tensor
    features: dict[str, Any] | None
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Student:
    """A network with what it was trained on.

    Attributes:
        module: in `eval()` mode; takes inputs in standard units `(B, ...)`, gives logits `(B, K)`.
        network: its name for `kdgan.nets.build`.
        shape: of one input.
        labels: names of the K labels: classes, or tags.
        scale: brings raw inputs (images in [0, 1], features) to standard units.
        features: what gave the inputs, `kdgan.tagging.images.networks.Network.identity`; None where the inputs are the
            examples themselves, or nobody knows.
    """

    module: nn.Module
    network: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    scale: Scale
    features: Mapping[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Writes the student to one safetensors file."""
        tree = {
            "network": self.network,
            "shape": list(self.shape),
            "labels": list(self.labels),
            "mean": self.scale.mean,
            "std": self.scale.std,
            "features": None if self.features is None else dict(self.features),
            "weights": self.module.state_dict(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, tree)

    @staticmethod
    def load(path: Path | str, module: nn.Module | None = None) -> Student:
        """The student in that file, or in that folder of a run.

        Args:
            path: of the file, `student.safetensors`, or of the folder that holds it.
            module: takes the weights, where the network is one of your own: nothing that a file names is imported.

        Raises:
            UsageError: if the file is missing, damaged or something else.
        """
        path = Path(path)
        path = path / "student.safetensors" if path.is_dir() else path
        if not path.is_file():
            raise UsageError(f"{path} does not exist: has its run finished?")
        what = f"{path}, which should hold a student,"
        stored = checkpoint.load(path, _Stored, "it should hold a student")
        shape, labels = tuple(stored.shape), tuple(stored.labels)
        if len(shape) not in (1, 3) or min(shape) < 1 or len(set(labels)) < max(2, len(labels)):
            raise wrong(f"{what} has inputs of shape {shape} and {len(labels)} labels")
        scale = Scale(stored.mean, stored.std)
        fits = scale.mean.shape == scale.std.shape == (shape[0], *[1] * (len(shape) - 1))
        if not fits or not scale.mean.isfinite().all() or not (scale.std.isfinite() & (scale.std > 0)).all():
            raise wrong(f"{what} has a scale that does not fit inputs of shape {shape}")
        if module is None and is_reference(stored.network):
            raise UsageError(f"{path} has the network {stored.network}: pass a fresh one as module=")
        if module is None:
            with torch.device("meta"):  # nothing is allocated before the file's weights are known to fit
                module = build(stored.network, shape, len(labels))
            checkpoint.check_state(module, stored.weights, str(path))
            module.to_empty(device="cpu")
        else:
            checkpoint.check_state(module, stored.weights, str(path))
        module.load_state_dict(stored.weights)
        return Student(module.eval(), stored.network, shape, labels, scale, stored.features)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Label probabilities `(B, K)` of raw inputs `(B, ...)`; images as bytes, or as numbers in [0, 1].

        Raises:
            UsageError: if the inputs are not those of this student.
        """
        if tuple(inputs.shape[1:]) != self.shape:
            raise UsageError(
                f"this student takes inputs of shape {self.shape}, not {tuple(inputs.shape[1:])}"
            )
        if not inputs.isfinite().all():
            raise UsageError("inputs must be finite: there is NaN or infinity among them")
        with torch.no_grad():
            logits: Tensor = self.module(self.scale(inputs))
        return logits.softmax(-1)

    def ranked(self, inputs: Tensor | NDArray[np.float32], most: int = 5) -> list[list[tuple[str, float]]]:
        """For each input the likeliest labels with their probabilities, the best first.

        Raises:
            UsageError: as for a call.
        """
        values, places = self(torch.as_tensor(inputs)).sort(dim=1, descending=True, stable=True)
        return [
            [(self.labels[place], value) for value, place in zip(row[:most], ranked[:most], strict=True)]
            for row, ranked in zip(values.tolist(), places.tolist(), strict=True)
        ]

    def check_features(self, network: Mapping[str, Any]) -> None:
        """Checks that features of this network are what the student was trained on, as far as that is known.

        Raises:
            UsageError: if they are not.
        """
        known = self.features or {}
        # The same network may lie in a file of another name.
        other = [name for name in known if name != "network" and known[name] != network.get(name)]
        if other:
            message = ", ".join(f"{name} {known[name]} there, {network.get(name)} here" for name in other)
            raise UsageError(
                f"this student was trained on features of another network, or scaled otherwise: {message}"
            )
