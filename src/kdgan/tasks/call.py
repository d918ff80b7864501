"""One call of `distill` whose data are read: a student and its control are trained, judged and reported on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from kdgan.data.augment import Augmentation
from kdgan.data.semi import Semi
from kdgan.losses import Family
from kdgan.methods import CONTROL, Features, Method
from kdgan.ship.report import Report
from kdgan.tasks.given import Opened
from kdgan.tasks.judging import Judge
from kdgan.tasks.own import OwnTask
from kdgan.tasks.own_trainer import trainer_of
from kdgan.tasks.wanted import Settled, Wanted
from kdgan.training.check import check_players
from kdgan.training.choice import Choice
from kdgan.training.config import Training
from kdgan.training.execution import Execution
from kdgan.training.faces import is_network
from kdgan.training.home import Home, described
from kdgan.training.players import build_players, copied
from kdgan.training.trainer import Own, Trained, Trainer


@dataclass(frozen=True, slots=True)
class Done:
    """What a call has trained.

    Attributes:
        student: how the student was trained, with its method.
        control: a copy of it that was trained alone, or None.
        alone: how that was trained.
    """

    student: Trained
    control: nn.Module | None
    alone: Trained | None

    @property
    def runs(self) -> dict[str, Trained]:
        """How each was trained."""
        return {"student": self.student, **({} if self.alone is None else {"control": self.alone})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call whose data are read and whose settings are known.

    Attributes:
        task: the data.
        judge: how players are judged.
        home: where it is kept.
        method: with its own settings, and what becomes of the teacher.
        players: by role.
        training: settings of the method.
        alone: settings of the control: those that the method shares with it.
        features: of the teacher, that the student learns from; None for none.
        seed: of student and control, as all that follows is.
        execution: where and how.
        family: what logits are logits of.
        augment: other views of inputs, or None.
        own: optimizers, schedulers and callbacks of the caller's own.
        choice: of the student among its evaluations; None for the last.
    """

    task: OwnTask
    judge: Judge
    home: Home
    method: Settled
    players: Mapping[str, nn.Module]
    training: Training
    alone: Training
    features: Features | None
    seed: int
    execution: Execution
    family: Family
    augment: Augmentation | None
    own: Own
    choice: Choice | None

    @classmethod
    def of(
        cls,
        opened: Opened,
        wanted: Wanted,
        student: nn.Module,
        *,
        home: Home,
        seed: int,
        augment: Augmentation | None,
        own: Own,
        execution: Execution,
        best: bool,
        patience: int | None,
        counted: bool,
    ) -> Call:
        """The call over data that are read.

        Args:
            opened: the data.
            wanted: the method.
            student: the caller's.
            home: where it is kept.
            seed: of order, views and samples.
            augment: other views of inputs, or None.
            own: optimizers, schedulers and callbacks of the caller's own.
            execution: where and how.
            best: whether the student is that of its best evaluation.
            patience: evaluations without a better one after which its training ends, or None.
            counted: whether the caller gave the number of evaluations.

        Raises:
            UsageError: if players and data do not fit.
        """
        taught, task = wanted.taught, opened.task
        method = wanted.settled(opened.trained, unlabelled=isinstance(task.train, Semi))
        if not task.has_labels:
            method.check_without_labels(opened.training)
        if method.has_teacher:
            task = taught.recorded(task, execution.device, execution.progress)
        players = build_players(
            method.kind,
            student,
            taught.face,
            wanted.discriminator,
            keep_teacher=method.frozen,
            device=execution.device,
        )
        looking = {role: each for role, each in players.items() if role != "teacher" or taught.looks}
        check_players(looking, task.sample, "train", task.kind)
        chooses = best or patience is not None
        judge = Judge.of(task, opened.training, seed=seed, chooses=chooses, given=counted, test=opened.test)
        judge.seconds += opened.seconds
        alone = replace(opened.training, evaluations=judge.evaluations)
        return cls(
            task=task,
            judge=judge,
            home=home,
            method=method,
            players=players,
            training=method.own.over(alone),
            alone=alone,
            features=wanted.features,
            seed=seed,
            execution=execution,
            family=opened.family,
            augment=augment,
            own=own,
            choice=judge.choice(keep=best, patience=patience) if chooses else None,
        )

    def trainer(self) -> Trainer:
        """The trainer of the method."""
        method = self.method
        return self._trainer("student", method.method, self.players, self.training, method.own.hyper)

    def _trainer(
        self,
        role: str,
        method: str | type[Method],
        players: Mapping[str, nn.Module],
        training: Training,
        hyper: Mapping[str, Any],
    ) -> Trainer:
        """The trainer of the student, or of its control."""
        judge, module, is_control = self.judge, players["student"], role == "control"
        # Nobody looks at the way of a control, unless it is chosen on it, or someone is told.
        looks = not is_control or self.choice is not None or self.own.on_evaluation is not None
        return trainer_of(
            self.task,
            method,
            players,
            training,
            seed=self.seed,
            hyper=hyper,
            execution=self.execution,
            family=self.family,
            augment=self.augment,
            trained=self.method.trained,
            frozen=self.method.frozen,
            measure=(lambda: judge.on_the_way(role, module)) if looks else None,
            measure_last=(lambda: judge.at_last(role, module)) if looks else None,
            features=None if is_control else self.features,
            choice=self.choice,
            own=self.own,
            called=role,
        )

    def train(self, trainer: Trainer, *, control: bool) -> Done:
        """Trains the student with its method and then, where it is asked for, a copy of it alone."""
        student, beside, alone = self.players["student"], None, None
        if self.method.trained and self.method.has_teacher:
            # While it is as it was; and what fails on these data does so before training.
            self.judge.measured("teacher before", self.players["teacher"])
        with self.home.open(lambda: self._identity(trainer), student):
            if control and trainer.name != CONTROL and self.task.has_labels:
                beside = copied(student, "student", "give control=False")
            done = trainer.train(self.home.places(trainer.name, "student"))
            seconds = {
                what if what == trainer.name else f"{what} pretraining": value
                for what, value in done.seconds.items()
            }
            if beside is not None:
                as_long = replace(self.alone, steps=trainer.planned)
                other = self._trainer("control", CONTROL, {"student": beside}, as_long, {})
                alone = other.train(self.home.places(CONTROL, "control"))
                seconds["control"] = alone.seconds[CONTROL]
                beside.eval()
        return Done(replace(done, seconds=seconds), beside, alone)

    def _identity(self, trainer: Trainer) -> dict[str, Any]:
        """All that the result depends on, before anything is trained."""
        known = {
            role: self.method.trained if role == "teacher" else self.task.is_trained(module, role)
            for role, module in self.players.items()
            if role != "discriminator"
        }
        chooses = {} if self.choice is None else {"choosing": self.judge.way.validation}
        found = described(
            trainer,
            {"validation": self.task.validation, **chooses},
            hyper=self.method.own.hyper,
            metrics=self.task.metrics,
            trained=[role for role, is_trained in known.items() if is_trained],
        )
        return {**found, "control": None if self.alone == self.training else asdict(self.alone)}

    def report(self, trainer: Trainer, done: Done, notes: tuple[str, ...]) -> Report:
        """What students, and a teacher where there is one, can do and cost."""
        modules = {"student": self.players["student"]}
        if done.control is not None:
            modules["control"] = done.control
        if self.method.has_teacher:
            modules["teacher"] = self.players["teacher"]
        if not self.task.has_labels:
            notes = (*notes, "There is no control: it learns from labels, and train has none.")
        runs = done.runs
        return Report(
            trainer.name,
            self._metrics(modules),
            {
                role: self.task.cost(role, module)
                for role, module in modules.items()
                if role != "control" and is_network(module)
            },
            done.student.updates,
            done.student.seconds,
            self.method.trained and self.method.has_teacher,
            self.judge.report.majority,
            evaluation_seconds=self.judge.seconds + sum(run.evaluation_seconds for run in runs.values()),
            data=self.judge.name,
            chosen={role: run.best for role, run in runs.items() if run.best is not None},
            ended={role: run.updates for role, run in runs.items() if run.updates < trainer.planned},
            notes=notes,
        )

    def _metrics(self, modules: Mapping[str, nn.Module]) -> dict[str, dict[str, float]]:
        """Metrics of each player, and of a teacher that went on learning before that, too."""
        metrics = {}
        for role, module in modules.items():
            first = role == "teacher" and self.method.trained
            before = self.judge.measured("teacher before", module) if first else None
            if before is not None and not self.method.frozen:
                metrics["teacher before"] = before
            kept = self.method.frozen and before is not None
            found = before if kept else self.judge.measured(role, module)
            if found is not None:
                metrics[role] = found
        return metrics
