"""Methods against each other on the same data from the same seeds: `kdgan compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from kdgan.experiments.pool import Report, Task, run_tasks
from kdgan.experiments.report import write_report
from kdgan.experiments.statistics import RunRecord, summarise, write_results
from kdgan.experiments.tables import terminal_table
from kdgan.tasks.tags import TagRun
from kdgan.training.config import Config, claim, digest
from kdgan.tasks.run import Machine, Outcome, Run, outcome_in

COSTS = {
    "supervised": 1.0,
    "distn": 1.6,
    "mimic": 1.6,
    "noisy": 1.6,
    "codis": 3.0,
    "codis3": 6.0,
    "nagan": 4.0,
    "kdgan": 7.0,
}
"""Rough time of a step beside the control's, from which the time left is guessed and nothing else."""


OWN_SETTINGS = ("lr", "teacher_lr", "student_pretraining", "teacher_steps", "interval")
"""Fields of a configuration that a method may have to itself beside its hyperparameters; all others are shared."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What one row of a comparison is: a method, with settings of its own.

    Attributes:
        method: its name.
        hyper: its hyperparameters that differ from the defaults.
        config: fields of the configuration that differ from the comparison's.
    """

    method: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(method: str, settings: Mapping[str, Any]) -> Variant:
        """A method with settings that may be hyperparameters or one of `OWN_SETTINGS`."""
        own = {name: value for name, value in settings.items() if name in OWN_SETTINGS}
        return Variant(method, {name: value for name, value in settings.items() if name not in own}, own)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare.

    Attributes:
        base: the configuration that all runs share; its method, hyperparameters and seed are replaced.
        variants: what to compare, by the name in results.
        seeds: of the runs.
    """

    base: Config
    variants: Mapping[str, Variant]
    seeds: Sequence[int]

    def runs(self) -> dict[tuple[str, int], Config]:
        """The configuration of every run by variant and seed: all variants of a seed before the next seed."""
        # A method's own rate must not change the teacher that all of them share.
        base = replace(self.base, pretraining_lr=self.base.pretraining_lr or self.base.lr)
        return {
            (name, seed): replace(
                base, method=variant.method, seed=seed, hyper=dict(variant.hyper), **variant.config
            )
            for seed in self.seeds
            for name, variant in self.variants.items()
        }


def compare(
    comparison: Comparison,
    machine: Machine,
    out: Path,
    *,
    workers: int,
    threads: int,
    console: Console,
    facts: Mapping[str, str],
    store: Path | None = None,
) -> Compared:
    """Runs what is not yet done, then prints a table and writes `results.csv` and `report.html` into `out`.

    Args:
        comparison: what to run.
        machine: where; its `progress` and `stop` are not used.
        out: the folder of the comparison.
        workers: processes at a time.
        threads: of each process.
        console: where progress and table go.
        facts: what the report says of the study beside its numbers.
        store: holds runs and pretrained players, so that a comparison can be continued or extended;
            several comparisons may share one. Default: `out`.

    Raises:
        UsageError: if the configuration does not fit the data, or `out` belongs to another one.
        Interrupted: on Ctrl-C.
        OSError: if `out` cannot be written.
    """
    runs, store = comparison.runs(), store or out
    for config in list(runs.values())[: len(comparison.variants)]:
        run_of(config, machine)  # what is wrong is found here, before anything is written
    claim(out, "comparison.json", comparison.base.without("method", "seed", "hyper"))
    found = Compared({}, {}, [])

    def keep(key: tuple[str, int], outcome: Outcome) -> None:
        found.records[key] = _record(key[0], runs[key], outcome)
        found.curves[key] = [(step, value) for step, value in outcome.curve]
        write_results(out / "results.csv", found.rows(runs))

    failures = run_all(runs, machine, store, workers=workers, threads=threads, console=console, keep=keep)
    if found.records:
        rows = found.rows(runs)
        write_results(out / "results.csv", rows)
        write_report(out / "report.html", rows, found.curves, facts, failures)
        console.print(terminal_table(summarise(rows)))
    return replace(found, failures=failures)


def run_all(
    runs: Mapping[tuple[str, int], Config],
    machine: Machine,
    store: Path,
    *,
    workers: int,
    threads: int,
    console: Console,
    keep: Callable[[tuple[str, int], Outcome], None],
) -> list[str]:
    """Takes from `store` the runs that are finished and carries out the others, with the pretraining they need.

    Args:
        runs: by name and seed.
        machine: where; its `progress` and `stop` are not used.
        store: holds runs and pretrained players.
        workers: processes at a time.
        threads: of each process.
        console: where progress is shown.
        keep: told the outcome of every run, as they end.

    Returns:
        What each failed run said.
    """
    # Variants may agree in everything but their name: then one run serves them all.
    same: dict[str, list[tuple[str, int]]] = {}
    waiting = {}
    for key, config in runs.items():
        same.setdefault(config.name, []).append(key)
        outcome = outcome_in(run_folder(store, config), config)
        if outcome is not None:
            keep(key, outcome)
        elif len(same[config.name]) == 1:
            waiting[task_name(*key)] = key

    def done(name: str, outcome: Any) -> None:
        if name in waiting:
            for key in same[runs[waiting[name]].name]:
                keep(key, outcome)

    tasks = _tasks({name: runs[key] for name, key in waiting.items()}, machine, store)
    return run_tasks(tasks, workers=workers, threads=threads, console=console, done=done)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found.

    Attributes:
        records: by variant and seed.
        curves: (updates, test accuracy) points of the same.
        failures: what each failed run said.
    """

    records: dict[tuple[str, int], RunRecord]
    curves: dict[tuple[str, int], list[tuple[int, float]]]
    failures: list[str]

    def rows(self, order: Iterable[tuple[str, int]]) -> list[RunRecord]:
        """The records in that order, as far as they are there."""
        return [self.records[key] for key in order if key in self.records]


