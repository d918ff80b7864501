"""`kdgan shrink`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kdgan.cli.executor import ExecutorOptions
from kdgan.cli.options import MOST_SEEDS, ClassesOptions, Count, File, Name, Number, Settings, TrainingOptions
from kdgan.cli.parsing import settings_of
from kdgan.errors import UsageError, wrong

if TYPE_CHECKING:
    from kdgan.experiments.shrinking import Goal
    from kdgan.experiments.variants import Variant
    from kdgan.tasks.config import Config
    from kdgan.training.execution import Execution


@dataclass(frozen=True)
class Shrink:
    """Find the smallest student that holds what is asked, by a race of widths on validation data.

    Prints the frontier, and writes it as frontier.png and shrunk.json beside the chosen student, which alone is
    measured on test data. The same command again continues where it stopped.
    """

    data: tyro.conf.OmitArgPrefixes[ClassesOptions] = dataclasses.field(default_factory=ClassesOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    run: File = None
    """Folder of a run: its data, teacher, method and settings, in place of those above. Its student is the widest."""
    method: str = "mimic"
    """Method that trains all students."""
    also: Name = None
    """Network of another form whose widths are tried, too, such as lenet-20-50-500; none tries no other. Default: the
    teacher's, where it has widths and a student can be of its form."""
    set: Settings = ()
    """Hyperparameters of the method as NAME=VALUE."""
    within: Number = None
    """Points by which the student may fall behind the widest on validation data. Default: 0.5."""
    least: Number = None
    """Value of the first metric on validation data that must hold, in place of --within."""
    parameters: Count = None
    """Numbers that the student may have: the best within is found, in place of the smallest."""
    milliseconds: Number = None
    """Time that one instance may take on this machine, likewise."""
    seeds: int = 2
    """Seeds of each student in each round; they are numbered from 100, so that no reported seed is used."""
    workers: Count = None
    """Processes at a time. Default: one for each core on the CPU, one on a GPU."""
    executor: tyro.conf.OmitArgPrefixes[ExecutorOptions] = dataclasses.field(default_factory=ExecutorOptions)
    out: Path = Path("runs/shrink")
    """Folder of the race."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.experiments.shrinking import shrink
        from kdgan.ship.forms import form_of
        from kdgan.training.display import console

        goal = self._goal()
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise UsageError(f"--seeds must be from 1 to {MOST_SEEDS:,}, not {self.seeds}")
        execution = self.executor.applied(
            self.training.execution(self.data.data_dir, self.workers), self.workers
        )
        base, method = self._base(execution)
        terminal = console()
        found = shrink(
            base,
            method,
            goal,
            execution,
            self.out,
            seeds=self.seeds,
            console=terminal,
            also=self._other_form(base),
        )
        terminal.print(found.terminal())
        form = form_of(found.metric)
        if found.chosen is None:
            bound = "" if found.bound is None else f" ({form.with_unit(found.bound)} on validation data)"
            raise UsageError(f"no student that went into the last round holds what was asked{bound}")
        widest = found.candidates[0]
        print(  # noqa: T201
            f"{found.chosen.network}: {found.chosen.parameters:,} of {widest.parameters:,} parameters, "
            f"{found.chosen.milliseconds:.3f} ms in place of {widest.milliseconds:.3f}, "
            f"{found.metric} {form.with_unit(found.test[found.metric])} on test data\n"
            f"student: {self.out / 'student.safetensors'}"
        )

    def _other_form(self, base: Config) -> str | None:
        """The network whose widths are tried beside the student's."""
        from kdgan.experiments.shrinking import has_widths

        if self.also is not None:
            return None if self.also == "none" else self.also
        if base.data.kind != "classes" or not has_widths(base.teacher):
            return None
        return None if base.teacher.partition("-")[0] == base.student.partition("-")[0] else base.teacher

    def _goal(self) -> Goal:
        from kdgan.experiments.shrinking import Goal

        bounds = [name for name in ("least", "parameters", "milliseconds") if getattr(self, name) is not None]
        if self.within is not None and bounds:
            raise UsageError(f"--within and --{bounds[0]} both say what must hold: give one of them")
        if self.least is not None and len(bounds) > 1:
            raise UsageError(f"--least and --{bounds[1]} both say what must hold: give one of them")
        return Goal(self.within, self.least, self.parameters, self.milliseconds)

    def _base(self, execution: Execution) -> tuple[Config, Variant]:
        """The configuration whose student is the widest, and the method."""
        from kdgan.experiments.variants import Variant

        if self.run is None:
            config = self.data.config(self.training, execution)
            self.training.check_use([self.method], config)
            return config, Variant.of(self.method, settings_of(self.set))

        from kdgan.references import is_reference
        from kdgan.ship.forms import bare
        from kdgan.stored import read_json
        from kdgan.tasks.config import from_plain

        data = dataclasses.replace(self.data, data_dir=None)
        if self.set or self.method != "mimic" or self.training.changes() or data != ClassesOptions():
            raise UsageError("data, method and settings are those of --run: leave other options for them out")
        if not (self.run / "config.json").is_file():
            raise wrong(
                f"--run {self.run} is no folder of a run: expected the --out of kdgan train, or OUT/runs/..."
            )
        config = from_plain(read_json(self.run / "config.json", dict[str, Any]))
        networks = (config.student, config.teacher, config.discriminator)
        named = (config.method, *networks, config.probe, *map(bare, config.metrics))
        own = [name for name in named if is_reference(name)]
        if own:
            raise UsageError(
                f"{self.run} has {own[0]}, of your own, which no file imports: give options in place of --run"
            )
        return dataclasses.replace(config, seed=0), Variant(config.method, config.hyper)
