"""`kdgan train`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

from kdgan.cli.options import ClassesOptions, Settings, TrainingOptions, beside_accuracy, primary
from kdgan.cli.parsing import settings_of


@dataclass(frozen=True)
class Train:
    """Train one student with one method. The same command again continues where it stopped."""

    out: Path
    """Folder of the run; student.safetensors and result.json are in it when it is done."""
    method: str = "kdgan"
    """supervised, distn, mimic, noisy, codis, codis3, nagan, kdgan, or selftrain, which needs examples without labels;
    or module:Class of your own."""
    data: tyro.conf.OmitArgPrefixes[ClassesOptions] = dataclasses.field(default_factory=ClassesOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    seed: int = 0
    """Seed of subset, initial weights, order, views and samples."""
    set: Settings = ()
    """Hyperparameters of the method as NAME=VALUE, such as alpha=0.3 beta=2."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.interrupt import stop_on_signal
        from kdgan.ship.forms import form_of
        from kdgan.tasks.run import run_of
        from kdgan.tasks.sources import notes_of, read
        from kdgan.training.config import bind_folder
        from kdgan.training.devices import deterministic
        from kdgan.training.display import training_bars

        execution = self.training.execution(self.data.data_dir)
        config = self.data.config(self.training, execution)
        self.training.check_use([self.method], config.data.unlabelled is not None)
        deterministic(self.training.threads)
        config = dataclasses.replace(config, method=self.method, seed=self.seed, hyper=settings_of(self.set))
        with training_bars() as progress, stop_on_signal() as stop:
            execution = dataclasses.replace(execution, progress=progress, stop=stop)
            run = run_of(config, execution)
            bind_folder(
                self.out, "config.json", config.identity()
            )  # what is wrong is said before anything else
            for note in notes_of(config, execution.data_dir):
                print(f"{self.data.data}: {note}")  # noqa: T201
            read.cache_clear()  # the run has what it needs
            outcome = run.train(self.out, self.out / "pretrained")
        name, value = primary(outcome.metrics)
        shown = f"{'' if name == 'accuracy' else f'{name} '}{form_of(name).with_unit(value)}"
        taught = outcome.metrics.get(f"teacher/{name}")
        teacher = "" if taught is None else f", teacher {form_of(name).with_unit(taught)}"
        print(  # noqa: T201
            f"{self.method}: student {shown} on test data{teacher}"
            f"{beside_accuracy(outcome.metrics)}; "
            f"{outcome.student_parameters:,} parameters, {outcome.seconds:.0f} s\n"
            f"student: {self.out / 'student.safetensors'}"
        )