def facts(comparison: Comparison, machine: Machine, command: str) -> dict[str, str]:
    """What a report says of a comparison beside its numbers."""
    base = comparison.base
    tuned = {name: own for name, v in comparison.variants.items() if (own := {**v.hyper, **v.config})}
    return {
        "Data": f"{base.data}, {'all' if base.labels is None else base.labels} labels",
        "Student": base.student,
        "Teacher and discriminator": base.teacher,
        "Updates of the student": f"{base.steps:,} of {base.batch} instances, the same for every method",
        "Updates in pretraining teacher and discriminator": f"{base.teacher_steps:,} each, shared by all methods",
        "Augmentation": f"{base.augment}, the same views for every method",
        "Learning rate": f"Adam, at most {base.lr:g}, warm-up and cosine",
        **_departures(base),
        "Hyperparameters": json.dumps(tuned) if tuned else "defaults of each method",
        "Seeds": f"{min(comparison.seeds)} to {max(comparison.seeds)}",
        "Device": f"{machine.device}, {base.precision}",
        "Versions": f"kdgan {version('kdgan')}, torch {torch.__version__}",
        "Command": command,
    }


def _departures(base: Config) -> dict[str, str]:
    """What a report says only of a comparison that has it."""
    said = {}
    if base.reach:
        said["Views moved"] = (
            f"by at most {base.reach:g} to where the student has more to learn, for every method"
        )
    if base.interval > 1:
        said["Other players learn"] = f"in the first of every {base.interval} updates of the student"
    return said


def task_name(name: str, seed: int) -> str:
    """What a run is called."""
    return f"{name} seed {seed}"


def _tasks(configs: Mapping[str, Config], machine: Machine, store: Path) -> list[Task]:
    """Every run, after the pretraining that it shares with others of its seed."""
    tasks: dict[str, Task] = {}
    players: dict[str, str] = {}
    for name, config in configs.items():
        needs = []
        for role in config.pretrained:
            # Runs that differ in what the player depends on need another one of the same role and seed.
            needed = digest(config.pretraining(role))
            if needed not in players:
                again = sum(1 for other in players.values() if other.startswith(task_name(role, config.seed)))
                players[needed] = task_name(role, config.seed) + (f", no. {again + 1}" if again else "")
                cost = config.pretraining_steps(role) * (1.0 if role == "student" else 2.0)
                arguments = (config, machine, store, role)
                tasks[players[needed]] = Task(players[needed], pretrain_task, arguments, cost=cost)
            needs.append(players[needed])
        # Where others learn seldom, C still sees one of them in every update.
        each, alone = COSTS[config.method], min(COSTS[config.method], COSTS["mimic"])
        cost = config.steps * (alone + (each - alone) / config.interval)
        tasks[name] = Task(name, run_task, (config, machine, store), tuple(needs), cost)
    return list(tasks.values())


def run_of(config: Config, machine: Machine) -> Run:
    """The run of a configuration, on photos with tags or on classes."""
    return Run(config, machine) if config.tags is None else TagRun(config, machine)


def pretrain_task(
    config: Config, machine: Machine, store: Path, role: str, report: Report, stop: Callable[[], bool]
) -> float:
    """Trains one player on the labels, in a worker; its time in seconds."""
    run = run_of(config, _watched(machine, report, stop))
    return run.pretrain(role, store / "pretrained").seconds


def run_task(
    config: Config, machine: Machine, store: Path, report: Report, stop: Callable[[], bool]
) -> Outcome:
    """Carries out one run, in a worker."""
    run = run_of(config, _watched(machine, report, stop))
    return run.train(run_folder(store, config), store / "pretrained")


def run_folder(store: Path, config: Config) -> Path:
    """Where the run of a configuration lies."""
    return store / "runs" / config.name


def _watched(machine: Machine, report: Report, stop: Callable[[], bool]) -> Machine:
    return replace(machine, progress=lambda what, done, total: report(done / total), stop=stop)


def _record(name: str, config: Config, outcome: Outcome) -> RunRecord:
    known: dict[str, Any] = {"data": config.data, "method": name, "seed": config.seed}
    shared = [f.name for f in fields(RunRecord) if f.name not in known]
    return RunRecord(**known, **{name: getattr(outcome, name) for name in shared})
