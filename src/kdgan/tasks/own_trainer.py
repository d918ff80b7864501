"""The trainer over a caller's own players and data: the same for one call and for each run of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from kdgan.data.augment import Augmentation
from kdgan.losses import Family
from kdgan.methods import Features, Method
from kdgan.tasks.own import OwnTask
from kdgan.training.choice import Choice
from kdgan.training.config import Training
from kdgan.training.execution import Execution
from kdgan.training.trainer import Own, Trainer


def trainer_of(
    task: OwnTask,
    method: str | type[Method],
    players: Mapping[str, nn.Module],
    training: Training,
    *,
    seed: int,
    hyper: Mapping[str, Any],
    execution: Execution,
    family: Family,
    augment: Augmentation | None,
    trained: bool,
    frozen: bool,
    measure: Callable[[], dict[str, float]] | None,
    measure_last: Callable[[], dict[str, float]] | None = None,
    features: Features | None = None,
    choice: Choice | None = None,
    own: Own | None = None,
    called: str = "student",
) -> Trainer:
    """The trainer of a method over a caller's own players and data, see `Trainer`.

    Args:
        task: the data.
        method: its name, reference or class.
        players: by role.
        training: the settings.
        seed: of order, views and samples.
        hyper: hyperparameters of the method that differ from its defaults.
        execution: where and how.
        family: what logits are logits of.
        augment: other views of inputs, or None.
        trained: whether the teacher is trained already.
        frozen: whether it is kept as it is.
        measure: gives the student's metrics at an evaluation; None where nobody looks.
        measure_last: at the last one, where they are of more.
        features: of the teacher, that the student learns from, or None.
        choice: of the student among its evaluations, or None.
        own: optimizers, schedulers and callbacks of the caller's own.
        called: what the student is called in records.

    Raises:
        UsageError: if they do not fit.
    """
    made = Trainer(
        method,
        players,
        task.train,
        training,
        seed=seed,
        hyper=hyper,
        execution=execution,
        augment=augment,
        family=family,
        measure=measure,
        trained=("teacher",) if trained else (),
        frozen=("teacher",) if frozen else (),
        measure_last=measure_last,
        choice=choice,
        own=own,
        called=called,
    )
    task.check_last_batch(made.method)
    if features is not None:
        made.method.add_features(features, task.sample, seed=seed)
    return made
