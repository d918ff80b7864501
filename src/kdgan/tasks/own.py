"""Data and players of a caller's own: read, held against each other, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch, checked, labelled_rows
from kdgan.data.own import Data, HeldOut, Inputs, held_out, sample_of, training_data
from kdgan.data.seeds import seeded
from kdgan.data.semi import Examples, Semi, labelled_part, make_feed
from kdgan.data.stream import Recorded, Stream
from kdgan.data.targets import Kind, check_batch, in_kind, kind_of_targets
from kdgan.errors import UsageError
from kdgan.methods import Method
from kdgan.ship.cost import Cost, cost
from kdgan.tasks.metrics import Metric, accuracy, evaluated
from kdgan.training.check import check_players
from kdgan.training.evaluate import logits_of
from kdgan.training.players import is_trained


@dataclass(frozen=True, slots=True)
class OwnTask:
    """Data of a caller's own, which the players fit, on their device.

    Attributes:
        train: what is learned from.
        sample: some of what has labels: all of it, or the first batch of a stream.
        validation: what players are judged by. It has privileged information only where training has.
        kind: of task.
        classes: K, the logits of each player.
        metrics: beside accuracy, by name.
        first: logits on the validation examples of players before anything was trained, by role.
        eval_batch: examples per forward pass where players are judged; None for as many as are surely not too many.
    """

    train: Examples
    sample: Batch
    validation: HeldOut
    kind: Kind
    classes: int
    metrics: Mapping[str, Metric]
    first: dict[str, Tensor] = field(default_factory=dict)
    eval_batch: int | None = None

    @classmethod
    def read(
        cls,
        train: Data,
        validation: Data,
        players: Mapping[str, nn.Module],
        metrics: Mapping[str, Metric],
        device: torch.device,
        *,
        size: int,
        seed: int,
        augment: Augmentation | None,
        unlabelled: Inputs | None = None,
        asked: str = "auto",
        logits: Recorded | None = None,
        eval_batch: int | None = None,
    ) -> OwnTask:
        """Reads the data and calls the players on some of them.

        Args:
            train: what is learned from.
            validation: what players are judged by.
            players: by role; those that can be called.
            metrics: by name.
            device: of the players.
            size: examples per batch.
            seed: of what reading draws.
            augment: other views of inputs.
            unlabelled: examples without labels.
            asked: kind of task, or auto.
            logits: what a teacher said of each training example.
            eval_batch: examples per forward pass where players are judged.

        Raises:
            UsageError: if data and players do not fit.
        """
        with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
            data = training_data(train, unlabelled, seed=seed, logits=logits)
            judged = held_out(validation, "validation", seed=seed)
            sample = checked(sample_of(labelled_part(data), device, size=size, seed=seed), "train")
        classes = check_players(players, sample, "train")
        if logits is not None:
            _check_recorded(logits, classes)
        kind = kind_of_targets(labelled_rows(sample).targets, classes, asked)
        sample = in_kind(sample, kind)
        check_batch(sample, classes, "train", kind)
        form = _Form(kind, classes, device, size, seed, augment)
        if isinstance(data, Semi):
            data = Semi(form.put(data.labelled, sample), form.put(data.unlabelled, None))
        else:
            data = form.put(data, sample)
        if augment is not None:
            views = make_feed(data, size, seed=seed, device=device, augment=augment)(0)
            check_players(players, checked(views, "what augment gives"), "what augment gives", kind)
        task = cls(data, sample, judged, kind, classes, metrics, eval_batch=eval_batch)
        task = replace(task, validation=task.judged(judged, device))
        task.check_judged(players, task.validation)
        return task

    def judged(self, data: HeldOut, device: torch.device) -> HeldOut:
        """Held-out examples in the form that players are judged by."""
        found = data.of_kind(self.kind, self.classes).map(lambda batch: batch.to(device))
        if self.sample.privileged is None:
            found = found.map(lambda batch: replace(batch, privileged=None))  # nobody learns to see it
        return found

    def check_judged(self, players: Mapping[str, nn.Module], data: HeldOut) -> None:
        """Raises a UsageError unless those players that can be judged by these examples fit them."""
        can = {role: each for role, each in players.items() if self.judges(role, data)}
        check_players(can, data.sample, data.what, self.kind)

    def judges(self, role: str, data: HeldOut | None = None) -> bool:
        """Whether held-out examples, by default validation, have what a player in that role looks at; privileged
        information may exist for training alone."""
        return (
            role in ("student", "control")
            or self.sample.privileged is None
            or (self.validation if data is None else data).sample.privileged is not None
        )

    def check_last_batch(self, method: Method) -> None:
        """Raises a UsageError if a pass ends with one example that batch normalisation has to learn from."""
        train = labelled_part(self.train)
        if not (isinstance(train, Stream) and train.ends_alone()) or isinstance(self.train, Semi):
            return
        for role, player in method.players.items():
            if player.learns and any(isinstance(part, _BatchNorm) for part in player.module.modules()):
                raise UsageError(
                    f"the last batch of train has a single example, over which the {role} cannot normalise: give the "
                    "loader drop_last=True, or another batch_size"
                )

    def is_trained(self, module: nn.Module, role: str = "teacher") -> bool:
        """Whether a player knows the labels of validation or, where it cannot see those examples, of training."""
        if self.judges(role):
            self.first[role] = logits = self.logits(module, self.validation, role)
            return is_trained(logits, self.validation.targets, self.kind)
        known = labelled_rows(self.sample)
        return is_trained(self.logits(module, known, role), known.targets, self.kind)

    def logits(self, module: nn.Module, data: HeldOut | Batch, role: str) -> Tensor:
        """Logits `(N, K)` of a player in that role."""
        return logits_of(module, data, role="student" if role == "control" else role, size=self.eval_batch)

    def measure(self, role: str, module: nn.Module, data: HeldOut) -> dict[str, float]:
        """Metrics on held-out examples."""
        return self.metrics_of(self.logits(module, data, role), data.targets)

    def metrics_of(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Metrics of logits; the first chooses, where one does."""
        return {"accuracy": accuracy(logits, targets), **evaluated(self.metrics, logits, targets)}

    def cost(self, role: str, module: nn.Module) -> Cost:
        """Cost of a player at inference."""
        return cost(module, self.validation.sample if self.judges(role) else self.sample, role=role)


@dataclass(frozen=True, slots=True)
class _Form:
    """What all training data of a call have in common."""

    kind: Kind
    classes: int
    device: torch.device
    size: int
    seed: int
    augment: Augmentation | None

    def put(self, data: Batch | Stream, sample: Batch | None) -> Batch | Stream:
        """The data with targets as losses take them, on the device; a stream that is held to its first batch's form."""
        if isinstance(data, Batch):
            check_batch(data, self.classes, "train", self.kind)
            return in_kind(data, self.kind).to(self.device)
        like = sample if sample is not None else data.like
        return replace(data, like=like, classes=self.classes, kind=self.kind)


def _check_recorded(logits: Recorded, classes: int) -> None:
    width = len(logits[0])
    if width != classes:
        raise UsageError(
            f"the teacher's logits are of {width} classes, but the student scores {classes}: say which is which "
            "(teacher_classes)"
        )
