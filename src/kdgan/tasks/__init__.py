"""Tasks: classes and tags, from a configuration to an outcome."""

from kdgan.tasks.config import ClassesData, Config, TagsData
from kdgan.tasks.evaluate import evaluate_run
from kdgan.tasks.run import Outcome, run_of

__all__ = ["ClassesData", "Config", "Outcome", "TagsData", "evaluate_run", "run_of"]
