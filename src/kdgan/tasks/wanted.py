"""The method that a caller wants, and the settings that it has to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from kdgan.errors import UsageError, wrong
from kdgan.losses import FeatureLoss
from kdgan.methods import (
    OWN_SETTINGS,
    Features,
    Method,
    check_hyperparameters,
    check_use,
    find,
    hyperparameters,
    name_of,
)
from kdgan.methods.base import check_teaches
from kdgan.tasks.teachers import Taught
from kdgan.training.check import check_modules
from kdgan.training.config import Training, plain_number

DEFAULT, PLAIN_DEFAULT = "kdgan", "distn"
"""The methods where none is named: with a teacher that learns from labels alone, as the student does; and with one that
is kept as it is, or where there are examples without labels."""


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """What a method has to itself, as plain values.

    Attributes:
        hyper: its hyperparameters that differ from the defaults.
        training: fields of `kdgan.Training` that differ from those which it shares with others.
    """

    hyper: dict[str, Any]
    training: dict[str, Any]

    @classmethod
    def of(cls, kind: type[Method], given: Mapping[str, Any] | None) -> OwnSettings:
        """The settings out of a caller's `hyper`; a hyperparameter goes before a field of `Training` of its name.

        Raises:
            UsageError: if the method does not take them.
        """
        if given is not None and not isinstance(given, Mapping):
            raise wrong(f"hyper must be hyperparameters by name, {{name: value}}, not {type(given).__name__}")
        plain = {name: plain_number(value) for name, value in (given or {}).items()}
        shared = {*OWN_SETTINGS} - hyperparameters(kind).keys()
        training = {name: value for name, value in plain.items() if name in shared}
        check_use([kind], training)
        hyper = {name: value for name, value in plain.items() if name not in training}
        check_hyperparameters(kind, hyper)
        return cls(hyper, training)

    def over(self, shared: Training) -> Training:
        """The settings that a method shares with others, with its own in their place."""
        # A rate of its own must not change the teacher that all of them share.
        return replace(shared, pretraining_lr=shared.first_lr, **self.training) if self.training else shared


@dataclass(frozen=True, slots=True)
class Settled:
    """A method of which all is known.

    Attributes:
        method: its name, reference or class.
        kind: its class.
        own: its settings.
        trained: whether the teacher is trained.
        frozen: whether it is kept as it is.
    """

    method: str | type[Method]
    kind: type[Method]
    own: OwnSettings
    trained: bool
    frozen: bool

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher in it."""
        return "teacher" in self.kind.roles

    def check_without_labels(self, shared: Training) -> None:
        """Raises a UsageError if it cannot do without any label.

        Args:
            shared: settings that it shares with others.
        """
        on_labels = {*self.own.over(shared).pretrained(self.kind)} - {"teacher"}
        if self.has_teacher and self.frozen and not on_labels:
            return
        why = f"{self.kind.name or name_of(self.method)} learns from labels"
        if self.has_teacher and not on_labels:
            why = "a teacher that is trained here learns from labels"
        raise wrong(
            f"train has no example with a label, and {why}: give labels, or a trained teacher that is kept as it is "
            "and a method that can follow it alone (distn, mimic, noisy, codis)"
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The method of a call of `distill`, which may follow from the data.

    Attributes:
        taught: the teacher.
        method: its name, reference or class; None for the default.
        hyper: settings of its own, see `OwnSettings`.
        discriminator: the caller's, or None.
        features: of the teacher, that the student learns from, or None.
        options: further ones by name that not every method has a use for; None for those that are not given.
        learns: whether a teacher that is trained shall go on learning.
    """

    taught: Taught
    method: str | type[Method] | None
    hyper: Mapping[str, Any] | None
    discriminator: nn.Module | None
    features: Features | None
    options: Mapping[str, object]
    learns: bool

    @property
    def kind(self) -> type[Method]:
        """Its class, as far as it does not follow from the data."""
        return find(self._default(plain=False) if self.method is None else self.method)

    def players(
        self, student: nn.Module, *, rate: float | None, trained: bool | None
    ) -> dict[str, nn.Module]:
        """The caller's players by role, as far as the method has them.

        Args:
            student: the caller's.
            rate: of a teacher that goes on learning, or None.
            trained: what the caller says of the teacher.

        Raises:
            UsageError: if they, the method and what is said of them do not fit.
        """
        kind = self.kind
        self.taught.check(kind, rate=rate, trained=trained, discriminator=self.discriminator)
        OwnSettings.of(kind, self.hyper)
        if self.method is not None:
            self._check_use(kind)
        players = {"student": student, "teacher": self.taught.face}
        if self.discriminator is not None and "discriminator" in kind.roles:
            players["discriminator"] = self.discriminator
        check_modules(players)
        if self.features is not None:
            check_teaches(kind)
            if not self.taught.may_learn:
                raise wrong(
                    f"features are of networks, and {self.taught.what} is none: give a module, or leave them out"
                )
            for role in ("student", "teacher"):
                self.features.find(role, players[role])
        return players

    def settled(self, trained: bool, *, unlabelled: bool = False) -> Settled:
        """The method with its settings, now that one knows of teacher and data.

        Args:
            trained: whether the teacher is trained.
            unlabelled: whether there are examples without labels.

        Raises:
            UsageError: if the default has no use for an option that is given.
        """
        method = self.method
        if method is None:
            asked = self.learns or self.discriminator is not None or bool(self.hyper)
            method = self._default(plain=(trained or unlabelled) and not asked)
            self._check_use(find(method))
        kind = find(method)
        own = OwnSettings.of(kind, self.hyper)
        goes_on = (self.learns or "teacher_lr" in own.training) and "teacher" in kind.trains
        return Settled(method, kind, own, trained, trained and not goes_on)

    def _default(self, *, plain: bool) -> str:
        return PLAIN_DEFAULT if plain or not self.taught.may_learn else DEFAULT

    def _check_use(self, kind: type[Method]) -> None:
        check_use([kind], {**self.options, "discriminator": self.discriminator})


def features_of(layers: Mapping[str, str] | None, loss: FeatureLoss, weight: float) -> Features | None:
    """Layers that the student learns from, or None.

    Raises:
        UsageError: for a loss or a weight of none.
    """
    if layers is not None:
        return Features(layers, loss, weight)
    if loss != "hint" or weight != 1:
        raise UsageError(
            "feature_loss and feature_weight are for features: name layers, features={'layer3': 'blocks.2'}"
        )
    return None
