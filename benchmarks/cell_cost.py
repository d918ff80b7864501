"""Cost of a cell of Table 1 or of study "unlabelled": updates, arithmetic and time of every player and method.

    python benchmarks/cell_cost.py cifar10-500 --data-dir DIR --out cell_cost.json

takes the cell with what follows changed as name=value, as `benchmarks/trial.py` does. It makes some updates of each as
the cell does, on the device that there is, and multiplies by how many the cell has. It takes the difference of two
lengths, so that what begins a piece of work is left out, as are evaluations, the reading of data and the graph of
propagated labels. The arithmetic of an update (floating-point operations of products and convolutions, and operations
of torch, each at least a kernel on a GPU) does not depend on the device, so that it bounds the time on another, too:
arithmetic over what that sustains, or operations times what a launch costs, the more.
--out gets the cell beside those that are in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from kdgan.errors import UsageError
from kdgan.experiments.variants import Comparison
from kdgan.files import write_json
from kdgan.paper.cells import CLASSES, REST, cell
from kdgan.paper.studies import TABLE_1
from kdgan.stored import read_json
from kdgan.tasks.config import Config
from kdgan.tasks.presets import FIRST_SEED
from kdgan.tasks.run import NetworkRun
from kdgan.training import Execution
from kdgan.training.devices import find_device
from kdgan.training.self_training import TEACHERS
from trial import changes

FREE = (
    "view",
    "reshape",
    "detach",
    "t.",
    "transpose",
    "expand",
    "slice",
    "select",
    "unsqueeze",
    "squeeze",
    "alias",
)
"""Operations that move nothing."""


class Operations(TorchDispatchMode):
    """Counts operations of torch that a device has to do, and the arithmetic of products and convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.arithmetic = 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.count += not str(function).removeprefix("aten.").startswith(FREE)
        known = flop_registry.get(function.overloadpacket)
        if known is not None:
            self.arithmetic += known(*args, **(kwargs or {}), out_val=result)
        return result


def parts(config: Config, updates: int, execution: Execution) -> dict[str, Any]:
    """What trains each player beforehand, and then the method, for so many updates; nothing is measured."""
    training = replace(
        config.training,
        steps=updates,
        teacher_steps=updates,
        student_pretraining=0.0,
        evaluations=1,
        self_training="none",
    )
    run = NetworkRun(replace(config, training=training), execution)
    trainer = run.trainer
    trainer.measure = trainer.measure_last = None
    others = [role for role in trainer.pretrained if role != "student"]
    return {**{role: partial(trainer.pretrain, role) for role in others}, trainer.name: trainer.play}


def updates_of(what: str, config: Config) -> int:
    """How many updates the cell has of a player beforehand, or of the method.

    Of the latter's some may be of C on the labels alone, in methods that pretrain it, which is less work.
    """
    training = config.training
    if what == config.method:
        return training.steps
    rounds = config.data.unlabelled is not None and what in TEACHERS and training.self_training != "none"
    return training.teacher_updates + (training.rounds * training.round_updates if rounds else 0)


def counted(work: Callable[[], object]) -> tuple[int, int]:
    """Operations of a piece of work, and its arithmetic."""
    with Operations() as found:
        work()
    return found.count, found.arithmetic


def timed(work: Callable[[], object], execution: Execution) -> float:
    """Seconds of a piece of work."""
    began = time.perf_counter()
    work()
    if execution.device.type == "cuda":
        torch.cuda.synchronize(execution.device)
    return time.perf_counter() - began


def costs(config: Config, done: set[str], updates: int, execution: Execution) -> list[dict[str, Any]]:
    """The rows of a method: those of players that methods share, unless another had them, and its own."""
    few = 2 * config.training.teacher_every
    updates += -updates % few
    begun, counting, warm, timing = (
        parts(config, count, execution) for count in (few, 2 * few, few, few + updates)
    )
    found = []
    for what, work in begun.items():
        if what in done:
            continue
        done.add(what)
        differences = zip(counted(work), counted(counting[what]), strict=True)
        operations, arithmetic = ((more - less) / few for less, more in differences)
        seconds = -timed(warm[what], execution) + timed(timing[what], execution)
        row = {
            "what": what,
            "updates": updates_of(what, config),
            "operations": operations,
            "gflop": arithmetic / 1e9,
            "ms": 1000 * seconds / updates,
            "images_a_second": config.training.batch * updates / seconds,
        }
        found.append(row)
        shown = (f"{value:.3f}" if isinstance(value, float) else value for value in row.values())
        print(*shown, sep="\t", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", choices=(*CLASSES, *REST))
    parser.add_argument("changes", nargs="*", metavar="name=value")
    parser.add_argument("--methods", nargs="+", default=TABLE_1, choices=(*TABLE_1, "selftrain"))
    parser.add_argument("--updates", type=int, default=20, help="that are timed, of each")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_intermixed_args()
    if given.updates < 1:
        parser.error("--updates must be at least 1")
    torch.set_num_threads(given.threads)
    try:
        device = find_device(given.device)
        execution = Execution(device=device, data_dir=given.data_dir)
        base = cell(given.cell, changes=changes(given.changes))
        variants = {name: base.variant(name) for name in given.methods}
        runs = Comparison(base.base, variants, [FIRST_SEED]).runs()
        done: set[str] = set()
        rows = [row for run in runs.values() for row in costs(run, done, given.updates, execution)]
    except UsageError as error:
        parser.error(str(error))
    except TypeError as error:
        parser.error(f"{error}: name=value is of a field of kdgan.tasks.Config or kdgan.training.Training")
    seconds = sum(row["updates"] * row["ms"] / 1000 for row in rows)
    arithmetic = sum(row["updates"] * row["gflop"] for row in rows)
    operations = sum(row["updates"] * row["operations"] for row in rows)
    print(
        f"a seed: {seconds:,.0f} s here, {arithmetic / 1000:,.0f} TFLOP, {operations / 1e6:.1f} million operations"
    )
    if given.out:
        before = read_json(given.out) if given.out.exists() else {}
        where = f"cpu, {given.threads} threads" if device.type == "cpu" else given.device
        made = {"changes": given.changes, "device": where, "batch": base.base.training.batch, "rows": rows}
        write_json(given.out, {**before, given.cell: made})


if __name__ == "__main__":
    main()
