"""Runs with players and data of a caller's own, for the same comparison as those of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed, seeded
from kdgan.data.semi import Semi, labelled_part, make_feed
from kdgan.data.stream import Stream
from kdgan.errors import KdganError, failed, wrong
from kdgan.experiments.variants import Key, Variant
from kdgan.losses import Family
from kdgan.methods import Method, find, name_of
from kdgan.tasks.own import OwnTask
from kdgan.tasks.own_trainer import trainer_of
from kdgan.tasks.run import OwnPlanned, PlayersRun
from kdgan.tasks.teachers import as_teacher
from kdgan.training import identity
from kdgan.training.class_map import ClassMap
from kdgan.training.config import Training, digest
from kdgan.training.execution import Execution
from kdgan.training.faces import is_network
from kdgan.training.players import build_players

Factory: TypeAlias = Callable[[], nn.Module]
"""Gives a fresh module, whose weights come from the global generators."""


@dataclass(frozen=True, slots=True)
class FreshTeacher:
    """Gives a fresh teacher.

    Attributes:
        make: the caller's function, which gives a module.
        sees: what the module is called with.
        classes: the student's class for its classes, or None.
    """

    make: Factory
    sees: str
    classes: ClassMap | None

    def __call__(self) -> nn.Module:
        """The module, as a `Player` holds it."""
        return as_teacher(_network(self.make(), "teacher"), sees=self.sees, classes=self.classes).face


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs of one call share.

    Attributes:
        make_student: gives a fresh student.
        teacher: the module that a `Player` holds, or what gives a fresh one.
        make_discriminator: gives a fresh discriminator; None for one of the teacher's form.
        task: the data, and how players are judged on the way.
        test: how they are judged in the end.
        family: what logits are logits of.
        augment: other views of inputs.
        trained: whether the teacher is trained.
        keeps: whether runs that are stopped go on later.
        asked: metrics on test data of a teacher that is no network, which is asked about them once; None where it is
            one, or nothing is known of it there.
    """

    make_student: Factory
    teacher: nn.Module | FreshTeacher
    make_discriminator: Factory | None
    task: OwnTask
    test: OwnTask
    family: Family
    augment: Augmentation | None
    trained: bool
    keeps: bool
    asked: Mapping[str, float] | None = None

    def players(
        self, kind: type[Method], seed: int, *, frozen: bool, device: torch.device
    ) -> dict[str, nn.Module]:
        """The players of a method, by role: for one seed they start alike in every method."""
        student = build(self.make_student, "student", seed, device)
        taught = isinstance(self.teacher, nn.Module)
        teacher = self.teacher if taught else build(self.teacher, "teacher", seed, device)
        assert isinstance(teacher, nn.Module)
        made = None
        if self.make_discriminator is not None and "discriminator" in kind.roles:
            made = build(self.make_discriminator, "discriminator", seed, device)
        with seeded(seed % 2**32, device):  # as in `distill`, for what is drawn anew in the teacher's form
            return build_players(
                kind, student, teacher.to(device), made, keep_teacher=frozen or not taught, device=device
            )


def build(make: Factory, role: str, seed: int, device: torch.device) -> nn.Module:
    """A fresh player with initial weights that depend on seed and role alone.

    Raises:
        RunError: if the function fails.
        UsageError: if it gives no network.
    """
    with seeded(mixed(seed, role, "weights"), device):
        try:
            return _network(make(), role).to(device)
        except KdganError:
            raise
        except (Exception, SystemExit) as error:  # it is somebody's own
            raise failed(error, f"what makes the {role}") from error


def _network(made: object, role: str) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise wrong(f"what makes the {role} must give a torch.nn.Module, not {type(made).__name__}")
    return made


_SETTINGS: dict[str, Setting] = {}
"""Of the calls that this process works for, by their key."""


def share(key: str, setting: Setting) -> None:
    """Gives this process what the runs of a call share."""
    _SETTINGS[key] = setting


def forget(key: str) -> None:
    """The call is over."""
    _SETTINGS.pop(key, None)


@dataclass(frozen=True, slots=True)
class OwnPlan(OwnPlanned):
    """One run that nothing is made of yet.

    Attributes:
        key: of the `Setting` of its call, which a process has been given by `share`.
        method: its name, reference or class.
        seed: of the initial weights, the order, the views and all sampling.
        hyper: hyperparameters of the method that differ from its defaults.
        training: how players are trained.
        trained: whether the teacher is trained.
        frozen: whether it is kept as it is.
        shared: what tells the call from others, as plain values.
        unlabelled: whether there are examples without labels.
    """

    key: str
    method: str | type[Method]
    seed: int
    hyper: Mapping[str, Any]
    training: Training
    trained: bool
    frozen: bool
    shared: Mapping[str, Any]
    unlabelled: bool

    @property
    def name(self) -> str:
        """A name for the run's folder that no other run has."""
        method = name_of(self.method).rpartition(":")[2].rpartition(".")[2]
        return f"{method}-seed{self.seed}-{digest(self.identity())}"

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The players that are trained on the labels before the method begins."""
        roles = self.training.pretrained(find(self.method))
        return tuple(role for role in roles if not (self.trained and role == "teacher"))

    def identity(self) -> dict[str, Any]:
        """All that its outcome depends on."""
        return {
            **self.shared,
            **identity.of_method(self.method, self.hyper),
            "training": asdict(self.training),
            "seed": self.seed,
            "teacher": [self.trained, self.frozen],
        }

    def pretraining(self, role: str) -> dict[str, Any]:
        """All that a player's pretraining depends on."""
        kind = find(self.method)
        has_others = self.unlabelled and kind.uses_unlabelled
        training = self.training.pretraining(role, kind, unlabelled=has_others)
        return {**self.shared, "seed": self.seed, **training}

    def run(self, execution: Execution) -> OwnRun:
        """The run."""
        return OwnRun(self, execution)


