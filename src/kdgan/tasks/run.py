"""One run from its configuration to its result, in a folder from which it can always go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdgan.data.batch import Batch
from kdgan.data.feed import Feed, TensorFeed
from kdgan.data.reading import load
from kdgan.data.seeds import mixed
from kdgan.data.split import scaled
from kdgan.errors import UsageError
from kdgan.files import held, write_json
from kdgan.methods import METHODS, Method, create, pretraining
from kdgan.training.config import Config, claim, complete, digest, from_plain, read_json
from kdgan.training.evaluate import accuracy, logits_of
from kdgan.training.loop import Loop
from kdgan.ship.student import Student
from kdgan.tasks.base import Classification, Task, unchanged

Progress = Callable[[str, int, int], None]
"""Told what is being trained (`teacher`, `kdgan`, ...), finished steps, and of how many."""


def unseen(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and how a run is carried out; its result is the same for any of these on one kind of device."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data_dir: Path | None = None
    checkpoint_seconds: float = 10.0
    progress: Progress = unseen
    stop: Callable[[], bool] = _never


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found; accuracies in per cent.

    Attributes:
        student_accuracy: on test data, after the last step.
        teacher_accuracy: the same of T, None without one.
        best_epoch_accuracy: the highest of all evaluations on test data: what choosing by it would have shown.
        validation_accuracy: after the last step; None without validation data.
        student_updates: of C, pretraining included.
        seconds: of training, over all attempts, without evaluation and without pretraining of T and D.
        pretraining_seconds: of training T and D, which methods share.
        student_parameters: numbers in C.
        teacher_parameters: numbers in T, None without one.
        labels: labelled instances.
        curve: (updates of C, accuracy on test data) of every evaluation, for plots; nothing is chosen by it.
        measures: all that was measured of C on test data after the last step. Where the task is not to name one
            label, the first of them stands in place of accuracy above.
        teacher_measures: the same of T, empty without one.
        curves: of each other measure what `curve` is of the first, by name; empty where the task has but one.
    """

    student_accuracy: float
    teacher_accuracy: float | None
    best_epoch_accuracy: float
    validation_accuracy: float | None
    student_updates: int
    seconds: float
    pretraining_seconds: float
    student_parameters: int
    teacher_parameters: int | None
    labels: int
    curve: list[tuple[int, float]]
    measures: dict[str, float] = field(default_factory=dict)
    teacher_measures: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


