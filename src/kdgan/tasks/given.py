"""What a caller says of data and training, and all that is read before anything is trained."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.heldout import held_out
from kdgan.data.own import MANY, Data, Inputs, updates_in
from kdgan.data.seeds import seeded
from kdgan.data.semi import Examples, Semi, has_own_share
from kdgan.errors import UsageError, wrong
from kdgan.losses import Family, Loss
from kdgan.tasks.choice import named
from kdgan.tasks.metrics import Metric
from kdgan.tasks.own import OwnTask
from kdgan.tasks.teachers import Taught
from kdgan.training.config import Training, whole_number
from kdgan.training.devices import precision_on, slow_in


@dataclass(frozen=True, slots=True)
class Opened:
    """Data that are read, players that fit them, and how long training is.

    Attributes:
        task: what is learned from, and validation.
        test: the same judged by test data, if there are any.
        family: what logits are logits of.
        trained: whether the teacher is trained.
        training: the settings.
        seconds: time that it took to see whether the teacher is trained.
    """

    task: OwnTask
    test: OwnTask | None
    family: Family
    trained: bool
    training: Training
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Data and settings of training as a caller gives them, and what he says of them; see `kdgan.distill`.

    Attributes:
        train: what is learned from.
        validation: what players are judged by on their way.
        test: what they are judged by in the end, or None.
        unlabelled: examples without labels, or None.
        task: its kind, or auto.
        metrics: names and functions.
        augment: other views of inputs, or None.
        loss: a supervised loss of the caller's own, or None.
        class_weights: of the supervised loss, or None.
        label_smoothing: of the supervised loss.
        eval_batch: examples per forward pass where players are judged, or None.
        training: all settings at once, or None; the others, where they are given, go in their place.
        steps: updates of the student.
        epochs: passes, in place of them.
        batch: examples per update.
        lr: highest learning rate.
        teacher_lr: that of a teacher that goes on learning.
        teacher_every: other players learn in the first of so many updates.
        labelled_share: share of labelled examples in a batch.
        evaluations: of the student on its way.
    """

    train: Data
    validation: Data
    test: Data | None
    unlabelled: Inputs | None
    task: str
    metrics: Iterable[str | Metric] | Mapping[str, Metric]
    augment: Augmentation | None
    loss: Loss | None
    class_weights: Tensor | Sequence[float] | str | None
    label_smoothing: float
    training: Training | None
    steps: int | None
    epochs: int | None
    batch: int | None
    lr: float | None
    teacher_lr: float | None
    teacher_every: int | None
    labelled_share: float | None
    evaluations: int | None
    eval_batch: int | None = None

    def checked(self, device: torch.device) -> Checked:
        """The same without what is wrong with settings and metrics, which is found before the data are read.

        Raises:
            UsageError: for settings and metrics that make no sense.
        """
        if self.steps is not None and self.epochs is not None:
            raise wrong(
                f"steps={self.steps!r:.60} and epochs={self.epochs!r:.60} both say how long: give one of them"
            )
        if self.training is not None and not isinstance(self.training, Training):
            raise wrong(f"training must be a kdgan.Training, not {type(self.training).__name__}")
        if note := slow_in((self.training or Training()).precision, device):
            warnings.warn(note, stacklevel=3)
        by_name: dict[str, Any] = {
            "steps": self.steps,
            "batch": self.batch,
            "lr": self.lr,
            "teacher_lr": self.teacher_lr,
            "teacher_every": self.teacher_every,
            "labelled_share": self.labelled_share,
            "evaluations": self.evaluations,
        }
        return Checked(
            self,
            device,
            named(self.metrics),
            replace(
                self.training or Training(precision=precision_on(device)),
                **{name: value for name, value in by_name.items() if value is not None},
            ),
            whole_number("epochs", self.epochs),
            whole_number("eval_batch", self.eval_batch),
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a caller gave, with numbers and names that make sense.

    Attributes:
        given: all of it.
        device: of the players.
        metrics: by name, see `kdgan.tasks.choice.named`.
        training: the settings; its steps may still follow from the data.
        epochs: passes in place of steps, or None.
        eval_batch: examples per forward pass where players are judged, or None.
    """

    given: Given
    device: torch.device
    metrics: Mapping[str, Metric | None]
    training: Training
    epochs: int | None
    eval_batch: int | None

    def read(
        self, taught: Taught, players: Mapping[str, nn.Module], *, seed: int, trained: bool | None
    ) -> Opened:
        """Reads the data, holds players against them, and tells the teacher what the task is.

        Args:
            taught: the teacher.
            players: by role, the teacher's face among them.
            seed: of what reading draws.
            trained: whether the teacher is trained; None where its predictions shall tell.

        Raises:
            UsageError: if data, players and what is said of them do not fit.
        """
        given, device = self.given, self.device
        called = {role: each for role, each in players.items() if role != "teacher" or taught.looks}
        task = OwnTask.read(
            given.train,
            given.validation,
            called,
            self.metrics,
            device,
            size=self.training.batch,
            seed=seed,
            augment=given.augment,
            unlabelled=given.unlabelled,
            asked=given.task,
            recorded=taught.count,
            eval_batch=self.eval_batch,
        )
        if given.labelled_share is not None and not isinstance(task.train, Semi):
            raise UsageError(
                "labelled_share is for training examples of which some have no label, and there are none without: "
                "leave it out"
            )
        if given.labelled_share is not None and isinstance(task.train, Semi) and has_own_share(task.train):
            raise UsageError(
                "labelled_share has no use beside two DataLoaders, whose own batch sizes say it: leave it out"
            )
        taught.settle(task)
        test = None
        if given.test is not None:
            with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
                test = task.judging_on(held_out(given.test, "test", seed=seed), called)
        family = task.family(given.loss, given.class_weights, given.label_smoothing).to(device)
        began = time.perf_counter()
        if not taught.may_learn:
            trained = True
        elif trained is None:
            trained = task.is_trained(taught.face)
        seconds = time.perf_counter() - began
        return Opened(task, test, family, bool(trained), self._as_long(task.train), seconds)

    def _as_long(self, train: Examples) -> Training:
        """The settings with the number of updates, where that follows from the data."""
        training = self.training
        if self.epochs is not None:
            return replace(training, steps=_updates_of(self.epochs, train, training))
        if self.given.steps is None and self.given.training is None:
            return replace(training, steps=default_steps(train, training))
        return training


def default_steps(data: Examples, training: Training) -> int:
    """Updates of the student where nobody says how many: 30 passes, within bounds."""
    return min(max(updates_in(30, data, training.batch, share=training.labelled_share), 3000), 20_000)


def _updates_of(epochs: int, data: Examples, training: Training) -> int:
    """Updates that see so many times as many examples as there are."""
    updates = updates_in(epochs, data, training.batch, share=training.labelled_share)
    if updates >= MANY:
        endless = isinstance(data, Semi) and updates_in(1, data.labelled, training.batch) < MANY
        raise UsageError(
            f"{'unlabelled' if endless else 'train'} has no length, so that nobody knows how long an epoch is: give "
            "steps"
        )
    return max(1, updates)
