"""Settings that `kdgan tune` found, as they lie in its file; reading them needs no Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgan.stored import read_json


@dataclass(frozen=True, slots=True)
class Best:
    """The best settings of a method.

    Attributes:
        settings: by name.
        validation: the mean of the first metric on validation data.
        trials: how many were finished.
    """

    settings: dict[str, float | int | str]
    validation: float
    trials: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """Content of a `tuned.json`.

    Attributes:
        base: what all runs shared.
        seeds: the first and the last.
        methods: by name.
    """

    base: dict[str, Any]
    seeds: list[int]
    methods: dict[str, Best]


def read_tuned(file: Path) -> dict[str, dict[str, Any]]:
    """The settings of each method in a file that `tune` wrote.

    Raises:
        UsageError: if it is none.
    """
    return {method: dict(found.settings) for method, found in read_json(file, Tuned).methods.items()}
