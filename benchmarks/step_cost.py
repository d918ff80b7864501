"""The step of a method against a bare hand-written loop that does the same arithmetic, paired, in one process.

At MNIST sizes (MLP 784-800-800-10, two LeNets, batches of 64) KDGAN at its defaults, distn and mimic; at the sizes of
`kdgan compare` on digits (MLP 64-32-10, two LeNets 16-32-128, batches of 32) KDGAN, distn with logits that T gave
ahead, and supervised. The bare side has the networks of kdgan, and then stock torch networks in their plain layout.
Which of the two goes first alternates. Prints, for each, the median of the paired ratios with its quartiles.
"""

import argparse
import copy
import itertools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.methods import KDGAN, Distn, Method, Mimic, Optimization, Supervised
from kdgan.nets import lenet, mlp

LR, WARM_UP = 1e-3, 5


def stock_mlp(features: int, hidden: list[int], classes: int) -> nn.Sequential:
    """The student, as one would write it."""
    widths = [features, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def stock_lenet(shape: tuple[int, int, int], channels: tuple[int, int], hidden: int) -> nn.Sequential:
    """The teacher and the discriminator, likewise."""
    colours, side, _ = shape
    padding = 0 if side >= 16 else 2
    for _ in channels:
        side = (side + 2 * padding - 4) // 2
    return nn.Sequential(
        nn.Conv2d(colours, channels[0], 5, padding=padding), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(channels[0], channels[1], 5, padding=padding), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(channels[1] * side * side, hidden), nn.ReLU(), nn.Linear(hidden, 10),
    )  # fmt: skip


class Bare:
    """What every bare loop has: networks, an optimizer of each, and a rate that follows a cosine."""

    def __init__(self, **networks: nn.Module) -> None:
        self.networks = networks
        self.optimizers = {
            name: torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.0, fused=True)
            for name, net in networks.items()
        }

    def learn(self, name: str, loss: Tensor, progress: float) -> None:
        """One step down a loss."""
        optimizer = self.optimizers[name]
        optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def supervised(self, x: Tensor, y: Tensor, hints: Tensor | None) -> None:
        """Cross entropy."""
        self.learn("c", F.cross_entropy(self.networks["c"](x), y), 0.5)

    def distn(self, x: Tensor, y: Tensor, hints: Tensor | None) -> None:
        """A tenth of the cross entropy, and nine tenths of the divergence from T at temperature 4."""
        c = self.networks["c"](x)
        t = self.frozen(x) if hints is None else hints
        soft = F.kl_div(
            (c / 4).log_softmax(-1), (t / 4).log_softmax(-1), reduction="batchmean", log_target=True
        )
        self.learn("c", 0.1 * F.cross_entropy(c, y) + 0.9 * 16 * soft, 0.5)

    def mimic(self, x: Tensor, y: Tensor, hints: Tensor | None) -> None:
        """Least squares of logits."""
        t = self.frozen(x)
        self.learn("c", F.mse_loss(self.networks["c"](x), t), 0.5)

    def kdgan(self, x: Tensor, y: Tensor, hints: Tensor | None) -> None:
        """Algorithm 1 with the exact estimator, least squares of logits, and the labels beside the game."""
        c_net, t_net, d_net = (self.networks[name] for name in "ctd")
        c, t = c_net(x), t_net(x)
        fake = 0.5 * c.detach().softmax(-1) + 0.5 * t.detach().softmax(-1)
        g = d_net(x)
        real = F.logsigmoid(g).gather(1, y[:, None]).squeeze(1)
        self.learn("d", (-real - (fake * F.logsigmoid(-g)).sum(-1)).mean(), 0.5)
        with torch.no_grad():
            r = F.logsigmoid(-d_net(x))
        adversarial = (t.softmax(-1) * r).sum(-1).mean()
        loss = 0.5 * adversarial + 0.02 * F.mse_loss(t, c.detach()) + F.cross_entropy(t, y)
        self.learn("t", loss, 0.5)
        with torch.no_grad():
            t = t_net(x)
        adversarial = (c.softmax(-1) * r).sum(-1).mean()
        self.learn("c", 0.5 * adversarial + F.mse_loss(c, t) + F.cross_entropy(c, y), 0.5)

    def frozen(self, x: Tensor) -> Tensor:
        """T's logits."""
        with torch.no_grad():
            logits: Tensor = self.networks["t"](x)
        return logits


