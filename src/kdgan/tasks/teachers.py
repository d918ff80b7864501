"""Teachers in the forms that people have them in, and their logits of all training examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdgan.data.arrays import read_npy
from kdgan.errors import wrong
from kdgan.methods import METHODS, Method, name_of
from kdgan.methods.player import called_with
from kdgan.tasks.logits_file import LogitsFile
from kdgan.tasks.own import OwnTask
from kdgan.tasks.recording import recorded
from kdgan.training.answers import Gives, Reading
from kdgan.training.class_map import ClassMap, translation
from kdgan.training.estimators import Estimator
from kdgan.training.faces import Ensemble, Face, Seeing, Sees, as_face
from kdgan.training.functions import Asked
from kdgan.training.known import Known

Teacher: TypeAlias = (
    "nn.Module | Callable[..., Any] | NDArray[Any] | Tensor | str | Path | Sequence[Any] | Any"
)
"""A module; a function from inputs to logits; logits or probabilities `(N, K)` of the training examples, as an array, a
tensor or a file; a trained estimator of scikit-learn's kind; or a list of these: the mean of their probabilities."""


@dataclass(frozen=True, slots=True)
class Taught:
    """The teacher of a call.

    Attributes:
        own: the caller's; None where there is none.
        face: the module that a `Player` holds.
        what: its kind in words.
    """

    own: Any
    face: nn.Module
    what: str

    @property
    def may_learn(self) -> bool:
        """Whether it is a single module."""
        return isinstance(self.own, nn.Module)

    @property
    def looks(self) -> bool:
        """Whether it is called as networks are."""
        return as_face(self.face).is_network

    @property
    def count(self) -> int | None:
        """How many training examples it is known for by its numbers alone; None where it can be asked."""
        return as_face(self.face).count

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say about it."""
        return ("teacher: known by its logits of training examples alone.",) if self.count is not None else ()

    def check(
        self, kind: type[Method], *, rate: float | None, trained: bool | None, discriminator: object
    ) -> None:
        """Raises a UsageError where a method needs a teacher that is a module.

        Args:
            kind: of method.
            rate: of a teacher that goes on learning, or None.
            trained: what the caller says of it.
            discriminator: the caller's own, or None.
        """
        if self.may_learn:
            return
        name = name_of(kind)
        if self.own is None and "teacher" in kind.roles:
            others = [each for each, one in METHODS.items() if {*one.roles} == {"student"}]
            raise wrong(
                f"{name} learns from a teacher, and teacher is None: give one, or a method that trains without, "
                f"{' or '.join(others)}"
            )
        if "teacher" in kind.trains:
            others = [each for each, one in METHODS.items() if "teacher" in {*one.roles} - {*one.trains}]
            takes = f"{', '.join(others[:-1])} and {others[-1]} take it"
            raise wrong(f"{name} trains its teacher, and {self.what} cannot learn: {takes}")
        if rate is not None:
            raise wrong(f"teacher_lr is for a teacher that learns, and {self.what} does not: leave it out")
        if trained is not None and not trained:
            raise wrong(f"teacher_trained=False asks to train the teacher, and {self.what} does not learn")
        copied = [role for role in kind.roles if role not in ("student", "teacher")]
        if copied and discriminator is None:
            raise wrong(
                f"{name} makes a {copied[0]} of the teacher's form, and {self.what} has none: give one of your own"
            )

    def settle(self, task: OwnTask) -> None:
        """Tells the teacher what the task is.

        Raises:
            UsageError: if its classes, or what it sees, are not there.
        """
        face = as_face(self.face)
        if face.sees == "privileged" and task.sample.privileged is None:
            raise wrong("teacher_sees='privileged', but train has no privileged information")
        face.settle(task.kind, task.classes)

    def recorded(
        self, task: OwnTask, device: torch.device, shown: Callable[[str, int, int], None]
    ) -> OwnTask:
        """The task whose training examples have the teacher's logits with them, each asked about once.

        Examples without an order of their own are left as they are: the teacher is asked about each batch of them.

        Args:
            task: whose examples know their places, if some of the teacher is known by its numbers.
            device: of the players.
            shown: is told how many are done.
        """
        return recorded(self.face, task, device, shown)

    def returned(self, module: nn.Module) -> Any:
        """What a result has as the teacher: the caller's own, or the copy of his that learned."""
        if module is self.face:
            return self.own
        return module.module if isinstance(module, Seeing) else module