class OwnRun(PlayersRun):
    """A run of a caller's own players on data of its own.

    Args:
        plan: what it is.
        execution: where and how.

    Raises:
        UsageError: if players, data and settings do not fit.
    """

    def __init__(self, plan: OwnPlan, execution: Execution) -> None:
        self.config, self.execution, device = plan, execution, execution.device
        self.setting = _SETTINGS[plan.key]
        task, self.test = moved(self.setting.task, device), moved(self.setting.test, device)
        players = self.setting.players(find(plan.method), plan.seed, frozen=plan.frozen, device=device)
        self.trainer = trainer_of(
            task,
            plan.method,
            players,
            plan.training,
            seed=plan.seed,
            hyper=plan.hyper,
            execution=execution,
            family=self.setting.family.to(device),
            augment=self.setting.augment,
            trained=plan.trained,
            frozen=plan.frozen,
            # Test data are looked at once: what is measured on the way is of validation data.
            measure=lambda: _of("validation", task.measure("student", players["student"])),
        )
        self.labels = _count(labelled_part(task.train))
        self.unlabelled = _count(task.train.unlabelled) if isinstance(task.train, Semi) else 0

    def place(self, folder: Any) -> Any:
        """Where the method's checkpoints go, if they are kept."""
        return folder if self.setting.keeps else None

    def judged(self, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Metrics on test data, of the student and of a teacher that can look at them; and of validation the last."""
        metrics = self.test.measure("student", self.trainer.modules["student"])
        found = dict(metrics)
        teacher = self.trainer.method.players.get("teacher")
        if teacher is not None and not is_network(teacher.module):
            found |= _of("teacher", self.setting.asked or {})
        elif teacher is not None and self.test.judges("teacher", teacher.module):
            found |= _of("teacher", self.test.measure("teacher", teacher.module))
        found |= {name: value for name, value in history[-1].items() if name.startswith("validation/")}
        if "accuracy" in metrics:
            found["majority/accuracy"] = self.test.majority
        return found


def _count(data: Batch | Stream) -> int:
    """How many examples there are; 0 where nobody says."""
    return len(data) if isinstance(data, Batch) else 0


def _of(what: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{what}/{name}": value for name, value in metrics.items()}


def moved(task: OwnTask, device: torch.device) -> OwnTask:
    """The data on a device; what is read anew stays where it is."""
    train = task.train if isinstance(task.train, Stream) else task.train.to(device)
    judged = task.validation.to(device)
    return replace(task, train=train, sample=task.sample.to(device), validation=judged, first={})


def described(setting: Setting, training: Training, players: Mapping[str, nn.Module]) -> dict[str, Any]:
    """What tells a call from others with other data or players, as plain values; methods and seeds may be added later.

    Args:
        setting: of the call.
        training: its settings.
        players: examples of them, by role.

    Raises:
        UsageError: for what a folder cannot keep, or data that are not the same when they are read again.
    """
    task = setting.task
    feed = partial(
        make_feed,
        task.train,
        training.batch,
        seed=0,
        device=task.sample.device,
        augment=setting.augment,
        share=training.labelled_share,
    )
    return identity.of_call(
        task.train,
        {"validation": task.validation, "test": setting.test.validation},
        players,
        training=training,
        family=setting.family,
        augment=setting.augment,
        metrics=task.metrics,
        feeds=[feed(), feed()],
        updates={0: training.steps},
        # A teacher that is trained here starts anywhere, and what it became is in the folder.
        weights=[role for role in players if role != "teacher" or setting.trained],
    )


def plans_of(
    key: str,
    variants: Mapping[str, Variant],
    seeds: Sequence[int],
    settings: Training,
    *,
    trained: bool,
    learns: bool,
    shared: Mapping[str, Any],
    unlabelled: bool,
) -> dict[Key, OwnPlan]:
    """Every run by variant and seed: all variants of a seed before the next seed."""
    plans = {}
    # A method's own rate must not change the teacher that all of them share.
    base = replace(settings, pretraining_lr=settings.first_lr)
    for name, variant in variants.items():
        mine = replace(base, **variant.training)
        learning = learns or "teacher_lr" in variant.training
        frozen = trained and not (learning and "teacher" in find(variant.method).trains)
        plans[name] = OwnPlan(
            key, variant.method, 0, variant.hyper, mine, trained, frozen, shared, unlabelled
        )
    return {(name, seed): replace(plan, seed=seed) for seed in seeds for name, plan in plans.items()}
