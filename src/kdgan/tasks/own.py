"""Data and players of a caller's own: read, held against each other, and judged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch, checked, has_labels, labelled_rows
from kdgan.data.heldout import HeldOut, held_out
from kdgan.data.join import without_labels
from kdgan.data.kept import sample_of
from kdgan.data.own import Data, Inputs, training_data
from kdgan.data.seeds import seeded
from kdgan.data.semi import Examples, Semi, labelled_part, make_feed
from kdgan.data.stream import Stream
from kdgan.data.targets import Kind, check_batch, in_kind, kind_of_targets, missing_last
from kdgan.errors import UsageError, wrong
from kdgan.losses import Bernoulli, Categorical, Family, Loss
from kdgan.methods import Method
from kdgan.ship.cost import Cost, cost
from kdgan.tasks.choice import check, chosen, evaluated
from kdgan.tasks.metrics import Metric, majority
from kdgan.training.check import check_players
from kdgan.training.evaluate import logits_of
from kdgan.training.faces import as_face
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
        metrics: by name; the first is the one that counts.
        first: logits on the judged examples of players before anything was trained, by role.
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
        metrics: Mapping[str, Metric | None],
        device: torch.device,
        *,
        size: int,
        seed: int,
        augment: Augmentation | None,
        unlabelled: Inputs | None = None,
        asked: str = "auto",
        recorded: int | None = None,
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
            recorded: how many examples a teacher is known for by its numbers alone; None where it can be asked.
            eval_batch: examples per forward pass where players are judged.

        Raises:
            UsageError: if data and players do not fit.
        """
        with seeded(seed % 2**32, device):  # what reading draws is no part of what training draws
            data = training_data(train, unlabelled, seed=seed, recorded=recorded)
            judged = held_out(validation, "validation", seed=seed)
            sample = checked(sample_of(labelled_part(data), device, size=size, seed=seed), "train")
        classes = check_players({"student": players["student"]}, sample, "train")
        if has_labels(sample):
            kind = kind_of_targets(labelled_rows(sample).targets, classes, asked)
        else:  # validation says what the labels would be
            kind = kind_of_targets(judged.targets, classes, asked)
            data = sample = without_labels(sample, judged.of_kind(kind, classes).targets)
        for each in players.values():
            as_face(each).settle(kind, classes)  # a teacher of other classes scores as the student does
        check_players(players, sample, "train")
        sample = in_kind(sample, kind)
        check_batch(sample, classes=classes, what="train", kind=kind)
        form = _Form(kind, classes, device)
        if isinstance(data, Semi):
            others = data.unlabelled if isinstance(data.unlabelled, Batch) else data.unlabelled.like
            if others is not None:
                check_players(players, others[:2].to(device), "unlabelled")
            data = Semi(form.put(data.labelled, sample), form.put(data.unlabelled, None))
        else:
            data = form.put(data, sample)
        # Of what is read anew nobody has seen all labels yet.
        known = data.labelled if kind == "classes" and isinstance(data, Semi) else None
        if isinstance(known, Batch) and (note := missing_last([known.targets, judged.targets], classes)):
            warnings.warn(note, stacklevel=4)
        if augment is not None:
            views = make_feed(data, size, seed=seed, device=device, augment=augment)(0)
            check_players(players, checked(views, "what augment gives"), "what augment gives", kind)
        task = cls(data, sample, judged, kind, classes, {}, eval_batch=eval_batch).judging_on(judged, players)
        return replace(task, metrics=chosen(metrics, kind, classes, judged.targets))

    def judging_on(self, judged: HeldOut, players: Mapping[str, nn.Module]) -> OwnTask:
        """The same that judges players by other examples, such as those of a test.

        Raises:
            UsageError: if players do not fit them.
        """
        judged = judged.of_kind(self.kind, self.classes, self.sample).to(self.sample.device)
        if self.sample.privileged is None:
            judged = judged.without_privileged()  # nobody learns to see it
        task = replace(self, validation=judged, first={})
        able = {role: each for role, each in players.items() if task.judges(role, each)}
        check_players(able, judged.sample, judged.what, self.kind)
        check(self.metrics, self.classes, judged.targets)
        return task

    def family(
        self, loss: Loss | None, class_weights: Tensor | Sequence[float] | str | None, smoothing: float
    ) -> Family:
        """What logits are logits of, with what the caller says of the supervised loss.

        Raises:
            UsageError: for weights that are not those of the classes, or settings that make no sense.
        """
        kind = Categorical if self.kind == "classes" else Bernoulli
        if isinstance(class_weights, str):
            if class_weights != "balanced":
                raise wrong(f"class_weights must be numbers or 'balanced', not {class_weights!r:.60}")
            class_weights = self._balanced()
        elif class_weights is not None:
            try:
                class_weights = torch.as_tensor(class_weights, dtype=torch.float32)
            except (TypeError, ValueError, RuntimeError) as error:
                raise wrong(f"class_weights must be numbers, not {class_weights!r:.60}") from error
        if class_weights is not None and class_weights.shape != (self.classes,):
            raise wrong(
                f"class_weights must be one for each of {self.classes} classes, not {tuple(class_weights.shape)}"
            )
        return kind(class_weights=class_weights, smoothing=smoothing, loss=loss)

    def _balanced(self) -> Tensor:
        """Weights with which every class counts the same; a label as much where it is on as where it is off."""
        known = labelled_part(self.train)
        if not isinstance(known, Batch):
            raise UsageError(
                "class_weights='balanced' counts all labels, and train is read anew in every pass: give numbers"
            )
        targets = labelled_rows(known).targets
        if targets.ndim == 1:
            targets = torch.nn.functional.one_hot(targets, self.classes)
        count = targets.double().sum(0)
        if not bool((count > 0).all()):
            missing = int((count == 0).nonzero()[0])
            raise UsageError(
                f"class_weights='balanced' needs examples of every class: there is none of {missing}"
            )
        total = float(len(targets))
        weights = total / (self.classes * count) if self.kind == "classes" else (total - count) / count
        return weights.float()

    def judges(self, role: str, module: nn.Module) -> bool:
        """Whether validation has what a player in that role looks at; privileged information may exist for training
        alone, and so may all that is known of a teacher."""
        face = as_face(module)
        if role == "teacher" and face.count is not None:
            return False
        return (
            role in ("student", "control")
            or self.sample.privileged is None
            or self.validation.sample.privileged is not None
            or face.sees == "inputs"
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

    @property
    def has_labels(self) -> bool:
        """Whether any training example has a label."""
        return has_labels(self.sample)

    def is_trained(self, module: nn.Module, role: str = "teacher") -> bool:
        """Whether a player knows the labels of validation or, where it cannot see those examples, of training."""
        if self.judges(role, module):
            self.first[role] = logits = self.logits(role, module)
            return is_trained(logits, self.validation.targets, self.kind)
        if not self.has_labels:
            raise UsageError(
                f"neither validation nor train tells whether the {role} is trained, as train has no example with a "
                "label: say teacher_trained="
            )
        known = labelled_rows(self.sample)
        logits = logits_of(module, known, role=role, size=self.eval_batch)
        return is_trained(logits, known.targets, self.kind)

    def logits(self, role: str, module: nn.Module) -> Tensor:
        """Logits `(N, K)` of a player in that role on the validation data."""
        as_student = "student" if role == "control" else role
        return logits_of(module, self.validation, role=as_student, size=self.eval_batch)

    def measure(self, role: str, module: nn.Module) -> dict[str, float]:
        """Metrics on the validation data."""
        return self.metrics_of(self.logits(role, module))

    def metrics_of(self, logits: Tensor) -> dict[str, float]:
        """Metrics of logits of the validation data."""
        targets = self.validation.targets
        return evaluated(self.metrics, logits, targets)

    @property
    def majority(self) -> float:
        """The accuracy of always naming the largest class."""
        return majority(self.validation.targets, self.kind)

    def cost(self, role: str, module: nn.Module) -> Cost:
        """Cost of a player at inference."""
        return cost(module, self.validation.sample if self.judges(role, module) else self.sample, role=role)


@dataclass(frozen=True, slots=True)
class _Form:
    """What all training data of a call have in common."""

    kind: Kind
    classes: int
    device: torch.device

    def put(self, data: Batch | Stream, sample: Batch | None) -> Batch | Stream:
        """The data with targets as losses take them, on the device; a stream that is held to its first batch's form."""
        if isinstance(data, Batch):
            data = in_kind(data, self.kind)
            check_batch(data, classes=self.classes, what="train", kind=self.kind)
            return data.to(self.device)
        like = data.like if sample is None else sample
        return replace(data, like=like, classes=self.classes, kind=self.kind)
