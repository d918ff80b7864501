"""Peak memory of `distill` beside that of the same call with a tenth of the data, which are read as they are needed.

- `train`: 200,000 images of 3 by 80 by 80, each made when it is asked for, a few hundred updates.
- `unlabelled`: the same beside 500 labelled ones.
- `validation`: 20,000 images of 3 by 240 by 240 as what players are judged by, in batches.
- `stream`: one pass over 3,000,000 rows of 20 numbers, which come one by one and have no length.
- `teach`: a teacher's logits of the 200,000 images, asked once and kept in a file.

The student has a small frozen teacher, and learns by mimic. Data of up to 1 GiB are kept in memory: images are so large
that a tenth of them are more. Each call is a process of its own, and its peak what the system counts as its largest
resident memory, of which torch takes the most. Prints both peaks and their ratio; the bar is 1.1.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

import kdgan
from kdgan import Batch, Training, distill, nets

BAR = 1.1
FEATURES, BATCH, ROWS = 20, 64, 1000


class Images(Dataset[tuple[Tensor, int]]):
    """Images that are made from their index."""

    def __init__(self, count: int, side: int) -> None:
        self.count, self.side = count, side
        self.base = torch.arange(3 * side * side, dtype=torch.int32).to(torch.uint8).reshape(3, side, side)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return (self.base * (index % 251 + 1)).float() / 255, index % 10


class Rows(IterableDataset[tuple[Tensor, int]]):
    """Rows that come one by one, from a source without a length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for block in range(0, self.count, ROWS):
            x = torch.randn(min(ROWS, self.count - block), FEATURES)
            yield from zip(x.unbind(), (x[:, 0] > 0).long().tolist(), strict=True)


def network() -> nn.Module:
    """A small network for images of any size."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 10)
    )


def trained(train: Any, validation: Any, steps: int, **more: Any) -> None:
    """A student with a teacher that is kept as it is."""
    rows = isinstance(train, Rows)
    student, teacher = (
        (nets.mlp(FEATURES, [16], 2), nets.mlp(FEATURES, [32], 2)) if rows else (network(), network())
    )
    distill(
        student,
        teacher,
        train,
        validation,
        method="mimic",
        training=Training(steps=steps, batch=ROWS if rows else BATCH, evaluations=1),
        teacher_trained=True,
        control=False,
        device="cpu",
        progress=False,
        **more,
    )


def some(count: int, side: int) -> Batch:
    """So many images, in memory."""
    pairs = [Images(count, side)[index] for index in range(count)]
    return Batch(torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs]))


def train(count: int) -> None:
    """Trained with them."""
    trained(Images(count, 80), some(200, 80), 300)


def unlabelled(count: int) -> None:
    """Trained with them beside a few labelled ones."""
    trained(some(500, 80), some(200, 80), 300, unlabelled=Images(count, 80))


def validation(count: int) -> None:
    """Judged by them."""
    trained(some(200, 240), Images(count, 240), 50)


def stream(count: int) -> None:
    """One pass."""
    x = torch.randn(ROWS, FEATURES)
    trained(Rows(count), Batch(x, (x[:, 0] > 0).long()), count // ROWS)


def teach(count: int) -> None:
    """Asked about them."""
    with tempfile.TemporaryDirectory() as folder:
        kdgan.teach(network().eval(), Images(count, 80), Path(folder, "logits.safetensors"), progress=False)


CASES: dict[str, tuple[Callable[[int], None], int]] = {
    "train": (train, 200_000),
    "unlabelled": (unlabelled, 200_000),
    "validation": (validation, 20_000),
    "stream": (stream, 3_000_000),
    "teach": (teach, 200_000),
}


def peak(case: str, count: int) -> float:
    """Largest resident memory of a call in a process of its own, in MB."""
    command = [sys.executable, __file__, "--case", case, str(count)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--case", nargs=2, metavar=("CASE", "COUNT"), help="one call, in this process")
    given = parser.parse_args()
    if given.case:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        case, count = given.case
        CASES[case][0](int(count))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
        return
    for case in given.cases:
        count = CASES[case][1]
        few, every = peak(case, count // 10), peak(case, count)
        print(
            f"{case:11} {count // 10:>9,} examples {few:6.0f} MB, {count:>9,} examples {every:6.0f} MB: "
            f"ratio {every / few:.3f} (bar {BAR})",
            flush=True,
        )


if __name__ == "__main__":
    main()
