"""The same search for every method, on validation instances of seeds that are never reported: `kdgan tune`."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from kdgan.data.seeds import mixed
from kdgan.errors import RunError, UsageError
from kdgan.files import replacing, write_json
from kdgan.methods import find, hyperparameters
from kdgan.experiments.comparison import OWN_SETTINGS, Comparison, Variant, run_all, run_of
from kdgan.tasks.presets import FIRST_SEED
from kdgan.experiments.statistics import mean_interval
from kdgan.training.config import Config, claim
from kdgan.tasks.run import Machine, Outcome

Parameter = tuple[float, float] | tuple[str, ...]
"""A range, of whole numbers if its ends are, searched on a logarithmic scale unless it begins at 0; or choices."""

ROUND = 2
"""Trials of each method that are carried out before anything is learned from them."""

_REDRAWN = 1 / 3

_RATE: Mapping[str, Parameter] = {"lr": (5e-4, 8e-3)}
_BEFORE: Mapping[str, Parameter] = {"student_pretraining": (0.0, 0.3)}
_PEERS: Mapping[str, Parameter] = {
    **_RATE,
    "teacher_lr": (5e-5, 2e-3),
    "beta": (0.1, 10.0),
    "gamma": (1e-4, 1.0),  # the low end says that T need not learn from C at all
    "distillation": ("l2", "kl"),
    "temperature": (1.0, 10.0),
}

SPACES: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "supervised": {**_RATE, "smoothing": (0.0, 0.3)},
        "distn": {**_RATE, "weight": (0.1, 1.0), "temperature": (1.0, 10.0)},
        "mimic": _RATE,
        "noisy": {**_RATE, "sigma": (0.03, 0.5), "share": (0.2, 1.0)},
        "codis": _PEERS,
        "codis3": _PEERS,
        "nagan": {**_RATE, **_BEFORE, "estimator": ("exact", "concrete", "reinforce-baseline")},
        "kdgan": {
            **_PEERS,
            **_BEFORE,
            "alpha": (0.03, 1.0),
            "adversarial": (0.3, 10.0),
            "supervision": (0.0, 2.0),
        },
    }
)
"""What is searched for each method: its learning rates, and its own hyperparameters over the ranges of its paper."""


def space(method: str, base: Config) -> Mapping[str, Parameter]:
    """What is searched for a method where all runs share `base`.

    On photos with tags also how long T is pretrained, down to a tenth: reading the text, it soon knows the training
    photos by heart, and how much of that does harm depends on whether T goes on learning. Elsewhere all methods of a
    seed share one pretrained T.
    """
    own = SPACES[method]
    if base.tags is None or "teacher" not in find(method).pretrained:
        return own
    return {**own, "teacher_steps": (max(1, base.teacher_steps // 10), base.teacher_steps)}


def tune(
    base: Config,
    methods: Sequence[str],
    machine: Machine,
    out: Path,
    *,
    trials: int,
    seeds: int,
    workers: int,
    threads: int,
    console: Console,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    store: Path | None = None,
) -> Path:
    """Searches settings for each method with the same number of trials, and writes the best into `out`.

    The first trial is the method's defaults, the second what is `known`. Every other keeps most settings of the best
    trial so far and draws about a third anew: a method with ten settings would be at a loss if few trials drew all of
    them. Up to half of the trials draw at random, the others by the tree-structured Parzen estimator (Bergstra et al.,
    2011). A trial's value is the mean validation accuracy over the seeds.
    The study of each method is a file in `out`, from which the same command goes on.

    Args:
        base: what all runs share.
        methods: names.
        machine: where.
        out: `METHOD.optuna.log` (the studies), `trials.csv` (all trials) and `tuned.json` (the best settings).
        trials: of each method.
        seeds: of each trial, from `FIRST_SEED`.
        workers: processes at a time.
        threads: of each process.
        console: where progress goes.
        known: for each method, settings of an earlier search, to begin with beside its defaults.
        store: holds runs and pretrained players; `out` by default.

    Returns:
        The file with the best settings.

    Raises:
        UsageError: if `out` belongs to another study, or the data leave nothing to validate on.
        RunError: if every trial of a method failed.
        Interrupted: on Ctrl-C.
    """
    checked = range(FIRST_SEED, FIRST_SEED + seeds)
    for method in methods:
        # What is wrong is found before anything is written.
        if not len(run_of(replace(base, method=method, seed=FIRST_SEED), machine).validation_data):
            raise UsageError("nothing is left to validate on: tune with fewer labels")
    claim(out, "study.json", {**base.without("method", "seed", "hyper"), "seeds": seeds})
    studies = {method: _study(method, base, (known or {}).get(method, {}), out) for method in methods}
    for target in [*range(ROUND, trials, ROUND), trials]:
        asked = {
            f"{method}, trial {trial.number}": (method, trial)
            for method, study in studies.items()
            for trial in _open_trials(study, method, space(method, base), target, (trials + 1) // 2)
        }
        variants = {name: Variant.of(method, trial.params) for name, (method, trial) in asked.items()}
        found = _validated(
            Comparison(base, variants, checked), machine, store or out, workers, threads, console
        )
        for name, (method, trial) in asked.items():
            if len(found[name]) == seeds:
                studies[method].tell(trial.number, mean_interval(found[name]).mean)
            else:
                studies[method].tell(trial.number, state=TrialState.FAIL)
    return _write(studies, base, seeds, out)


def _study(method: str, base: Config, known: Mapping[str, Any], out: Path) -> Study:
    """The study of a method, from its file in `out` if it was begun there."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(out / f"{method}.optuna.log")))
    study = optuna.create_study(storage=storage, study_name=method, direction="maximize", load_if_exists=True)
    if not study.trials:
        own = {name: getattr(base, name) for name in OWN_SETTINGS}
        own["student_pretraining"] = replace(base, method=method).early
        usual = {**hyperparameters(method), **own}
        for given in (usual, {**usual, **known}):
            searched = space(method, base)
            first = {name: _within(given[name], searched[name]) for name in searched if name in given}
            study.enqueue_trial(first, skip_if_exists=True)
    return study


