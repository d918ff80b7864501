"""What a caller of `kdgan.compare` gives, checked before anything is trained."""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.errors import UsageError, wrong
from kdgan.experiments.own import Factory, FreshTeacher, build
from kdgan.experiments.ray_cluster import check_address
from kdgan.experiments.variants import Variant
from kdgan.extras import check_installed
from kdgan.methods import CONTROL, Method, check_use, find, name_of
from kdgan.tasks.teachers import Taught, Teacher, as_teacher
from kdgan.tasks.wanted import DEFAULT, PLAIN_DEFAULT, OwnSettings
from kdgan.training import identity
from kdgan.training.check import check_modules
from kdgan.training.config import plain_number, whole_seed


@dataclass(frozen=True, slots=True)
class Players:
    """What the caller gave.

    Attributes:
        make_student: gives a fresh student.
        teacher: the caller's, of any kind, or what gives a fresh module.
        make_discriminator: gives a fresh discriminator, or None.
    """

    make_student: Factory
    teacher: Taught | FreshTeacher
    make_discriminator: Factory | None

    @property
    def may_learn(self) -> bool:
        """Whether the teacher is a module."""
        return isinstance(self.teacher, FreshTeacher) or self.teacher.may_learn

    @property
    def usual(self) -> tuple[str, ...]:
        """The methods of a call that names none."""
        return (PLAIN_DEFAULT, DEFAULT) if self.may_learn else (PLAIN_DEFAULT,)

    def taught(self, players: Mapping[str, nn.Module]) -> Taught:
        """The teacher, or the example of one that `examples` made."""
        if isinstance(self.teacher, Taught):
            return self.teacher
        return Taught(players["teacher"], players["teacher"], "a module")

    def check(
        self,
        variants: Mapping[str, Variant],
        *,
        rate: float | None,
        trained: bool | None,
        options: Mapping[str, object],
    ) -> None:
        """Raises a UsageError for a method that needs a teacher which is a module, where this one is none, and for an
        option that no method has a use for.

        Args:
            variants: the methods.
            rate: of a teacher that goes on learning, or None.
            trained: what the caller says of it.
            options: those that not every method has a use for, by name; None for those that are not given.
        """
        methods = [variant.method for variant in variants.values()]
        check_use(methods, {**options, "make_discriminator": self.make_discriminator})
        if isinstance(self.teacher, FreshTeacher):
            return
        for variant in variants.values():
            self.teacher.check(
                find(variant.method), rate=rate, trained=trained, discriminator=self.make_discriminator
            )

    def examples(self, seed: int, device: torch.device) -> dict[str, nn.Module]:
        """One of each, by role.

        Raises:
            UsageError: if they are none, or come out otherwise when they are made again.
        """
        makers: dict[str, Any] = {"student": self.make_student}
        if isinstance(self.teacher, FreshTeacher):
            makers["teacher"] = self.teacher
        if self.make_discriminator is not None:
            makers["discriminator"] = self.make_discriminator
        players = {"student": nn.Module()}
        if isinstance(self.teacher, Taught):
            players["teacher"] = self.teacher.face
        for role, make in makers.items():
            one, other = (build(make, role, seed, device) for _ in range(2))
            check_modules({role: one})
            _check_fresh(role, one, other)
            players[role] = one
        check_modules(players)
        return players


def teacher_of(teacher: Teacher | Factory, **options: Any) -> Taught | FreshTeacher:
    """The teacher of a call: of any kind, or a function that gives a fresh module, which takes nothing.

    Args:
        teacher: the caller's.
        options: of `kdgan.tasks.teachers.as_teacher`.

    Raises:
        UsageError: for what is no teacher.
    """
    is_other = isinstance(teacher, nn.Module) or hasattr(teacher, "predict_proba")
    if is_other or not callable(teacher) or not _needs_nothing(teacher):
        return as_teacher(teacher, **options)
    return FreshTeacher(teacher, options["sees"], options["classes"])


