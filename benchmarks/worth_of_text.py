"""What a teacher that reads can tell a student of photos at most, beside what more students can tell.

    python benchmarks/worth_of_text.py popular --table flickr.parquet --csv runs/tags-popular-text.csv

On validation photos of seeds from 100, with the frozen settings of the control in Table 2. Students differ in their
targets alone, (1 − w)·labels + w·p_T, where T has learned the photo's labels, or has not: then it was fitted on the
other four fifths of the photos. Beside them, what the mean of students from other initial weights is worth.
"""

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.data.feed import TensorFeed
from kdgan.data.seeds import mixed
from kdgan.errors import UsageError
from kdgan.experiments.variants import Comparison
from kdgan.files import replacing
from kdgan.methods import CONTROL, pretraining
from kdgan.paper.cells import PHOTOS, cell
from kdgan.tasks.config import Config
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import NetworkRun
from kdgan.training import Execution
from kdgan.training.evaluate import logits_of
from kdgan.training.loop import Loop

WEIGHTS = (0.15, 0.3, 0.6)
FOLDS, STUDENTS = 5, 3


class Photos:
    """Students and teachers on the photos of one seed.

    Args:
        config: of the control.
    """

    def __init__(self, config: Config) -> None:
        self.run = NetworkRun(config, Execution())
        self.config, self.train, self.validation = config, self.run.task.train, self.run.validation

    def network(self, role: str, number: int) -> nn.Module:
        """A player with initial weights of its own."""
        with torch.random.fork_rng():
            torch.manual_seed(mixed(self.config.seed, role, "weights", number))
            return self.run.task.build(self.config.network(role), role)

    def taught(self, role: str, number: int, data: Batch) -> nn.Module:
        """Such a player, trained on the labels of `data`."""
        config, training, module = self.config, self.config.training, self.network(role, number)
        student = role == "student"
        method = pretraining(
            role,
            module,
            optimization=(training.optimization if student else training.pretraining_optimization)(role),
            smoothing=config.hyper["smoothing"] if student else training.smoothing,
            seed=mixed(config.seed, role, number),
        )
        feed = TensorFeed(
            data, training.batch, seed=mixed(config.seed, number), augment=self.run.task.augment
        )
        torch.manual_seed(mixed(config.seed, role, "run", number))
        steps = training.steps if student else training.teacher_steps
        Loop(method, feed, steps, torch.device("cpu"), bfloat16=training.precision == "bfloat16").run()
        return module

    def student(self, number: int, targets: Tensor) -> Tensor:
        """What a student of these targets `(N, K)` says of the validation photos, `(V, K)`."""
        return logits_of(
            self.taught("student", number, replace(self.train, targets=targets)), self.validation
        )

    def learned(self) -> Tensor:
        """Labels of training photos `(N, K)` by a T that was trained on them."""
        return logits_of(self.taught("teacher", 0, self.train), self.train, role="teacher").softmax(1)

    def unseen(self) -> Tensor:
        """Labels of training photos `(N, K)` by T's that were trained on the others."""
        generator = torch.Generator().manual_seed(mixed(self.config.seed, "folds"))
        fold = torch.randperm(len(self.train), generator=generator) % FOLDS
        found = torch.empty_like(self.train.targets)
        for number in range(FOLDS):
            teacher = self.taught("teacher", number, self.train[fold != number])
            found[fold == number] = logits_of(teacher, self.train[fold == number], role="teacher").softmax(1)
        return found

    def measured(self, logits: Tensor) -> float:
        """MAP in %."""
        return self.run.task.metrics_of(logits, self.validation.targets)["MAP"]


def rows(photos: Photos) -> list[list[Any]]:
    """What was changed, and the MAP of students with it, in %: of the first, or of their mean."""
    labels = photos.train.targets
    plain = [photos.student(number, labels) for number in range(STUDENTS)]
    together = torch.stack([logits.log_softmax(1) for logits in plain]).mean(0)
    found = [[CONTROL, plain[0]], [f"mean of {STUDENTS} students", together]]
    for name, labelled in (
        ("T that learned them", photos.learned()),
        ("T that did not see them", photos.unseen()),
    ):
        for weight in WEIGHTS:
            targets = (1 - weight) * labels + weight * labelled
            found.append([f"{weight:g} of the target from a {name}", photos.student(0, targets)])
    return [[name, photos.measured(logits)] for name, logits in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", choices=PHOTOS)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--text-encoder", default="bag")
    parser.add_argument("--seeds", type=int, default=3, help="from 100, as seeds below are reported")
    parser.add_argument("--csv", type=Path, default=Path("runs/worth-of-text.csv"))
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    torch.set_num_threads(1)
    found: list[list[Any]] = []
    for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
        began = time.perf_counter()
        try:
            photos = cell(given.cell, {"source": str(given.table), "text_encoder": given.text_encoder})
            runs = Comparison(photos.base, {CONTROL: photos.variant(CONTROL)}, [seed]).runs()
            of_seed = rows(Photos(runs[CONTROL, seed]))
        except UsageError as error:
            parser.error(str(error))
        seconds = round((time.perf_counter() - began) / len(of_seed), 1)
        found += [[name, seed, value, seconds] for name, value in of_seed]
        print(*of_seed, sep="\n", flush=True)
        given.csv.parent.mkdir(parents=True, exist_ok=True)
        with replacing(given.csv) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("change", "seed", "validation_accuracy", "seconds"))
            table.writerows(found)


if __name__ == "__main__":
    main()
