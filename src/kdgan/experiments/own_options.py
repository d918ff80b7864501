"""What a caller of `kdgan.compare` gives, checked before anything is trained."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.distillation import plain_hyper
from kdgan.errors import UsageError, wrong
from kdgan.experiments.own import Factory, build
from kdgan.experiments.variants import Variant, looks_at
from kdgan.methods import CONTROL, METHODS, Method, find, name_of
from kdgan.training import identity
from kdgan.training.check import check_modules
from kdgan.training.config import plain_number, whole_seed


@dataclass(frozen=True, slots=True)
class Players:
    """What the caller gave."""

    make_student: Factory
    teacher: nn.Module | Factory
    make_discriminator: Factory | None

    def examples(self, seed: int, device: torch.device) -> dict[str, nn.Module]:
        """One of each, by role.

        Raises:
            UsageError: if they are none, or come out otherwise when they are made again.
        """
        makers: dict[str, Any] = {"student": self.make_student}
        if not isinstance(self.teacher, nn.Module):
            makers["teacher"] = self.teacher
        if self.make_discriminator is not None:
            makers["discriminator"] = self.make_discriminator
        players = {"student": nn.Module(), "teacher": self.teacher}
        for role, make in makers.items():
            one, other = (build(make, role, seed, device) for _ in range(2))
            check_modules({role: one})
            _check_fresh(role, one, other)
            players[role] = one
        check_modules(players)
        return players  # type: ignore[return-value]


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
    teacher: object,
    make_discriminator: object,
    *,
    workers: object,
    threads: object,
    title: object,
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
    if not callable(teacher):
        raise wrong(
            f"the teacher must be a torch.nn.Module, or a function that gives a fresh one, not {type(teacher).__name__}"
        )
    for name, value in (("workers", workers), ("threads", threads)):
        whole = plain_number(value)
        if not isinstance(whole, int) or isinstance(whole, bool) or not 1 <= whole <= 1024:
            raise wrong(f"{name} must be a whole number from 1 to 1024, not {value!r:.60}")
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
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        raise wrong(f"methods must be a list of names or of subclasses of kdgan.Method, not {methods!r:.60}")
    controls = [CONTROL, *(["selftrain"] if semi and "selftrain" in METHODS else [])]
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
        kind, values = find(method), given.get(name, {})
        own = Variant.of(method, {key: plain_number(value) for key, value in values.items()})
        idle = [key for key in own.training if not looks_at(kind, key)]
        if idle:
            raise UsageError(f"method {name} has no use for {idle[0]}")
        variants[name] = replace(own, hyper=plain_hyper(kind, own.hyper))
    return variants
