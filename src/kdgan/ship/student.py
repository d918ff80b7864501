"""A trained student in a file of its own: weights, and all that it takes to use them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kdgan.data.batch import NO_LABEL, Batch
from kdgan.data.forms import Form, as_form, leaves, length
from kdgan.data.images import ImageReader, Picture
from kdgan.data.source import brief
from kdgan.data.split import Scale
from kdgan.data.table_reader import TableReader
from kdgan.data.targets import Kind
from kdgan.errors import KdganError, failed, wrong
from kdgan.losses import Bernoulli, Categorical
from kdgan.nets import build
from kdgan.references import find_callable, is_reference
from kdgan.training import checkpoint
from kdgan.training.evaluate import logits_of

NAME = "student.safetensors"
"""Of the file in the folder of a run."""
READ_AT_ONCE = 256
"""Instances whose raw form is in memory together."""
Featurizer: TypeAlias = "Callable[[Sequence[Picture]], Any]"
"""Photos to their features `(N, F)`."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a student's file holds."""

    network: str | None
    make: str | None
    shape: list[int] | None
    labels: list[str]
    kind: Kind
    mean: Tensor | None
    std: Tensor | None
    images: ImageReader | None
    table: TableReader | None
    features: dict[str, Any] | None
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Labels of one instance, the likeliest first.

    Attributes:
        labels: their names.
        probabilities: how likely each is, in the same order; they sum to 1 where an instance has one class.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        """The likeliest."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """How likely that is."""
        return self.probabilities[0]

    def __str__(self) -> str:
        """Such as `cat 93 %  dog 7 %`."""
        pairs = zip(self.labels, self.probabilities, strict=True)
        return "  ".join(f"{label} {100 * chance:.0f} %" for label, chance in pairs)


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
        tree = {
            "network": self.network,
            "make": self.make,
            "shape": None if self.shape is None else list(self.shape),
            "labels": list(self.labels),
            "kind": self.kind,
            "mean": None if self.scale is None else self.scale.mean,
            "std": None if self.scale is None else self.scale.std,
            "images": asdict(self.reader) if isinstance(self.reader, ImageReader) else None,
            "table": asdict(self.reader) if isinstance(self.reader, TableReader) else None,
            "features": None if self.features is None else dict(self.features),
            "weights": self.module.state_dict(),
        }
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(path, tree)
        except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise wrong(f"{path} cannot be written: {error.strerror or error}") from error

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
        if not path.is_file():
            raise wrong(f"{path} does not exist: has its run finished?")
        stored = checkpoint.load(path, _Stored, "it should hold a student")
        student = _described(stored, f"{path}, which should hold a student,")
        built = module is None and student.network is not None and not is_reference(student.network)
        if built:
            with torch.device("meta"):  # nothing is allocated before the file's weights are known to fit
                module = build(str(student.network), student.shape or (), student.outputs)
        elif module is None:
            module = _own(student, path, trust=trust)
        checkpoint.check_state(module, stored.weights, str(path))
        if built:
            module.to_empty(device="cpu")
        module.load_state_dict(stored.weights)
        return replace(student, module=module.eval())

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
        if self.scale is not None and isinstance(inputs, Tensor):
            inputs = self.scale(inputs.to("cpu"))
        logits = logits_of(self.module, Batch(inputs, torch.full((length(inputs),), NO_LABEL[0])))
        if self.kind == "classes":
            return Categorical().probabilities(logits)
        p = Bernoulli().probabilities(logits)
        return torch.cat([1 - p, p], 1) if self.kind == "binary" else p

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
        return [each for part in self._raw(inputs, featurize) for each in self._ranked(self(part), most)]

    def _raw(self, inputs: Any, featurize: Featurizer | None) -> Iterator[Form]:
        """Raw inputs of the instances, some at a time."""
        is_images = isinstance(self.reader, ImageReader) or featurize is not None
        is_array = isinstance(inputs, np.ndarray | Tensor)
        if isinstance(self.reader, TableReader) and not is_array:
            found, notes = self.reader.read(inputs)
            for note in notes:
                warnings.warn(note, stacklevel=3)
            yield torch.from_numpy(found)
            return
        if is_images and not (is_array and inputs.ndim == 4):
            one = is_array or isinstance(inputs, str | Path | bytes | Image.Image)
            pictures = [inputs] if one else list(inputs)
            for start in range(0, len(pictures), READ_AT_ONCE):
                some = pictures[start : start + READ_AT_ONCE]
                if featurize is not None:
                    yield torch.as_tensor(featurize(some))
                else:
                    assert isinstance(self.reader, ImageReader)
                    yield self.reader.read(some)
            return
        form = as_form(inputs, "inputs", torch.as_tensor)
        if self.shape is not None and isinstance(form, Tensor) and tuple(form.shape) == self.shape:
            form = form.unsqueeze(0)
        yield form

    def _ranked(self, chances: Tensor, most: int | None) -> list[Prediction]:
        values, places = chances.cpu().sort(dim=1, descending=True, stable=True)
        return [
            Prediction(tuple(self.labels[place] for place in row[:most]), tuple(likely[:most]))
            for row, likely in zip(places.tolist(), values.tolist(), strict=True)
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
            raise wrong(
                f"this student was trained on features of another network, or scaled otherwise: {message}"
            )


def load(path: Path | str, module: nn.Module | None = None, *, trust: bool = False) -> Student:
    """As `Student.load`: the student in a file, or in the folder of a run, ready to predict.

    Example:
        >>> import tempfile
        >>> student = Student(build("mlp-8", (1, 4, 4), 2), ("cat", "dog"), "mlp-8", (1, 4, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     student.save(f"{folder}/student.safetensors")
        ...     back = load(folder)
        >>> sorted(back.predict(torch.zeros(1, 4, 4))[0].labels)
        ['cat', 'dog']
    """
    return Student.load(path, module, trust=trust)


def _described(stored: _Stored, what: str) -> Student:
    """The student that a file describes, with no module yet.

    Raises:
        UsageError: for what no student can be.
    """
    shape = None if stored.shape is None else tuple(stored.shape)
    labels = tuple(stored.labels)
    if len(set(labels)) < len(labels) or len(labels) < (1 if stored.kind == "multilabel" else 2):
        raise wrong(f"{what} has {len(labels)} labels, which do not tell classes apart")
    if stored.kind == "binary" and len(labels) != 2:
        raise wrong(f"{what} is of a binary task and has {len(labels)} labels")
    if shape is not None and (not shape or min(shape) < 1):
        raise wrong(f"{what} has inputs of shape {shape}")
    if stored.network is not None and (shape is None or len(shape) not in (1, 3)):
        raise wrong(f"{what} has the network {stored.network[:100]} and inputs of shape {shape}")
    if stored.images is not None and stored.images.shape != shape:
        raise wrong(f"{what} has inputs of shape {shape} and reads images of shape {stored.images.shape}")
    if stored.table is not None and (stored.table.width,) != shape:
        raise wrong(f"{what} has inputs of shape {shape} and reads {stored.table.width} numbers of a table")
    scale = None
    if stored.mean is not None and stored.std is not None and shape is not None:
        scale = Scale(stored.mean, stored.std)
        fits = scale.mean.shape == scale.std.shape == (shape[0], *[1] * (len(shape) - 1))
        if not fits or not scale.mean.isfinite().all() or not (scale.std.isfinite() & (scale.std > 0)).all():
            raise wrong(f"{what} has a scale that does not fit inputs of shape {shape}")
    elif stored.mean is not None or stored.std is not None:
        raise wrong(f"{what} has half a scale, or one of inputs without a shape")
    return Student(
        nn.Identity(),
        labels,
        stored.network,
        shape,
        scale,
        stored.kind,
        stored.images or stored.table,
        stored.features,
        stored.make,
    )


def _own(student: Student, path: Path, *, trust: bool) -> nn.Module:
    """A fresh module of the caller's own."""
    named = student.network or student.make
    if named is None:
        raise wrong(f"{path} has a network of its owner's: pass a fresh one as module=")
    if not trust:
        raise wrong(
            f"{path} has the network {named[:100]}: pass a fresh one as module=, or trust=True imports it"
        )
    if student.network is not None:
        return build(student.network, student.shape or (), student.outputs)
    make = find_callable(named)
    try:
        made: Any = make()
    except KdganError:
        raise
    except Exception as error:  # of any kind: it is somebody's own
        raise failed(error, f"{named}, which makes the network of {path},") from error
    if not isinstance(made, nn.Module):
        raise wrong(
            f"{named}, which makes the network of {path}, gives {type(made).__name__}, no torch.nn.Module"
        )
    return made
