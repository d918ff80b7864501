"""Split of a source by seed: labelled examples, validation, test, and the scale they are all brought to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import one_tensor
from kdgan.data.join import join, without_labels
from kdgan.data.seeds import mixed
from kdgan.data.source import Source
from kdgan.errors import UsageError

VALIDATION_SHARE, VALIDATION_MOST = 0.1, 5000
MOST_NUMBERS = 2**26
"""Images of more numbers than this, a quarter of a GiB in float32, stay bytes until they are asked for."""


@dataclass(frozen=True, slots=True)
class Scale:
    """(x − mean) / std, per channel of an image or per feature of a vector; statistics of what is learned from."""

    mean: Tensor
    std: Tensor

    @staticmethod
    def of(*parts: Tensor) -> Scale:
        """The scale that gives all `parts`, (N, C, H, W) or (N, F), mean 0 and variance 1; constants keep their unit.

        Pixels in bytes are taken as 0 to 1. Statistics are computed in double precision.
        """
        if parts[0].dtype == torch.uint8:
            return Scale._of_pixels(parts)
        inputs = torch.cat(parts)
        axes = [axis for axis in range(inputs.ndim) if axis != 1]
        exact = inputs.double()
        low, high = exact.amin(axes, keepdim=True)[0], exact.amax(axes, keepdim=True)[0]
        mean, std = exact.mean(axes, keepdim=True)[0], exact.std(axes, correction=0, keepdim=True)[0]
        # Equal numbers have a mean that may differ from them in its last digit, and then a deviation.
        varies = (high > low) & (std > 0)
        return Scale(torch.where(varies, mean, low).to(inputs), torch.where(varies, std, 1.0).to(inputs))

    @staticmethod
    def _of_pixels(parts: Sequence[Tensor]) -> Scale:
        """The same from how often each value occurs: real numbers of many images would fill the memory."""
        counts = torch.zeros(parts[0].shape[1], 256, dtype=torch.float64)
        for some in (each for part in parts for each in torch.split(part, 256)):
            for channel, plane in enumerate(some.unbind(1)):
                counts[channel] += plane.flatten().bincount(minlength=256)
        values, shares = (
            real(torch.arange(256, dtype=torch.uint8)).double(),
            counts / counts.sum(1, keepdim=True),
        )
        varies = (counts > 0).sum(1) > 1
        constant = values[counts.argmax(1)]
        mean = torch.where(varies, shares @ values, constant)
        std = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt()
        shape = (-1, *[1] * (parts[0].ndim - 2))
        return Scale(mean.view(shape).float(), torch.where(varies, std, 1.0).view(shape).float())

    def to(self, device: torch.device | str) -> Scale:
        """The same on `device`."""
        return Scale(self.mean.to(device), self.std.to(device))

    def __call__(self, inputs: Tensor) -> Tensor:
        """`inputs`, of pixels in bytes or as 0 to 1, in standard units as float32."""
        return ((real(inputs).to(self.mean.dtype) - self.mean) / self.std).float()


@dataclass(frozen=True, slots=True)
class Split:
    """One seed's data on the CPU: standardised, or images in bytes with the scale that `Batch.standardised` applies.

    Attributes:
        train: the labelled examples.
        validation: other training examples, for choosing and watching; may be empty.
        test: for the one measurement at the end.
        classes: label names.
        scale: what turned raw inputs (images in [0, 1]) into these.
        unlabelled: further examples to learn from, whose labels are unknown or hidden; None where there are none.
    """

    train: Batch
    validation: Batch
    test: Batch
    classes: tuple[str, ...]
    scale: Scale
    unlabelled: Batch | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.train.tensor.shape[1:])

    @property
    def privileged(self) -> int:
        """Count of the numbers of privileged information that an example has."""
        return 0 if self.train.privileged is None else one_tensor(self.train.privileged)[0].numel()

    @property
    def background(self) -> Tensor:
        """Value of a black pixel in standard units, one value per channel, `(C, 1, 1)`."""
        return -self.scale.mean / self.scale.std


Unlabelled = Literal["none", "own", "rest"]
"""Examples to learn from without their labels: none; those of the source that have none; these, and those of its
training part that are neither labelled nor for validation."""


def split(source: Source, *, labels: int | None, seed: int, unlabelled: Unlabelled = "none") -> Split:
    """Draws `labels` labelled examples, as evenly over the classes as they go, and a validation part.

    Subsets of one seed are nested: the first 100 of 1,000 labels are those of `labels=100`. Validation takes
    a tenth of the training examples, at most 5,000, of each class its share; with `labels=None` all examples outside
    validation are labelled. Where more labels are asked for than are outside it, it is what is left. All of this is the
    same whatever is learned from besides.

    Inputs are brought to the scale of all that is learned from: a hundred labelled examples alone tell little of it.

    Raises:
        UsageError: for more labels than training examples, or fewer than classes; or if there are to be examples
            without labels, and there are none.
    """
    targets = source.train.targets
    count, classes = len(targets), len(source.classes)
    own = source.validation
    validation = min(int(count * VALIDATION_SHARE), VALIDATION_MOST) if own is None else 0
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
    end = max(labels, count - len(last))
    chosen, rest, held_out = order[:labels], order[labels:end], order[end:]

    train, others = source.train[chosen], _others(source, rest, unlabelled)
    learned = [train] if others is None else [train, others]
    scale = Scale.of(*(part.tensor for part in learned))
    privileged = [one_tensor(part.privileged) for part in learned if part.privileged is not None]
    known = Scale.of(*privileged) if privileged else None
    parts = [source.train, source.test, *([] if source.unlabelled is None else [source.unlabelled])]
    large = sum(part.tensor.numel() for part in parts) > MOST_NUMBERS
    later = large and train.tensor.dtype == torch.uint8
    if own is None:
        apart_from_it = source.train[held_out]
    else:
        apart_from_it = (
            own if len(own) <= VALIDATION_MOST else own[balanced_order(own.targets, seed)[:VALIDATION_MOST]]
        )
    return Split(
        train=scaled(train, scale, known, later=later),
        validation=scaled(apart_from_it, scale, known, later=later),
        test=scaled(source.test, scale, known, later=later),
        classes=source.classes,
        scale=scale,
        unlabelled=None if others is None else scaled(others, scale, known, later=later),
    )


def _others(source: Source, rest: Tensor, unlabelled: Unlabelled) -> Batch | None:
    """The examples without labels, as they were read, in the order of the source."""
    if unlabelled == "none":
        return None
    hidden = without_labels(source.train[rest.sort().values])
    found = [hidden] if unlabelled == "rest" and len(rest) else []
    if source.unlabelled is not None:
        found.append(source.unlabelled)
    if not found:
        raise UsageError(
            f"no training example of {source.name} is left without a label: ask for fewer labels, or leave unlabelled "
            "out"
        )
    return join(found)


def scaled(part: Batch, scale: Scale, privileged: Scale | None = None, *, later: bool = False) -> Batch:
    """Examples as they were read, in standard units; privileged information stays away without its scale.

    With `later` images stay bytes, a quarter of the memory, until a batch of them is asked for.
    """
    known = None if privileged is None or part.privileged is None else privileged(one_tensor(part.privileged))
    raw = Batch(part.inputs, part.targets, known, scale=scale)
    return raw if later else raw.standardised()


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
