"""Options that commands share, and what becomes of them."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kdgan.errors import RunError, UsageError

if TYPE_CHECKING:
    from kdgan.training.config import Config
    from kdgan.tasks.run import Machine


@dataclass(frozen=True)
class DataOptions:
    """Which data."""

    data: str = "digits"
    """digits (bundled), mnist, cifar10, a folder of images per class, a folder of IDX files, an .npz file, or a
    .csv or .parquet table."""
    data_dir: Path | None = None
    """Folder with the files of mnist or cifar10; without it they are downloaded once."""
    labels: int | None = None
    """Labelled training instances, spread evenly over the classes. Default: 100 for digits, else all outside
    validation."""
    target: str | None = None
    """For a table: the column of labels."""
    privileged: tuple[str, ...] = ()
    """For a table: columns known only while training; teacher and discriminator see them, the student does not."""
    image_size: int | None = None
    """For a folder of images: the side they are brought to, in pixels."""


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. What is not given comes from a preset for the data."""

    steps: int | None = None
    """Updates of the student, the same for every method."""
    teacher_steps: int | None = None
    """Updates in the pretraining of the teacher, and of the discriminator. Default: as --steps."""
    batch: int | None = None
    """Instances per update."""
    lr: float | None = None
    """Highest learning rate."""
    student_pretraining: float | None = None
    """Share of --steps in which the student of nagan and kdgan is trained on the labels alone, before it meets the
    others. Default: 0.1 for nagan, 0 for kdgan."""
    student: str | None = None
    """Network of the student: mlp-800-800, lenet-20-50-500, resnet-32, ... with sizes of your choice."""
    teacher: str | None = None
    """Network of teacher and discriminator."""
    augment: str | None = None
    """Augmentation for every method: none; affine, elastic, elastic-strong for drawings; crop-flip, photo (place, light
    and an erased square) for photographs."""
    reach: float | None = None
    """How far inputs may be moved, for every method, to where the student has more to learn: the largest root mean
    square of the change, in standard deviations of the inputs. Default: 0."""
    interval: int | None = None
    """Teacher, peer and discriminator learn in the first of so many updates, which saves most of the time of codis,
    nagan and kdgan. Default: 1."""
    evaluations: int | None = None
    """How often accuracy is measured on the way, for the curves."""
    device: str = "auto"
    """cpu, cuda, cuda:1, or auto: a GPU where there is one."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on a GPU that computes in it."""
    threads: int = 1
    """Threads of each process; results are the same bits for the same number."""
    checkpoint_seconds: float = 10.0
    """Time between two checkpoints."""


@dataclass(frozen=True)
class PhotoOptions:
    """Photos with tags, for the studies that are about them."""

    table: Path | None = None
    """For Table 2, Figures 3b and 5: the Parquet table of photos, see kdgan tags compare; or world: generated
    scenes."""
    reader: Literal["lstm", "bag"] = "lstm"
    """How their texts are read: in their order, or as a bag for words without one."""
    embeddings: Path | None = None
    """Pretrained embeddings of the words of these texts, see kdgan tags compare."""

    def table_for(self, what: str) -> Path:
        """The table, which `what` needs."""
        if self.table is None:
            raise UsageError(f"{what} needs --table FILE, a Parquet table of photos (see kdgan tags compare)")
        return self.table

    def unused(self, what: str) -> None:
        """Refuses what was said of photos, where `what` has none."""
        if self != PhotoOptions():
            raise UsageError(
                f"--table, --reader and --embeddings are for photos with tags, and {what} has none"
            )

    def fields(self) -> dict[str, Any]:
        """How texts are read, as fields of a configuration."""
        from kdgan.tagging.embeddings import named

        return {"reader": self.reader, **({} if self.embeddings is None else named(self.embeddings))}


def plan(data: DataOptions, training: TrainingOptions, method: str) -> tuple[Config, Machine]:
    """The configuration of a run, the data's preset filling what was not said, and the machine."""
    from kdgan.tasks.presets import configuration
    from kdgan.training.devices import precision_on

    machine = machine_of(training, data.data_dir)
    given = {**dataclasses.asdict(data), **{name: getattr(training, name) for name in _TRAINED}}
    del given["data_dir"]
    if given["precision"] == "auto":
        given["precision"] = precision_on(machine.device)
    return configuration(method, given, data_dir=data.data_dir), machine


_TRAINED = (
    "steps",
    "teacher_steps",
    "batch",
    "lr",
    "student",
    "teacher",
    "augment",
    "reach",
    "interval",
    "student_pretraining",
    "evaluations",
    "precision",
)
"""The training options that are part of a configuration; the others say where and how it is computed."""


def machine_of(training: TrainingOptions, data_dir: Path | None) -> Machine:
    """Where and how to compute; a UsageError for a device or a precision that there is not."""
    from kdgan.training.devices import find_device
    from kdgan.tasks.run import Machine

    if training.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {training.threads}")
    if training.precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"--precision must be auto, float32 or bfloat16, not {training.precision!r}")
    return Machine(find_device(training.device), data_dir, training.checkpoint_seconds)


def changes_of(training: TrainingOptions) -> dict[str, Any]:
    """What was said of training, to be put in place of a study's own."""
    said = {name: getattr(training, name) for name in _TRAINED}
    changes = {name: value for name, value in said.items() if value not in (None, "auto")}
    if "steps" in changes:
        changes.setdefault("teacher_steps", changes["steps"])
    return changes


def method_names(text: str) -> list[str]:
    """The methods joined with commas in `text`, at least one."""
    methods = names_in(text)
    if not methods:
        raise UsageError("--methods names none: at least one is needed")
    return methods


def names_in(text: str) -> list[str]:
    """What is joined with commas in `text`, each once."""
    return list(dict.fromkeys(filter(None, text.split(","))))


def workers_on(given: int | None, machine: Machine) -> int:
    """How many processes: what was given, or one for each core, or one on a GPU."""
    if given is not None and given < 1:
        raise UsageError(f"--workers must be at least 1, not {given}")
    return given or (1 if machine.device.type == "cuda" else os.cpu_count() or 1)


def say_failed(failures: list[str]) -> None:
    """Raises a RunError if runs failed: how many, and what the first said."""
    if failures:
        raise RunError(f"{len(failures)} runs failed; {failures[0]}")


def settings_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a dictionary; values are numbers, true, false, or text."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings
