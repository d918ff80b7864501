"""Methods against each other on the same data from the same seeds: `kdgan compare`, and every study of the paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from kdgan.experiments import tables
from kdgan.experiments.pool import run_jobs
from kdgan.experiments.records import Curves, Points, Record, record_of, write_records
from kdgan.experiments.statistics import rows_of, title_of
from kdgan.experiments.work import jobs_for, preparation, run_folder, run_name
from kdgan.methods import METHODS, Method, described, find, hyperparameters, name_of
from kdgan.references import find_object, reference_to
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.run import Outcome, outcome_in, run_of, task_of
from kdgan.training.config import Training, bind_folder
from kdgan.training.execution import Execution

OWN_SETTINGS = ("lr", "teacher_lr", "student_pretraining", "teacher_steps", "teacher_every")
"""Fields of `Training` that a method may have to itself beside its hyperparameters; all others are shared."""
Key = tuple[str, int]
"""The name of a variant, and a seed."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a comparison: a method, with settings of its own.

    Attributes:
        method: its name, reference or class; or one of `kdgan.tasks.config.BASELINES`.
        hyper: its hyperparameters that differ from the defaults.
        training: fields of `Training` that differ from the comparison's.
        config: fields of the configuration that do, such as `student`.
    """

    method: str | type[Method]
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(method: str | type[Method], settings: Mapping[str, Any]) -> Variant:
        """A method with settings by name that may be hyperparameters or one of `OWN_SETTINGS`."""
        training = {name: value for name, value in settings.items() if name in OWN_SETTINGS}
        return Variant(
            method, {name: value for name, value in settings.items() if name not in training}, training
        )

    def changed(self, changes: Mapping[str, Any]) -> Variant:
        """The same with other hyperparameters, fields of `Training`, or fields of the configuration."""
        method = changes.get("method", self.method)
        own = {} if method in BASELINES else hyperparameters(method)
        hyper, training, config = dict(self.hyper), dict(self.training), dict(self.config)
        for name, value in changes.items():
            # A method's own smoothing has the name of that of its teacher's pretraining, and goes first.
            if name in {f.name for f in fields(Training)} - own.keys():
                training[name] = value
            elif name in {f.name for f in fields(Config)} - {"method"} - own.keys():
                config[name] = value
            elif name != "method":
                hyper[name] = value
        return Variant(method, hyper, training, config)

    def plain(self) -> dict[str, Any]:
        """As values that JSON can hold: classes and functions of one's own by where they are found."""
        method = self.method if isinstance(self.method, str) else name_of(self.method)
        if not isinstance(self.method, str) and method not in METHODS:
            method = reference_to(self.method)
        hyper = {key: reference_to(value) if callable(value) else value for key, value in self.hyper.items()}
        return {
            "method": method,
            "hyper": hyper,
            "training": dict(self.training),
            "config": dict(self.config),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variants, seeds, and what all their runs share.

    Attributes:
        base: the configuration that all runs share; its method, hyperparameters and seed are replaced.
        variants: what to compare, by the name in results.
        seeds: of the runs.
    """

    base: Config
    variants: Mapping[str, Variant]
    seeds: Sequence[int]

    def runs(self) -> dict[Key, Config]:
        """The configuration of every run by variant and seed: all variants of a seed before the next seed."""
        return {(name, seed): self._run(name, seed) for seed in self.seeds for name in self.variants}

    def _run(self, name: str, seed: int) -> Config:
        own = self.variants[name].plain()
        base, given = self.base, {"method": own["method"], "seed": seed, "hyper": own["hyper"]}
        if own["method"] in BASELINES:
            # Of all settings it depends on none.
            return Config(base.data, metrics=base.metrics, **given)
        # A method's own rate must not change the teacher that all of them share.
        shared = replace(base.training, pretraining_lr=base.training.pretraining_lr or base.training.lr)
        return replace(base, training=replace(shared, **own["training"]), **given, **own["config"])

    def check(self, execution: Execution) -> None:
        """Finds what is wrong before anything is written.

        Raises:
            UsageError: if a configuration does not fit the data.
        """
        for config in list(self.runs().values())[: len(self.variants)]:
            run_of(config, execution)


@dataclass(frozen=True, slots=True)
class Compared:
    """Outcomes of a comparison.

    Attributes:
        comparison: what was compared.
        outcomes: by variant and seed.
        failures: what each failed run said.
    """

    comparison: Comparison
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """Records of the runs that ended, in the order of the comparison."""
        title = self.comparison.base.data.title
        return [
            record_of(title, *key, self.outcomes[key])
            for key in self.comparison.runs()
            if key in self.outcomes
        ]

    @property
    def curves(self) -> Curves:
        """Curves of the same."""
        found: dict[Key, Mapping[str, Points]] = {
            key: self.outcomes[key].curves for key in self.comparison.runs() if key in self.outcomes
        }
        return found


def compare(
    comparison: Comparison,
    execution: Execution,
    out: Path,
    *,
    console: Console,
    command: str = "",
    store: Path | None = None,
) -> Compared:
    """Runs what is not yet done, then prints a table and writes `results.csv` and `report.html` into `out`.

    Args:
        comparison: what to run.
        execution: where and how; its `progress` and `stop` are not used.
        out: the folder of the comparison.
        console: where progress and table go.
        command: as it was typed, for the report.
        store: holds runs and pretrained players, so that a comparison can be continued or extended;
            several comparisons may share one. Default: `out`.

    Raises:
        UsageError: if the configuration does not fit the data, or `out` belongs to another one.
        Interrupted: on Ctrl-C.
        OSError: if `out` cannot be written.
    """
    from kdgan.experiments.report import write_report  # with matplotlib, which workers need not import

    comparison.check(execution)
    bind_folder(out, "comparison.json", comparison.base.shared())
    found = Compared(comparison)

    def keep(key: Key, outcome: Outcome) -> None:
        found.outcomes[key] = outcome
        write_records(out / "results.csv", found.records)

    found.failures.extend(run_all(comparison.runs(), execution, store or out, console=console, keep=keep))
    if found.outcomes:
        task = task_of(replace(comparison.base, seed=comparison.seeds[0]), execution.data_dir)
        metrics = (*task.metrics, *task.own_metrics)
        rows = rows_of(found.records, title_of(found.records))
        write_report(
            out / "report.html",
            found.records,
            found.curves,
            metrics=metrics,
            facts=facts(comparison, execution, command),
            described={name: describe(variant) for name, variant in comparison.variants.items()},
            failures=found.failures,
            examples=_examples(found, task.shown()),
            about=task.about,
        )
        table = tables.table(rows, tables.of_comparison(metrics), tables.note_of_comparison(rows, metrics))
        console.print(table.terminal(rows[0].cell))
    return found


def run_all(
    runs: Mapping[Key, Config],
    execution: Execution,
    store: Path,
    *,
    console: Console,
    keep: Callable[[Key, Outcome], None],
) -> list[str]:
    """Takes from `store` the runs that are finished and carries out the others, with the pretraining they need.

    Args:
        runs: by name and seed.
        execution: where and how; its `progress` and `stop` are not used.
        store: holds runs and pretrained players.
        console: where progress is shown.
        keep: called with the outcome of every run, as they end.

    Returns:
        What each failed run said.
    """
    # Variants may agree in everything but their name: then one run serves them all.
    same: dict[str, list[Key]] = {}
    waiting = {}
    for key, config in runs.items():
        same.setdefault(config.name, []).append(key)
        outcome = outcome_in(run_folder(store, config), config)
        if outcome is not None:
            keep(key, outcome)
        elif len(same[config.name]) == 1:
            waiting[run_name(*key)] = key
    if not waiting:
        return []

    def done(name: str, outcome: Any) -> None:
        if name in waiting:
            for key in same[runs[waiting[name]].name]:
                keep(key, outcome)

    return run_jobs(
        jobs_for({name: runs[key] for name, key in waiting.items()}, execution, store),
        workers=execution.workers,
        threads=execution.threads,
        console=console,
        done=done,
        prepare=preparation(next(iter(runs.values())), execution),
    )


def describe(variant: Variant) -> str:
    """Description of a variant, in a sentence."""
    if isinstance(variant.method, str) and variant.method in BASELINES:
        return str(find_object(BASELINES[variant.method]).description)
    return described(find(variant.method))


def facts(comparison: Comparison, execution: Execution, command: str) -> dict[str, str]:
    """Facts about a comparison that its report states beside the numbers."""
    base, training = comparison.base, comparison.base.training
    variants = {name: variant.plain() for name, variant in comparison.variants.items()}
    tuned = {
        name: own
        for name, each in variants.items()
        if (own := {**each["hyper"], **each["training"], **each["config"]})
    }
    teacher_steps = training.steps if training.teacher_steps is None else training.teacher_steps
    departures = {}
    if training.epsilon:
        departures["Views moved"] = (
            f"by at most {training.epsilon:g} to where the student has more to learn, for every method"
        )
    if training.teacher_every > 1:
        departures["Other players learn"] = (
            f"in the first of every {training.teacher_every} updates of the student"
        )
    return {
        "Data": base.data.title,
        "Student": base.student,
        "Teacher and discriminator": base.teacher,
        "Updates of the student": f"{training.steps:,} of {training.batch} examples, the same for every method",
        "Updates in pretraining teacher and discriminator": f"{teacher_steps:,} each, shared by all methods",
        "Augmentation": f"{base.augment}, the same views for every method",
        "Learning rate": f"Adam, at most {training.lr:g}, warm-up and cosine",
        **departures,
        "Hyperparameters": json.dumps(tuned) if tuned else "defaults of each method",
        "Seeds": f"{min(comparison.seeds)} to {max(comparison.seeds)}",
        "Device": f"{execution.device}, {training.precision}",
        "Versions": f"kdgan {version('kdgan')}, torch {torch.__version__}",
        "Command": command,
    }


def _examples(found: Compared, shown: Sequence[Any]) -> list[Any]:
    """Predictions of each variant, of the first seed, for the test examples that the task shows."""
    from kdgan.experiments.page import Example

    first = found.comparison.seeds[0]
    predictions = {
        name: found.outcomes[name, first].examples
        for name in found.comparison.variants
        if (name, first) in found.outcomes
    }
    return [
        Example(
            example.name,
            example.labels,
            example.picture,
            {name: labels[place] for name, labels in predictions.items() if place < len(labels)},
        )
        for place, example in enumerate(shown)
    ]
