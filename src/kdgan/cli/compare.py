"""`kdgan compare`, `tune` and `reproduce`."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kdgan.cli.options import (
    DataOptions,
    PhotoOptions,
    TrainingOptions,
    changes_of,
    machine_of,
    method_names,
    names_in,
    plan,
    say_failed,
    settings_of,
    workers_on,
)
from kdgan.errors import UsageError


@dataclass(frozen=True)
class Compare:
    """Compare methods on the same data, subsets, views and number of updates, over several seeds.

    Prints a table and writes report.html and results.csv. The same command again continues where it stopped.
    """

    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    methods: str = "supervised,distn,mimic,noisy,codis,nagan,kdgan"
    """Which, joined with commas."""
    seeds: int = 5
    """How many: each has its own subset, initial weights and order."""
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    set: tuple[str, ...] = ()
    """Settings of one method as METHOD.NAME=VALUE: its hyperparameters, lr and teacher_lr; such as kdgan.alpha=0.3."""
    settings: Path | None = None
    """tuned.json of kdgan tune: the settings of each method; --set comes on top."""
    out: Path | None = None
    """Folder of the comparison. Default: runs/compare-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.experiments.comparison import Comparison, Variant, compare, facts
        from kdgan.experiments.tuned import read_tuned
        from kdgan.training.display import console

        methods = method_names(self.methods)
        if self.seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {self.seeds}")
        tuned = {} if self.settings is None else read_tuned(self.settings)
        hyper = {method: tuned.get(method, {}) for method in methods}
        for name, value in settings_of(self.set).items():
            method, dot, key = name.partition(".")
            if not dot or method not in methods:
                raise UsageError(f"--set {name}: write METHOD.NAME=VALUE with one of {', '.join(methods)}")
            hyper[method][key] = value
        base, machine = plan(self.data, self.training, methods[0])
        variants = {method: Variant.of(method, hyper[method]) for method in methods}
        comparison = Comparison(base, variants, range(self.seeds))
        out = self.out or Path("runs") / f"compare-{Path(self.data.data).stem}"
        compared = compare(
            comparison,
            machine,
            out,
            workers=workers_on(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            facts=facts(comparison, machine, shlex.join(["kdgan", *sys.argv[1:]])),
        )
        print(f"report: {out / 'report.html'}   results: {out / 'results.csv'}")  # noqa: T201
        say_failed(compared.failures)


@dataclass(frozen=True)
class Tune:
    """Search settings for each method with the same number of trials, on validation data of other seeds.

    Writes tuned.json for kdgan compare --settings. The same command again continues; a higher --trials adds some.
    """

    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    methods: str | None = None
    """Which, joined with commas. Default: those of the cell, or all but codis3."""
    cell: str | None = None
    """A cell of kdgan reproduce table1, such as mnist-100, or of table2, popular or random: its methods and
    configuration, in place of --data."""
    photos: tyro.conf.OmitArgPrefixes[PhotoOptions] = dataclasses.field(default_factory=PhotoOptions)
    trials: int = 12
    """Of each method; the first is its defaults, the second what is known of it."""
    known: Path | None = None
    """Settings of an earlier search, or found by hand, as in a tuned.json. Default: a cell's frozen settings."""
    seeds: int = 2
    """Of each trial; they are numbered from 100, so that no reported seed is used."""
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    out: Path | None = None
    """Folder of the search. Default: runs/tune-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        try:
            from kdgan.experiments.tuning import tune
        except ModuleNotFoundError as error:
            raise UsageError("kdgan tune needs Optuna: pip install 'kdgan[tune]'") from error
        from kdgan.paper import table1, table2
        from kdgan.experiments.tuned import read_tuned, settings
        from kdgan.training.display import console

        if self.seeds < 1 or self.trials < 1:
            raise UsageError("--trials and --seeds must be at least 1")
        if self.cell is None:
            self.photos.unused("--data")
            methods, known = method_names(Compare.methods if self.methods is None else self.methods), {}
            config, machine = plan(self.data, self.training, methods[0])
        else:
            machine, changes = machine_of(self.training, self.data.data_dir), changes_of(self.training)
            known = settings({**table1.TUNED, **table2.TUNED}.get(self.cell))
            if self.cell in table2.CELLS:
                table = self.photos.table_for(self.cell)
                methods, config = list(table2.METHODS), table2.base(table, self.cell)
                changes |= self.photos.fields()
            else:
                methods, config = list(table1.METHODS), table1.base(self.cell)
                self.photos.unused(self.cell)
            if self.methods is not None:
                chosen, methods = methods, method_names(self.methods)
                for method in methods:
                    if method not in chosen:
                        raise UsageError(
                            f"--methods: {method} is not in {self.cell}, which has {', '.join(chosen)}"
                        )
            config = dataclasses.replace(config, **changes, evaluations=1)
        if self.known is not None:
            known |= read_tuned(self.known)
        name = self.cell or Path(self.data.data).stem
        found = tune(
            config,
            methods,
            machine,
            self.out or Path("runs") / f"tune-{name}",
            trials=self.trials,
            seeds=self.seeds,
            workers=workers_on(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            known=known,
        )
        print(f"settings: {found}")  # noqa: T201


@dataclass(frozen=True)
class Reproduce:
    """Carry out one of the paper's experiments, or what its reviewers asked for, from frozen settings.

    The same command again continues where it stopped, on another machine too if it gets the folder --out.
    """

    study: Annotated[str, tyro.conf.Positional]
    """table1, table2, figure3a, figure3b, figure4, figure5, figure7, samples, sizes, ablations or judges."""
    cells: str | None = None
    """Parts of the study joined with commas, such as mnist-100,mnist-1000. Default: all."""
    seeds: int | None = None
    """How many. Default: the study's own number, such as 10 for the tables."""
    first_seed: int = 0
    """The first of them. Seeds that nothing was decided by are worth more than those that were looked at before."""
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    data_dir: Path | None = None
    """Folder with the files of mnist and cifar10; without it they are downloaded once."""
    photos: tyro.conf.OmitArgPrefixes[PhotoOptions] = dataclasses.field(default_factory=PhotoOptions)
    workers: int | None = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    out: Path = Path("runs/reproduce")
    """Holds runs, which studies share, and reports. Several commands may work in it at a time."""
    results: Path = Path("results")
    """Gets the raw figures: STUDY/CELL.csv and the like."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.tasks.presets import FIRST_SEED
        from kdgan.paper.reproduce import find, reproduce
        from kdgan.paper.table2 import CELLS, SEEDS
        from kdgan.paper.tag_studies import reproduce_tags
        from kdgan.paper.work import Work
        from kdgan.training.display import console

        chosen = None if self.cells is None else tuple(names_in(self.cells))
        on_photos = self.study in SEEDS
        if on_photos:
            table = self.photos.table_for(self.study)
            cells, usual = CELLS, SEEDS[self.study]
        else:
            study = find(self.study, chosen or ())
            self.photos.unused(self.study)
            cells, usual = study.cells, study.seeds
        seeds = usual if self.seeds is None else self.seeds
        if seeds < 1:
            raise UsageError(f"--seeds must be at least 1, not {seeds}")
        chosen_seeds = range(self.first_seed, self.first_seed + seeds)
        if not 0 <= chosen_seeds[0] <= chosen_seeds[-1] < FIRST_SEED:
            raise UsageError(
                f"seeds must be in 0 to {FIRST_SEED - 1}, as those from {FIRST_SEED} up are for kdgan tune: "
                f"got {chosen_seeds[0]} to {chosen_seeds[-1]}"
            )
        machine = machine_of(self.training, self.data_dir)
        work = Work(
            machine,
            self.out,
            self.results,
            changes={**changes_of(self.training), **(self.photos.fields() if on_photos else {})},
            workers=workers_on(self.workers, machine),
            threads=self.training.threads,
            console=console(),
            command=["kdgan", *sys.argv[1:]],
        )
        if on_photos:
            failures = reproduce_tags(self.study, table, chosen or cells, chosen_seeds, work)
        else:
            failures = reproduce(self.study, chosen or cells, chosen_seeds, work)
        print(f"reports: {self.out / self.study}   results: {self.results / self.study}")  # noqa: T201
        say_failed(failures)