def _open_trials(
    study: Study, method: str, searched: Mapping[str, Parameter], target: int, at_random: int
) -> list[FrozenTrial]:
    """Those that were under way when the search was stopped, and new ones up to `target` in all."""
    trials = study.get_trials()
    running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.number < target]
    asked = sum(trial.state != TrialState.WAITING for trial in trials)
    # The sampler's state is not stored, so its seed must say where the search is.
    study.sampler = TPESampler(
        seed=mixed(0, method, str(asked)), n_startup_trials=at_random, constant_liar=True
    )
    distributions = {name: _distribution(parameter) for name, parameter in searched.items()}
    new = []
    for number in range(asked, target):
        if not study.get_trials(states=[TrialState.WAITING]):
            study.enqueue_trial(_kept(study, method, searched, number))
        new.append(study.ask(distributions).number)
    return running + [trial for trial in study.get_trials() if trial.number in new]


def _kept(study: Study, method: str, searched: Mapping[str, Parameter], number: int) -> dict[str, Any]:
    """Settings of the best trial so far, or of the first where none is done, that trial `number` does not draw anew."""
    done = study.get_trials(states=[TrialState.COMPLETE])
    best = study.best_params if done else study.get_trials()[0].params if number else {}
    draw = random.Random(mixed(0, method, "redrawn", str(number)))
    redrawn = {name for name in searched if draw.random() < _REDRAWN}
    # A trial that changes nothing would be a repetition of the best.
    redrawn = redrawn or {draw.choice(sorted(searched))}
    return {name: value for name, value in best.items() if name not in redrawn}


def _within(value: Any, parameter: Parameter) -> Any:
    """The value, or the end of the range that is nearest to it: what is known may come from a longer run."""
    return value if isinstance(parameter[0], str) else min(max(value, parameter[0]), parameter[1])


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter[0], str):
        return CategoricalDistribution(parameter)
    if isinstance(parameter[0], int):
        return IntDistribution(parameter[0], int(parameter[1]), log=parameter[0] > 0)
    return FloatDistribution(parameter[0], float(parameter[1]), log=parameter[0] > 0)


def _validated(
    comparison: Comparison, machine: Machine, store: Path, workers: int, threads: int, console: Console
) -> dict[str, list[float]]:
    """Validation accuracies of every variant over the seeds that did not fail."""
    found: dict[str, list[float]] = {name: [] for name in comparison.variants}

    def keep(key: tuple[str, int], outcome: Outcome) -> None:
        assert outcome.validation_accuracy is not None, "there are validation data, as `tune` has seen"
        found[key[0]].append(outcome.validation_accuracy)

    run_all(comparison.runs(), machine, store, workers=workers, threads=threads, console=console, keep=keep)
    return found


def _write(studies: Mapping[str, Study], base: Config, seeds: int, out: Path) -> Path:
    """`trials.csv`, one row a trial, and `tuned.json`."""
    best: dict[str, Any] = {}
    with (
        replacing(out / "trials.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["method", "trial", "validation_accuracy", "settings"])
        for method, study in studies.items():
            finished = [trial for trial in study.trials if trial.state.is_finished()]
            for trial in finished:
                table.writerow([method, trial.number, trial.value, json.dumps(trial.params)])
            if not any(trial.value is not None for trial in finished):
                raise RunError(f"every trial of {method} failed: its learning rates may be too high")
            best[method] = {
                "settings": study.best_params,
                "validation_accuracy": study.best_value,
                "trials": len(finished),
            }
    # Of a table only the name: its folder is one machine's own.
    base_values = {**base.without("method", "seed", "hyper"), "data": Path(base.data).name}
    write_json(
        out / "tuned.json",
        {"base": base_values, "seeds": [FIRST_SEED, FIRST_SEED + seeds - 1], "methods": best},
    )
    return out / "tuned.json"
