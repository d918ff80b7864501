"""What a caller says of the data, and all that is read before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdgan.data.augment import Augmentation
from kdgan.data.heldout import held_out
from kdgan.data.own import Data, Inputs
from kdgan.data.seeds import seeded
from kdgan.losses import Family, Loss
from kdgan.tasks.metrics import Metric
from kdgan.tasks.own import OwnTask
from kdgan.tasks.teachers import Taught


@dataclass(frozen=True, slots=True)
class Opened:
    """Data that are read, and players that fit them.

    Attributes:
        task: what is learned from, and validation.
        test: the same judged by test data, if there are any.
        family: what logits are logits of.
        trained: whether the teacher is trained.
        seconds: time that it took to see that.
    """

    task: OwnTask
    test: OwnTask | None
    family: Family
    trained: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Data as a caller gives them, and what he says of them; see `kdgan.distill`.

    Attributes:
        train: what is learned from.
        validation: what players are judged by on their way.
        test: what they are judged by in the end, or None.
        unlabelled: examples without labels, or None.
        task: its kind, or auto.
        metrics: by name.
        augment: other views of inputs, or None.
        loss: a supervised loss of the caller's own, or None.
        class_weights: of the supervised loss, or None.
        label_smoothing: of the supervised loss.
        eval_batch: examples per forward pass where players are judged, or None.
    """

    train: Data
    validation: Data
    test: Data | None
    unlabelled: Inputs | None
    task: str
    metrics: Mapping[str, Metric | None]
    augment: Augmentation | None
    loss: Loss | None
    class_weights: Tensor | Sequence[float] | str | None
    label_smoothing: float
    eval_batch: int | None = None

    def read(
        self,
        taught: Taught,
        players: Mapping[str, nn.Module],
        device: torch.device,
        *,
        size: int,
        seed: int,
        trained: bool | None,
    ) -> Opened:
        """Reads the data, holds players against them, and tells the teacher what the task is.

        Args:
            taught: the teacher.
            players: by role, the teacher's face among them.
            device: of the players.
            size: examples per batch.
            seed: of what reading draws.
            trained: whether the teacher is trained; None where its predictions shall tell.

        Raises:
            UsageError: if data, players and what is said of them do not fit.
        """
        called = {role: each for role, each in players.items() if role != "teacher" or taught.looks}
        task = OwnTask.read(
            self.train,
            self.validation,
            called,
            self.metrics,
            device,
            size=size,
            seed=seed,
            augment=self.augment,
            unlabelled=self.unlabelled,
            asked=self.task,
            recorded=taught.count,
            eval_batch=self.eval_batch,
        )
        taught.settle(task)
        test = None
        if self.test is not None:
            with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
                test = task.judging_on(held_out(self.test, "test", seed=seed), called)
        family = task.family(self.loss, self.class_weights, self.label_smoothing).to(device)
        began = time.perf_counter()
        if not taught.may_learn:
            trained = True
        elif trained is None:
            trained = task.is_trained(taught.face)
        return Opened(task, test, family, bool(trained), time.perf_counter() - began)
