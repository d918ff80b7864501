"""What processes of a comparison hold together: four workers on one data set of some hundred megabytes.

It needs /proc. Prints the highest proportional memory (what processes share is counted once) of the parent and all
workers, and of the workers alone, with one worker and with four, and whether shared memory is left afterwards.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def proportional(pid: str) -> float:
    """Memory of a process in MiB, with its share of what several have."""
    try:
        found = re.search(r"^Pss: +(\d+) kB", Path("/proc", pid, "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def processes(leader: int) -> dict[str, bool]:
    """The processes of a session, and whether each is a worker."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                session = (entry / "stat").read_text().rpartition(")")[2].split()[3]
                line = (entry / "cmdline").read_text()
            except OSError:
                continue
            if int(session) == leader:
                found[entry.name] = "multiprocessing-fork" in line
    return found


def highest(data: Path, out: Path, workers: int, rest: list[str]) -> tuple[float, float]:
    """The highest memory of all processes, and of the workers, in MiB."""
    command = [sys.executable, "-m", "kdgan", "compare", "--data", str(data), "--workers", str(workers)]
    process = subprocess.Popen(
        [*command, "--out", str(out), *rest], stdout=subprocess.DEVNULL, start_new_session=True
    )
    every = of_workers = 0.0
    while process.poll() is None:
        held = {pid: (proportional(pid), worker) for pid, worker in processes(process.pid).items()}
        every = max(every, sum(size for size, _ in held.values()))
        of_workers = max(of_workers, sum(size for size, worker in held.values() if worker))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")
    return every, of_workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args()
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(given.rows, given.columns)).astype(np.float32)
    rest = "--methods supervised,distn,mimic,nagan,codis --seeds 1 --student mlp-8 --teacher mlp-16"
    rest += " --steps 400 --teacher-steps 200 --batch 64 --evaluations 2 --augment none"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        np.savez(data, inputs=inputs, targets=(inputs[:, 0] > 0).astype(np.int64))
        before = set(Path("/dev/shm").iterdir())
        found = {
            count: highest(data, Path(folder, f"of-{count}"), count, rest.split())
            for count in (1, given.workers)
        }
        left = set(Path("/dev/shm").iterdir()) - before
    size = inputs.size * 4 / 2**20
    print(f"data of {size:.0f} MiB as float32; in MiB, all processes and workers alone:")
    for count, (every, of_workers) in found.items():
        print(f"  {count} workers: {every:.0f} and {of_workers:.0f}")
    more = (found[given.workers][1] - found[1][1]) / (given.workers - 1)
    print(
        f"each further worker takes {more:.0f} MiB, {more / size:.2f} times the data; left in /dev/shm: {len(left)}"
    )


if __name__ == "__main__":
    main()
