"""What a comparison with 10,000 runs on record costs: adding one more run, and building its page again.

The runs are made up, with curves of two metrics at 100 evaluations; nothing is trained. Prints milliseconds per run
that is added (`results.csv` included), seconds and megabytes of `report.html`, beside the bars.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from kdgan.experiments.comparison import Compared
from kdgan.experiments.records import read_records
from kdgan.experiments.variants import Key, Variant
from kdgan.tasks import Outcome

BARS = {"add": 20.0, "report": 3.0}


def outcome(chance: random.Random, level: float) -> Outcome:
    """One run."""
    accuracy, steps = level + chance.gauss(0, 1), range(100, 10_001, 100)
    curve = [(step, accuracy - 2000 / (step + 50) + chance.gauss(0, 0.2)) for step in steps]
    names = ("accuracy", "teacher/accuracy", "validation/accuracy", "best_epoch/accuracy", "log_loss")
    return Outcome(
        metrics={name: accuracy + place for place, name in enumerate(names)},
        labels=1000,
        seconds=chance.uniform(50, 60),
        curves={"accuracy": curve, "validation/accuracy": curve},
        student_updates=10_000,
        student_parameters=1_000_000,
        teacher_parameters=5_000_000,
    )


def measure(runs: int, variants: int) -> None:
    """Prints the costs where so many runs are of so many variants."""
    chance = random.Random(0)
    names = ["supervised", "kdgan", *(f"variant {number}" for number in range(variants - 2))]
    keys: list[Key] = [(names[place % variants], place // variants) for place in range(runs + 20)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "comparison.json").touch()
        found = Compared("made up", sorted(keys, key=lambda key: key[1]), Path(folder))
        for key in keys[: runs - 1]:
            found.outcomes[key] = outcome(chance, 80 + len(key[0]) % 10)
        found.keep(keys[runs - 1], outcome(chance, 80))
        spent = []
        for key in keys[runs:]:
            made = outcome(chance, 80)
            start = time.perf_counter()
            found.keep(key, made)
            spent.append(1000 * (time.perf_counter() - start))
        start = time.perf_counter()
        found.settle()
        settling = time.perf_counter() - start
        assert len(read_records(Path(folder) / "results.csv")) == len(keys)
        page = Path(folder) / "report.html"
        start = time.perf_counter()
        found.verdict(["accuracy"], {}, {name: Variant("mimic") for name in names}).report(page)
        seconds = time.perf_counter() - start
        print(
            f"{runs:,} runs of {variants:,} variants: adding one takes {statistics.median(spent):.2f} ms "
            f"(bar {BARS['add']:.0f}), ordering them at the end {settling:.2f} s, the report {seconds:.2f} s "
            f"(bar {BARS['report']:.0f}) and {page.stat().st_size / 2**20:.2f} MiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--variants", type=int, nargs="*", default=[7, 100, 5000])
    given = parser.parse_args()
    from matplotlib.figure import Figure  # its import is no part of what is measured

    assert Figure
    for variants in given.variants:
        measure(given.runs, variants)


if __name__ == "__main__":
    main()
