"""Mixed examples: mixup (Zhang et al., 2018), whose labels a teacher gives as well as for any others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.feed import Feed
from kdgan.data.forms import Form, Pieces, mapped
from kdgan.data.seeds import mixed
from kdgan.errors import UsageError


@dataclass(frozen=True, slots=True)
class Mixup:
    """How examples are mixed.

    Attributes:
        alpha: α > 0 of the shares' Beta(α, α); 1 draws all shares alike, less keeps more of one of both.
        classes: K, where targets are class indices.
    """

    alpha: float
    classes: int


class Mixed:
    """Batches in which each example is mixed with one of its kind, in shares λ and 1 − λ with λ ~ Beta(α, α).

    Inputs, privileged information, labels and pseudo-labels are mixed alike: labels become weights. Of one kind are
    examples with a label, those with a pseudo-label that counts, and the others: a mixture of two kinds would have
    neither, so that few labels among many examples would all but vanish. The confidence of a mixture is the geometric
    mean in those shares. Examples and shares depend on the seed and the step alone.

    Args:
        feed: the batches.
        how: they are mixed.
        seed: of the shares.
    """

    def __init__(self, feed: Feed, how: Mixup, *, seed: int) -> None:
        self.feed, self.how, self.seed = feed, how, seed

    def __call__(self, step: int) -> Batch:
        """The batch of that step.

        Raises:
            UsageError: for inputs or privileged information that are not real numbers in one form, and for a teacher of
                whom there are logits alone.
        """
        batch = self.feed(step)
        if batch.recorded:
            raise UsageError(
                "mixup needs a teacher that can be asked about mixed examples, and there are its logits alone: leave "
                "mixup 0"
            )
        alpha, generator = self.how.alpha, np.random.default_rng(mixed(self.seed, "mixup", step))
        draws = generator.beta(alpha, alpha, len(batch))
        share = torch.from_numpy(draws).to(device=batch.device, dtype=torch.float32)
        other = _partners(batch)
        known, labels, sure = batch.privileged, batch.pseudo_labels, batch.confidence
        return batch._with(
            inputs=_mixed_form(batch.inputs, other, share, "inputs"),
            targets=_mixed(self._weights(batch), other, share),
            privileged=None if known is None else _mixed_form(known, other, share, "privileged information"),
            labelled=batch.labelled,
            pseudo_labels=None if labels is None else _mixed(labels, other, share),
            confidence=None if sure is None else sure.pow(share) * sure[other].pow(1 - share),
            teacher_logits=None,
            teacher_saw=None,
            places=None,
        )

    def _weights(self, batch: Batch) -> Tensor:
        """Targets as weights of labels, NaN where there is none."""
        targets = batch.targets
        if targets.is_floating_point():
            return targets
        found = F.one_hot(targets.clamp_min(0), self.how.classes).to(torch.get_default_dtype())
        return found if batch.labelled is None else found.masked_fill(~batch.labelled[:, None], float("nan"))


def _partners(batch: Batch) -> Tensor:
    """The place `(B,)` of what each example is mixed with: the one of its kind before it, of the first the last."""
    places = torch.arange(len(batch), device=batch.device)
    kind = torch.zeros_like(places)
    if batch.labelled is not None:
        kind += 2 * batch.labelled
    if batch.confidence is not None:
        kind += batch.confidence > 0
    kinds, order = kind.sort(stable=True)
    begins = kinds != kinds.roll(1)
    begins[:1] = True
    before = torch.where(begins, torch.searchsorted(kinds, kinds, right=True) - 1, places - 1)
    return torch.empty_like(places).scatter_(0, order, order[before])


def _mixed_form(form: Form, other: Tensor, share: Tensor, what: str) -> Form:
    def each(leaf: Tensor) -> Tensor:
        if not leaf.is_floating_point():
            raise UsageError(f"{what}: mixup mixes real numbers, not {leaf.dtype}: leave mixup 0")
        return _mixed(leaf, other, share)

    if isinstance(form, Pieces):
        raise UsageError(f"{what}: mixup mixes examples of one size, not of several: leave mixup 0")
    return mapped(each, form)


def _mixed(rows: Tensor, other: Tensor, share: Tensor) -> Tensor:
    share = share.to(rows.dtype).view(-1, *[1] * (rows.ndim - 1))
    return torch.lerp(rows[other], rows, share)