SIZES: dict[str, dict[str, Any]] = {
    "mnist": {"shape": (1, 28, 28), "hidden": [800, 800], "channels": (20, 50), "top": 500, "batch": 64},
    "digits": {"shape": (1, 8, 8), "hidden": [32], "channels": (16, 32), "top": 128, "batch": 32},
}
CASES = (
    ("mnist", "kdgan", 1.02),
    ("mnist", "distn", 1.02),
    ("mnist", "mimic", 1.02),
    ("digits", "kdgan", 1.10),
    ("digits", "distn, logits ahead", 1.10),
    ("digits", "supervised", 1.10),
)


def case(size: str, name: str, *, stock: bool) -> tuple[Callable[[], None], Callable[[], None], bool]:
    """The bare step, ours, and whether both leave the same student after a few."""
    given = SIZES[size]
    shape, features = given["shape"], math.prod(given["shape"])
    ours = [mlp(features, given["hidden"], 10)]
    ours += [lenet(shape, given["channels"], given["top"], 10) for _ in range(2)]
    student, *others = copy.deepcopy(ours)
    if stock:
        student = stock_mlp(features, given["hidden"], 10)
        others = [stock_lenet(shape, given["channels"], given["top"]) for _ in range(2)]
    for mine, theirs in zip(ours, [student, *others], strict=True):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            a.data.copy_(b.data)
    learning = {"optimization": Optimization(LR)}
    methods: dict[str, Callable[[], Method]] = {
        "kdgan": lambda: KDGAN(*ours, **learning),
        "distn": lambda: Distn(*ours[:2], **learning),
        "distn, logits ahead": lambda: Distn(*ours[:2], **learning),
        "mimic": lambda: Mimic(*ours[:2], **learning),
        "supervised": lambda: Supervised(ours[0], **learning),
    }
    method = methods[name]()
    bare = Bare(c=student, t=others[0], d=others[1])
    if name != "kdgan":
        others[0].eval()
    x, y = torch.randn(given["batch"], *shape), torch.randint(0, 10, (given["batch"],))
    hints = None
    if name == "distn, logits ahead":
        with torch.no_grad():
            hints = others[0](x)
    batch = Batch(x, y, None, hints)
    step = getattr(bare, name.partition(",")[0])

    def theirs() -> None:
        step(x, y, hints)

    def mine() -> None:
        method.update(batch, 0.5)

    for _ in range(WARM_UP):
        theirs(), mine()
    # Later rounding alone would drive them apart.
    same = all(
        torch.allclose(p, q, atol=1e-4)
        for p, q in zip(student.parameters(), method.student.module.parameters(), strict=True)
    )
    return theirs, mine, same


def timed(step: Callable[[], None], repeats: int) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    for size, name, bar in CASES:
        for stock in (False, True):
            torch.manual_seed(0)
            theirs, mine, same = case(size, name, stock=stock)
            repeats = 1 if size == "mnist" else 20
            bare, ours = [], []
            for i in range(pairs):
                for step, times in ((theirs, bare), (mine, ours))[:: 1 if i % 2 else -1]:
                    times.append(timed(step, repeats))
            ratios = sorted(a / b for a, b in zip(ours, bare, strict=True))
            low, middle, high = statistics.quantiles(ratios, n=4)
            print(
                f"{size:7}{name:20}{'stock networks' if stock else 'same networks':15} ratio {middle:.3f} "
                f"(quartiles {low:.3f} to {high:.3f}, {pairs} pairs); bar {bar:.2f}; "
                f"{1000 * statistics.median(ours):.3f} ms against {1000 * statistics.median(bare):.3f}; "
                f"same student: {same}"
            )


if __name__ == "__main__":
    main()
