"""The comparison of seven methods and three seeds on digits by a Ray cluster of which a machine dies on the way, and by
the process pool.

Two machines of one CPU each are two sets of Ray's processes here, on one folder. Once a third of the jobs have ended,
the second is killed while it carries out a run. Writes accuracies of both, and what was killed when, into
`results/ray_study.json`; it fails where they differ.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}

from ray.cluster_utils import Cluster

from kdgan.experiments.records import read_records

METHODS = ("supervised", "distn", "mimic", "noisy", "codis", "nagan", "kdgan")


class Study:
    """The command, and when its jobs ended."""

    def __init__(self, out: Path, rest: list[str]) -> None:
        command = ["compare", "--methods", ",".join(METHODS), "--seeds", "3", "--out", str(out), *rest]
        self.out, self.start, self.ended = out, time.perf_counter(), 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kdgan", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, jobs: int | None = None) -> float:
        """Seconds until so many jobs have ended, or all."""
        assert self.process.stdout is not None
        while self.ended != jobs and (line := self.process.stdout.readline()):
            print(line, end="", flush=True)
            self.ended += line.startswith("[")
        if jobs is None and self.process.wait():
            raise SystemExit(f"exit code {self.process.returncode}")
        return round(time.perf_counter() - self.start, 1)

    def accuracies(self) -> dict[str, list[float]]:
        """Of every method, by seed."""
        found: dict[str, list[float]] = {}
        for record in sorted(read_records(self.out / "results.csv"), key=lambda record: record.seed):
            found.setdefault(record.method, []).append(record.metrics["accuracy"])
        return found


def by_ray(out: Path, jobs: int) -> tuple[Study, dict[str, object], float]:
    """The study over two machines, what was killed, and how long it took."""
    options = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        second = cluster.add_node(**options)
        study = Study(out, ["--executor", "ray", "--address", cluster.address])
        study.wait(jobs)
        # Both machines are at a job: the next is given at once, and takes seconds.
        time.sleep(1)
        os.kill(second.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        after = round(time.perf_counter() - study.start, 1)
        going = sorted(path.parent.name for path in out.glob("*/*/checkpoint.safetensors"))
        killed = {
            "machine": "the second of two, by SIGKILL of its raylet, with which its workers end",
            "after_jobs": study.ended,
            "after_seconds": after,
            "checkpoints_then": going,
        }
        return study, killed, study.wait()
    finally:
        cluster.shutdown()


def main() -> None:
    """Carries out both, and writes what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/ray_study.json"))
    parser.add_argument("--jobs", type=int, default=9, help="that end before the machine is killed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, killed, seconds = by_ray(Path(folder, "ray"), given.jobs)
        ray = study.accuracies()
        study = Study(Path(folder, "pool"), ["--workers", "2"])
        pool_seconds, pool = study.wait(), study.accuracies()
    complete = sum(map(len, ray.values()))
    print(f"{complete} of {3 * len(METHODS)} runs; same accuracies: {ray == pool}")
    print(f"seconds: pool of two {pool_seconds}, two machines of which one was killed {seconds}")
    found = {
        "command": "python benchmarks/ray_study.py",
        "killed": killed,
        "runs": complete,
        "same": ray == pool,
        "seconds": {"pool": pool_seconds, "ray": seconds},
        "accuracy": {"pool": pool, "ray": ray},
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if ray != pool or complete != 3 * len(METHODS):
        raise SystemExit("the study is not what the pool finds")


if __name__ == "__main__":
    main()
