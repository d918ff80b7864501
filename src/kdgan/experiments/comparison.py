"""Methods against each other on the same data from the same seeds: `kdgan compare`, and every study of the paper."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from kdgan.errors import wrong
from kdgan.experiments.description import describe, facts, self_trained
from kdgan.experiments.pool import Makes, run_jobs
from kdgan.experiments.processes import Processes
from kdgan.experiments.records import Curves, Points, Record, record_of
from kdgan.experiments.results_file import ResultsFile
from kdgan.experiments.variants import Comparison, Key, Variant
from kdgan.experiments.verdict import Verdict
from kdgan.experiments.work import jobs_for, run_folder, run_name
from kdgan.files import make_folder
from kdgan.tasks.run import Outcome, Planned, outcome_in, task_of
from kdgan.tasks.sources import notes_of
from kdgan.training.config import bind_folder, check_kept
from kdgan.training.execution import Execution


@dataclass(frozen=True, slots=True)
class Compared:
    """What the runs of a comparison have found.

    Attributes:
        title: name of the data.
        keys: of all runs, in their order: of variant and seed.
        folder: where results are kept, or None.
        outcomes: of those that ended well.
        failures: what the others said.
    """

    title: str
    keys: Sequence[Key]
    folder: Path | None
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _file: ResultsFile | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.folder is not None:
            file = ResultsFile(self.folder / "results.csv", lambda: self.records)
            object.__setattr__(self, "_file", file)

    @property
    def records(self) -> list[Record]:
        """Of the runs that ended well, in the order of the comparison."""
        return [record_of(self.title, *key, self.outcomes[key]) for key in self.keys if key in self.outcomes]

    @property
    def curves(self) -> Curves:
        """Of the same."""
        found: dict[Key, Mapping[str, Points]] = {
            key: self.outcomes[key].curves for key in self.keys if key in self.outcomes
        }
        return found

    def keep(self, key: Key, outcome: Outcome) -> None:
        """One more outcome, which `results.csv` in the folder has from now on.

        Raises:
            UsageError: if the folder was removed meanwhile.
        """
        self.outcomes[key] = outcome
        if self.folder is not None and self._file is not None:
            check_kept(self.folder, "comparison.json")
            self._file.add(record_of(self.title, *key, outcome))

    def settle(self) -> None:
        """Brings `results.csv` into the order of the comparison, once nothing comes any more.

        Raises:
            UsageError: if the folder was removed meanwhile.
        """
        if self.folder is not None and self._file is not None and self.outcomes:
            check_kept(self.folder, "comparison.json")
            self._file.settle()

    def verdict(
        self,
        metrics: Sequence[str],
        stated: Mapping[str, str],
        variants: Mapping[str, Variant],
        self_trained: Collection[str],
    ) -> Verdict:
        """What they say together.

        Args:
            metrics: names, the first of which the comparison is about.
            stated: facts about it.
            variants: by name.
            self_trained: those whose teacher learned from examples without labels before the method began.
        """
        described = {name: describe(variant) for name, variant in variants.items()}
        return Verdict(self.records, self.curves, metrics, stated, described, self.failures, self_trained)


def compare(
    comparison: Comparison,
    execution: Execution,
    out: Path,
    *,
    console: Console,
    command: str = "",
    store: Path | None = None,
) -> Compared:
    """Runs what is not yet done, then prints a table and what was earned, and writes `results.csv` and `report.html`
    into `out`.

    Args:
        comparison: what to run.
        execution: where and how; its `progress` and `stop` are not used.
        out: the folder of the comparison.
        console: where progress and table go.
        command: as it was typed, for the report.
        store: holds runs and pretrained players, so that a comparison can be continued or extended;
            several comparisons may share one. Default: `out`.

    Raises:
        UsageError: if the configuration does not fit the data, or `out` belongs to another one, cannot be written, or
            is removed meanwhile.
        Interrupted: on Ctrl-C.
        OSError: if there is no room.
    """
    comparison.check(execution)
    bind_folder(out, "comparison.json", comparison.base.shared())
    make_folder(out)
    for note in notes_of(comparison.base, execution.data_dir):
        console.print(f"{comparison.base.data.title}: {note}", markup=False, highlight=False)
    runs = comparison.runs()
    found = Compared(comparison.base.data.title, [*runs], out)
    try:
        found.failures.extend(run_all(runs, execution, store or out, console=console, keep=found.keep))
    finally:
        found.settle()
    if found.outcomes:
        task = task_of(replace(comparison.base, seed=comparison.seeds[0]), execution.data_dir)
        learned = self_trained(runs) if comparison.base.data.unlabelled is not None else frozenset[str]()
        verdict = found.verdict(
            task.measured, facts(comparison, execution, command), comparison.variants, learned
        )
        examples = _examples(found.outcomes, comparison, task.shown())
        verdict.report(out / "report.html", examples=examples, about=task.about)
        check_kept(out, "comparison.json")
        console.print(verdict.table.terminal(verdict.title))
        if verdict.earned:
            console.print(verdict.earned, markup=False, highlight=False)
    return found


def run_all(
    runs: Mapping[Key, Planned],
    execution: Execution,
    store: Path,
    *,
    console: Console,
    keep: Callable[[Key, Outcome], None],
    prepare: Callable[[], None] | None = None,
) -> list[str]:
    """Takes from `store` the runs that are finished and carries out the others, with the pretraining they need.

    Args:
        runs: by name and seed.
        execution: where and how; its `progress` and `stop` are not used.
        store: holds runs and pretrained players.
        console: where progress is shown.
        keep: called with the outcome of every run, as they end.
        prepare: gives a process what the runs need, where they are of a caller's own.

    Returns:
        What each failed run said.
    """
    if execution.executor == "ray":  # other machines may know other folders
        store = store.absolute()
        data_dir = execution.data_dir and execution.data_dir.absolute()
        execution = replace(execution, data_dir=data_dir)
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
        prepare=prepare,
        executor=_executor_of(execution, store),
    )


def _executor_of(execution: Execution, store: Path) -> Makes:
    """What makes the executor of an execution.

    Raises:
        UsageError: for a GPU by its number, where each run gets one of its own.
    """
    if execution.executor == "processes":
        return Processes
    from kdgan.experiments.ray_pool import RayPool  # for this executor alone

    gpu = execution.device.type == "cuda"
    if gpu and execution.device.index is not None:
        raise wrong(f"Ray gives each run a GPU of its own: say cuda, not {execution.device}")
    return partial(RayPool, address=execution.address, folder=store, gpu=gpu)


def _examples(outcomes: Mapping[Key, Outcome], comparison: Comparison, shown: Sequence[Any]) -> list[Any]:
    """Predictions of each variant, of the first seed, for the test examples that the task shows."""
    from kdgan.experiments.page import Example

    first = comparison.seeds[0]
    predictions = {
        name: outcomes[name, first].examples for name in comparison.variants if (name, first) in outcomes
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
