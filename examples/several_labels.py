"""Several labels of an example: a digit may be even, a prime, above four, and drawn with a loop.

Targets are bits `(N, K)`, so that losses are those of independent sigmoids, in every method, and the report has the
metrics of several labels. 100 digits have them; 997 others have none, and the student follows the teacher there.

    python examples/several_labels.py

Prints the report on 700 digits that are held out, and the student's probabilities for three of them.
"""

import torch
from sklearn.datasets import load_digits

import kdgan

NAMES = {
    "even": {0, 2, 4, 6, 8},
    "prime": {2, 3, 5, 7},
    "above four": {5, 6, 7, 8, 9},
    "with a loop": {0, 6, 8, 9},
}

torch.manual_seed(0)
torch.set_num_threads(1)
images, digits = load_digits(return_X_y=True)
x = torch.tensor(images).float().view(-1, 1, 8, 8) / 16
y = torch.tensor([[digit in those for those in NAMES.values()] for digit in digits])
order = torch.randperm(len(x))
known, others, held_out = order.split([100, 997, 700])

result = kdgan.distill(
    kdgan.nets.mlp(64, [32], len(NAMES)),
    kdgan.nets.build("lenet-16-32-128", (1, 8, 8), len(NAMES)),
    (x[known], y[known]),
    (x[held_out], y[held_out]),
    unlabelled=x[others],
    method="distn",
    steps=1000,
    augment=kdgan.data.augmentation("affine", torch.zeros(1)),
)
print(result.report)
probabilities = result.student(x[held_out[:3]]).sigmoid()
for digit, row in zip(digits[held_out[:3]], probabilities, strict=True):
    print(digit, {name: round(value, 2) for name, value in zip(NAMES, row.tolist(), strict=True)})
