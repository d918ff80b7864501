"""`kdgan tune`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kdgan.cli.executor import ExecutorOptions
from kdgan.cli.options import (
    MOST_SEEDS,
    ClassesOptions,
    Count,
    File,
    MethodsOptions,
    Name,
    Names,
    PhotosOptions,
    TrainingOptions,
)
from kdgan.cli.parsing import by_name, method_names
from kdgan.errors import UsageError

if TYPE_CHECKING:
    from kdgan.experiments.study import Cell
    from kdgan.training.execution import Execution


@dataclass(frozen=True)
class Tune:
    """Search settings for each method with the same number of trials, on validation data of other seeds.

    Writes tuned.json for kdgan compare --settings. The same command again continues; a higher --trials adds some.
    """

    data: tyro.conf.OmitArgPrefixes[ClassesOptions] = dataclasses.field(default_factory=ClassesOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    methods: Names = None
    """Methods, joined with commas; your own as module:Class. Default: those of the cell, or all but codis3."""
    cell: Name = None
    """A cell of kdgan reproduce table1, such as mnist-100, or of table2, popular or random: its methods and
    configuration, in place of --data."""
    photos: tyro.conf.OmitArgPrefixes[PhotosOptions] = dataclasses.field(default_factory=PhotosOptions)
    trials: int = 12
    """Trials of each method; the first is its defaults, the second what is known of it."""
    known: File = None
    """Settings of an earlier search, or found by hand, as in a tuned.json. Default: a cell's frozen settings."""
    seeds: int = 2
    """Seeds of each trial; they are numbered from 100, so that no reported seed is used."""
    workers: Count = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    executor: tyro.conf.OmitArgPrefixes[ExecutorOptions] = dataclasses.field(default_factory=ExecutorOptions)
    out: File = None
    """Folder of the search. Default: runs/tune-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        try:
            from kdgan.experiments.tuning import tune
        except ModuleNotFoundError as error:
            raise UsageError("kdgan tune needs Optuna: pip install 'kdgan[tune]'") from error
        from kdgan.experiments.tuned import read_tuned
        from kdgan.training.display import console

        for option, value in (("--trials", self.trials), ("--seeds", self.seeds)):
            if not 1 <= value <= MOST_SEEDS:
                raise UsageError(f"{option} must be from 1 to {MOST_SEEDS:,}, not {value}")
        execution = self.executor.applied(
            self.training.execution(self.data.data_dir, self.workers), self.workers
        )
        known: dict[str, Any] = {}
        if self.cell is None:
            self.photos.unused("--data")
            config = self.data.config(self.training, execution)
            methods = MethodsOptions(self.methods).names(config.data.unlabelled is not None)
        else:
            cell, methods = self._of_cell(self.cell, execution)
            known |= cell.settings
            config = cell.base
            config = dataclasses.replace(config, training=dataclasses.replace(config.training, evaluations=1))
        if self.known is not None:
            known |= read_tuned(self.known)
        name = self.cell or Path(self.data.data).stem
        found = tune(
            config,
            by_name(methods),
            execution,
            self.out or Path("runs") / f"tune-{name}",
            trials=self.trials,
            seeds=self.seeds,
            console=console(),
            known=known,
        )
        print(f"settings: {found}")  # noqa: T201

    def _of_cell(self, name: str, execution: Execution) -> tuple[Cell, list[str]]:
        """A cell, and those of its methods that have something to search."""
        from kdgan.paper.cells import of_photos
        from kdgan.paper.studies import TABLE_1, TABLE_2
        from kdgan.tasks.config import BASELINES

        if not of_photos(name):
            self.photos.unused(name)
        found = self.training.cell(name, self.photos, execution)
        all_methods = [
            method for method in (TABLE_2 if of_photos(name) else TABLE_1) if method not in BASELINES
        ]
        methods = all_methods if self.methods is None else method_names(self.methods)
        for method in methods:
            if method not in all_methods:
                raise UsageError(f"--methods: {method} is not in {name}, which has {', '.join(all_methods)}")
        return found, methods
