"""A run without a network: what recommends tags from the photo alone, fitted on the same photos of the same seed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from kdgan.errors import UsageError
from kdgan.references import find_object
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.run import Outcome, Run, likeliest, task_of
from kdgan.tasks.tags import Tags
from kdgan.training.execution import Execution


class BaselineRun(Run):
    """A run of one of `kdgan.tagging`'s baselines, on the CPU.

    Args:
        config: its `hyper` are arguments of the baseline.
        execution: where its data are.

    Raises:
        UsageError: if the configuration does not fit the data.
    """

    def __init__(self, config: Config, execution: Execution) -> None:
        self.config, self.execution = config, execution
        task = task_of(config, execution.data_dir)
        assert isinstance(task, Tags), "a configuration has baselines for tags alone"
        self.task = self.tags = task
        self.metrics = task.measured
        try:
            self.baseline: Any = find_object(BASELINES[config.method])(**config.hyper)
        except TypeError as error:
            raise UsageError(f"baseline {config.method}: {error}") from error

    def carry_out(self, folder: Path, pretrained: Path) -> Outcome:
        """Fits and measures."""
        data, began = self.tags.data, time.perf_counter()
        train, test = data.rows["train"], data.rows["test"]
        self.baseline.fit(data.features[train], data.targets[train])
        seconds = time.perf_counter() - began
        scores = torch.as_tensor(self.baseline.scores(data.features[test]))
        return Outcome(
            metrics=self.task.measured_from(scores, self.task.test.targets),
            labels=len(train),
            unlabelled=self.task.count_unlabelled,
            seconds=round(seconds, 3),
            examples=likeliest(scores[: self.task.count_shown], self.task),
        )
