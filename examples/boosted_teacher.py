"""A gradient-boosted teacher of scikit-learn into a network that is small.

The trees learned from 900 digits with labels, which the student never sees: it has 100 of its own, and 497 without
labels, which the trees judge. Any trained estimator with `predict_proba` or `decision_function` is such a
teacher; it is asked once about each example.

    python examples/boosted_teacher.py

Prints the report: student, control and the trees on 300 digits that are held out.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier

import kdgan

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float() / 16, torch.tensor(labels)
theirs, known, others, held_out = torch.randperm(len(y)).split([900, 100, 497, 300])
trees = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(x[theirs], y[theirs])

result = kdgan.distill(
    kdgan.nets.mlp(64, [32], 10),
    trees,
    (x[known], y[known]),
    (x[held_out], y[held_out]),
    unlabelled=x[others],
    hyper={"temperature": 2.0},
    steps=2000,
)
print(result.report)
