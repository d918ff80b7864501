"""100 digits with labels, and 1,397 others without: what a teacher makes of examples that nobody labelled.

A teacher that learned from the 100 labels says what it makes of the others, and the student follows it there, too. What
can be had of the same examples without a teacher (`selftrain`: the student learns from its own confident labels) is
measured beside it.

    python examples/unlabelled_digits.py

Prints the report of each: student and control, which sees the 100 labels alone, on 300 digits that are held out.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kdgan

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float().view(-1, 1, 8, 8), torch.tensor(labels)
x = (x - x.mean()) / x.std()
known, rest = train_test_split(range(len(y)), train_size=100, stratify=y, random_state=0)
rest, held_out = train_test_split(rest, test_size=300, stratify=y[rest], random_state=0)
views = kdgan.data.augmentation("affine", background=x.min().view(1, 1, 1))  # turned, moved, scaled a little

for method in ("distn", "selftrain"):
    result = kdgan.distill(
        kdgan.nets.mlp(64, [32], 10),
        kdgan.nets.build("lenet-16-32-128", (1, 8, 8), 10),
        (x[known], y[known]),
        (x[held_out], y[held_out]),
        unlabelled=x[rest],
        method=method,
        augment=views,
        steps=2000,
        lr=5e-3,
        batch=64,
        control=method == "distn",
    )
    print(result.report)
