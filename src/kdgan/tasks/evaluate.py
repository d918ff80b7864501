"""Evaluation of a finished run: its student on the test data of its configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from kdgan.errors import UsageError, wrong
from kdgan.references import is_reference
from kdgan.ship.forms import bare
from kdgan.ship.student import NAME
from kdgan.stored import read_json
from kdgan.tasks.base import Task
from kdgan.tasks.config import BASELINES, ClassesData, Config, code, from_plain
from kdgan.tasks.run import count_parameters, task_of
from kdgan.tasks.sources import identified
from kdgan.training.execution import Execution


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Result of `evaluate_run`.

    Attributes:
        config: of the run.
        metrics: of the student on test data, by name.
        trivial: what takes no model to reach, by name, see `kdgan.tasks.base.Task`.
        examples: how many these are.
        parameters: numbers in the student.
    """

    config: Config
    metrics: dict[str, float]
    trivial: dict[str, float]
    examples: int
    parameters: int


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A finished run whose data and student are there.

    Attributes:
        config: of the run.
        task: its data; without metrics of one's own, unless they may be imported.
        student: on the device.
    """

    config: Config
    task: Task
    student: nn.Module


def evaluate_run(folder: Path, execution: Execution, *, trust: bool = False) -> Evaluated:
    """Measures the student of a finished run on the test data of its configuration.

    Args:
        folder: of the run.
        execution: where and how.
        trust: whether to import what its configuration names, its own metrics and network: importing runs code.

    Raises:
        UsageError: if the folder holds no finished run of a network, or the data are not to be found.
    """
    opened = open_run(folder, execution, trust=trust)
    metrics = opened.task.measure(opened.student, opened.task.test)
    parameters = count_parameters(opened.student)
    return Evaluated(opened.config, metrics, opened.task.trivial(), len(opened.task.test), parameters)


def open_run(folder: Path, execution: Execution, *, trust: bool = False) -> OpenedRun:
    """The data and the student of a finished run, as `evaluate_run` measures them.

    Raises:
        UsageError: as there.
    """
    values = read_json(folder / "config.json", dict[str, Any])
    config = from_plain(values)
    if config.method in BASELINES:
        raise UsageError(
            f"{folder} is of {config.method}, which keeps no network: its metrics are in result.json"
        )
    if not trust and is_reference(config.student):
        raise UsageError(f"the student of {folder} is {config.student}, of your own: --trust imports it")
    if trust:
        found = code([config.student, *map(bare, config.metrics)]).get("code", {})
        then = values.get("code") or {}
        other = [name for name in found if name in then and found[name] != then[name]]
        if other:
            raise UsageError(
                f"{other[0]} is no longer the code that {folder} was run with: its numbers would mislead"
            )
    if isinstance(config.data, ClassesData):
        now = identified(config.data, execution.data_dir)[0]
        if now.sha256 != config.data.sha256:
            raise wrong(
                f"{execution.data_dir or now.source} is no longer what it was when {folder} was configured"
            )
    known = tuple(name for name in config.metrics if not is_reference(bare(name)))
    task = task_of(config if trust else replace(config, metrics=known), execution.data_dir)
    return OpenedRun(config, task, task.load(folder / NAME).module.to(execution.device))
