"""`kdgan compare`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kdgan.cli.executor import ExecutorOptions
from kdgan.cli.options import (
    ClassesOptions,
    File,
    MethodsOptions,
    TrainingOptions,
    check_failures,
    command_line,
)
from kdgan.errors import one_line

if TYPE_CHECKING:
    from kdgan.experiments.variants import Variant
    from kdgan.tasks.config import Config
    from kdgan.training.execution import Execution


@dataclass(frozen=True)
class Compare:
    """Compare methods on the same data, subsets, views and number of updates, over several seeds.

    Of the bundled digits, unless --labels or --unlabelled says otherwise, 100 have labels, and the others are learned
    from without. Prints a table and writes report.html and results.csv. The same command again continues where it
    stopped.
    """

    data: tyro.conf.OmitArgPrefixes[ClassesOptions] = dataclasses.field(default_factory=ClassesOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    compared: tyro.conf.OmitArgPrefixes[MethodsOptions] = dataclasses.field(default_factory=MethodsOptions)
    executor: tyro.conf.OmitArgPrefixes[ExecutorOptions] = dataclasses.field(default_factory=ExecutorOptions)
    out: File = None
    """Folder of the comparison. Default: runs/compare-DATA."""

    def __call__(self) -> None:
        """Carry out the command."""
        data = self.data
        if data.data == "digits" and data.labels is None and data.unlabelled is None:
            data = dataclasses.replace(data, unlabelled="rest")
        self.compared.variants(unlabelled=True)  # what is wrong is said before the data are read
        execution = self.executor.applied(
            self.training.execution(data.data_dir, self.compared.workers), self.compared.workers
        )
        config = data.config(self.training, execution)
        variants = self.compared.variants(unlabelled=config.data.unlabelled is not None)
        out = self.out or Path("runs") / f"compare-{Path(data.data).stem}"
        carry_out(config, variants, self.compared.seeds, execution, out, self.training)


def carry_out(
    config: Config,
    variants: Mapping[str, Variant],
    seeds: int,
    execution: Execution,
    out: Path,
    training: TrainingOptions,
) -> None:
    """Compares, prints, and says where everything is."""
    from kdgan.experiments.comparison import compare
    from kdgan.experiments.variants import Comparison
    from kdgan.training.display import console

    training.check_use([each.method for each in variants.values()], config)
    comparison = Comparison(config, variants, range(seeds))
    compared = compare(comparison, execution, out, console=console(), command=command_line())
    print(one_line(f"report: {out / 'report.html'}   results: {out / 'results.csv'}"))  # noqa: T201
    check_failures(compared.failures)
