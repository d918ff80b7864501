"""`kdgan reproduce`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from kdgan.cli.executor import ExecutorOptions
from kdgan.cli.options import (
    Count,
    File,
    Names,
    PhotosOptions,
    TrainingOptions,
    check_failures,
    typed,
)
from kdgan.cli.parsing import at_least_one
from kdgan.errors import UsageError

if TYPE_CHECKING:
    from kdgan.experiments.study import Cell


@dataclass(frozen=True)
class Reproduce:
    """Carry out one of the paper's experiments, or what its reviewers asked for, from frozen settings.

    The same command again continues where it stopped, on another machine too if it gets the folder --out.
    """

    study: Annotated[str, tyro.conf.Positional]
    """table1, table2, unlabelled, figure3a, figure3b, figure4, figure5, figure7, samples, sizes, ablations, oracle or
    distribution."""
    cells: Names = None
    """Parts of the study joined with commas, such as mnist-100,mnist-1000. Default: all."""
    variants: Names = None
    """Rows of the study joined with commas, such as supervised,distn, where not all are wanted. Default: all."""
    seeds: Count = None
    """Number of seeds. Default: the study's own number, such as 10 for the tables."""
    first_seed: int = 0
    """The first of them. Seeds that nothing was decided by are worth more than those that were looked at before."""
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    data_dir: File = None
    """Folder with the files of mnist and cifar10; without it they are downloaded once."""
    photos: tyro.conf.OmitArgPrefixes[PhotosOptions] = dataclasses.field(default_factory=PhotosOptions)
    workers: Count = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    executor: tyro.conf.OmitArgPrefixes[ExecutorOptions] = dataclasses.field(default_factory=ExecutorOptions)
    out: Path = Path("runs/reproduce")
    """Holds runs, which studies share, and reports. Several commands may work in it at a time."""
    results: Path = Path("results")
    """Gets the raw figures: STUDY/CELL.csv and the like."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.experiments.study import Places, carry_out
        from kdgan.paper.cells import of_photos
        from kdgan.paper.studies import GAME, find
        from kdgan.tasks.presets import FIRST_SEED
        from kdgan.training.display import console

        chosen = [] if self.cells is None else at_least_one("--cells", self.cells)
        study = find(self.study, chosen)
        if self.variants is not None:
            study = study.only(at_least_one("--variants", self.variants))
        if not any(map(of_photos, study.cells)):
            self.photos.unused(self.study)
        many = study.seeds if self.seeds is None else self.seeds
        if many < 1:
            raise UsageError(f"--seeds must be at least 1, not {many}")
        seeds = range(self.first_seed, self.first_seed + many)
        if not 0 <= seeds[0] <= seeds[-1] < FIRST_SEED:
            raise UsageError(
                f"seeds must be in 0 to {FIRST_SEED - 1}, as those from {FIRST_SEED} up are for kdgan tune: "
                f"got {seeds[0]} to {seeds[-1]}"
            )
        execution = self.executor.applied(self.training.execution(self.data_dir, self.workers), self.workers)
        cells = [self.training.cell(name, self.photos, execution) for name in chosen or study.cells]
        failures = carry_out(
            self.study,
            study,
            [_with_data(each, self.data_dir) for each in cells],
            seeds,
            execution,
            Places(self.out, self.results),
            console=console(),
            command=typed(),
            lead=[GAME],
        )
        print(f"reports: {self.out / self.study}   results: {self.results / self.study}")  # noqa: T201
        check_failures(failures)


def _with_data(cell: Cell, data_dir: Path | None) -> Cell:
    """The cell, its configuration with a hash of what is in `data_dir`."""
    from kdgan.data.reading import BUNDLED
    from kdgan.tasks.config import ClassesData
    from kdgan.tasks.sources import identified

    data = cell.base.data
    if not isinstance(data, ClassesData) or data.source in BUNDLED:
        return cell
    return dataclasses.replace(cell, base=dataclasses.replace(cell.base, data=identified(data, data_dir)[0]))
