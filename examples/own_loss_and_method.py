"""A supervised loss, a distillation loss and a method of one's own, on 300 digits of which 40 % have a wrong label.

The loss is the generalised cross entropy (Zhang and Sabuncu, 2018), which gives up on labels that look impossible. The
method trusts a label as far as the teacher finds it likely, and follows the teacher for the rest; of 997 digits that
have no label, altogether. Loss, method and distance serve every command, too: `kdgan compare --methods mine:Trusting`.

    python examples/own_loss_and_method.py

Prints two reports on 500 digits with right labels: with the cross entropy, and with the own loss (of the control, too).
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import kdgan
from kdgan.methods import Method, Signals, Terms


def robust(logits: Tensor, targets: Tensor) -> Tensor:
    """Supervised: logits (n, K) and classes (n,) of the labelled examples to a value of each, (n,)."""
    likely = logits.softmax(-1).gather(1, targets[:, None])[:, 0]
    return (1 - likely**0.7) / 0.7


def variation(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Distillation: the distance in total variation of two predictions (B, K), (B,)."""
    return (logits.softmax(-1) - teacher_logits.softmax(-1)).abs().sum(-1) / 2


class Trusting(Method):
    """The student follows labels that the teacher finds likely, and the teacher elsewhere."""

    def __init__(self, student: nn.Module, teacher: nn.Module, *, weight: float = 2.0, **shared) -> None:
        super().__init__(student, teacher, **shared)
        self.weight = weight

    def student_loss(self, logits: Tensor, batch: kdgan.Batch, signals: Signals, progress: float) -> Terms:
        """Terms by name: (weight, values (B,))."""
        teacher = signals["teacher"]
        likely = teacher.softmax(-1).gather(1, batch.targets.clamp(min=0)[:, None])[:, 0]
        trust = torch.where(batch.targets >= 0, likely, 0)  # -1 is no label
        return {
            "label": (1.0, trust * self.supervised(logits, batch)),
            "distillation": (self.weight, (1 - trust) * variation(logits, teacher)),
        }


torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images).float().view(-1, 1, 8, 8) / 16, torch.tensor(labels)
known, others, held_out = torch.randperm(len(y)).split([300, 997, 500])
wrong = (y[known] + torch.randint(1, 10, known.shape)) % 10
heard = torch.where(torch.rand(len(known)) < 0.4, wrong, y[known])

for name, loss in {"cross entropy": None, "own loss": robust}.items():
    torch.manual_seed(0)
    result = kdgan.distill(
        kdgan.nets.mlp(64, [32], 10),
        kdgan.nets.build("lenet-8-16-64", (1, 8, 8), 10),
        (x[known], heard),
        (x[held_out], y[held_out]),
        unlabelled=x[others],
        method=Trusting,
        hyper={"weight": 2.0},
        loss=loss,
        steps=1000,
    )
    print(f"{name}\n{result.report}")
