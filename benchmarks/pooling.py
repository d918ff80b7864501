"""The paper's LeNet without gradient, as a frozen teacher runs, with its own pooling and with torch's, paired.

Prints the median of the paired ratios with its quartiles, for float32 and bfloat16.
"""

import argparse
import copy
import statistics
import time

import torch
from torch import nn

from kdgan.nets import lenet
from kdgan.nets.classifiers import Halve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    ours = lenet()
    theirs = nn.Sequential(*(nn.MaxPool2d(2) if isinstance(m, Halve) else m for m in copy.deepcopy(ours)))
    x = torch.randn(128, 1, 28, 28)

    def seconds(net: nn.Module, *, bfloat16: bool) -> float:
        start = time.perf_counter()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            net(x)
        return time.perf_counter() - start

    for bfloat16 in (False, True):
        ratios = []
        for i in range(pairs + 5):
            first, second = (ours, theirs) if i % 2 else (theirs, ours)
            a, b = seconds(first, bfloat16=bfloat16), seconds(second, bfloat16=bfloat16)
            ratios.append(a / b if i % 2 else b / a)
        low, middle, high = statistics.quantiles(ratios[5:], n=4)
        name = "bfloat16" if bfloat16 else "float32"
        print(f"{name}: ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {pairs} pairs); bar 1")


if __name__ == "__main__":
    main()
