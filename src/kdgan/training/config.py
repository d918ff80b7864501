"""What a run is: everything that its result depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from kdgan.errors import UsageError
from kdgan.files import write_json
from kdgan.methods import METHODS, Optimization, find, hyperparameters
from kdgan.training.devices import Precision


@dataclass(frozen=True, slots=True)
class Config:
    """One run: a method on data from a seed.

    Attributes:
        data: digits, mnist, cifar10, or a path.
        data_sha256: of its content, where it is one file, so that a run depends on its configuration alone.
        labels: labelled instances; None for all outside validation.
        target: label column of a table.
        privileged: privileged columns of a table.
        image_size: side to which a folder's images are brought, in pixels.
        tags: for photos with tags: the most `popular` ones are the labels, or `random` ones; None for classes.
        tag_count: how many tags.
        reader: how texts are read: `lstm`, or `bag` for words without an order.
        embeddings: file of pretrained word embeddings for texts; None draws them.
        embeddings_sha256: of its content, so that a run depends on its configuration alone.
        method: its name.
        hyper: hyperparameters of the method that differ from its defaults.
        seed: of the subset, the initial weights, the order, the views and all sampling.
        steps: updates of the student, its pretraining included.
        batch: instances per update.
        student: network of C, as `kdgan.nets.build` names it.
        teacher: network of T, and of D unless the next says otherwise.
        discriminator: network of D; None for the teacher's form.
        augment: augmentation of the training inputs, by name.
        lr: highest learning rate, of all but the next two.
        teacher_lr: highest learning rate of T where it goes on learning after its pretraining.
        pretraining_lr: highest learning rate in the pretraining of T, and of D; None for `lr`.
        teacher_steps: updates in the pretraining of T, and of D.
        weight_decay: decoupled, of all players.
        dropout: of image features, where the task has them.
        smoothing: label smoothing in pretraining.
        reach: how far inputs may be moved to where the student has more to learn, see `kdgan.methods.Method`.
        student_pretraining: share of `steps` in which C is trained on the labels before a game begins; None for the
            method's own, see `early`.
        interval: all players but C learn in the first of so many updates, see `kdgan.methods.Method`.
        evaluations: how often accuracy is measured on the way.
        precision: of the forward passes.
    """

    data: str
    method: str
    seed: int
    data_sha256: str | None = None
    labels: int | None = None
    target: str | None = None
    privileged: tuple[str, ...] = ()
    image_size: int | None = None
    tags: Literal["popular", "random"] | None = None
    tag_count: int = 200
    reader: Literal["lstm", "bag"] = "lstm"
    embeddings: str | None = None
    embeddings_sha256: str | None = None
    hyper: dict[str, Any] = field(default_factory=dict)
    steps: int = 1000
    batch: int = 64
    student: str = "mlp-800-800"
    teacher: str = "mlp-1200-1200"
    discriminator: str | None = None
    augment: str = "none"
    lr: float = 1e-3
    teacher_lr: float = 2e-4
    pretraining_lr: float | None = None
    teacher_steps: int = 1000
    weight_decay: float = 0.0
    dropout: float = 0.0
    smoothing: float = 0.1
    student_pretraining: float | None = None
    reach: float = 0.0
    interval: int = 1
    evaluations: int = 20
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        find(self.method)
        # A method's own settings come from a command line or a file, where anything may stand.
        for name in ("steps", "batch", "teacher_steps", "interval", "evaluations"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, not {value!r}")
        for name in ("lr", "teacher_lr", "pretraining_lr", "student_pretraining"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
                raise UsageError(f"{name} must be a number, not {value!r}")
        if not 0 <= self.early < 1:
            raise UsageError(f"student_pretraining must be in [0, 1), not {self.student_pretraining}")

    def optimization(self, role: str) -> Optimization:
        """How a player learns in the run itself."""
        lr = self.teacher_lr if role in ("teacher", "peer") else self.lr
        return Optimization(lr=lr, weight_decay=self.weight_decay)

    def pretraining_optimization(self, role: str) -> Optimization:
        """How a player learns before it: the student at the rate of the run that this begins."""
        lr = self.lr if role == "student" else self.pretraining_lr or self.lr
        return Optimization(lr=lr, weight_decay=self.weight_decay)

    def pretraining(self, role: str) -> dict[str, Any]:
        """All that a player's pretraining depends on, as plain values: runs that agree in it share the player."""
        own = ("steps", "evaluations", "reach")
        others = ("teacher_steps", "smoothing")
        wanted = {*_SHARED, *(own if role == "student" else others)}
        values = {name: value for name, value in plain(self).items() if name in wanted}
        return {
            "role": role,
            "network": self.network(role),
            "rate": self.pretraining_optimization(role).lr,
            **values,
            **({"student_pretraining": self.early} if role == "student" else {}),
        }

    def network(self, role: str) -> str:
        """The network that plays a role."""
        if role == "student":
            return self.student
        return self.discriminator or self.teacher if role == "discriminator" else self.teacher

    def pretraining_steps(self, role: str) -> int:
        """Updates of a player before the run's method begins."""
        return round(self.steps * self.early) if role == "student" else self.teacher_steps

    @property
    def early(self) -> float:
        """Share of `steps` in which C is trained on the labels alone: what was said, or the method's own."""
        own = find(self.method).student_pretraining
        return own if self.student_pretraining is None else self.student_pretraining

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The players that are trained on the labels before the method begins."""
        return tuple(role for role in find(self.method).pretrained if self.pretraining_steps(role))

    @property
    def name(self) -> str:
        """A name for the run's folder that no other configuration has: method, seed, and a digest of the rest."""
        return f"{self.method}-seed{self.seed}-{digest(plain(self))}"

    def without(self, *names: str) -> dict[str, Any]:
        """As plain values, some left out."""
        return {name: value for name, value in plain(self).items() if name not in names}


