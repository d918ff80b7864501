"""A teacher that is slow or costs money is asked once for each example; later runs need its answers alone.

`kdgan.teach` writes what the teacher says into a file, a row for each example, and goes on where it was stopped. Then
`distill` takes the file in the teacher's place. Here the teacher is a function, as the client of a web service is one:
numbers in, probabilities out.

    python examples/cached_logits.py

Prints how many examples the teacher was asked about in two calls of `teach`, and the report on 300 digits.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier

import kdgan

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = (images / 16).astype(np.float32), labels
theirs, known, others, held_out = np.split(np.random.default_rng(0).permutation(len(y)), [900, 1000, 1497])
forest = ExtraTreesClassifier(300, random_state=0).fit(x[theirs], y[theirs])
asked = 0


def service(inputs: np.ndarray) -> np.ndarray:
    """Probabilities (B, 10)."""
    global asked
    asked += len(inputs)
    return forest.predict_proba(inputs)


train, unlabelled = (x[known], y[known]), x[others]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "service.safetensors"
    for _ in range(2):
        # The name says whose answers these are; without one, a function is known by its code and what it refers to.
        kdgan.teach(
            service, train, path, teacher_gives="probabilities", unlabelled=unlabelled, name="forest 1"
        )
        print(f"asked about {asked} examples; {path.stat().st_size / 1024:.0f} KiB")
    result = kdgan.distill(
        kdgan.nets.mlp(64, [32], 10),
        path,
        train,
        (x[held_out], y[held_out]),
        unlabelled=unlabelled,
        steps=2000,
    )
print(result.report)
