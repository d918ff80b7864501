"""Changes of KDGAN that were tried and did not help, as a method of one's own.

    python benchmarks/trial.py mnist-100 kdgan --data-dir DIR method=benchmarks.kdgan_changes:Changed gate=true

Each is an idea for what a discriminator can do that a third peer cannot, or for a student that follows its teacher more
closely. The game is that of the paper, in which labels reach C and T through D alone; what helped became part of the
package.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgan.data import Batch
from kdgan.losses import discriminator_loss, label_weights
from kdgan.methods import KDGAN, Losses


class Changed(KDGAN):
    """KDGAN with every change switched off; both C and T learn from the D that their own labels trained.

    Args:
        modules: C, T and D.
        verdict: share of what D implies for p_u, p_α·e^g, in the logits that C follows.
        uniform: share of labels drawn uniformly among the fake ones, which keeps D a classifier.
        smoothing: of D's true labels, so that what it implies is no surer of itself than T.
        gate: weigh distillation by D's belief in T's label.
        saturating: False for the non-saturating generator loss, −E[log p_d].
        mixed: share of the batch that is blended with other examples, labels too.
        average: decay of an average of T's weights that C follows in place of T; 0 for T as it is.
        options: of KDGAN.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        discriminator: nn.Module,
        *,
        alpha: float = 0.5,
        beta: float = 1.0,
        gamma: float = 0.02,
        distillation: str = "l2",
        temperature: float = 4.0,
        verdict: float = 0.0,
        uniform: float = 0.0,
        smoothing: float = 0.0,
        gate: bool = False,
        saturating: bool = True,
        mixed: float = 0.0,
        average: float = 0.0,
        adversarial: float = 1.0,
        supervision: float = 0.0,
        **shared: Any,
    ) -> None:
        game = {"alpha": alpha, "beta": beta, "gamma": gamma, "temperature": temperature}
        super().__init__(
            student, teacher, discriminator, **game, distillation=distillation, supervision=0.0, **shared
        )
        self.verdict, self.uniform, self.smoothing, self.gate = verdict, uniform, smoothing, gate
        self.saturating, self.mixed, self.average = saturating, mixed, average
        self.followed: nn.Module | None = None

    def perturbed(self, batch: Batch, progress: float) -> Batch:
        """The batch with a share of it mixed up, and then as in every method."""
        return super().perturbed(self._mixed(batch) if self.mixed else batch, progress)

    def step(self, batch: Batch, progress: float) -> Losses:
        """D, T and C, all in every update."""
        teacher, discriminator = self.players["teacher"], self.players["discriminator"]
        c, t, g = self.student(batch), teacher(batch), discriminator(batch)
        fake = self.alpha * c.detach().float().softmax(-1) + (1 - self.alpha) * t.detach().float().softmax(-1)
        fake = (1 - self.uniform) * fake + self.uniform / fake.shape[-1]
        true = label_weights(batch.targets, g.detach().float())
        true = (1 - self.smoothing) * true + self.smoothing / g.shape[-1]
        losses = discriminator.learn({"discriminator": (1.0, discriminator_loss(g, true, fake))}, progress)

        with torch.no_grad():
            g = discriminator(batch).float()
        terms = {
            "adversarial": (1 - self.alpha, self._fooled(t, g)),
            "distillation": (self.gamma, self.distance(t, c)),
        }
        losses |= {f"teacher_{name}": mean for name, mean in teacher.learn(terms, progress).items()}
        with torch.no_grad():
            t = self._target(batch).float()
        belief = g.gather(1, t.argmax(1, keepdim=True)).sigmoid().squeeze(1) if self.gate else 1.0
        if self.verdict:
            implied = fake.clamp_min(1e-6).log() + g
            t = (1 - self.verdict) * _centred(t) + self.verdict * _centred(implied)
        terms = {
            "adversarial": (self.alpha, self._fooled(c, g)),
            "distillation": (self.beta, belief * self.distance(c, t)),
        }
        return losses | self.student.learn(terms, progress)

    def _target(self, batch: Batch) -> Tensor:
        if not self.average:
            return self.players["teacher"](batch)
        learned = self.players["teacher"].module
        if self.followed is None:  # the first update: T has been pretrained by now
            self.followed = copy.deepcopy(learned).requires_grad_(False).eval()
        for mean, now in zip(self.followed.parameters(), learned.parameters(), strict=True):
            mean.lerp_(now, 1 - self.average)
        return self.followed(batch.inputs)

    def _fooled(self, logits: Tensor, g: Tensor) -> Tensor:
        value = F.logsigmoid(-g) if self.saturating else -F.logsigmoid(g)
        return (logits.float().softmax(-1) * value).sum(-1)

    def _mixed(self, batch: Batch) -> Batch:
        """A share of the batch blended with other examples, labels too (mixup)."""
        count = int(len(batch) * self.mixed)
        other = torch.randperm(len(batch), generator=self.generator)[:count]
        share = torch.rand(count, 1, generator=self.generator)
        labels = F.one_hot(batch.targets, 10).float()
        blended = (
            share.view(-1, 1, 1, 1) * batch.inputs[:count]
            + (1 - share.view(-1, 1, 1, 1)) * batch.inputs[other]
        )
        soft = share * labels[:count] + (1 - share) * labels[other]
        inputs, targets = torch.cat([blended, batch.inputs[count:]]), torch.cat([soft, labels[count:]])
        return dataclasses.replace(batch, inputs=inputs, targets=targets)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)
