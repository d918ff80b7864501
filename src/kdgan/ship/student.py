"""A trained student in a file of its own: weights, and all that it takes to use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kdgan.data.split import Scale
from kdgan.errors import UsageError
from kdgan.nets import build
from kdgan.training import checkpoint


@dataclass(frozen=True, slots=True)
class Student:
    """A network with what it was trained on.

    Attributes:
        module: in `eval()` mode; takes inputs in standard units `(B, ...)`, gives logits `(B, K)`.
        network: its name for `kdgan.nets.build`.
        shape: of one input.
        classes: label names.
        scale: brings raw inputs (images in [0, 1]) to standard units.
    """

    module: nn.Module
    network: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    scale: Scale

    def save(self, path: Path) -> None:
        """Writes the student to one safetensors file."""
        tree = {
            "network": self.network,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "mean": self.scale.mean,
            "std": self.scale.std,
            "weights": self.module.state_dict(),
        }
        checkpoint.save(path, tree)

    @staticmethod
    def load(path: Path) -> Student:
        """The student in that file.

        Raises:
            UsageError: if the file is missing or damaged.
        """
        if not path.is_file():
            raise UsageError(f"{path} does not exist: has its run finished?")
        tree = checkpoint.load(path)
        try:
            shape, classes = tuple(tree["shape"]), tuple(tree["classes"])
            with torch.random.fork_rng(devices=[]):
                module = build(tree["network"], shape, len(classes))
            module.load_state_dict(tree["weights"])
            scale = Scale(tree["mean"], tree["std"])
        except (KeyError, RuntimeError) as error:
            raise UsageError(f"{path} does not hold a student of kdgan") from error
        return Student(module.eval(), tree["network"], shape, classes, scale)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Class probabilities `(B, K)` of raw inputs `(B, ...)`."""
        with torch.no_grad():
            logits: Tensor = self.module(self.scale(inputs))
        return logits.softmax(-1)
