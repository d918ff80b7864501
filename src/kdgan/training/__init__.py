"""One loop for every method: run, evaluate, checkpoint, resume, progress, devices."""

from kdgan.training.config import Config
from kdgan.training.run import Machine, Outcome, Run
from kdgan.training.students import Student

__all__ = ["Config", "Machine", "Outcome", "Run", "Student"]
