"""The comparison of seven methods and five seeds on digits with one worker and with two, one after the other."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(out: Path, rest: list[str], *, workers: int = 1, commands: int = 1) -> float:
    """Time that so many commands on one folder take together."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kdgan", "compare", "--workers", str(workers), "--out", str(out), *rest]
    # Each in a session of its own, as from two terminals: on Linux the sessions of a busy machine share its time.
    quiet = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    together = [subprocess.Popen(command, **quiet) for _ in range(commands)]
    codes = [process.wait() for process in together]
    if any(codes):
        raise SystemExit(f"exit codes {codes}")
    return time.perf_counter() - start


def measure(what: str, bar: float, about: str | None) -> None:
    """Prints the ratio of two `workers` or `commands` to one, and whether they find the same."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("rest", nargs="*", help="options for kdgan compare, after --")
    rest = parser.parse_args().rest
    with tempfile.TemporaryDirectory() as folder:
        two = seconds(Path(folder, "two"), rest, **{what: 2})
        one = seconds(Path(folder, "one"), rest)
        same = Path(folder, "one", "results.csv"), Path(folder, "two", "results.csv")
        columns = [[line.split(",")[:6] for line in file.read_text().splitlines()] for file in same]
    print(f"same accuracies: {columns[0] == columns[1]}")
    print(f"{what}: one {one:.1f} s, two {two:.1f} s: ratio {two / one:.3f}; bar {bar}")


if __name__ == "__main__":
    measure("workers", 0.6, __doc__)