def _needs_nothing(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
        signature.bind()
    except (TypeError, ValueError):  # the second where nothing is known of its arguments
        return False
    # What takes any inputs takes none, too, and is a teacher all the same; a class is none.
    takes = {each.kind for each in signature.parameters.values()}
    return inspect.isclass(function) or not takes & {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}


def _check_fresh(role: str, one: nn.Module, other: nn.Module) -> None:
    if one is other or {*map(id, one.parameters())} & {*map(id, other.parameters())}:
        raise UsageError(
            f"what makes the {role} gives the same one again, which several runs would train: make a new one"
        )
    mine, theirs = one.state_dict(), other.state_dict()
    if mine.keys() != theirs.keys() or identity.of_tensors(_tensors(mine)) != identity.of_tensors(
        _tensors(theirs)
    ):
        raise UsageError(
            f"what makes the {role} gives other weights from the same seed, so that methods would not begin alike: "
            "draw them from torch's, numpy's or Python's global generators"
        )


def _tensors(state: Mapping[str, Any]) -> list[Tensor]:
    return [value for value in state.values() if isinstance(value, Tensor) and value.layout == torch.strided]


def check_call(
    make_student: object,
    make_discriminator: object,
    *,
    workers: object,
    threads: object,
    title: object,
    executor: object,
    address: object,
) -> None:
    """Raises a UsageError for what cannot be what `kdgan.compare` takes under these names."""
    makers = {"make_student": make_student}
    if make_discriminator is not None:
        makers["make_discriminator"] = make_discriminator
    for name, make in makers.items():
        if isinstance(make, nn.Module) or not callable(make):
            raise wrong(
                f"{name} must be a function without arguments that gives a fresh module, not "
                f"{type(make).__name__}: each run trains one of its own"
            )
    for name, value in (("workers", 1 if workers is None else workers), ("threads", threads)):
        whole = plain_number(value)
        if not isinstance(whole, int) or isinstance(whole, bool) or not 1 <= whole <= 1024:
            raise wrong(f"{name} must be a whole number from 1 to 1024, not {value!r:.60}")
    if executor == "ray":
        check_installed("ray", "scale", "executor='ray'")
        if address is not None:
            check_address(str(address))
    elif executor != "processes":
        raise wrong(f"executor must be 'processes' or 'ray', not {executor!r:.60}")
    elif address is not None:
        raise wrong("address is that of a Ray cluster: give executor='ray', too")
    if not isinstance(title, str) or not title or not title.isprintable():
        raise wrong(f"title must be a printable text, not {title!r:.60}")


def check_main() -> None:
    """Raises a UsageError in a worker process that imports the file in which the call stands unguarded."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "kdgan.compare was called by a worker process that imports this file: put the call under "
            'if __name__ == "__main__":'
        )


def seeds_of(given: int | Sequence[int]) -> list[int]:
    """The seeds, each once."""
    whole = plain_number(given)
    if isinstance(whole, int) and not isinstance(whole, bool):
        if not 1 <= whole <= 10_000:
            raise UsageError(f"seeds must be at least 1 and at most 10,000, or a list of them, not {whole}")
        return list(range(whole))
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise wrong(f"seeds must be how many, or a list of whole numbers, not {given!r:.60}")
    found = [whole_seed(seed) for seed in given]
    if not found or len({*found}) < len(found):
        raise wrong(f"seeds must be a list of different whole numbers, not {found!r:.60}")
    return found


def variants_of(
    methods: Sequence[str | type[Method]],
    hyper: Mapping[str | type[Method], Mapping[str, Any]] | None,
    *,
    semi: bool,
) -> dict[str, Variant]:
    """The methods by name, the control first, each with settings of its own."""
    if isinstance(methods, str):
        raise wrong(f"methods must be a list, also of one, [{methods!r:.60}], not {methods!r:.60}")
    if not isinstance(methods, Iterable):
        raise wrong(f"methods must be a list of names or of subclasses of kdgan.Method, not {methods!r:.60}")
    controls = [CONTROL, "selftrain"] if semi else [CONTROL]
    found = {name_of(method): method for method in [*controls, *methods] if find(method)}
    if hyper is not None and not isinstance(hyper, Mapping):
        raise wrong(f"hyper must be hyperparameters by method, not {type(hyper).__name__}")
    given = {name_of(method): values for method, values in (hyper or {}).items()}
    for name, values in given.items():
        if name not in found:
            raise wrong(f"hyper is of {name!r:.60}, which is not compared: {', '.join(found)} are")
        if not isinstance(values, Mapping):
            raise wrong(
                f"hyper must be {{method: {{name: value}}}}, and that of {name} is {type(values).__name__}"
            )
    variants = {}
    for name, method in found.items():
        own = OwnSettings.of(find(method), given.get(name))
        variants[name] = Variant(method, own.hyper, own.training)
    return variants
