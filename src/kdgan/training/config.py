"""Settings of training as plain values, and the folders that belong to a configuration."""

from __future__ import annotations

import hashlib
import json
import numbers
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from kdgan.errors import UsageError, wrong
from kdgan.files import locked, make_folder, unusable, write_json
from kdgan.methods import Method, Optimization
from kdgan.methods.base import check_range
from kdgan.stored import read_json
from kdgan.training.devices import Precision

SelfTraining = Literal["propagation", "fixmatch", "none"]
MOST_UPDATES, MOST_AT_ONCE, MOST_MIXUP = 10**9, 10**6, 1000
"""Bounds that nobody meets who means what is written: they keep a slip of the keyboard from filling the memory."""
_FINGERPRINT = re.compile(r"\b[0-9a-f]{16,64}\b")


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of training, the same for every kind of data; what a preset or a call leaves open is as here.

    Attributes:
        steps: updates of the student, its pretraining included.
        teacher_steps: updates in the pretraining of T, of D, and of a peer; None for as many as the student has.
        batch: examples per update.
        lr: highest learning rate, of all but the next two.
        teacher_lr: highest learning rate of T, and of a peer, where they go on learning after their pretraining.
        pretraining_lr: highest learning rate in the pretraining of T, and of D; None for `lr`.
        weight_decay: decoupled, of all players.
        smoothing: label smoothing in the pretraining of T, and of a peer, where the supervised loss has none.
        student_pretraining: share of `steps` in which C is trained on the labels before a game begins; None for the
            method's own, see `student_share`.
        epsilon: how far inputs may be moved to where the student has more to learn, see `kdgan.methods.Shared`.
        mixup: α of Beta(α, α), from which come the shares in which examples of a batch are mixed, see
            `kdgan.data.mixup.Mixed`; 0 mixes none. Labels then are weights `(B, K)`, for a loss of one's own, too.
        pretraining_mixup: the same in the pretraining of T, of a peer and of D, rounds of propagated labels included;
            None for `mixup`. FixMatch mixes nothing.
        teacher_every: all players but C learn in the first of so many updates, see `kdgan.methods.Shared`.
        labelled_share: share of labelled examples in a batch, where there are others without labels.
        self_training: how T, and a peer, once trained on the labels, learn from examples without labels, where there
            are any: `propagation` of labels, see `kdgan.training.self_training`; `fixmatch`, see
            `kdgan.methods.FixMatch`, which also stands in where a network has no layer to take features from; or
            `none`. A teacher that comes trained is not changed. Labels are not smoothed in these updates. Where
            examples have several labels, each on or off, labels are not propagated: it harmed (docs/findings.md, 10).
        rounds: of propagation and training.
        round_steps: updates of a round; None for two thirds of `teacher_steps`.
        clip: largest norm of a player's gradient, of all its weights together; None clips nothing.
        accumulate: parts in which a batch goes through each learning network, one after the other, for one update: so
            much less memory for more time, and the same update. Batch normalisation sees a part at a time.
        evaluations: how often metrics are taken on the way.
        precision: of the forward passes.

    Raises:
        UsageError: for values out of their range or of another type: they may come from a command line or a file.
    """

    steps: int = 1000
    teacher_steps: int | None = None
    batch: int = 64
    lr: float = 2e-3
    teacher_lr: float = 2e-4
    pretraining_lr: float | None = None
    weight_decay: float = 0.0
    smoothing: float = 0.1
    student_pretraining: float | None = None
    epsilon: float = 0.0
    mixup: float = 0.0
    pretraining_mixup: float | None = None
    teacher_every: int = 1
    labelled_share: float = 0.25
    self_training: SelfTraining = "propagation"
    rounds: int = 3
    round_steps: int | None = None
    clip: float | None = None
    accumulate: int = 1
    evaluations: int = 20
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain_number(getattr(self, field.name)))
        whole = ("steps", "teacher_steps", "batch", "teacher_every", "accumulate", "evaluations", "rounds")
        for name in (*whole, "round_steps"):
            value = getattr(self, name)
            if name in ("teacher_steps", "round_steps") and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise wrong(f"{name} must be a whole number of at least 1, not {value!r:.60}")
            most = MOST_AT_ONCE if name in ("batch", "accumulate", "evaluations") else MOST_UPDATES
            if value > most:
                raise UsageError(f"{name} must be at most {most:,}, not {value!r}")
        real = ("lr", "teacher_lr", "weight_decay", "epsilon", "mixup", "smoothing", "labelled_share")
        optional = ("pretraining_lr", "pretraining_mixup", "student_pretraining", "clip")
        for name in (*real, *optional):
            value = getattr(self, name)
            if name in optional and value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise wrong(f"{name} must be a number, not {value!r:.60}")
        for name in ("smoothing", "student_pretraining"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise UsageError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        check_range("epsilon", self.epsilon, 0)
        check_range("mixup", self.mixup, 0, MOST_MIXUP)
        check_range("pretraining_mixup", self.first_mixup, 0, MOST_MIXUP)
        if not 0 < self.labelled_share < 1:
            raise UsageError(f"labelled_share must be above 0 and below 1, not {self.labelled_share}")
        if self.self_training not in get_args(SelfTraining):
            raise wrong(
                f"self_training must be {' or '.join(get_args(SelfTraining))}, not {self.self_training!r:.60}"
            )
        if self.precision not in get_args(Precision):
            raise UsageError(f"precision must be {' or '.join(get_args(Precision))}, not {self.precision!r}")
        for lr in (self.lr, self.teacher_lr, self.first_lr):
            self._at(lr)

    @property
    def teacher_updates(self) -> int:
        """Updates in the pretraining of T, and of D."""
        return self.steps if self.teacher_steps is None else self.teacher_steps

    @property
    def round_updates(self) -> int:
        """Updates of T in a round of its self-training."""
        return max(1, round(self.teacher_updates * 2 / 3)) if self.round_steps is None else self.round_steps

    @property
    def first_lr(self) -> float:
        """Highest learning rate in the pretraining of T, and of D."""
        return self.lr if self.pretraining_lr is None else self.pretraining_lr

    @property
    def first_mixup(self) -> float:
        """`mixup` in the pretraining of T, and of D."""
        return self.mixup if self.pretraining_mixup is None else self.pretraining_mixup

    def optimization(self, role: str) -> Optimization:
        """Optimization of a player in the method itself."""
        lr = self.teacher_lr if role in ("teacher", "peer") else self.lr
        return self._at(lr)

    def pretraining_optimization(self, role: str) -> Optimization:
        """Optimization of a player before it: the student's has the rate of the run that this begins."""
        lr = self.lr if role == "student" else self.first_lr
        return self._at(lr)

    def _at(self, lr: float) -> Optimization:
        return Optimization(lr=lr, weight_decay=self.weight_decay, clip=self.clip, accumulate=self.accumulate)

    def student_share(self, method: type[Method]) -> float:
        """Share of `steps` in which C is trained on the labels alone: what is set here, or the method's own."""
        return method.student_pretraining if self.student_pretraining is None else self.student_pretraining

    def pretraining_steps(self, role: str, method: type[Method]) -> int:
        """Updates of a player before the method begins; 0 for one that it does not pretrain."""
        if role not in method.pretrained:
            return 0
        return round(self.steps * self.student_share(method)) if role == "student" else self.teacher_updates

    def pretrained(self, method: type[Method]) -> tuple[str, ...]:
        """The players that are trained on the labels before the method begins."""
        return tuple(role for role in method.pretrained if self.pretraining_steps(role, method))

    def pretraining(self, role: str, method: type[Method], *, unlabelled: bool) -> dict[str, Any]:
        """All of this that a player's pretraining depends on: runs that agree in it share the player.

        Args:
            role: of the player.
            method: that it is for.
            unlabelled: whether there are examples without labels.
        """
        shared = ("batch", "weight_decay", "precision", "clip", "accumulate")
        own = ("steps", "evaluations", "epsilon") if role == "student" else ("smoothing",)
        share = {"share": self.student_share(method)} if role == "student" else {}
        return {
            "role": role,
            "updates": self.pretraining_steps(role, method),
            "rate": self.pretraining_optimization(role).lr,
            "mixup": self.mixup if role == "student" else self.first_mixup,
            **{name: getattr(self, name) for name in (*shared, *own)},
            **share,
            **(self._of_self_training if unlabelled and role in ("teacher", "peer") else {}),
        }

    @property
    def _of_self_training(self) -> dict[str, Any]:
        if self.self_training == "none":
            return {}
        own = {name: getattr(self, name) for name in ("self_training", "rounds", "labelled_share")}
        return {**own, "round_steps": self.round_updates}


