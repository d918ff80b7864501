"""100 labelled digits, and 1,197 others without labels: what the teacher, and the examples without labels, bring.

python examples/unlabelled_digits.py
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kdgan
from kdgan.data import AffineElastic

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float().view(-1, 1, 8, 8) / 16, torch.tensor(labels)
known, rest = train_test_split(range(len(y)), train_size=100, stratify=y, random_state=0)
rest, held_out = train_test_split(rest, test_size=500, stratify=y[rest], random_state=0)

student = kdgan.nets.mlp(64, [32], 10)
teacher = kdgan.nets.build("lenet-16-32-128", (1, 8, 8), 10)
result = kdgan.distill(
    student,
    teacher,
    (x[known], y[known]),
    (x[held_out], y[held_out]),
    unlabelled=x[rest],  # every method that has a teacher follows it on these, too
    method="mimic",
    steps=2000,
    augment=AffineElastic(background=torch.zeros(1)),
)
print(result.report)
