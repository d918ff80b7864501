"""Data of which some have no label: what is labelled, what is not, and a feed over both."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kdgan.data.augment import Augmentation
from kdgan.data.batch import Batch
from kdgan.data.feed import Feed, TensorFeed
from kdgan.data.join import join, without_labels
from kdgan.data.mixup import Mixed, Mixup
from kdgan.data.seeds import mixed
from kdgan.data.stream import LoaderFeed, Stream


@dataclass(frozen=True, slots=True)
class Semi:
    """Labelled examples beside others without labels.

    Attributes:
        labelled: examples with labels.
        unlabelled: others, of the same form.
    """

    labelled: Batch | Stream
    unlabelled: Batch | Stream

    def to(self, device: torch.device) -> Semi:
        """The same on `device`; what is read anew comes to it batch by batch."""
        both = (self.labelled, self.unlabelled)
        return Semi(*(part.to(device) if isinstance(part, Batch) else part for part in both))


Examples = Batch | Stream | Semi
"""What is learned from: tensors, what is read anew in every pass, or both kinds with and without labels."""


def labelled_part(data: Examples) -> Batch | Stream:
    """The examples that have labels."""
    return data.labelled if isinstance(data, Semi) else data


def make_feed(
    data: Examples,
    size: int,
    *,
    seed: int,
    device: torch.device,
    augment: Augmentation | None = None,
    share: float = 0.25,
    mixup: Mixup | None = None,
) -> Feed:
    """The feed of a loop.

    Args:
        data: what is learned from.
        size: examples per batch; a DataLoader has its own.
        seed: of order and views.
        device: where batches go.
        augment: other views of a batch of inputs, or None.
        share: of labelled examples in a batch, where there are others.
        mixup: how examples are mixed, those with labels among themselves and the others likewise; None mixes none.
    """
    if isinstance(data, Semi):
        return SemiFeed(data, size, seed=seed, device=device, augment=augment, share=share, mixup=mixup)
    feed: Feed
    if isinstance(data, Batch):
        feed = TensorFeed(data.to(device), size, seed=seed, augment=augment)
    else:
        feed = LoaderFeed(data, size, seed=seed, device=device, augment=augment)
    return feed if mixup is None else Mixed(feed, mixup, seed=seed)


def sizes_of(data: Semi, size: int, share: float) -> tuple[int, int]:
    """How many examples of a batch have a label, and how many have none: at least one of each.

    A DataLoader has its own number of them, to which that of the others is added; two have the share that they give.

    Args:
        data: both.
        size: examples per batch, where neither is a DataLoader.
        share: of labelled ones.
    """
    known, others = (_own_size(part) for part in (data.labelled, data.unlabelled))
    if known is None and others is None:
        known = max(1, min(size - 1, round(share * size)))
        return known, max(1, size - known)
    if known is None:
        known = max(1, round((others or 1) * share / (1 - share)))
    return known, max(1, round(known * (1 - share) / share)) if others is None else others


def has_own_share(data: Semi) -> bool:
    """Whether both are DataLoaders, whose batch sizes say how many examples of a batch have a label."""
    return None not in (_own_size(data.labelled), _own_size(data.unlabelled))


def _own_size(part: Batch | Stream) -> int | None:
    if not isinstance(part, Stream):
        return None
    sampler = getattr(part.source, "batch_sampler", None)
    found = getattr(part.source, "batch_size", None) or getattr(sampler, "batch_size", None)
    return found if isinstance(found, int) else None


class SemiFeed:
    """Batches that hold labelled examples first, then others: a function of seed and step, as each of the two feeds is.

    Args:
        data: both.
        size: examples per batch.
        seed: of order and views.
        device: where batches go.
        augment: other views of a batch of inputs, or None.
        share: of labelled ones in a batch, see `sizes_of`.
        mixup: how examples are mixed; None mixes none.
    """

    def __init__(
        self,
        data: Semi,
        size: int,
        *,
        seed: int,
        device: torch.device,
        augment: Augmentation | None = None,
        share: float = 0.25,
        mixup: Mixup | None = None,
    ) -> None:
        known, others = sizes_of(data, size, share)
        self.labelled = make_feed(
            data.labelled, known, seed=seed, device=device, augment=augment, mixup=mixup
        )
        self.unlabelled = make_feed(
            data.unlabelled,
            others,
            seed=mixed(seed, "unlabelled"),
            device=device,
            augment=augment,
            mixup=mixup,
        )

    def __call__(self, step: int) -> Batch:
        """The batch of that step."""
        known = self.labelled(step)
        return join([known, without_labels(self.unlabelled(step), known.targets)])
