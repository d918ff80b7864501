"""Interface of a task: what is learned, from which examples, and how a player is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.semi import Semi
from kdgan.data.targets import Kind
from kdgan.errors import UsageError
from kdgan.references import is_reference
from kdgan.ship.student import Student
from kdgan.tasks.calibration import of_distribution
from kdgan.tasks.choice import check, evaluated, in_order, named
from kdgan.tasks.config import Config
from kdgan.tasks.metrics import Metric, metric
from kdgan.training.evaluate import logits_of


@dataclass(frozen=True, slots=True)
class Shown:
    """A test example as a page shows it.

    Attributes:
        name: what it is called.
        labels: its true ones.
        picture: as PNG, where there is one.
        values: of the columns of a table, by name.
    """

    name: str
    labels: tuple[str, ...]
    picture: bytes | None = None
    values: Mapping[str, str] = field(default_factory=dict)


class Task(ABC):
    """The data of one seed with all that depends on their kind: read, build, measure, save, load.

    Attributes:
        config: of the run.
        train: the labelled examples to learn from, on the CPU.
        unlabelled: others without labels, or None.
        validation: others, for choosing and watching; may be empty.
        test: for the one measurement at the end.
        labels: names of the K labels.
        augment: other views of inputs, or None.
        kind: of the task, for ready-made metrics.
        metrics: names of what tables show.
        recorded: names of what results hold beside them.
        distribution: names of the metrics of probabilities that results hold of the student at the end, see
            `kdgan.tasks.calibration`.
        count_shown: how many test examples `shown` gives.
        about: what the task is, for a page, where that needs words.
    """

    kind: ClassVar[Kind] = "classes"
    metrics: tuple[str, ...]
    recorded: ClassVar[tuple[str, ...]] = ()
    distribution: ClassVar[tuple[str, ...]] = ()
    count_shown: ClassVar[int] = 0
    about: str = ""
    config: Config
    train: Batch
    validation: Batch
    test: Batch
    labels: tuple[str, ...]
    augment: Augmentation | None = None
    unlabelled: Batch | None = None

    @property
    def examples(self) -> Batch | Semi:
        """All examples to learn from."""
        return self.train if self.unlabelled is None else Semi(self.train, self.unlabelled)

    @property
    def count_unlabelled(self) -> int:
        """How many of them have no label."""
        return 0 if self.unlabelled is None else len(self.unlabelled)

    @staticmethod
    @abstractmethod
    def read(config: Config, data_dir: Path | None) -> Any:
        """The data as they are in their files, the same for every seed."""

    @staticmethod
    @abstractmethod
    def divide(config: Config, data: Any) -> Any:
        """What all runs of a seed have of the data, the same whatever method and players; for other processes, too."""

    @staticmethod
    @abstractmethod
    def outline(data: Any) -> Any:
        """The data without their examples: what a run needs of them that has its division."""

    @abstractmethod
    def build(self, network: str, role: str) -> nn.Module:
        """A fresh player of that name for that role, from torch's global random generator."""

    @abstractmethod
    def metrics_of(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Metrics of logits `(N, K)`, by name: `metrics` and `recorded`."""

    def trivial(self) -> dict[str, float]:
        """What takes no model at all to reach on test data, by name; nothing where no such number says much."""
        return {}

    @abstractmethod
    def student(self, module: nn.Module) -> Student:
        """A trained student with all that it takes to use it."""

    def measure(self, module: nn.Module, data: Batch, *, role: str = "student") -> dict[str, float]:
        """All metrics of a player on examples, by name."""
        return self.measured_from(logits_of(module, data, role=role), data.targets)

    def measured_from(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """All metrics of logits `(N, K)`, by name: those of `measured` in their order, then `recorded`."""
        found = {**self.metrics_of(logits, targets), **evaluated(self.further_metrics, logits, targets)}
        return {name: found[name] for name in in_order(self.measured, self.recorded)}

    def distribution_of(self, student: nn.Module) -> dict[str, float]:
        """How good a student's probabilities are on test data, by name; also after temperature scaling, where there are
        validation data to fit it on."""
        if not self.distribution:
            return {}
        test, validation = (
            (logits_of(student, part), part.targets) if len(part) else None
            for part in (self.test, self.validation)
        )
        return {} if test is None else of_distribution(self.distribution, self.kind, test, validation)

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Names of the metrics that tables show; the first is the one that comparisons are about, see `in_order`."""
        return in_order(named(self.config.metrics, self.metrics), self.metrics)

    @cached_property
    def further_metrics(self) -> Mapping[str, Metric]:
        """Metrics that the configuration names and `metrics_of` does not give, by name.

        Raises:
            UsageError: if there is none of that name, or it is not defined for these data.
        """
        known = (*self.metrics, *self.recorded)
        asked = named(self.config.metrics, self.metrics)
        given = {name: function for name, function in asked.items() if name not in known}
        found = {name: own or metric(name, self.kind, len(self.labels)) for name, own in given.items()}
        for part in (self.test, self.validation):
            if len(part):
                check(found, len(self.labels), part.targets)
        return found

    def save(self, module: nn.Module, path: Path) -> None:
        """Writes a trained student into a file of its own."""
        self.student(module).save(path)

    def load(self, path: Path) -> Student:
        """The student in a file that `save` wrote for these data; its network is the configuration's.

        Raises:
            UsageError: if there is none, or it learned other labels.
        """
        own = self.config.student
        student = Student.load(path, self.build(own, "student") if is_reference(own) else None)
        if student.labels != self.labels:
            raise UsageError(
                f"{self.config.data.title} has other labels than those that the student of {path} learned"
            )
        return student

    @abstractmethod
    def shown_at(self, places: Sequence[int]) -> list[Shown]:
        """The test examples at these places, as a page shows them."""

    def shown(self) -> Sequence[Shown]:
        """The first test examples, as many as are always worth a look."""
        return self.shown_at(range(min(self.count_shown, len(self.test))))
