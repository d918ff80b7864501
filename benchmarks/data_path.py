"""What the data path costs beside a KDGAN step at MNIST sizes, batch 64: each fed step is split in its two parts.

Prints the share of feeding in a fed step, with and without augmentation (affine and elastic), and, for the
strictest reading, beside a step of the control alone.
"""

import argparse
import statistics
import time

import torch

from kdgan.data import AffineElastic, Batch, TensorFeed
from kdgan.methods import KDGAN, Method, Supervised
from kdgan.nets import lenet, mlp


def share(feed: TensorFeed, method: Method, steps: int) -> tuple[float, float, float]:
    """Median share of feeding in a step, and the median milliseconds of feeding and of the update."""
    shares, feeding, updating = [], [], []
    for step in range(steps + 5):
        start = time.perf_counter()
        batch = feed(step)
        fed = time.perf_counter()
        method.update(batch, 0.5)
        end = time.perf_counter()
        if step >= 5:
            shares.append((fed - start) / (end - start))
            feeding.append(1000 * (fed - start))
            updating.append(1000 * (end - fed))
    return statistics.median(shares), statistics.median(feeding), statistics.median(updating)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = Batch(torch.randn(1000, 1, 28, 28), torch.randint(0, 10, (1000,)))
    views = AffineElastic(torch.zeros(1, 1, 1))
    for method in (KDGAN(mlp(784), lenet(), lenet()), Supervised(mlp(784))):
        for name, augment in (("no augmentation", None), ("affine and elastic", views)):
            part, feed, update = share(TensorFeed(data, 64, seed=0, augment=augment), method, steps)
            print(
                f"{type(method).__name__:10} {name:18} feeding is {100 * part:5.2f} % of a step "
                f"({feed:.2f} ms beside {update:.1f} ms); bar 5 % of KDGAN's step"
            )


if __name__ == "__main__":
    main()
