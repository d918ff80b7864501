"""Data and players of a caller's own: read, held against each other, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch, checked
from kdgan.data.own import Data, collected, sample_of, training_data
from kdgan.data.seeds import seeded
from kdgan.data.stream import Stream, make_feed
from kdgan.errors import UsageError
from kdgan.methods import Method
from kdgan.ship.cost import Cost, cost
from kdgan.tasks.choice import chosen, evaluated
from kdgan.tasks.metrics import Metric
from kdgan.training.check import check_players
from kdgan.training.evaluate import logits_of
from kdgan.training.players import is_trained


@dataclass(frozen=True, slots=True)
class OwnTask:
    """Data of a caller's own, which the players fit, on their device.

    Attributes:
        train: what is learned from.
        sample: some of it: all examples, or the first batch of a stream.
        validation: what players are judged by. It has privileged information only where training has.
        metrics: by name; the first is the one that counts.
    """

    train: Batch | Stream
    sample: Batch
    validation: Batch
    metrics: Mapping[str, Metric]

    @classmethod
    def read(
        cls,
        train: Data,
        validation: Data,
        players: Mapping[str, nn.Module],
        metrics: Mapping[str, Metric | None],
        device: torch.device,
        *,
        size: int,
        seed: int,
        augment: Augmentation | None,
    ) -> OwnTask:
        """Reads the data and calls the players on some of them.

        Raises:
            UsageError: if data and players do not fit.
        """
        with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
            data = training_data(train, device, augmented=augment is not None, seed=seed)
            held_out = collected(validation, "validation", seed=seed).to(device)
            sample = checked(sample_of(data, device, size=size, seed=seed), "train")
        classes = check_players(players, sample, "train")
        if isinstance(data, Stream):
            data = replace(data, like=sample, classes=classes)
        elif augment is not None:
            views = make_feed(data, size, seed=seed, device=device, augment=augment)(0)
            check_players(players, checked(views, "what augment gives"), "what augment gives")
        if sample.privileged is None:
            held_out = replace(held_out, privileged=None)  # nobody learns to see it
        task = cls(data, sample, held_out, {})
        check_players(
            {role: each for role, each in players.items() if task.judges(role)}, held_out, "validation"
        )
        return replace(task, metrics=chosen(metrics, "classes", classes, held_out.targets))

    def judges(self, role: str) -> bool:
        """Whether validation has what a player in that role looks at; privileged information may exist for training
        alone."""
        return (
            role in ("student", "control")
            or self.sample.privileged is None
            or self.validation.privileged is not None
        )

    def check_last_batch(self, method: Method) -> None:
        """Raises a UsageError if a pass ends with one example that batch normalisation has to learn from."""
        if not (isinstance(self.train, Stream) and self.train.ends_alone()):
            return
        for role, player in method.players.items():
            if player.learns and any(isinstance(part, _BatchNorm) for part in player.module.modules()):
                raise UsageError(
                    f"the last batch of train has a single example, over which the {role} cannot normalise: give the "
                    "loader drop_last=True, or another batch_size"
                )

    def is_trained(self, module: nn.Module, role: str = "teacher") -> bool:
        """Whether a player knows the labels of validation or, where it cannot see those examples, of training."""
        return is_trained(module, self.validation if self.judges(role) else self.sample, role)

    def measure(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics on the validation data."""
        as_student = "student" if role == "control" else role
        logits = logits_of(module, self.validation, role=as_student)
        return evaluated(self.metrics, logits, self.validation.targets)

    def measured(self, modules: Mapping[str, nn.Module]) -> dict[str, dict[str, float]]:
        """Metrics of those that can be judged, by role; `teacher before` is a teacher."""
        roles = {role: role.removesuffix(" before") for role in modules}
        return {
            role: self.measure(roles[role], each)
            for role, each in modules.items()
            if self.judges(roles[role])
        }

    def cost(self, role: str, module: nn.Module) -> Cost:
        """Cost of a player at inference."""
        return cost(module, self.validation if self.judges(role) else self.sample, role=role)