class Run:
    """The parts of one run, made from its configuration; nothing is written before `train`.

    Args:
        config: what to train.
        machine: where.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    def __init__(self, config: Config, machine: Machine) -> None:
        self.config, self.machine = config, machine
        self.task = self._task()
        self.train_data = self.task.train.to(machine.device)
        self.validation_data = self.task.validation.to(machine.device)
        self.test_data = self.task.test.to(machine.device)
        roles = {*METHODS[config.method].roles, *METHODS[config.method].pretrained}
        self.modules = {role: self._build(role) for role in sorted(roles)}
        # Made here so that wrong hyperparameters are found before anything is written.
        self.method = self._method()

    def train(self, folder: Path, pretrained: Path) -> Outcome:
        """Trains in `folder`, or takes the result that is there; T and D come from `pretrained`.

        Raises:
            UsageError: if the folder belongs to another configuration.
            RunError: if a loss diverges.
            Interrupted: if the machine's `stop` said so.
        """
        finished = outcome_in(folder, self.config)
        if finished is not None:
            return finished
        claim(folder, "config.json", complete(self.config))
        with held(folder, self.machine.stop):
            return outcome_in(folder, self.config) or self._train(folder, pretrained)

    def _train(self, folder: Path, pretrained: Path) -> Outcome:
        loops = {role: self.pretrain(role, pretrained) for role in self.config.pretrained}
        loop = self._play(folder, loops.get("student"))
        outcome = self._outcome(loop, loops)
        self.task.save(self.modules["student"], self.config.student, folder / "student.safetensors")
        write_json(folder / "result.json", asdict(outcome))
        for passing in (folder / "checkpoint.safetensors", *folder.glob(".*.tmp")):
            passing.unlink(missing_ok=True)
        return outcome

    def pretrain(self, role: str, pretrained: Path) -> Loop:
        """Trains one player on the labels alone, in a folder of its own that other methods of the seed share."""
        config, steps = self.config, self.config.pretraining_steps(role)
        values = config.pretraining(role)
        folder = pretrained / f"{role}-seed{config.seed}-{digest(values)}"
        method = pretraining(
            role,
            self.modules.setdefault(role, self._build(role)),
            optimization=config.pretraining_optimization(role),
            smoothing=config.smoothing if role in ("teacher", "peer") else 0.0,
            seed=mixed(config.seed, role, "pretraining"),
        )
        if role == "student":
            method.reach = config.reach  # as in the updates that follow, and in those of every other method
        claim(folder, "config.json", values)
        # The student's pretraining is the beginning of its run; the others have their own order and views.
        feed = self._feed(self.config.seed if role == "student" else mixed(config.seed, role))
        loop = self._loop(role, method, feed, steps, folder)
        if role == "student":
            loop.evaluate = self._measure
            loop.evaluations = max(1, round(config.evaluations * config.early))
        with held(folder, self.machine.stop):
            torch.manual_seed(mixed(config.seed, role, "run"))
            loop.run()
        return loop

    def _play(self, folder: Path, student: Loop | None) -> Loop:
        """The method itself, over players that are pretrained."""
        config, before = self.config, 0 if student is None else student.steps
        method, data = self.method, self.train_data
        teacher = method.players.get("teacher")
        if teacher is not None and not teacher.learns and config.augment == "none":
            # The same views come again and again, so a teacher that stays as it is need see them only once.
            data = replace(data, teacher_logits=logits_of(teacher.module, data, role="teacher"))
        feed = self._feed(config.seed, data)
        loop = self._loop(
            config.method, method, lambda step: feed(step + before), config.steps - before, folder
        )
        loop.evaluate, loop.evaluations = self._measure, config.evaluations
        torch.manual_seed(mixed(config.seed, "run"))
        loop.run()
        return loop

    def _outcome(self, loop: Loop, loops: dict[str, Loop]) -> Outcome:
        student, teacher = self.modules["student"], self.modules.get("teacher")
        first = loops.get("student")
        offset = first.steps if first else 0
        curve = [
            *(first.history if first else []),
            *({**r, "step": r["step"] + offset} for r in loop.history),
        ]
        last = curve[-1]
        taught = {} if teacher is None else self.task.measure(teacher, self.test_data, role="teacher")
        measures = self.task.measure(student, self.test_data)
        early = self.config.pretraining_steps("student")
        return Outcome(
            student_accuracy=last["test_accuracy"],
            teacher_accuracy=None if teacher is None else first_of(taught),
            best_epoch_accuracy=max(record["test_accuracy"] for record in curve),
            validation_accuracy=last.get("validation_accuracy"),
            student_updates=early + (self.config.steps - early) * self.method.c_steps,
            seconds=round(loop.seconds + (first.seconds if first else 0.0), 3),
            pretraining_seconds=round(sum(loops[role].seconds for role in loops if role != "student"), 3),
            student_parameters=_parameters(student),
            teacher_parameters=None if teacher is None else _parameters(teacher),
            labels=len(self.train_data),
            curve=[(record["step"], record["test_accuracy"]) for record in curve],
            measures=measures,
            teacher_measures=taught,
            # A pretraining that others left here may be from before all measures were recorded.
            curves={
                name: [(r["step"], r[f"test_{name}"]) for r in curve if f"test_{name}" in r]
                for name in list(measures)[1:]
            },
        )

    def _loop(self, what: str, method: Method, feed: Feed, steps: int, folder: Path) -> Loop:
        machine = self.machine
        return Loop(
            method,
            feed,
            steps,
            machine.device,
            folder,
            bfloat16=self.config.precision == "bfloat16",
            checkpoint_seconds=machine.checkpoint_seconds,
            progress=lambda done: machine.progress(what, done, steps),
            stop=machine.stop,
        )

    def _feed(self, seed: int, data: Batch | None = None) -> TensorFeed:
        config = self.config
        data = self.train_data if data is None else data
        return TensorFeed(data, config.batch, seed=seed, augment=self.task.augment)

    def _method(self) -> Method:
        config = self.config
        optimization = {role: config.optimization(role) for role in self.modules}
        seed = mixed(config.seed, config.method)
        return create(
            config.method,
            self.modules,
            config.hyper,
            optimization=optimization,
            seed=seed,
            reach=config.reach,
            interval=config.interval,
        )

    def _build(self, role: str) -> nn.Module:
        """A player with initial weights that depend on seed and role alone, so that methods start alike."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed(self.config.seed, role, "weights"))
            module = self.task.build(self.config.network(role), role)
        return module.to(self.machine.device)

    def _measure(self) -> dict[str, float]:
        student = self.modules["student"]
        (_, first), *others = self.task.measure(student, self.test_data).items()
        measured = {"test_accuracy": first, **{f"test_{name}": value for name, value in others}}
        if len(self.validation_data):
            measured["validation_accuracy"] = first_of(self.task.measure(student, self.validation_data))
        return measured

    def _task(self) -> Task:
        return Classification(self.config, self.machine.data_dir)


def first_of(measures: Mapping[str, float]) -> float:
    """The measure that stands for all."""
    return next(iter(measures.values()))


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def outcome_in(folder: Path, config: Config) -> Outcome | None:
    """What the run of that configuration found, if it is finished.

    Raises:
        UsageError: if the folder belongs to another configuration.
    """
    result = folder / "result.json"
    if not result.exists():
        return None
    claim(folder, "config.json", complete(config))
    return Outcome(**read_json(result))


def evaluate_run(folder: Path, device: torch.device, *, data_dir: Path | None = None) -> dict[str, Any]:
    """Measures the student of a finished run on the test data of its configuration.

    Returns:
        `accuracy` in per cent, `instances`, `parameters`, `data` and `method`.

    Raises:
        UsageError: if the folder holds no finished run, or the data are not to be found.
    """
    config = from_plain(read_json(folder / "config.json"))
    student = Student.load(folder / "student.safetensors")
    unchanged(config)
    source = load(
        config.data,
        data_dir=data_dir,
        target=config.target,
        privileged=config.privileged,
        image_size=config.image_size,
    )
    if source.classes != student.classes:
        raise UsageError(
            f"{source.name} has other classes than the data that the student of {folder} learned"
        )
    test = scaled(source.test, student.scale).to(device)
    return {
        "accuracy": accuracy(student.module.to(device), test),
        "instances": len(test),
        "parameters": _parameters(student.module),
        "data": config.data,
        "method": config.method,
    }
