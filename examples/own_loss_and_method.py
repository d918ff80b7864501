"""A supervised loss, a distillation loss and a method of one's own, on digits of which 30 % have a wrong label.

The loss is the generalised cross entropy (Zhang and Sabuncu, 2018), which does not chase labels that look impossible.
The method trusts a label as far as the teacher finds it likely, and follows the teacher for the rest.

    python examples/own_loss_and_method.py

Prints two reports on 500 digits with right labels: with the cross entropy, and with the own loss (of the control, too).
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor

import kdgan
from kdgan.methods import Method, Signals, Terms


def robust(logits: Tensor, targets: Tensor) -> Tensor:
    """Supervised: logits (n, K) and the classes (n,) of labelled examples to a value each, (n,)."""
    likely = logits.softmax(-1).gather(1, targets[:, None])[:, 0]
    return (1 - likely**0.7) / 0.7


def variation(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Distillation: the distance in total variation of two predictions (B, K), (B,)."""
    return (logits.softmax(-1) - teacher_logits.softmax(-1)).abs().sum(-1) / 2


class Trusting(Method):
    """The student follows labels that the teacher finds likely, and the teacher elsewhere."""

    def __init__(self, student, teacher, *, weight: float = 2.0, **shared) -> None:
        super().__init__(student, teacher, **shared)
        self.weight = weight

    def student_loss(self, logits: Tensor, batch: kdgan.Batch, signals: Signals, progress: float) -> Terms:
        """Terms by name: (weight, values (B,))."""
        trust = signals["teacher"].softmax(-1).gather(1, batch.targets[:, None])[:, 0]
        return {
            "label": (1.0, trust * self.supervised(logits, batch)),
            "teacher": (self.weight, (1 - trust) * variation(logits, signals["teacher"])),
        }


torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float() / 16, torch.tensor(labels)
train, held_out = torch.randperm(len(y)).split([1297, 500])
wrong = torch.rand(len(train)) < 0.3
noisy = torch.where(wrong, (y[train] + torch.randint(1, 10, train.shape)) % 10, y[train])

for loss in (None, robust):
    torch.manual_seed(0)
    players = kdgan.nets.mlp(64, [64], 10), kdgan.nets.mlp(64, [256], 10)
    data = (x[train], noisy), (x[held_out], y[held_out])
    print("own loss" if loss else "cross entropy")
    print(
        kdgan.distill(*players, *data, method=Trusting, hyper={"weight": 2.0}, loss=loss, steps=1500).report
    )
