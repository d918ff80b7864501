"""`kdgan tags compare`: `kdgan compare` with another task."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

from kdgan.cli.compare import carry_out
from kdgan.cli.executor import ExecutorOptions
from kdgan.cli.options import MethodsOptions, TagsOptions, TrainingOptions
from kdgan.cli.parsing import names_in
from kdgan.errors import one_line, wrong


@dataclass(frozen=True)
class CompareTags:
    """Compare all methods, and baselines that see the photo alone, in recommending tags.

    Without options of data but --no-text: generated scenes, of which 200 have tags and all have text. Prints a table
    and writes report.html and results.csv. The same command again continues where it stopped.
    """

    data: tyro.conf.OmitArgPrefixes[TagsOptions] = dataclasses.field(default_factory=TagsOptions)
    training: tyro.conf.OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    compared: tyro.conf.OmitArgPrefixes[MethodsOptions] = dataclasses.field(
        default_factory=lambda: MethodsOptions(seeds=3)
    )
    baselines: str = "knn,tprop,tfeat,rexmp"
    """Methods without a network, joined with commas; may be empty."""
    executor: tyro.conf.OmitArgPrefixes[ExecutorOptions] = dataclasses.field(default_factory=ExecutorOptions)
    out: Path = Path("runs/tags")
    """Folder of the comparison."""

    def __call__(self) -> None:
        """Carry out the command."""
        from kdgan.tagging.files import check_output
        from kdgan.tasks.config import BASELINES
        from kdgan.tasks.run import task_of
        from kdgan.tasks.tags import Tags

        baselines = names_in(self.baselines)
        for name in baselines:
            if name not in BASELINES:
                raise wrong(f"unknown baseline {name!r}: choose from {', '.join(BASELINES)}")
        for name in ("report.html", "results.csv"):
            check_output(self.out / name)
        data = self.data
        if dataclasses.replace(data, no_text=False) == TagsOptions():
            data = dataclasses.replace(data, labels=200, unlabelled="rest", text_encoder="bag")
        variants = self.compared.variants(baselines, unlabelled=data.unlabelled == "rest")
        execution = self.executor.applied(
            self.training.execution(None, self.compared.workers), self.compared.workers
        )
        config = data.config(self.training, execution)
        if data.embeddings is not None:
            task = task_of(config, None)
            assert isinstance(task, Tags)
            assert task.embeddings is not None
            known, words = len(task.embeddings.places), len(task.data.vocabulary)
            print(one_line(f"{known:,} of {words:,} words of the texts are in {data.embeddings}"))  # noqa: T201
        carry_out(config, variants, self.compared.seeds, execution, self.out, self.training)
