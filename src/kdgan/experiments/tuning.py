"""The same search for every method, on validation examples of seeds that are never reported: `kdgan tune`."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from kdgan.data.seeds import mixed
from kdgan.errors import RunError, UsageError, wrong
from kdgan.experiments.comparison import run_all
from kdgan.experiments.records import write_csv
from kdgan.experiments.statistics import mean_interval
from kdgan.experiments.variants import Comparison, Key, Variant
from kdgan.files import locked, make_folder, write_json
from kdgan.methods import METHODS, OWN_SETTINGS, Method, Parameter, SearchSpace, find, hyperparameters
from kdgan.references import fingerprint
from kdgan.stored import from_json
from kdgan.tasks.config import ClassesData, Config
from kdgan.tasks.metrics import less_is_better
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import Outcome, run_of, task_of
from kdgan.tasks.sources import notes_of
from kdgan.training.config import bind_folder, check_kept
from kdgan.training.execution import Execution

ROUND = 2
"""Trials of each method that are carried out before anything is learned from them."""

_REDRAWN = 1 / 3


def space(method: str | type[Method], base: Config) -> SearchSpace:
    """Search space of a method where all runs share `base`.

    On photos with tags also how long T is pretrained, down to a tenth: reading the text, it soon knows the training
    photos by heart, and how much of that does harm depends on whether T goes on learning. Elsewhere all methods of a
    seed share one pretrained T.
    """
    kind = find(method)
    if isinstance(base.data, ClassesData) or "teacher" not in kind.pretrained:
        return kind.search_space
    longest = base.training.teacher_updates
    return {**kind.search_space, "teacher_steps": (max(1, longest // 10), longest)}


def tune(
    base: Config,
    methods: Mapping[str, str | type[Method]],
    execution: Execution,
    out: Path,
    *,
    trials: int,
    seeds: int,
    console: Console,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    store: Path | None = None,
) -> Path:
    """Searches settings for each method with the same number of trials, and writes the best into `out`.

    The first trial is the method's defaults, the second what is `known`. Every other keeps most settings of the best
    trial so far and draws about a third anew: a method with ten settings would be at a loss if few trials drew all of
    them. Up to half of the trials draw at random, the others by the tree-structured Parzen estimator (Bergstra et al.,
    2011). A trial's value is the mean, over the seeds, of the first metric on validation data.
    The study of each method is a file in `out`, from which the same command goes on.

    Args:
        base: what all runs share.
        methods: by the name in results: names, references or classes.
        execution: where and how.
        out: `METHOD.optuna.log` (the studies), `trials.csv` (all trials) and `tuned.json` (the best settings).
        trials: of each method.
        seeds: of each trial, from `FIRST_SEED`.
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
    variants = {name: Variant(method) for name, method in methods.items()}
    for config in Comparison(base, variants, checked[:1]).runs().values():
        # What is wrong is found before anything is written.
        run_of(config, execution)  # which finds what is wrong with it
        task = task_of(config, execution.data_dir)
        if not len(task.validation):
            raise UsageError("nothing is left to validate on: tune with fewer labels")
    lowest = less_is_better(task.measured[0])
    own = {name: fingerprint(find(method)) for name, method in methods.items() if method not in METHODS}
    bind_folder(out, "study.json", {**base.shared(), "seeds": seeds, **({"code": own} if own else {})})
    make_folder(out)
    for note in notes_of(base, execution.data_dir):
        console.print(f"{base.data.title}: {note}", markup=False, highlight=False)
    with locked(out):
        studies = {
            name: _study(name, methods[name], base, (known or {}).get(name, {}), out, lowest=lowest)
            for name in methods
        }
    for target in [*range(ROUND, trials, ROUND), trials]:
        with locked(out):  # another command in this folder works on the same trials, and not on more
            asked = {
                f"{method}, trial {trial.number}": (method, trial)
                for method, study in studies.items()
                for trial in _open_trials(
                    study, method, space(methods[method], base), target, (trials + 1) // 2
                )
            }
        variants = {
            name: Variant.of(methods[method], trial.params) for name, (method, trial) in asked.items()
        }
        found = _validated(Comparison(base, variants, checked), execution, store or out, console)
        with locked(out):  # another command may tell the same
            for name, (method, trial) in asked.items():
                value = mean_interval(found[name]).mean if len(found[name]) == seeds else None
                state = TrialState.FAIL if value is None else None
                studies[method].tell(trial.number, value, state, skip_if_finished=True)
    check_kept(out, "study.json")
    return _write(studies, base, seeds, out)


def _study(
    name: str,
    method: str | type[Method],
    base: Config,
    known: Mapping[str, Any],
    out: Path,
    *,
    lowest: bool,
) -> Study:
    """The study of a method, for the lowest or the highest value, from its file in `out` if it was begun there."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = out / f"{name.replace(':', '.')}.optuna.log"
    _mend(journal)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal), _Lock(journal)))
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="minimize" if lowest else "maximize",
            load_if_exists=True,
        )
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        optuna.exceptions.OptunaError,
    ) as error:
        raise wrong(
            f"{journal} is damaged: delete it to search {name} anew; finished runs are kept"
        ) from error
    if not study.trials:
        training = base.training
        own = {setting: getattr(training, setting) for setting in OWN_SETTINGS}
        own["student_pretraining"] = training.student_share(find(method))
        own["teacher_steps"] = training.teacher_updates
        usual = {**hyperparameters(method), **own}
        for given in (usual, {**usual, **known}):
            searched = space(method, base)
            first = {key: _within(given[key], searched[key]) for key in searched if key in given}
            study.enqueue_trial(first, skip_if_exists=True)
    return study


class _Lock(JournalFileOpenLock):
    """A lock that the operating system frees when its process is killed; Optuna's own stays, and is waited for."""

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self.lock = FileLock(journal.with_name(f".{journal.name}.lock"))

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


def _mend(journal: Path) -> None:
    """Cuts off the last line where it was being written when a search was killed.

    Raises:
        UsageError: if another line is damaged.
    """
    if not journal.exists():
        return
    with _Lock(journal).lock, journal.open("rb+") as file:
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            file.truncate(len(whole))
            os.fsync(file.fileno())
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            from_json(line, dict[str, Any], f"{journal}, line {number}")
        except UsageError as error:
            raise wrong(f"{error}: delete the file to search anew; finished runs are kept") from error


def _open_trials(
    study: Study, method: str, searched: Mapping[str, Parameter], target: int, at_random: int
) -> list[FrozenTrial]:
    """Trials that were under way when the search was stopped, and new ones up to `target` in all."""
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
    comparison: Comparison, execution: Execution, store: Path, console: Console
) -> dict[str, list[float]]:
    """The first metric on validation data, of every variant over the seeds that did not fail."""
    found: dict[str, list[float]] = {name: [] for name in comparison.variants}

    def keep(key: Key, outcome: Outcome) -> None:
        (value,) = (value for name, value in outcome.metrics.items() if name.startswith("validation/"))
        found[key[0]].append(value)

    run_all(comparison.runs(), execution, store, console=console, keep=keep)
    return found


def _write(studies: Mapping[str, Study], base: Config, seeds: int, out: Path) -> Path:
    """`trials.csv`, one row a trial, and `tuned.json`."""
    best: dict[str, Any] = {}
    lines: list[list[Any]] = [["method", "trial", "validation", "settings"]]
    for method, study in studies.items():
        finished = [trial for trial in study.trials if trial.state.is_finished()]
        lines += [[method, trial.number, trial.value, json.dumps(trial.params)] for trial in finished]
        if not any(trial.value is not None for trial in finished):
            raise RunError(f"every trial of {method} failed: its learning rates may be too high")
        best[method] = {
            "settings": study.best_params,
            "validation": study.best_value,
            "trials": len(finished),
        }
    write_csv(out / "trials.csv", lines)
    base_values = base.shared(portable=True)
    write_json(
        out / "tuned.json",
        {"base": base_values, "seeds": [FIRST_SEED, FIRST_SEED + seeds - 1], "methods": best},
    )
    return out / "tuned.json"
