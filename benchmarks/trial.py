"""One run by hand, measured on images or photos that are neither trained on nor tested: a look before a study.

    python benchmarks/trial.py mnist-10000 codis --data-dir DIR steps=10000 teacher_lr=0.0005
    python benchmarks/trial.py popular kdgan --table flickr.parquet --text-encoder bag beta=1

starts from a cell of Table 1, Table 2 or study "unlabelled" with the frozen settings of the method, changes what
follows as name=value, and adds a row to --csv, in the columns of results/changes. With classes it measures on all of
the training part that has no label there, tens of thousands of images, as a difference of a tenth of a point drowns
in a validation set of 5,000; --images takes fewer, where a network is slow and differences are large. Where those
without a label are learned from, it measures on validation images.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import torch

from kdgan.data import Batch
from kdgan.data.split import balanced_order, scaled
from kdgan.errors import UsageError
from kdgan.experiments.variants import Comparison
from kdgan.paper.cells import CLASSES, PHOTOS, PHOTOS_REST, REST, cell, of_photos
from kdgan.paper.studies import TABLE_1, TABLE_2
from kdgan.tasks.classes import Classes
from kdgan.tasks.config import BASELINES, Config
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import NetworkRun, data_of
from kdgan.training import Execution
from kdgan.training.devices import slow_in

COLUMNS = ("change", "seed", "validation_accuracy", "teacher_validation_accuracy", "seconds")


def changes(words: list[str]) -> dict[str, Any]:
    """What `name=value` says; a value is JSON where it can be read as such."""
    found: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def configuration(given: argparse.Namespace) -> Config:
    """The run's."""
    photos = {"source": str(given.table), "text_encoder": given.text_encoder} if given.table else None
    base = cell(given.cell, photos)
    if given.method == "selftrain" and base.base.data.unlabelled is None:
        raise UsageError(f"selftrain learns from examples without a label, of which {given.cell} has none")
    variant = base.variant(given.method).changed({"evaluations": 1, **changes(given.changes)})
    runs = Comparison(base.base, {given.method: variant}, [given.seed]).runs()
    return runs[given.method, given.seed]


def judged(run: NetworkRun, config: Config, images: int | None) -> Batch:
    """What the players are measured on."""
    if not isinstance(run.task, Classes) or run.task.unlabelled is not None:
        return run.validation
    source = data_of(config, run.execution.data_dir)
    rest = balanced_order(source.train.targets, config.seed)[len(run.task.train) :]
    return scaled(source.train[rest[:images]], run.task.split.scale)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", choices=(*CLASSES, *REST, *PHOTOS, *PHOTOS_REST))
    parser.add_argument("method", choices=(*TABLE_1, "selftrain"))
    parser.add_argument("changes", nargs="*", metavar="name=value")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="from 100, as seeds below are reported")
    parser.add_argument("--name", help="of the row; what is changed by default")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--text-encoder", default="bag", choices=("lstm", "bag"))
    parser.add_argument(
        "--images", type=int, help="with classes: how many to measure on, balanced; all by default"
    )
    parser.add_argument("--csv", type=Path, default=Path("runs/trials.csv"))
    parser.add_argument("--out", type=Path, default=Path("runs/trials"))
    given = parser.parse_intermixed_args()
    if given.seed < FIRST_SEED:
        parser.error(f"seeds below {FIRST_SEED} are reported and decide nothing")
    methods = [method for method in (*TABLE_2, "selftrain") if method not in BASELINES]
    if of_photos(given.cell) and (given.table is None or given.method not in methods):
        parser.error(f"{given.cell} needs --table, and a method of {', '.join(methods)}")
    if given.images is not None and (given.images < 1 or given.cell not in CLASSES):
        parser.error("--images must be at least 1, and is for the cells of Table 1 with classes")
    torch.set_num_threads(1)
    try:
        config = configuration(given)
        if note := slow_in(config.training.precision, torch.device("cpu")):
            print(f"{note}, with precision=float32", file=sys.stderr)
        run = NetworkRun(config, Execution(data_dir=given.data_dir))
    except UsageError as error:
        parser.error(str(error))
    except TypeError as error:
        parser.error(f"{error}: name=value is of a field of kdgan.tasks.Config or kdgan.training.Training")
    outcome = run.train(given.out / "runs" / config.name, given.out / "pretrained")
    data = judged(run, config, given.images)
    primary = run.task.metrics[0]
    found = [
        run.task.measure(run.modules[role], data, role=role)[primary] if role in run.modules else None
        for role in ("student", "teacher")
    ]
    row = [given.name or " ".join([given.method, *given.changes]), given.seed, *found, outcome.seconds]
    given.csv.parent.mkdir(parents=True, exist_ok=True)
    new = not given.csv.exists()
    with given.csv.open("a", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([COLUMNS, row] if new else [row])
    print(*row, sep="\t")


if __name__ == "__main__":
    main()
