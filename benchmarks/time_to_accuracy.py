"""Seconds of training until KDGAN's student passes the paper's 77.95 % on MNIST with 100 labels.

A short run with settings fixed beforehand, all pretraining counted; the accuracy is that of its last step on test data.
"""

import argparse
import dataclasses
import statistics
import tempfile
from pathlib import Path

import torch

from kdgan.paper.cells import cell, published
from kdgan.tasks.run import run_of
from kdgan.training import Execution
from kdgan.training.devices import deterministic

SETTINGS = {"steps": 120, "teacher_steps": 90, "batch": 64, "augment": "elastic", "evaluations": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    deterministic(given.threads)
    base = cell("mnist-100", None, SETTINGS).base
    seconds, accuracies = [], []
    for seed in range(given.seeds):
        config = dataclasses.replace(base, method="kdgan", seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            run = run_of(config, Execution(torch.device("cpu"), given.data_dir))
            outcome = run.train(Path(folder, "run"), Path(folder, "pretrained"))
        seconds.append(outcome.seconds + outcome.pretraining_seconds)
        accuracies.append(outcome.metrics["accuracy"])
        print(f"seed {seed}: {accuracies[-1]:.2f} % after {seconds[-1]:.1f} s", flush=True)
    bar = published("accuracy", "mnist-100", "kdgan")
    passed = sum(accuracy > bar for accuracy in accuracies)
    print(
        f"{passed} of {given.seeds} seeds above {bar} %; median {statistics.median(seconds):.1f} s; bar 15 s"
    )


if __name__ == "__main__":
    main()
