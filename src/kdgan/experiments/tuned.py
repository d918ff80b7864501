"""Settings that `kdgan tune` found, as they lie in its file; reading them needs no Optuna."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdgan.stored import read_json


@dataclass(frozen=True, slots=True)
class Best:
    """The best settings of a method.

    Attributes:
        settings: by name.
        validation: the mean of the first metric on validation data; None where they were found otherwise.
        trials: how many were finished.
    """

    settings: dict[str, float | int | str]
    validation: float | None = None
    trials: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """Content of a `tuned.json`.

    Attributes:
        methods: by name.
        base: what all runs shared.
        seeds: the first and the last.
    """

    methods: dict[str, Best]
    base: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)


def read_tuned(file: Path) -> dict[str, dict[str, Any]]:
    """The settings of each method in a file that `tune` wrote.

    Raises:
        UsageError: if it is none.
    """
    return {method: dict(found.settings) for method, found in read_json(file, Tuned).methods.items()}
