"""`kdgan train`."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kdgan.cli.options import (
    ClassesOptions,
    Count,
    Settings,
    TrainingOptions,
    beside_accuracy,
    primary,
)
from kdgan.cli.parsing import settings_of

if TYPE_CHECKING:
    import torch

    from kdgan.tasks.run import Outcome


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
    devices: Count = None
    """Devices that share each batch: GPUs, or processes on the CPU, of this machine and of each other that a scheduler
    has started the command on. Needs kdgan[scale]; see docs/scale.md. Default: 1, or what torchrun has started."""
    seed: int = 0
    """Seed of subset, initial weights, order, views and samples."""
    set: Settings = ()
    """Hyperparameters of the method as NAME=VALUE, such as alpha=0.3 beta=2."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.methods.sharing import is_first
        from kdgan.training.launch import command_of, launch

        shared = launch(self.devices, self.training.device)
        with command_of(shared):
            outcome = self._train(None if shared is None else shared.device)
            if is_first():
                self._show(outcome)

    def _train(self, device: torch.device | None) -> Outcome:
        """The run; its device is another than the options say where several share it."""
        from kdgan.interrupt import stop_on_signal
        from kdgan.methods.sharing import at_first, is_first
        from kdgan.tasks.run import run_of
        from kdgan.tasks.sources import notes_of, read
        from kdgan.training.config import bind_folder
        from kdgan.training.devices import deterministic
        from kdgan.training.display import Shown, training_bars

        execution = self.training.execution(self.data.data_dir)
        if device is not None:
            execution = dataclasses.replace(execution, device=device)
        config = at_first(lambda: self.data.config(self.training, execution))
        self.training.check_use([self.method], config)
        deterministic(self.training.threads)
        config = dataclasses.replace(config, method=self.method, seed=self.seed, hyper=settings_of(self.set))
        bars = training_bars() if is_first() else nullcontext(Shown())
        with bars as progress, stop_on_signal() as stop:
            execution = dataclasses.replace(execution, progress=progress, stop=stop)
            run = run_of(config, execution)
            # What is wrong is said before anything else.
            at_first(lambda: bind_folder(self.out, "config.json", config.identity()))
            for note in notes_of(config, execution.data_dir) if is_first() else ():
                print(f"{self.data.data}: {note}")  # noqa: T201
            read.cache_clear()  # the run has what it needs
            return run.train(self.out, self.out / "pretrained")

    def _show(self, outcome: Outcome) -> None:
        from kdgan.ship.forms import form_of

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
