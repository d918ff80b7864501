"""What a run is about: the instances, the form of the players, and how a player is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from kdgan.data.augment import Augmentation, augmentation
from kdgan.data.batch import Batch
from kdgan.data.reading import load
from kdgan.data.split import split
from kdgan.errors import UsageError
from kdgan.files import sha256_of
from kdgan.nets import build
from kdgan.training.config import Config
from kdgan.training.evaluate import accuracy
from kdgan.ship.student import Student

# A worker makes many runs on the same data.
_load = lru_cache(maxsize=1)(load)


class Task(ABC):
    """The data of one seed with what depends on their kind; `Run` knows nothing of either.

    Attributes:
        train: the instances to learn from, on the CPU.
        validation: others, for choosing and watching; may be empty.
        test: for the one measurement at the end.
        augment: other views of inputs, or None.
    """

    train: Batch
    validation: Batch
    test: Batch
    augment: Augmentation | None = None

    @abstractmethod
    def build(self, network: str, role: str) -> nn.Module:
        """A fresh player of that name for that role, from torch's global random generator."""

    @abstractmethod
    def measure(self, module: nn.Module, data: Batch, *, role: str = "student") -> dict[str, float]:
        """How good a player is on instances: measures by name, the one that stands for all first, in per cent."""

    @abstractmethod
    def save(self, module: nn.Module, network: str, path: Path) -> None:
        """Writes a trained student into a file of its own, with all that it takes to use it."""


def unchanged(config: Config) -> None:
    """Checks that a file of data is the one that a run was configured with.

    Raises:
        UsageError: if it is not.
    """
    if config.data_sha256 is not None and sha256_of(Path(config.data)) != config.data_sha256:
        raise UsageError(f"{config.data} is no longer what it was when this run was configured")


class Classification(Task):
    """Labels, and players that take what the source gives.

    Args:
        config: says which data.
        data_dir: where they are, or None.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    def __init__(self, config: Config, data_dir: Path | None) -> None:
        source = _load(
            config.data,
            data_dir=data_dir,
            target=config.target,
            privileged=config.privileged,
            image_size=config.image_size,
        )
        unchanged(config)
        if source.kind == "vector" and config.augment not in ("none", "noise"):
            raise UsageError(
                f"augmentation {config.augment!r} is for images, and {source.name} has none: use none or noise"
            )
        augmentation(config.augment, torch.zeros(1))  # an unknown name is found before anything is split
        self.split = split(source, labels=config.labels, seed=config.seed)
        self.train, self.validation = self.split.train, self.split.validation
        self.test = self.split.test
        background = self.split.background if source.kind == "image" else torch.zeros(1)
        self.augment = augmentation(config.augment, background)

    def build(self, network: str, role: str) -> nn.Module:
        """A player by its name for `kdgan.nets.build`; all but the student see privileged information."""
        privileged = 0 if role == "student" else self.split.privileged
        return build(network, self.split.shape, len(self.split.classes), privileged=privileged)

    def measure(self, module: nn.Module, data: Batch, *, role: str = "student") -> dict[str, float]:
        """The accuracy."""
        return {"accuracy": accuracy(module, data, role=role)}

    def save(self, module: nn.Module, network: str, path: Path) -> None:
        """As a `Student`."""
        data = self.split
        Student(module, network, data.shape, data.classes, data.scale).save(path)
