"""`kdgan evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kdgan.cli.options import File, beside_accuracy


@dataclass(frozen=True)
class Evaluate:
    """Measure the student of a finished run on the test data of its configuration."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the run (--out of kdgan train, or one of OUT/runs of kdgan compare and kdgan tags compare)."""
    data_dir: File = None
    """Folder with the files of mnist or cifar10, as in training."""
    trust: bool = False
    """Import what the run's configuration names, its own metrics and network: importing runs code."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.ship.forms import form_of
        from kdgan.tasks.evaluate import evaluate_run
        from kdgan.training.devices import find_device
        from kdgan.training.execution import Execution

        found = evaluate_run(
            self.folder, Execution(find_device(self.device), self.data_dir), trust=self.trust
        )
        trivial = beside_accuracy(found.trivial)
        metrics = ", ".join(
            f"{name} {form_of(name).with_unit(value)}" for name, value in found.metrics.items()
        )
        print(  # noqa: T201
            f"{metrics} (of {found.examples:,} test examples{trivial}; {found.parameters:,} parameters, "
            f"{found.config.data.title}, {found.config.method})"
        )