def plain_number(value: Any) -> Any:
    """A number as Python's own, which files hold and others are compared with; anything else is itself."""
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)  # numpy's whole numbers, too
    except (TypeError, ValueError, RuntimeError):
        return float(value) if isinstance(value, numbers.Real) else value


def whole_number(name: str, value: object) -> int | None:
    """A count as Python's own number, or None.

    Raises:
        UsageError: for anything but a whole number of at least 1.
    """
    whole = plain_number(value)
    if whole is None:
        return None
    if not isinstance(whole, int) or isinstance(whole, bool) or whole < 1:
        raise wrong(f"{name} must be a whole number of at least 1, not {value!r:.60}")
    return whole


def whole_seed(seed: object) -> int:
    """A seed as Python's own number.

    Raises:
        UsageError: for anything but a whole number that torch takes as a seed.
    """
    whole = plain_number(seed)
    if not isinstance(whole, int) or isinstance(whole, bool) or not 0 <= whole < 2**63:
        raise wrong(f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r:.60}")
    return whole


def digest(values: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def bind_folder(folder: Path, name: str, values: Mapping[str, Any], option: str = "--out") -> None:
    """Makes `folder` the one of this configuration: writes it there, or compares it with what is there.

    Raises:
        UsageError: if the folder belongs to another configuration, holds something else, or cannot be written.
    """
    file = folder / name
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        raise wrong(
            f"{folder} has a name that is no UTF-8, which not all files can have: choose another"
        ) from None
    try:
        # A run that was killed at once may have left the temporary name of this very file.
        if not os.path.lexists(file) and (
            not os.path.lexists(folder)
            or (folder.is_dir() and all(path.match(f".{name}.*.tmp") for path in folder.iterdir()))
        ):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(file, values, new=True)
            return
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(folder, error) from error
    # Another process may have written it in between.
    if not file.exists():
        raise wrong(f"{folder} exists and is not a folder of kdgan: choose another one ({option})")
    message = differences(read_json(file, dict[str, Any]), values)
    if message:
        raise wrong(f"{folder} holds another configuration ({message}): choose another folder ({option})")


@contextmanager
def own_folder(
    folder: Path,
    name: str,
    values: Mapping[str, Any],
    stop: Callable[[], bool] = lambda: False,
    *,
    wait: bool = True,
) -> Iterator[None]:
    """A folder of this configuration, see `bind_folder`, that no other process works in, see `locked`, for the block.

    Raises:
        UsageError: also if the folder was removed or replaced meanwhile.
    """
    bind_folder(folder, name, values)
    make_folder(folder)
    with locked(folder, stop, wait=wait):
        yield
        check_kept(folder, name)


def check_kept(folder: Path, name: str) -> None:
    """Checks that a folder still has its configuration.

    Raises:
        UsageError: if it was removed, or another one has come to its place.
    """
    if not (folder / name).is_file():
        raise wrong(f"{folder} was removed or replaced while kdgan was at work in it: repeat the command")


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, the first of the values in which two configurations differ; nothing where they do not.

    Fingerprints, which tell a reader nothing, are not shown.
    """
    there, now = _flat(there), _flat(json.loads(json.dumps(now)))
    # As they are written: a tuple is a list, and a number that is none is itself.
    other = [
        key
        for key in {**now, **there}
        if now.get(key) != there.get(key) and json.dumps(now.get(key)) != json.dumps(there.get(key))
    ]
    return ", ".join(_difference(key, there.get(key), now.get(key)) for key in other[:3])


def _difference(key: str, there: object, now: object) -> str:
    if any(_FINGERPRINT.search(str(value)) for value in (there, now)):
        return f"{key} differs"
    return f"{key} {there!r:.60} there and {now!r:.60} now"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by names that begin with those they are in."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
        )
    return flat
