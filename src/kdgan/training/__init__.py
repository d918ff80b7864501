"""One trainer for everything: settings, the loop, checkpoints, resuming, progress, devices."""

from kdgan.training.config import Training
from kdgan.training.execution import Execution
from kdgan.training.trainer import Trained, Trainer

__all__ = ["Execution", "Trained", "Trainer", "Training"]
