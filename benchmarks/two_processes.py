"""The comparison of seven methods and five seeds on digits in one process of one worker, and in two on one folder.

The two are started together, as on two machines that share a disk; each takes the runs that the other is not at.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(processes: int, out: Path, rest: list[str]) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "kdgan", "compare", "--workers", "1", "--out", str(out), *rest]
    # Each in a session of its own, as from two terminals: on Linux the sessions of a busy machine share its time.
    quiet = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    together = [subprocess.Popen(command, **quiet) for _ in range(processes)]
    codes = [process.wait() for process in together]
    if any(codes):
        raise SystemExit(f"exit codes {codes}")
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
    print(f"one process {one:.1f} s, two processes {two:.1f} s: ratio {two / one:.3f}; bar 0.65")


if __name__ == "__main__":
    main()
