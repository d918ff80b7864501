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
from kdgan.tasks.metrics import Metric, accuracy, evaluated, majority
from kdgan.training.check import check_players
from kdgan.training.evaluate import logits_of
from kdgan.training.faces import known
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
        first: logits on the judged examples of players before anything was trained, by role.
    """

    train: Examples
    sample: Batch
    validation: HeldOut
    kind: Kind
    classes: int
    metrics: Mapping[str, Metric]
    first: dict[str, Tensor] = field(default_factory=dict)

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

        Raises:
            UsageError: if data and players do not fit.
        """
        with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
            data = training_data(train, unlabelled, seed=seed, logits=logits)
            judged = held_out(validation, "validation", seed=seed)
            sample = checked(sample_of(labelled_part(data), device, size=size, seed=seed), "train")
        classes = check_players(players, sample, "train")
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
        judged = judged.of_kind(kind, classes).map(lambda batch: batch.to(device))
        if sample.privileged is None:
            judged = judged.map(lambda batch: replace(batch, privileged=None))  # nobody learns to see it
        task = cls(data, sample, judged, kind, classes, metrics)
        check_players(
            {role: each for role, each in players.items() if task.judges(role, each)},
            judged.sample,
            "validation",
            kind,
        )
        return task

    def judges(self, role: str, module: nn.Module) -> bool:
        """Whether validation has what a player in that role looks at; privileged information may exist for training
        alone, and so may all that is known of a teacher."""
        if role == "teacher" and known(module):
            return False
        return (
            role in ("student", "control")
            or self.sample.privileged is None
            or self.validation.sample.privileged is not None
            or getattr(module, "sees", "both") == "inputs"
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
        if self.judges(role, module):
            self.first[role] = logits = logits_of(module, self.validation, role=role)
            return is_trained(logits, self.validation.targets, self.kind)
        known = labelled_rows(self.sample)
        return is_trained(logits_of(module, known, role=role), known.targets, self.kind)

    def measure(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics on the validation data."""
        as_student = "student" if role == "control" else role
        return self.metrics_of(logits_of(module, self.validation, role=as_student))

    def metrics_of(self, logits: Tensor) -> dict[str, float]:
        """Metrics of logits of the validation data."""
        targets = self.validation.targets
        return {"accuracy": accuracy(logits, targets), **evaluated(self.metrics, logits, targets)}

    def measured(self, modules: Mapping[str, nn.Module]) -> dict[str, dict[str, float]]:
        """Metrics of those that can be judged, by role; `teacher before` is a teacher."""
        roles = {role: role.removesuffix(" before") for role in modules}
        return {
            role: self.measure(roles[role], each)
            for role, each in modules.items()
            if self.judges(roles[role], each)
        }

    @property
    def majority(self) -> float:
        """The accuracy of always naming the largest class."""
        return majority(self.validation.targets)

    def cost(self, role: str, module: nn.Module) -> Cost:
        """Cost of a player at inference."""
        return cost(module, self.validation.sample if self.judges(role, module) else self.sample, role=role)


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
            data = in_kind(data, self.kind)
            check_batch(data, self.classes, "train", self.kind)
            return data.to(self.device)
        like = sample if sample is not None else data.like
        return replace(data, like=like, classes=self.classes, kind=self.kind)
