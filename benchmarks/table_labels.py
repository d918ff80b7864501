"""What text for labels costs where a table is read: a million rows of ten numbers, labels as words and as numbers.

Prints both times and their ratio, which is 1 where each distinct word is looked at once, and the share that all that is
done with labels has of reading them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from kdgan.data.labels import labels_of
from kdgan.data.source import fixed_split
from kdgan.data.table import read_table


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    chance = np.random.default_rng(0)
    numbers = {f"x{place}": chance.normal(size=given.rows) for place in range(10)}
    labels = chance.integers(given.classes, size=given.rows)
    words = pl.Series("label", labels).cast(pl.String) + " is the class"
    with tempfile.TemporaryDirectory() as folder:
        found, hashes = {}, set()
        for what, column in (("numbers", labels), ("words", words)):
            path = Path(folder, f"{what}.parquet")
            pl.DataFrame({**numbers, "label": column}).write_parquet(path)
            read_table(path, name=what, target="label")  # with what is imported at first
            found[what] = seconds(lambda at=path: read_table(at, name="it", target="label"), given.repeats)
            hashes.add(read_table(path, name=what, target="label").train.targets.sum().item())
    assert len(hashes) == 1, "words are in another order than their numbers"
    alone = seconds(lambda: fixed_split("it", labels_of(words, written=False)), given.repeats)
    print(
        f"labels as numbers {found['numbers']:.2f} s, as words {found['words']:.2f} s: ratio "
        f"{found['words'] / found['numbers']:.2f}; understanding words and splitting by them is "
        f"{100 * alone / found['words']:.0f} % of it"
    )


if __name__ == "__main__":
    main()
