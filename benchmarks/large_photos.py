"""Peak memory of `kdgan train` and `kdgan evaluate` on 10,000 photos of 96 by 96 pixels, for a few updates.

The photos are smooth random colours in ten classes: what they show does not matter to the memory.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def make(folder: Path, count: int, side: int) -> None:
    """JPEG files in ten folders."""
    draws = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(draws.integers(0, 256, (8, 8, 3), np.uint8))
        small.resize((side, side)).save(place / f"{number}.jpg")


def main() -> None:
    """Prints the peak of each command; the resident memory of the largest process, as the system counts it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--method", default="kdgan")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos, out = Path(folder, "photos"), str(Path(folder, "run"))
        make(photos, given.count, given.side)
        short = ["--steps", "20", "--teacher-steps", "10", "--evaluations", "1"]
        train = ["train", "--data", str(photos), "--image-size", str(given.side), "--method", given.method]
        for command in ([*train, *short, "--out", out], ["evaluate", out]):
            subprocess.run([sys.executable, "-m", "kdgan", *command], check=True, stdout=subprocess.DEVNULL)
            # The largest so far: training comes first, and evaluation can only be seen where it is above it.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{command[0]}: at most {peak:.2f} GB (bar 1.2)", flush=True)


if __name__ == "__main__":
    main()
