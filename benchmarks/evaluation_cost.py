"""Cost of evaluation in the one call: its share of the time of training, at default settings, for a few sizes.

    python benchmarks/evaluation_cost.py [--updates 3000] [--repeats 2]

Small networks, where evaluation weighs most: a student of 32 hidden units on digits, and on as many numbers as MNIST
has, with 5,000 and 10,000 validation examples; with the cheapest method and the dearest. All evaluations count: of a
teacher that may be trained, on the way, and for the report.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits

from kdgan import Batch, Report, distill, nets


def digits() -> tuple[Batch, Batch]:
    """The bundled digits: 1,437 to learn from and 360 to judge by."""
    found = load_digits()
    inputs, targets = torch.tensor(found.data).float() / 16, torch.tensor(found.target)
    return Batch(inputs[:1437], targets[:1437]), Batch(inputs[1437:], targets[1437:])


def of_mnist_size(count: int, seed: int) -> Batch:
    """Examples of 784 numbers in ten classes."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(10, (count,), generator=generator)
    inputs = torch.randn(count, 784, generator=generator)
    inputs[torch.arange(count), targets] += 2
    return Batch(inputs, targets)


def call(data: tuple[Batch, Batch], method: str, updates: int, **options: str) -> Report:
    """The report of one call."""
    width = data[0].tensor.shape[1]
    student, teacher = nets.mlp(width, [32], 10), nets.mlp(width, [256], 10)
    return distill(student, teacher, *data, method=method, steps=updates, progress=False, **options).report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = {
        "digits, 360 to judge by": digits(),
        "5,000 and 5,000": (of_mnist_size(5000, 0), of_mnist_size(5000, 1)),
        "5,000 and 10,000": (of_mnist_size(5000, 0), of_mnist_size(10_000, 1)),
        "50,000 and 10,000": (of_mnist_size(50_000, 0), of_mnist_size(10_000, 1)),
    }
    print(f"{'examples':26}{'method':10}{'keep':8}{'evaluation s':>14}{'training s':>12}{'share %':>9}")
    for name, data in cases.items():
        for method, keep in (("distn", "last"), ("kdgan", "last"), ("distn", "best")):
            reports = [call(data, method, given.updates, keep=keep) for _ in range(given.repeats)]
            best = min(reports, key=lambda report: report.evaluation_seconds / sum(report.seconds.values()))
            spent, trained = best.evaluation_seconds, sum(best.seconds.values())
            share = 100 * spent / trained
            print(f"{name:26}{method:10}{keep:8}{spent:>14.3f}{trained:>12.2f}{share:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
