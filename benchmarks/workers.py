"""The comparison of seven methods and five seeds on digits with one worker and with two, one after the other."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(workers: int, out: Path, rest: list[str]) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "kdgan", "compare", "--workers", str(workers), "--out", str(out), *rest]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rest", nargs="*", help="options for kdgan compare, after --")
    rest = parser.parse_args().rest
    with tempfile.TemporaryDirectory() as folder:
        two = seconds(2, Path(folder, "two"), rest)
        one = seconds(1, Path(folder, "one"), rest)
        same = Path(folder, "one", "results.csv"), Path(folder, "two", "results.csv")
        columns = [[line.split(",")[:6] for line in file.read_text().splitlines()] for file in same]
    print(f"same accuracies: {columns[0] == columns[1]}")
    print(f"one worker {one:.1f} s, two workers {two:.1f} s: ratio {two / one:.3f}; bar 0.6")


if __name__ == "__main__":
    main()
