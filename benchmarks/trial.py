"""One run by hand, measured on images or photos that are neither trained on nor tested: a look before a study.

    python benchmarks/trial.py mnist-10000 codis --data-dir DIR steps=10000 teacher_lr=0.0005
    python benchmarks/trial.py popular kdgan --table flickr.parquet reader=bag beta=1

starts from a cell of Table 1 or 2 with the frozen settings of the method, changes what follows as name=value, and adds
a row to --csv, in the columns of results/changes. With classes it measures on all of the training part that has no
label there, tens of thousands of images, as a difference of a tenth of a point drowns in a validation set of 5,000;
--images takes fewer, where a network is slow and differences are large.
"""

import argparse
import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from kdgan.data import Batch, load
from kdgan.data.split import balanced_order, scaled
from kdgan.errors import UsageError
from kdgan.methods import hyperparameters
from kdgan.paper import table1, table2
from kdgan.experiments.comparison import Comparison, Variant, run_of
from kdgan.tasks.presets import FIRST_SEED
from kdgan.training.config import Config
from kdgan.tasks.run import Machine, first_of

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
    if given.cell in table2.CELLS:
        comparison = table2.table2(given.table, given.cell, [given.seed], {})
    else:
        comparison = table1.table1(given.cell, [given.seed], {})
    frozen = comparison.variants[given.method]
    own = {**frozen.hyper, **frozen.config, "evaluations": 1, **changes(given.changes)}
    # The control's own smoothing has the name of the one that the configuration has for pretraining.
    shared = {field.name for field in dataclasses.fields(Config)} - set(hyperparameters(given.method))
    variant = Variant(
        given.method,
        {name: value for name, value in own.items() if name not in shared},
        {name: value for name, value in own.items() if name in shared},
    )
    return Comparison(comparison.base, {given.method: variant}, [given.seed]).runs()[given.method, given.seed]


def judged(run: Any, config: Config, images: int | None) -> Batch:
    """What the players are measured on."""
    if config.tags is not None:
        return run.validation_data
    source = load(config.data, data_dir=run.machine.data_dir)
    rest = balanced_order(source.train.targets, config.seed)[config.labels :]
    return scaled(source.train[rest[:images]], run.task.split.scale)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", choices=(*table1.CELLS, *table2.CELLS))
    parser.add_argument("method", choices=table1.METHODS)
    parser.add_argument("changes", nargs="*", metavar="name=value")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="from 100, as seeds below are reported")
    parser.add_argument("--name", help="of the row; what is changed by default")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument(
        "--images", type=int, help="with classes: how many to measure on, balanced; all by default"
    )
    parser.add_argument("--csv", type=Path, default=Path("runs/trials.csv"))
    parser.add_argument("--out", type=Path, default=Path("runs/trials"))
    given = parser.parse_intermixed_args()
    if given.seed < FIRST_SEED:
        parser.error(f"seeds below {FIRST_SEED} are reported and decide nothing")
    if given.cell in table2.CELLS and (given.table is None or given.method not in table2.METHODS):
        parser.error(f"{given.cell} needs --table, and a method of {', '.join(table2.METHODS)}")
    if given.images is not None and given.images < 1:
        parser.error("--images must be at least 1")
    torch.set_num_threads(1)
    try:
        config = configuration(given)
        run = run_of(config, Machine(data_dir=given.data_dir))
    except (UsageError, TypeError) as error:
        parser.error(str(error))
    outcome = run.train(given.out / "runs" / config.name, given.out / "pretrained")
    data = judged(run, config, given.images)
    found = [
        first_of(run.task.measure(run.modules[role], data, role=role)) if role in run.modules else None
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
