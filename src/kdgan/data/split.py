"""Split of a source by seed: labelled examples, validation, test, and the scale they are all brought to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.seeds import mixed
from kdgan.data.source import Source
from kdgan.errors import UsageError

VALIDATION_SHARE, VALIDATION_MOST = 0.1, 5000


@dataclass(frozen=True, slots=True)
class Scale:
    """(x − mean) / std, per channel of an image or per feature of a vector; statistics of the labelled examples."""

    mean: Tensor
    std: Tensor

    @staticmethod
    def of(inputs: Tensor) -> Scale:
        """The scale that gives `inputs` (N, C, H, W) or (N, F) mean 0 and variance 1; constants keep their unit."""
        axes = [axis for axis in range(inputs.ndim) if axis != 1]
        # In double precision the mean of equal numbers is that number, and their deviation 0.
        exact = inputs.double()
        mean, std = exact.mean(axes, keepdim=True)[0], exact.std(axes, correction=0, keepdim=True)[0]
        return Scale(mean.to(inputs), torch.where(std > 0, std, 1.0).to(inputs))

    def __call__(self, inputs: Tensor) -> Tensor:
        """`inputs` in standard units."""
        return (inputs - self.mean) / self.std


@dataclass(frozen=True, slots=True)
class Split:
    """One seed's data, standardised, on the CPU.

    Attributes:
        train: the labelled examples.
        validation: other training examples, for choosing and watching; may be empty.
        test: for the one measurement at the end.
        classes: label names.
        scale: what turned raw inputs (images in [0, 1]) into these.
    """

    train: Batch
    validation: Batch
    test: Batch
    classes: tuple[str, ...]
    scale: Scale

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def privileged(self) -> int:
        """Count of the numbers of privileged information that an example has."""
        return 0 if self.train.privileged is None else self.train.privileged[0].numel()

    @property
    def background(self) -> Tensor:
        """Value of a black pixel in standard units, one value per channel, `(C, 1, 1)`."""
        return -self.scale.mean / self.scale.std


def split(source: Source, *, labels: int | None, seed: int) -> Split:
    """Draws `labels` labelled examples, as evenly over the classes as they go, and a validation part.

    Subsets of one seed are nested: the first 100 of 1,000 labels are those of `labels=100`. Validation takes
    a tenth of the training examples, at most 5,000, of each class its share; with `labels=None` all examples outside
    validation are labelled. Where more labels are asked for than are outside it, it is what is left.

    Raises:
        UsageError: for more labels than training examples, or fewer than classes.
    """
    targets = source.train.targets
    count, classes = len(targets), len(source.classes)
    validation = min(int(count * VALIDATION_SHARE), VALIDATION_MOST)
    labels = count - validation if labels is None else labels
    if labels > count:
        raise UsageError(f"{labels} labels asked for, but {source.name} has {count} training examples")
    if labels < classes:
        raise UsageError(f"{labels} labels cannot cover the {classes} classes of {source.name}: ask for more")
    order = balanced_order(targets, seed)
    apart = _stratified(targets[order], min(validation, count - classes))
    generator = torch.Generator().manual_seed(mixed(seed, "validation"))
    last = apart[torch.randperm(len(apart), generator=generator)]
    outside = torch.ones(count, dtype=torch.bool).index_fill_(0, apart, False)
    order = torch.cat([order[outside], order[last]])
    chosen, held_out = order[:labels], order[max(labels, count - len(last)) :]

    train = source.train[chosen]
    scale = Scale.of(real(train.inputs))
    known = None if train.privileged is None else Scale.of(train.privileged)
    return Split(
        train=scaled(train, scale, known),
        validation=scaled(source.train[held_out], scale, known),
        test=scaled(source.test, scale, known),
        classes=source.classes,
        scale=scale,
    )


def scaled(part: Batch, scale: Scale, privileged: Scale | None = None) -> Batch:
    """Examples as they were read, in standard units; privileged information stays away without its scale."""
    known = None if privileged is None or part.privileged is None else privileged(part.privileged)
    return Batch(scale(real(part.inputs)), part.targets, known)


def _stratified(targets: Tensor, count: int) -> Tensor:
    """Positions in `targets` `(N,)` of `count` examples, of each class its share, the last of it, and never all."""
    sizes = targets.bincount()
    shares = count * sizes / len(targets)
    quotas = shares.floor().long()
    while (missing := count - int(quotas.sum())) > 0:
        room = quotas < sizes - 1
        largest = (shares - quotas).masked_fill(~room, -torch.inf).topk(min(missing, int(room.sum()))).indices
        quotas[largest] += 1
    return torch.cat(
        [
            (targets == label).nonzero().flatten()[size - quota : size]
            for label, (size, quota) in enumerate(zip(sizes.tolist(), quotas.tolist(), strict=True))
        ]
    )


def balanced_order(targets: Tensor, seed: int) -> Tensor:
    """All positions of `targets` `(N,)` in an order whose every prefix is as balanced as the classes allow.

    `split` gives the first ones their labels.
    """
    generator = torch.Generator().manual_seed(mixed(seed, "labels"))
    shuffled = torch.randperm(len(targets), generator=generator)
    by_class = shuffled[targets[shuffled].argsort(stable=True)]
    sizes = targets.bincount()
    # The how-manieth of its class each example is; ties between classes fall as the shuffle fell.
    rank = torch.arange(len(targets)) - (sizes.cumsum(0) - sizes)[targets[by_class]]
    ranks = torch.empty_like(rank).scatter_(0, by_class, rank)
    return shuffled[ranks[shuffled].argsort(stable=True)]


def real(inputs: Tensor) -> Tensor:
    """Inputs as real numbers: bytes, which are pixels, as 0 to 1."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs
