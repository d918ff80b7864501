"""Classification: each example has one of K classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from kdgan.data.augment import augmentation
from kdgan.data.images import ImageReader
from kdgan.data.source import Source
from kdgan.data.split import Split, Unlabelled, real, split
from kdgan.data.wrong_labels import with_wrong_labels
from kdgan.errors import UsageError, wrong
from kdgan.nets import build
from kdgan.ship.student import Student
from kdgan.tasks.base import Shown, Task
from kdgan.tasks.choice import UNEVEN
from kdgan.tasks.config import ClassesData, Config
from kdgan.tasks.metrics import majority, metric
from kdgan.tasks.pictures import as_png
from kdgan.tasks.sources import unchanged


class Classes(Task):
    """Classes, and players that take what the source gives.

    Args:
        config: says which data.
        source: what `read` gave; without its examples where the division is given.
        division: what `divide` gives of it; None for making it.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    metrics: tuple[str, ...] = ("accuracy",)
    recorded = ("log_loss", "ece")
    distribution = ("log_loss", "brier", "ece")

    def __init__(self, config: Config, source: Source, division: Split | None = None) -> None:
        assert isinstance(config.data, ClassesData)
        if source.kind == "vector" and config.augment not in ("none", "noise"):
            raise UsageError(
                f"augmentation {config.augment!r} is for images, and {source.name} has none: use none or noise"
            )
        augmentation(config.augment, torch.zeros(1))  # an unknown name is found before anything is split
        self.config, self.table = config, source.reader
        self.split = division or self.divide(config, source)
        self.train, self.validation, self.test = self.split.train, self.split.validation, self.split.test
        if config.data.wrong_labels:
            self.train = replace(self.train, targets=self._wrong_labels(config.data.wrong_labels))
        self.unlabelled = self.split.unlabelled
        self.labels = self.split.classes
        if self.trivial()["majority/accuracy"] > UNEVEN * 100 / len(self.labels):
            self.metrics = ("accuracy", "balanced_accuracy")
        background = self.split.background if source.kind == "image" else torch.zeros(1)
        self.augment = augmentation(config.augment, background)

    @staticmethod
    def read(config: Config, data_dir: Path | None) -> Source:
        """The source."""
        assert isinstance(config.data, ClassesData)
        return unchanged(config.data, data_dir)

    def _wrong_labels(self, share: float) -> Tensor:
        many = len(self.train)
        if not round(share * many):
            raise wrong(f"wrong_labels={share:g} of {many:,} labelled examples is none: take more of either")
        return with_wrong_labels(self.train.targets, share, len(self.split.classes), self.config.seed)

    @staticmethod
    def divide(config: Config, data: Source) -> Split:
        """The split of the seed."""
        assert isinstance(config.data, ClassesData)
        beside: Unlabelled = (
            "rest" if config.data.unlabelled == "rest" else "own" if config.data.more else "none"
        )
        return split(data, labels=config.data.labels, seed=config.seed, unlabelled=beside)

    @staticmethod
    def outline(data: Source) -> Source:
        """The names of all, and how a table is read."""
        none = data.train[:0].copy()
        return replace(data, train=none, test=none, validation=None, unlabelled=None)

    def build(self, network: str, role: str) -> nn.Module:
        """A player by its name for `kdgan.nets.build`; all but the student see privileged information."""
        privileged = 0 if role == "student" else self.split.privileged
        return build(network, self.split.shape, len(self.labels), privileged=privileged)

    def metrics_of(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """The accuracy and, where classes are uneven, its mean over them; and how good the probabilities are."""
        return {name: metric(name, self.kind)(logits, targets) for name in (*self.metrics, *self.recorded)}

    def trivial(self) -> dict[str, float]:
        """The share of the largest class."""
        return {"majority/accuracy": majority(self.test.targets)}

    def shown_at(self, places: Sequence[int]) -> list[Shown]:
        """Test examples: pictures of images, and the values of a table's columns."""
        return [self._shown(place) for place in places]

    def _shown(self, place: int) -> Shown:
        name, labels = f"test example {place + 1}", (self.labels[int(self.test.targets[place])],)
        inputs = self.test.tensor[place : place + 1]
        if self.test.scale is None:
            scale = self.split.scale
            inputs = inputs.double() * scale.std + scale.mean
        else:
            inputs = real(inputs)
        if len(self.split.shape) == 3:
            pixels = (255 * inputs[0]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
            return Shown(name, labels, as_png(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
        return Shown(name, labels, None, {} if self.table is None else self.table.cells(inputs[0].numpy()))

    def student(self, module: nn.Module) -> Student:
        """The student, with the classes and the scale of its inputs."""
        return Student(
            module,
            self.labels,
            self.config.student,
            self.split.shape,
            self.split.scale,
            reader=ImageReader.of(self.split.shape) if len(self.split.shape) == 3 else self.table,
        )
