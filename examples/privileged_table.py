"""A table with privileged columns: the teacher sees measurements that the student will not have.

Of the tumours in scikit-learn's data on breast cancer the student gets 12 of the 30 columns: texture, smoothness,
symmetry and fractal dimension. Size and outline, which say more, are there while training alone, and the teacher reads
them. 20 tumours have a label; 300 others have all measurements and none. There the teacher knows what it cannot know
from labels, and so the student learns it.

    python examples/privileged_table.py

Prints the report: student and control on 249 tumours that are held out, and the teacher, which sees all columns.
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import kdgan

SEEN = ("texture", "smoothness", "symmetry", "fractal")

torch.manual_seed(0)
torch.set_num_threads(1)
data = load_breast_cancer()
columns, y = torch.tensor(data.data), torch.tensor(data.target)
columns = ((columns - columns.mean(0)) / columns.std(0)).float()
seen = torch.tensor([any(word in name for word in SEEN) for name in data.feature_names])
inputs, privileged = columns[:, seen], columns[:, ~seen]
known, rest = train_test_split(range(len(y)), train_size=20, stratify=y, random_state=0)
others, held_out = train_test_split(rest, train_size=300, stratify=y[rest], random_state=0)

result = kdgan.distill(
    kdgan.nets.mlp(inputs.shape[1], [16], 2),
    kdgan.nets.build("mlp-64", inputs.shape[1:], 2, privileged=privileged.shape[1]),
    (inputs[known], y[known], privileged[known]),
    (inputs[held_out], y[held_out], privileged[held_out]),
    unlabelled=(inputs[others], privileged[others]),
    method="distn",
    steps=600,
    label_smoothing=0.1,
    augment=kdgan.data.Noise(0.3),
)
print(result.report)
