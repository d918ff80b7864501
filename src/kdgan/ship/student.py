"""A trained student in a file of its own: weights, and all that it takes to use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.batch import NO_LABEL, Batch
from kdgan.data.forms import Form, leaves, length
from kdgan.data.images import ImageReader
from kdgan.data.source import brief
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableReader
from kdgan.data.targets import Kind
from kdgan.errors import wrong
from kdgan.losses import Bernoulli, Categorical
from kdgan.references import is_reference
from kdgan.ship.prediction import Featurizer, Prediction, ranked, raw_inputs
from kdgan.ship.stored_student import StoredStudent
from kdgan.training.evaluate import logits_of

NAME = "student.safetensors"
"""Of the file in the folder of a run."""


@dataclass(frozen=True, slots=True)
class Student:
    """A network with what it was trained on.

    Attributes:
        module: in `eval()` mode; takes inputs in standard units `(B, ...)`, gives logits `(B, K)`.
        labels: names of the K labels: classes, or tags; of a binary task two, those of 0 and of 1.
        network: its name for `kdgan.nets.build`; None for a module of the caller's own.
        shape: of one input; None where it is not a single tensor.
        scale: brings raw inputs (images in [0, 1], numbers) to standard units; None where they are taken as they are.
        kind: of the task.
        reader: brings photos, or rows of a table, to raw inputs; None where inputs are taken as they are.
        features: what gave the inputs, `kdgan.tagging.images.networks.Network.identity`; None where the inputs are the
            examples themselves, or nobody knows.
        make: import path, `module:name`, of what makes a fresh module of the caller's own without arguments, or None.
    """

    module: nn.Module
    labels: tuple[str, ...]
    network: str | None = None
    shape: tuple[int, ...] | None = None
    scale: Scale | None = None
    kind: Kind = "classes"
    reader: ImageReader | TableReader | None = None
    features: Mapping[str, Any] | None = None
    make: str | None = None

    def save(self, path: Path | str) -> None:
        """Writes the student to one safetensors file, whole or not at all."""
        StoredStudent(
            self.network,
            self.make,
            None if self.shape is None else list(self.shape),
            list(self.labels),
            self.kind,
            None if self.scale is None else self.scale.mean,
            None if self.scale is None else self.scale.std,
            self.reader if isinstance(self.reader, ImageReader) else None,
            self.reader if isinstance(self.reader, TableReader) else None,
            None if self.features is None else dict(self.features),
            self.module.state_dict(),
        ).write(Path(path))

    @staticmethod
    def load(path: Path | str, module: nn.Module | None = None, *, trust: bool = False) -> Student:
        """The student in a file, or in the folder of a run.

        Args:
            path: of the file, `student.safetensors`, or of the folder that holds it.
            module: takes the weights, where the network is one of your own: nothing that a file names is imported.
            trust: import what the file names in its place: importing runs code.

        Raises:
            UsageError: if the file is missing, damaged or something else.
        """
        path = Path(path)
        path = path / NAME if path.is_dir() else path
        stored = StoredStudent.read(path)
        return Student(
            stored.module(path, module, trust=trust),
            tuple(stored.labels),
            stored.network,
            None if stored.shape is None else tuple(stored.shape),
            stored.scale,
            stored.kind,
            stored.images or stored.table,
            stored.features,
            stored.make,
        )

    def named(self, labels: Sequence[str] | None) -> Student:
        """The same with other names of its labels; None leaves them.

        Raises:
            UsageError: for too many or too few, or names that are not different texts.
        """
        if labels is None:
            return self
        given = list(labels) if not isinstance(labels, str) else [labels]
        if len(given) != len(self.labels) or not all(isinstance(each, str) for each in given):
            raise wrong(f"labels must be {len(self.labels)} texts, not {brief(given)}")
        if len({*given}) < len(given):
            raise wrong(f"labels must differ, and {brief(given)} has one twice")
        return replace(self, labels=tuple(given))

    def made_by(self, make: Callable[[], nn.Module] | str | None) -> Student:
        """The same with the import path of what makes its module anew; None leaves it.

        Raises:
            UsageError: for what has no import path, or is none.
        """
        if make is None:
            return self
        places = [getattr(make, place, "") for place in ("__module__", "__qualname__")]
        name = make if isinstance(make, str) else ":".join(map(str, places))
        if not is_reference(name) or name.startswith("__main__:"):
            raise wrong(
                f"make must be a function or class of a module that can be imported, not {brief(make)}"
            )
        return replace(self, make=name)

    @property
    def outputs(self) -> int:
        """K, logits of the module for each instance."""
        return 1 if self.kind == "binary" else len(self.labels)

    def to(self, device: torch.device | str) -> Student:
        """The same student, whose module is moved to `device`."""
        self.module.to(device)
        return self

    def __call__(self, inputs: Form) -> Tensor:
        """Probabilities `(N, K)` of the labels for raw inputs `(N, ...)`; images as bytes, or as numbers in [0, 1].

        Raises:
            UsageError: if the inputs are not those of this student.
        """
        if not length(inputs):
            return torch.zeros(0, len(self.labels))
        there = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else "several tensors"
        if self.shape not in (None, there):
            raise wrong(f"this student takes inputs of shape {self.shape}, not {there}")
        if not all(bool(leaf.isfinite().all()) for leaf in leaves(inputs)):
            raise wrong("inputs must be finite: there is NaN or infinity among them")
        if isinstance(self.reader, ImageReader) and isinstance(inputs, Tensor):
            _check_pixels(inputs)
        if self.scale is None and isinstance(inputs, Tensor) and inputs.is_floating_point():
            weight = next((each for each in self.module.parameters() if each.is_floating_point()), None)
            inputs = inputs if weight is None else inputs.to(weight.dtype)
        if self.scale is not None and isinstance(inputs, Tensor):
            inputs = self.scale(inputs.to("cpu"))
        logits = logits_of(self.module, Batch(inputs, torch.full((length(inputs),), NO_LABEL[0])))
        self._check_outputs(logits)
        if self.kind == "classes":
            return Categorical().probabilities(logits)
        p = Bernoulli().probabilities(logits)
        return torch.cat([1 - p, p], 1) if self.kind == "binary" else p

    def _check_outputs(self, logits: Tensor) -> None:
        if logits.ndim != 2 or logits.shape[1] != self.outputs:
            raise wrong(
                f"the module gives {tuple(logits.shape)[1:]} logits for {len(self.labels)} labels: name each of them"
            )

    def predict(
        self, inputs: Any, *, most: int | None = None, featurize: Featurizer | None = None
    ) -> list[Prediction]:
        """Labels of instances in their raw form, with their probabilities.

        Args:
            inputs: where it learned from images, photos: a list of paths, of what Pillow opened, of bytes or of pixels,
                or one of them. Where it learned from a table, rows: a DataFrame, a list of mappings, a mapping of
                columns, or the path of a table; what is odd about them is a warning. Otherwise, and in all cases,
                inputs as it was trained with, `(N, ...)`.
            most: labels for each instance, the likeliest; all by default.
            featurize: of a student of features, what computes them for photos.

        Returns:
            A prediction for each instance.

        Raises:
            UsageError: for what cannot be read, or are no inputs of this student.
        """
        if most is not None and (not isinstance(most, int) or most < 1):
            raise wrong(f"most must be a whole number of labels, at least 1, not {most!r:.60}")
        parts = raw_inputs(inputs, reader=self.reader, shape=self.shape, featurize=featurize)
        return [each for part in parts for each in ranked(self.labels, self(part), most)]

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
            raise wrong(
                f"this student was trained on features of another network, or scaled otherwise: {message}"
            )


def _check_pixels(pixels: Tensor) -> None:
    """Raises a UsageError unless pixels are bytes, or real numbers from 0 to 1."""
    if pixels.dtype == torch.uint8:
        return
    if not pixels.is_floating_point() or not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise wrong(f"pixels must be bytes (uint8), or real numbers from 0 to 1, not such of {pixels.dtype}")


def load(path: Path | str, module: nn.Module | None = None, *, trust: bool = False) -> Student:
    """As `Student.load`: the student in a file, or in the folder of a run, ready to predict.

    Example:
        >>> import tempfile
        >>> from kdgan.nets import build
        >>> student = Student(build("mlp-8", (1, 4, 4), 2), ("cat", "dog"), "mlp-8", (1, 4, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     student.save(f"{folder}/student.safetensors")
        ...     back = load(folder)
        >>> sorted(back.predict(torch.zeros(1, 4, 4))[0].labels)
        ['cat', 'dog']
    """
    return Student.load(path, module, trust=trust)
