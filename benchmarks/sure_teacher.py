"""A student of a teacher that is very sure of itself, at two temperatures and with a teacher of smoothed labels.

Prints for each seed the student's accuracy less its control's, in points, on validation data. It measures nothing of
speed; it holds the advice that the report of `distill` gives where a student falls below its control.
"""

import argparse
import json

import torch
from torch import nn

from kdgan import Batch, distill, nets

CASES = {"labels, T=4": (0.0, 4.0), "labels, T=16": (0.0, 16.0), "smoothed labels, T=4": (0.1, 4.0)}


def trained(data: Batch, smoothing: float) -> nn.Module:
    """A teacher of one's own, fitted to the end."""
    module = nets.mlp(8, [256], 4)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(data.inputs), data.targets, label_smoothing=smoothing).backward()
        optimizer.step()
    return module


def main() -> None:
    """Prints one line of JSON for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for case, (smoothing, temperature) in CASES.items():
        gains = []
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            x = torch.randn(1800, 8)
            y = (x[:, 0] * x[:, 1] > 0).long() + 2 * (x[:, 2] + x[:, 3] ** 2 > 1).long()
            train, validation = Batch(x[:800], y[:800]), Batch(x[800:], y[800:])
            teacher, student = trained(train, smoothing), nets.mlp(8, [12], 4)
            found = distill(
                student,
                teacher,
                train,
                validation,
                method="distn",
                hyper={"temperature": temperature},
                steps=given.steps,
                teacher_trained=True,
                seed=seed,
                progress=False,
            ).report.metrics
            gains.append(round(found["student"]["accuracy"] - found["control"]["accuracy"], 2))
        print(json.dumps({"case": case, "student less control": gains}), flush=True)


if __name__ == "__main__":
    main()
