"""A step of KDGAN with 100,000 classes against the same step at an earlier revision of the package, paired.

Networks are single layers of 32 features, so that the losses are most of the step. The earlier package is taken from
git and runs in a process of its own beside the present one; they step in turns, and which goes first alternates.
Seconds are those of one thread of a processor. Prints the median of the paired ratios with its quartiles.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
FEATURES, BATCH, WARM_UP, BAR = 32, 64, 3, 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--against", default="43004eb", metavar="REV", help="the earlier revision")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps:
        answer_with_seconds(given.classes)
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = ["git", "-C", str(HERE.parents[1]), "archive", given.against, "src"]
        files = subprocess.run(archive, check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as packed:
            packed.extractall(folder, filter="data")
        with started(HERE.parents[1], given.classes) as now, started(Path(folder), given.classes) as before:
            ratios = []
            for i in range(WARM_UP + given.pairs):
                first, second = (now, before) if i % 2 else (before, now)
                a, b = seconds(first), seconds(second)
                ratios.append(a / b if i % 2 else b / a)
            now.communicate(), before.communicate()
    low, middle, high = statistics.quantiles(ratios[WARM_UP:], n=4)
    print(
        f"KDGAN, {given.classes} classes, against {given.against}: ratio {middle:.3f} "
        f"(quartiles {low:.3f} to {high:.3f}, {given.pairs} pairs); bar {BAR}"
    )


def started(root: Path, classes: int) -> "subprocess.Popen[str]":
    """A process that takes steps with the package of that folder, of which it tells the place first."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE), "--steps", "--classes", str(classes)]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    place = process.stdout.readline().strip()
    if Path(place) != root / "src" / "kdgan":
        raise SystemExit(f"the package of {root} was to be measured, and Python found {place or 'none'}")
    return process


def seconds(process: "subprocess.Popen[str]") -> float:
    """Seconds of its next step."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("step\n")
    return float(process.stdout.readline())


def answer_with_seconds(classes: int) -> None:
    """A step for each line that is read, and its seconds as a line."""
    import torch
    from torch import nn

    import kdgan
    from kdgan.data import Batch
    from kdgan.methods import KDGAN

    torch.set_num_threads(1)
    torch.manual_seed(0)
    method = KDGAN(*(nn.Linear(FEATURES, classes) for _ in range(3)))
    batch = Batch(torch.randn(BATCH, FEATURES), torch.randint(0, classes, (BATCH,)))
    print(Path(kdgan.__file__).parent, flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        method.update(batch, 0.5)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
