"""KDGAN's step against a bare hand-written loop that does the same arithmetic, paired, in one process.

Both train the paper's MNIST players (MLP 784-800-800-10, two LeNets) on the same batches of 64; which of the
two goes first alternates. Prints the median of the paired ratios with its quartiles.
"""

import argparse
import math
import statistics
import time

import torch
import torch.nn.functional as F

from kdgan.data import Batch
from kdgan.methods import KDGAN, Optimization
from kdgan.nets import lenet, mlp

ALPHA, BETA, GAMMA, T, LR = 0.5, 1.0, 0.1, 4.0, 1e-3
WARM_UP = 5


def players() -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    return mlp(784), lenet(), lenet()


class Bare:
    """Algorithm 1 with the exact estimator and KL, as one would write it for these three networks alone."""

    def __init__(self) -> None:
        self.c, self.t, self.d = players()
        make = lambda net: torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.0, fused=True)  # noqa: E731
        self.oc, self.ot, self.od = make(self.c), make(self.t), make(self.d)

    def step(self, x: torch.Tensor, y: torch.Tensor, progress: float) -> None:
        rate = LR * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))
        for optimizer in (self.oc, self.ot, self.od):
            optimizer.param_groups[0]["lr"] = rate
        c, t = self.c(x), self.t(x)
        fake = ALPHA * c.detach().softmax(-1) + (1 - ALPHA) * t.detach().softmax(-1)
        g = self.d(x)
        real = F.logsigmoid(g).gather(1, y[:, None]).squeeze(1)
        loss = (-real - (fake * F.logsigmoid(-g)).sum(-1)).mean()
        self.od.zero_grad()
        loss.backward()
        self.od.step()
        with torch.no_grad():
            r = F.logsigmoid(-self.d(x))
        loss = (1 - ALPHA) * (t.softmax(-1) * r).sum(-1).mean() + GAMMA * self.follow(t, c.detach())
        self.ot.zero_grad()
        loss.backward()
        self.ot.step()
        with torch.no_grad():
            t = self.t(x)
        loss = ALPHA * (c.softmax(-1) * r).sum(-1).mean() + BETA * self.follow(c, t)
        self.oc.zero_grad()
        loss.backward()
        self.oc.step()

    @staticmethod
    def follow(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        log_p, log_q = (p / T).log_softmax(-1), (q / T).log_softmax(-1)
        return T * T * (log_q.exp() * (log_q - log_p)).sum(-1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    batch = Batch(torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,)))
    bare = Bare()
    method = KDGAN(
        *players(),
        alpha=ALPHA,
        beta=BETA,
        gamma=GAMMA,
        supervision=0.0,
        distillation="kl",
        temperature=T,
        optimization=Optimization(LR),
    )

    def time_bare() -> float:
        start = time.perf_counter()
        bare.step(batch.inputs, batch.targets, 0.5)
        return time.perf_counter() - start

    def time_ours() -> float:
        start = time.perf_counter()
        method.update(batch, 0.5)
        return time.perf_counter() - start

    ratios, ours, theirs = [], [], []
    for i in range(pairs + WARM_UP):
        first, second = (time_bare, time_ours) if i % 2 else (time_ours, time_bare)
        a, b = first(), second()
        bare_time, our_time = (a, b) if i % 2 else (b, a)
        if i + 1 == WARM_UP:
            # Later rounding alone would drive them apart.
            same = all(
                torch.allclose(p, q, atol=1e-5)
                for p, q in zip(bare.c.parameters(), method.student.module.parameters(), strict=True)
            )
        if i >= WARM_UP:
            ratios.append(our_time / bare_time)
            ours.append(our_time)
            theirs.append(bare_time)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"same weights after the warm-up: {same}")
    print(
        f"kdgan {1000 * statistics.median(ours):.1f} ms, bare {1000 * statistics.median(theirs):.1f} ms a step"
    )
    print(f"ratio: median {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {pairs} pairs); bar 1.05")


if __name__ == "__main__":
    main()
