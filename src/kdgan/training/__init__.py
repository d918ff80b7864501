"""One loop for every method: run, evaluate, checkpoint, resume, progress, devices."""

from kdgan.training.config import Config
from kdgan.tasks.run import Machine, Outcome, Run
from kdgan.ship.student import Student

__all__ = ["Config", "Machine", "Outcome", "Run", "Student"]
