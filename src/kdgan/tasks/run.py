"""One run from its configuration to its outcome, in a folder from which it can always go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kdgan.data.seeds import mixed
from kdgan.errors import UsageError
from kdgan.files import write_json
from kdgan.methods import Method, find
from kdgan.methods.sharing import at_first, devices, is_first
from kdgan.references import find_callable, find_object
from kdgan.stored import read_json
from kdgan.tasks.base import Task
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.division import Block, Shared
from kdgan.tasks.metrics import best
from kdgan.training import checkpoint
from kdgan.training.config import Training, bind_folder, check_kept, digest, own_folder
from kdgan.training.evaluate import logits_of
from kdgan.training.execution import Execution
from kdgan.training.loop import BOOKKEEPING, Loop
from kdgan.training.trainer import Trainer

_TASKS = {"classes": "kdgan.tasks.classes:Classes", "tags": "kdgan.tasks.tags:Tags"}
_BASELINE_RUN = "kdgan.tasks.baseline:BaselineRun"
"""By kind of data; imported when asked for, as a run on classes has no use for what photos with tags need."""
TEACHER = "teacher.safetensors"
"""File in a run's folder of a teacher that went on learning, as it was at the end."""
_DIVISIONS: dict[tuple[object, ...], tuple[Any, Any]] = {}
"""An outline of data, and what runs of a seed have of them, that another process has made, see `remember`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        metrics: by name, in the units of `kdgan.ship.forms`: of the student on test data after the last step
            (`accuracy`), of T then (`teacher/accuracy`), of the student on validation data (`validation/accuracy`), and
            the best of all evaluations on test data (`best_epoch/accuracy`), which is what choosing by it would
            have shown. Nothing is chosen by it. `majority/accuracy` is what always naming the largest class gives;
            `log_loss_scaled` and the like are those of probabilities after temperature scaling on validation data.
        curves: (updates of C, value) at every evaluation, by name of what was measured; for plots.
        labels: labelled examples.
        unlabelled: further examples to learn from, without labels; not every method does.
        student_updates: of C, pretraining included; None without a network, as in the next but two.
        seconds: of training, over all attempts, without evaluation and without pretraining of T and D.
        pretraining_seconds: of training T and D, which methods share.
        student_parameters: numbers in C.
        teacher_parameters: numbers in T, 0 where it is no network; None without one.
        examples: the likeliest labels of the first test examples, where the task shows any.
    """

    metrics: dict[str, float]
    labels: int
    seconds: float
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    pretraining_seconds: float = 0.0
    student_updates: int | None = None
    student_parameters: int | None = None
    teacher_parameters: int | None = None
    examples: list[list[str]] = field(default_factory=list)
    unlabelled: int = 0


class Planned(Protocol):
    """A run that nothing is made of yet: a `Config`, or one with players and data of a caller's own."""

    @property
    def method(self) -> str | type[Method]:
        """Its name, reference or class; or one of `BASELINES`."""

    @property
    def seed(self) -> int:
        """Of all that is left to chance."""

    @property
    def training(self) -> Training:
        """How players are trained."""

    @property
    def name(self) -> str:
        """A name for the run's folder that no other run has."""

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The players that are trained on the labels before the method begins."""

    def identity(self) -> dict[str, Any]:
        """All that its outcome depends on, as plain values."""

    def pretraining(self, role: str) -> dict[str, Any]:
        """All that a player's pretraining depends on, as plain values: runs that agree in it share the player."""


class Run(ABC):
    """A run that has all it needs; nothing is written before `train`.

    Attributes:
        config: what to train.
        execution: where and how.
    """

    config: Planned
    execution: Execution

    def train(self, folder: Path, pretrained: Path) -> Outcome:
        """Trains in `folder`, or takes the outcome that is there; T and D come from `pretrained`.

        Raises:
            UsageError: if the folder belongs to another configuration.
            RunError: if a loss diverges.
            Interrupted: if `execution.stop` said so.
        """
        finished = at_first(lambda: outcome_in(folder, self.config))
        if finished is not None:
            return finished
        if not is_first():
            return self.carry_out(folder, pretrained)
        stop, wait = self.execution.stop, devices() is None  # others would not wait for as long
        with own_folder(folder, "config.json", self.config.identity(), stop, wait=wait):
            finished = outcome_in(folder, self.config)
            if finished is not None:
                return finished
            try:
                outcome = self.carry_out(folder, pretrained)
                check_kept(folder, "config.json")
                write_json(folder / "result.json", asdict(outcome))
            except (FileNotFoundError, UsageError):
                # Where locks come late, as over a network, another process may have ended this very run and cleared up.
                finished = outcome_in(folder, self.config)
                if finished is None:
                    raise
                return finished
            for passing in (folder / "checkpoint.safetensors", *folder.glob(".*.tmp")):
                passing.unlink(missing_ok=True)
            return outcome

    @abstractmethod
    def carry_out(self, folder: Path, pretrained: Path) -> Outcome:
        """All that is missing, in a folder that is this run's alone."""


