"""`kdgan compare` as a newcomer runs it: seconds, and the peak of the memory of all its processes together.

Memory is the sum over processes of the proportional set size (shared pages counted once), sampled five times a
second from /proc; Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return found


def memory(root: int) -> int:
    """Proportional set size of the whole tree, in bytes."""
    total = 0
    for process in tree(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="keep the comparison in this folder")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        start, peak = time.perf_counter(), 0
        command = [sys.executable, "-m", "kdgan", "compare", "--out", out or str(Path(folder, "out"))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ, COLUMNS="100"))
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.2)
        if process.returncode:
            sys.exit(f"kdgan compare ended with exit code {process.returncode}")
        print(f"{time.perf_counter() - start:.1f} s (bar 180), peak memory {peak / 1e9:.2f} GB (bar 1.5)")


if __name__ == "__main__":
    main()
