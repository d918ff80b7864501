"""`kdgan train` and `evaluate`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kdgan.cli.options import DataOptions, TrainingOptions, plan, settings_of


@dataclass(frozen=True)
class Train:
    """Train one student with one method. The same command again continues where it stopped."""

    out: Path
    """Folder of the run; student.safetensors and result.json are in it when it is done."""
    method: str = "kdgan"
    """supervised, distn, mimic, noisy, codis, nagan or kdgan."""
    data: tyro.conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    seed: int = 0
    """Of subset, initial weights, order, views and samples."""
    set: tuple[str, ...] = ()
    """Hyperparameters of the method as NAME=VALUE, such as alpha=0.3 beta=2."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.training.devices import deterministic
        from kdgan.training.display import training_bars
        from kdgan.training.interrupt import stop_on_signal
        from kdgan.tasks.run import Run

        config, machine = plan(self.data, self.training, self.method)
        deterministic(self.training.threads)
        config = dataclasses.replace(config, seed=self.seed, hyper=settings_of(self.set))
        with training_bars() as progress, stop_on_signal() as stop:
            machine = dataclasses.replace(machine, progress=progress, stop=stop)
            outcome = Run(config, machine).train(self.out, self.out / "pretrained")
        teacher = "" if outcome.teacher_accuracy is None else f", teacher {outcome.teacher_accuracy:.2f} %"
        print(  # noqa: T201
            f"{self.method}: student {outcome.student_accuracy:.2f} % on test data{teacher}; "
            f"{outcome.student_parameters:,} parameters, {outcome.seconds:.0f} s\n"
            f"student: {self.out / 'student.safetensors'}"
        )


@dataclass(frozen=True)
class Evaluate:
    """Measure the student of a finished run on the test data of its configuration."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the run (--out of kdgan train, or one of OUT/runs of kdgan compare)."""
    data_dir: Path | None = None
    """Folder with the files of mnist or cifar10, as in training."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.training.devices import find_device
        from kdgan.tasks.run import evaluate_run

        measured = evaluate_run(self.folder, find_device(self.device), data_dir=self.data_dir)
        print(  # noqa: T201
            f"{measured['accuracy']:.2f} % of {measured['instances']:,} test instances right "
            f"({measured['parameters']:,} parameters, {measured['data']}, {measured['method']})"
        )