class OwnPlanned(ABC):
    """A planned run that knows itself what it is made of."""

    @abstractmethod
    def run(self, execution: Execution) -> Run:
        """The run."""


class PlayersRun(Run):
    """A run of one of `kdgan.methods` whose players and data are there.

    Attributes:
        trainer: of the players.
        labels: labelled examples.
    """

    trainer: Trainer
    labels: int
    unlabelled: int = 0

    def pretrain(self, role: str, pretrained: Path) -> Loop:
        """Trains one player on the labels alone, in a folder of its own that other methods of the seed share."""
        return self.trainer.pretrain(role, self._pretraining_folder(role, pretrained))

    def carry_out(self, folder: Path, pretrained: Path) -> Outcome:
        """Line 1 of Algorithm 1, then the method."""
        trainer = self.trainer

        def folder_of(what: str) -> Path | None:
            if what in trainer.kind.pretrained:
                return self._pretraining_folder(what, pretrained)
            return self.place(folder)

        trained = trainer.train(folder_of)
        student, teacher = trainer.modules["student"], trainer.method.players.get("teacher")
        metrics = self.judged(trained.history)
        if is_first():
            self.keep(student, folder)
        own, last = ("student", trainer.name), trained.history[-1]
        return Outcome(
            metrics=metrics,
            curves={
                name: [(record["step"], record[name]) for record in trained.history if name in record]
                for name in last
                if name not in BOOKKEEPING
            },
            labels=self.labels,
            unlabelled=self.unlabelled,
            student_updates=trained.updates,
            seconds=round(sum((v for what, v in trained.seconds.items() if what in own), 0.0), 3),
            pretraining_seconds=round(
                sum((v for what, v in trained.seconds.items() if what not in own), 0.0), 3
            ),
            student_parameters=count_parameters(student),
            teacher_parameters=None if teacher is None else count_parameters(teacher.module),
            examples=self.examples(student),
        )

    def place(self, folder: Path) -> Path | None:
        """Where the method's checkpoints go; None keeps none."""
        return folder

    @abstractmethod
    def judged(self, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Metrics after the last step, by name; `history` is what was recorded on the way."""

    def keep(self, student: nn.Module, folder: Path) -> None:
        """Writes what stays of the run beside its outcome."""

    def examples(self, student: nn.Module) -> list[list[str]]:
        """The likeliest labels of the first test examples, where any are shown."""
        return []

    def _pretraining_folder(self, role: str, pretrained: Path) -> Path:
        folder, values = pretraining_folder(self.config, role, pretrained)
        bind_folder(folder, "config.json", values)
        return folder


class NetworkRun(PlayersRun):
    """A run whose networks and data a configuration names.

    Args:
        config: what to train.
        execution: where.

    Attributes:
        task: the data of its seed.
        modules: the players by role, freshly initialised.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    def __init__(self, config: Config, execution: Execution) -> None:
        self.config: Config = config
        self.execution, device = execution, execution.device
        self.task = task_of(config, execution.data_dir)
        self.kind, self.metrics = find(config.method), self.task.measured
        self.test, self.validation = self.task.test, self.task.validation
        self.labels, self.unlabelled = len(self.task.train), self.task.count_unlabelled
        roles = sorted({*self.kind.roles, *self.kind.pretrained})
        self.modules = {role: self._build(role) for role in roles}
        self.trainer = Trainer(
            config.method,
            self.modules,
            self.task.examples.to(device),
            config.training,
            seed=config.seed,
            hyper=config.hyper,
            execution=execution,
            augment=self.task.augment,
            measure=self._measure,
            probe=None if config.probe is None else find_callable(config.probe),
        )

    def judged(self, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Metrics on test data, and on validation data what was recorded last."""
        teacher, last, primary = self.modules.get("teacher"), history[-1], self.task.measured[0]
        metrics = {name: last[name] for name in (*self.metrics, *self.task.recorded)}
        if teacher is not None:
            taught = self.task.measure(teacher, self.test, role="teacher")
            metrics |= {f"teacher/{name}": value for name, value in taught.items()}
        metrics |= {name: value for name, value in last.items() if name.startswith("validation/")}
        metrics |= self.task.trivial()
        metrics |= self.task.distribution_of(self.modules["student"])
        metrics[f"best_epoch/{primary}"] = best(primary, (record[primary] for record in history))
        return metrics

    def keep(self, student: nn.Module, folder: Path) -> None:
        """Writes the student into a file of its own, and weights of a teacher that is no longer the one which runs
        share."""
        self.task.save(student, folder / "student.safetensors")
        teacher = self.trainer.method.players.get("teacher")
        if teacher is not None and teacher.learns:
            checkpoint.save(folder / TEACHER, {"weights": teacher.module.state_dict()})

    def examples(self, student: nn.Module) -> list[list[str]]:
        """The likeliest labels of the test examples that the task shows."""
        shown = self.test[: self.task.count_shown]
        return likeliest(logits_of(student, shown), self.task) if len(shown) else []

    def _build(self, role: str) -> nn.Module:
        """A player with initial weights that depend on seed and role alone, so that methods start alike."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed(self.config.seed, role, "weights"))
            module = self.task.build(self.config.network(role), role)
        return module.to(self.execution.device)

    def _measure(self) -> dict[str, float]:
        student, primary = self.modules["student"], self.task.measured[0]
        metrics = self.task.measure(student, self.test)
        if len(self.validation):
            metrics[f"validation/{primary}"] = self.task.measure(student, self.validation)[primary]
        return metrics


def pretraining_folder(config: Planned, role: str, pretrained: Path) -> tuple[Path, dict[str, Any]]:
    """Folder of a pretrained player among those that runs share, and all that the player depends on."""
    values = config.pretraining(role)
    return pretrained / f"{role}-seed{config.seed}-{digest(values)}", values


def run_of(config: Planned, execution: Execution) -> Run:
    """The run of a configuration, or of what a caller planned.

    Raises:
        UsageError: if the configuration does not fit the data.
    """
    if isinstance(config, OwnPlanned):
        return config.run(execution)
    assert isinstance(config, Config)
    if config.method in BASELINES:
        run: Run = find_object(_BASELINE_RUN)(config, execution)
        return run
    return NetworkRun(config, execution)


def task_of(config: Config, data_dir: Path | None) -> Task:
    """The data of a configuration's seed.

    Raises:
        UsageError: if the configuration does not fit the data.
    """
    kind = find_object(_TASKS[config.data.kind])
    known = _DIVISIONS.get(_seed_of(config))
    task: Task = kind(config, data_of(config, data_dir)) if known is None else kind(config, *known)
    return task


def data_of(config: Config, data_dir: Path | None) -> Any:
    """The data as they are in their files."""
    return find_object(_TASKS[config.data.kind]).read(config, data_dir)


def division_of(config: Config, data_dir: Path | None) -> Block | None:
    """What runs of a seed have of the data, for `remember` in other processes; None where it cannot be shared."""
    kind = find_object(_TASKS[config.data.kind])
    data = data_of(config, data_dir)
    return Block.of((_seed_of(config), kind.outline(data), kind.divide(config, data)))


def remember(division: Shared) -> None:
    """Takes what another process has made by `division_of`: each need not read the same files and hold a copy."""
    try:
        seed, *known = division.value()
    except OSError:  # who made it is at other seeds by now: the data are read
        return
    _DIVISIONS.clear()
    _DIVISIONS[seed] = (known[0], known[1])


def _seed_of(config: Config) -> tuple[object, ...]:
    return config.data, config.seed


def likeliest(scores: Tensor, task: Task, most: int = 5) -> list[list[str]]:
    """The labels with the highest scores `(N, K)`, for each example, the highest first."""
    places = scores.sort(dim=1, descending=True, stable=True).indices[:, :most]
    return [[task.labels[place] for place in row] for row in places.tolist()]


def outcome_in(folder: Path, config: Planned) -> Outcome | None:
    """Outcome of the run of that configuration, if it is finished.

    Raises:
        UsageError: if the folder belongs to another configuration.
    """
    result = folder / "result.json"
    if not result.exists():
        return None
    bind_folder(folder, "config.json", config.identity())
    return read_json(result, Outcome)


def count_parameters(module: nn.Module) -> int:
    """Count of the numbers in a network."""
    return sum(parameter.numel() for parameter in module.parameters())
