"""Methods against each other on the same data from the same seeds: `kdgan compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from kdgan.methods import METHODS
from kdgan.studies.pool import Report, Task, run_tasks
from kdgan.studies.report import write_report
from kdgan.studies.statistics import RunRecord, summarise, write_results
from kdgan.studies.tables import terminal_table
from kdgan.training.config import Config, claim
from kdgan.training.run import Machine, Outcome, Run, outcome_in

COSTS = {
    "supervised": 1.0,
    "distn": 1.6,
    "mimic": 1.6,
    "noisy": 1.6,
    "codis": 3.0,
    "nagan": 4.0,
    "kdgan": 7.0,
}
"""Rough time of a step beside the control's, from which the time left is guessed and nothing else."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare.

    Attributes:
        base: the configuration that all runs share; its method, hyperparameters and seed are replaced.
        methods: their names.
        seeds: how many, from 0.
        hyper: hyperparameters by method that differ from its defaults.
    """

    base: Config
    methods: Sequence[str]
    seeds: int
    hyper: Mapping[str, Mapping[str, Any]]

    def configs(self) -> list[Config]:
        """One for every run: all methods of a seed before the next seed."""
        return [
            replace(self.base, method=method, seed=seed, hyper=dict(self.hyper.get(method, {})))
            for seed in range(self.seeds)
            for method in self.methods
        ]


def compare(
    comparison: Comparison,
    machine: Machine,
    out: Path,
    *,
    workers: int,
    threads: int,
    console: Console,
    facts: Mapping[str, str],
) -> list[str]:
    """Runs what is not yet done, then prints a table and writes `results.csv` and `report.html` into `out`.

    Args:
        comparison: what to run.
        machine: where; its `progress` and `stop` are not used.
        out: the folder of the comparison; runs are kept in it, so that it can be continued or extended.
        workers: processes at a time.
        threads: of each process.
        console: where progress and table go.
        facts: what the report says of the study beside its numbers.

    Returns:
        What each failed run said.

    Raises:
        UsageError: if the configuration does not fit the data, or `out` belongs to another one.
        Interrupted: on Ctrl-C.
        OSError: if `out` cannot be written.
    """
    configs = comparison.configs()
    for config in configs[: len(comparison.methods)]:
        Run(config, machine)  # what is wrong is found here, before anything is written
    claim(out, "comparison.json", comparison.base.without("method", "seed", "hyper"))
    records: dict[tuple[str, int], RunRecord] = {}
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}

    def keep(config: Config, outcome: Outcome) -> None:
        records[config.method, config.seed] = _record(config, outcome)
        curves[config.method, config.seed] = [(step, value) for step, value in outcome.curve]

    waiting = {}
    for config in configs:
        outcome = outcome_in(_folder(out, config), config)
        if outcome is None:
            waiting[task_name(config)] = config
        else:
            keep(config, outcome)

    def done(name: str, outcome: Any) -> None:
        if name in waiting:
            keep(waiting[name], outcome)
            write_results(out / "results.csv", _in_order(records, configs))

    tasks = _tasks(list(waiting.values()), machine, out)
    failures = run_tasks(tasks, workers=workers, threads=threads, console=console, done=done)
    if records:
        rows = _in_order(records, configs)
        write_results(out / "results.csv", rows)
        write_report(out / "report.html", rows, curves, facts)
        console.print(terminal_table(summarise(rows)))
    return failures


def facts(comparison: Comparison, machine: Machine, command: str) -> dict[str, str]:
    """What a report says of a comparison beside its numbers."""
    base = comparison.base
    tuned = {method: values for method, values in comparison.hyper.items() if values}
    return {
        "Data": f"{base.data}, {'all' if base.labels is None else base.labels} labels",
        "Student": base.student,
        "Teacher and discriminator": base.teacher,
        "Updates of the student": f"{base.steps:,} of {base.batch} instances, the same for every method",
        "Updates in pretraining teacher and discriminator": f"{base.teacher_steps:,} each, shared by all methods",
        "Augmentation": f"{base.augment}, the same views for every method",
        "Learning rate": f"Adam, at most {base.lr:g}, warm-up and cosine",
        "Hyperparameters": json.dumps(tuned) if tuned else "defaults of each method",
        "Seeds": f"0 to {comparison.seeds - 1}",
        "Device": f"{machine.device}, {base.precision}",
        "Versions": f"kdgan {version('kdgan')}, torch {torch.__version__}",
        "Command": command,
    }


def task_name(config: Config) -> str:
    """What a run is called."""
    return f"{config.method} seed {config.seed}"


def _tasks(configs: Sequence[Config], machine: Machine, out: Path) -> list[Task]:
    """Every run, after the pretraining that it shares with others of its seed."""
    tasks: dict[str, Task] = {}
    for config in configs:
        needs = []
        for role in METHODS[config.method].pretrained:
            name = f"{role} seed {config.seed}"
            needs.append(name)
            steps = config.pretraining_steps(role)
            cost = steps * (1.0 if role == "student" else 2.0)
            tasks.setdefault(name, Task(name, pretrain_task, (config, machine, out, role), cost=cost))
        name, cost = task_name(config), config.steps * COSTS[config.method]
        tasks[name] = Task(name, run_task, (config, machine, out), tuple(needs), cost)
    return list(tasks.values())


def pretrain_task(
    config: Config, machine: Machine, out: Path, role: str, report: Report, stop: Callable[[], bool]
) -> float:
    """Trains one player on the labels, in a worker; its time in seconds."""
    run = Run(config, _watched(machine, report, stop))
    return run.pretrain(role, out / "pretrained").seconds


def run_task(
    config: Config, machine: Machine, out: Path, report: Report, stop: Callable[[], bool]
) -> Outcome:
    """Carries out one run, in a worker."""
    run = Run(config, _watched(machine, report, stop))
    return run.train(_folder(out, config), out / "pretrained")


def _folder(out: Path, config: Config) -> Path:
    return out / "runs" / f"{config.method}-seed{config.seed}"


def _watched(machine: Machine, report: Report, stop: Callable[[], bool]) -> Machine:
    return replace(machine, progress=lambda what, done, total: report(done / total), stop=stop)


def _record(config: Config, outcome: Outcome) -> RunRecord:
    known: dict[str, Any] = {"data": config.data, "method": config.method, "seed": config.seed}
    shared = [f.name for f in fields(RunRecord) if f.name not in known]
    return RunRecord(**known, **{name: getattr(outcome, name) for name in shared})


def _in_order(records: Mapping[tuple[str, int], RunRecord], configs: Sequence[Config]) -> list[RunRecord]:
    ordered = [(config.method, config.seed) for config in configs]
    return [records[key] for key in ordered if key in records]
