"""A table with privileged columns: the teacher sees measurements that the student will not have.

Of the tumours in scikit-learn's data on breast cancer the student gets the ten mean measurements of the cells; their
spread and their extremes, 20 columns more, are there while training alone. 60 tumours are labelled; of 300 others there
are all measurements and no label.

    python examples/privileged_table.py
"""

import torch
from sklearn.datasets import load_breast_cancer

import kdgan

torch.manual_seed(0)
torch.set_num_threads(1)
data = load_breast_cancer()
columns = torch.tensor(data.data)
columns = ((columns - columns.mean(0)) / columns.std(0)).float()
seen, privileged, y = columns[:, :10], columns[:, 10:], torch.tensor(data.target)
order = torch.randperm(len(y))
known, others, held_out = order[:60], order[60:360], order[360:]

result = kdgan.distill(
    kdgan.nets.mlp(10, [16], 2),
    kdgan.nets.build("mlp-64-64", (10,), 2, privileged=20),
    (seen[known], y[known], privileged[known]),
    (seen[held_out], y[held_out], privileged[held_out]),
    unlabelled=(seen[others], privileged[others]),
    method="distn",
    steps=1000,
)
print(result.report)
