"""A method of one's own whose runs wait for each other half-way, and then for what happens to a machine."""

import os
import time
from pathlib import Path

from kdgan.data.batch import Batch
from kdgan.methods import Losses
from kdgan.methods.supervised import Supervised

MET = "met"
"""File in the folder of the command that says: go on."""


class Patient(Supervised):
    """Trains on the labels."""

    name = "patient"
    description = "Waits."

    def step(self, batch: Batch, progress: float) -> Losses:
        """One step; from the middle on one that waits first."""
        until = time.monotonic() + 120
        if progress >= 0.5 and not Path(MET).exists():
            Path(f"waiting-{os.getpid()}").touch()
            while not Path(MET).exists():
                assert time.monotonic() < until
                time.sleep(0.05)
        return super().step(batch, progress)