_SHARED = (
    *("data", "data_sha256", "labels", "target", "privileged", "image_size", "tags", "tag_count", "reader"),
    *("embeddings", "embeddings_sha256"),
    *("seed", "batch", "augment", "weight_decay", "dropout", "precision"),
)
"""What the pretraining of every player depends on."""


def digest(values: dict[str, Any]) -> str:
    """Eight hexadecimal digits that stand for plain values, those left out that are a configuration's defaults.

    Leaving them out lets a configuration gain a field without giving every older run another name.
    """
    told = {
        name: value for name, value in values.items() if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]


_DEFAULTS: dict[str, Any] = {
    field.name: list(field.default) if isinstance(field.default, tuple) else field.default
    for field in fields(Config)
    if field.default is not MISSING
}


def plain(config: Config) -> dict[str, Any]:
    """The configuration as JSON would give it back."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def complete(config: Config) -> dict[str, Any]:
    """As `plain`, with every hyperparameter of the method: a default may be another in the next version of kdgan."""
    return {**plain(config), "hyper": {**hyperparameters(config.method), **config.hyper}}


def from_plain(values: dict[str, Any]) -> Config:
    """The configuration that `plain` or `complete` gave, ignoring nothing.

    Raises:
        UsageError: if the values are not those of a configuration.
    """
    known = {f.name for f in fields(Config)}
    if not {"data", "method", "seed"} <= set(values) <= known:
        raise UsageError("this is not the configuration of a run of this version of kdgan")
    config = Config(**values)
    return replace(config, privileged=tuple(config.privileged))


def claim(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Makes `folder` the one of this configuration: writes it there, or compares it with what is there.

    Raises:
        UsageError: if the folder belongs to another configuration, or holds something else.
    """
    file = folder / name
    if not file.exists():
        # A run that was killed at once may have left the temporary name of this very file.
        if not folder.exists() or (
            folder.is_dir() and all(path.match(f".{name}.*.tmp") for path in folder.iterdir())
        ):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(file, values)
            return
        # Another process may have written it in between.
        if not file.exists():
            raise UsageError(f"{folder} exists and is not a folder of kdgan: choose another --out")
    said = differences(read_json(file), values)
    if said:
        raise UsageError(f"{folder} holds another configuration ({said}): choose another --out")


def differences(there: dict[str, Any], now: dict[str, Any]) -> str:
    """In words, the first of the values in which two configurations differ; nothing where they do not.

    One that was written before a field, or a hyperparameter, was there has its default.
    """
    there = {**{key: _DEFAULTS[key] for key in now if key in _DEFAULTS}, **there}
    if isinstance(there.get("hyper"), dict) and there.get("method") in METHODS:
        method = there["method"]
        there["hyper"] = {**hyperparameters(method), **_FORMER.get(method, {}), **there["hyper"]}
    other = [key for key in {**now, **there} if now.get(key) != there.get(key)]
    return ", ".join(f"{key} {there.get(key)!r} there and {now.get(key)!r} now" for key in other[:3])


_FORMER: dict[str, dict[str, Any]] = {"kdgan": {"supervision": 0.0}}
"""Defaults of before records held all hyperparameters, where they have changed since."""


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UsageError: if there is none.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} holds no object")
    return values