def as_teacher(
    teacher: Teacher,
    *,
    gives: str = "logits",
    sees: str = "both",
    classes: ClassMap | None = None,
    data: object = None,
    optional: bool = False,
) -> Taught:
    """The teacher of a call, of whatever kind it is.

    Args:
        teacher: the caller's.
        gives: what numbers of functions and arrays are.
        sees: what it is called with.
        classes: the student's class for its classes, or None.
        data: what the caller trains on: arrays, if these are.
        optional: whether it may be None, for methods that train without.

    Raises:
        UsageError: for what is no teacher.
    """
    for name, value, choices in (("teacher_gives", gives, Gives), ("teacher_sees", sees, Sees)):
        if not isinstance(value, str) or value not in get_args(choices):
            raise wrong(f"{name} must be {' or '.join(get_args(choices))}, not {value!r:.60}")
    if teacher is None and optional:
        return Taught(None, Face(), "None")
    make = _Maker(gives, sees, classes, _has_arrays(data))  # type: ignore[arg-type]
    face, what = make.face(teacher)
    return Taught(teacher, face, what)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes faces of teachers, see `as_teacher`."""

    gives: Gives
    sees: Sees
    classes: ClassMap | None
    arrays: bool

    def face(self, teacher: Any) -> tuple[nn.Module, str]:
        """What a `Player` holds, and what it is in words."""
        if isinstance(teacher, nn.Module):
            return self._network(teacher), "a module"
        if isinstance(teacher, str | Path):
            return self._file(Path(teacher)), "a file of logits"
        if isinstance(teacher, np.ndarray | Tensor):
            return self._array(teacher), f"an array of {self.gives}"
        if isinstance(teacher, list | tuple):
            return self._several(teacher), "an ensemble"
        if inspect.isclass(teacher):
            raise wrong(f"the teacher is the class {teacher.__name__}: make one")
        if hasattr(teacher, "predict_proba") or hasattr(teacher, "decision_function"):
            return Estimator(teacher, self.classes, self.sees), "an estimator"
        if callable(teacher):
            reading = Reading(self.gives, None, self.classes)
            return Asked(teacher, reading, self.sees, arrays=self.arrays), "a function"
        predicts = " that only predicts" if hasattr(teacher, "predict") else ""
        raise wrong(
            "the teacher must be a module, a function from inputs to logits, an array of logits, a trained estimator "
            "with predict_proba, a list of these, or the path of a file of logits, not "
            f"{type(teacher).__name__}{predicts}"
        )

    def _network(self, module: nn.Module) -> nn.Module:
        if self.sees == "both" and self.classes is None:
            return module
        sees: Any = called_with(module) if self.sees == "both" else self.sees
        return Seeing(module, sees, None if self.classes is None else translation(self.classes))

    def _several(self, teachers: Sequence[Any]) -> nn.Module:
        if not teachers:
            raise wrong("the teacher is an empty list: give at least one")
        if any(isinstance(each, list | tuple) for each in teachers):
            raise wrong(
                "a teacher in a list must be no list: for logits of training examples make it an array"
            )
        faces = [self.face(each)[0] for each in teachers]
        counts = [each.count for each in map(as_face, faces) if each.count is not None]
        if len(set(counts)) > 1:
            raise wrong(
                f"the teachers of a list have logits of {' and '.join(map(str, counts))} examples: each needs those of "
                "all training examples"
            )
        sees: set[Any] = {each.sees for each in map(as_face, faces) if each.count is None}
        if len(sees) > 1:
            raise wrong(f"the teachers of a list must see the same, not {' and '.join(sorted(sees))}")
        return Ensemble(faces, next(iter(sees), self.sees))

    def _array(self, array: NDArray[Any] | Tensor) -> Known:
        found: Any = array
        if isinstance(array, Tensor) and array.layout == torch.strided:
            real = not array.is_complex() and array.dtype != torch.bool
            found = array.detach().float().cpu().numpy() if real else array
        if found.ndim == 1:
            found = found.reshape(-1, 1)
        if found.ndim != 2 or not found.size or getattr(found.dtype, "kind", "") not in ("f", "i", "u"):
            raise wrong(
                f"the teacher's {self.gives} must be numbers (N, K) for N training examples, not {tuple(found.shape)} "
                f"of {found.dtype}"
            )
        return Known(_Array(found), [(Reading(self.gives, None, self.classes), found.shape[1])])

    def _file(self, path: Path) -> Known:
        if not str(path) or "\0" in str(path):
            raise wrong(f"the teacher must be the path of a file, not {str(path)!r:.60}")
        if path.suffix == ".npz":
            raise wrong(
                f"{path} holds several arrays: write the one with the teacher's logits into a .npy file"
            )
        if path.suffix != ".npy":
            file = LogitsFile(path)
            missing = len(file) - file.done
            if missing:
                raise wrong(
                    f"{path} lacks the logits of {missing} examples: finish it by the same call of kdgan.teach"
                )
            return Known(file, file.readings(self.classes), file.check)
        return self._array(read_npy(path))


class _Array:
    """Rows of an array, of which a copy is handed out: an array in a file cannot be written to."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, row: Any) -> NDArray[np.float32]:
        return np.array(self.array[row], np.float32)


def _has_arrays(data: object) -> bool:
    """Whether inputs are numpy arrays, and not tensors."""
    if isinstance(data, list | tuple) and data:
        return _has_arrays(data[0])
    if isinstance(data, Mapping) and data:
        return _has_arrays(next(iter(data.values())))
    return isinstance(data, np.ndarray)
