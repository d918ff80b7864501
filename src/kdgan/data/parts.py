"""Parts of held-out examples, drawn evenly over what their targets say."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kdgan.data.batch import Batch
from kdgan.data.forms import leaves
from kdgan.data.heldout import HeldOut
from kdgan.data.kept import MOST_BYTES
from kdgan.data.seeds import mixed
from kdgan.data.stream import Stream
from kdgan.data.targets import Kind


class Part(HeldOut):
    """Some of held-out examples that are read anew each time.

    Args:
        whole: all of them.
        rows: which, bool `(N,)`.
    """

    def __init__(self, whole: HeldOut, rows: Tensor) -> None:
        super().__init__(whole.batches, whole.what, seed=whole.seed)
        self.whole, self.rows = whole, rows

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for batch in self.whole:
            for piece in batch.pieces():
                chosen = self.rows[start : start + len(piece)].to(piece.device)
                start += len(piece)
                if bool(chosen.any()):
                    yield piece[chosen]

    @property
    def targets(self) -> Tensor:
        """Of these examples."""
        targets = self.whole.targets
        return targets[self.rows.to(targets.device)]

    def to(self, device: torch.device) -> HeldOut:
        """The same on `device`."""
        return Part(self.whole.to(device), self.rows)

    def without_privileged(self) -> HeldOut:
        """The same without privileged information."""
        return Part(self.whole.without_privileged(), self.rows)

    def of_kind(self, kind: Kind, classes: int, like: Batch | None = None) -> HeldOut:
        """The same with targets of that kind of task."""
        return Part(self.whole.of_kind(kind, classes, like), self.rows)


def rows_of(whole: HeldOut, rows: Tensor) -> HeldOut:
    """Some of held-out examples, kept where they are not too large for that.

    Args:
        whole: all of them.
        rows: which, bool `(N,)`.
    """
    part = Part(whole, rows)
    if isinstance(whole.batches, Stream):
        sample = whole.sample
        size = sum(leaf.nbytes for form in sample.parts() if form is not None for leaf in leaves(form))
        if size / len(sample) * int(rows.sum()) > MOST_BYTES:
            return part
    return HeldOut(list(part), whole.what, seed=whole.seed)


def shuffled_evenly(targets: Tensor, seed: int) -> Tensor:
    """All positions `(N,)` in an order whose every prefix has about the same share of each label as the whole.

    Args:
        targets: class indices `(N,)`; yes or no `(N, 1)`; or weights or bits of labels `(N, K)`, of which the largest,
            the first of several, counts.
        seed: of the order.
    """
    if targets.ndim == 1:
        labels = targets
    else:
        labels = targets[:, 0].round().long() if targets.shape[1] == 1 else targets.argmax(1)
    labels = labels.cpu()
    generator = torch.Generator().manual_seed(mixed(seed, "held out"))
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = labels.bincount()
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[by_class]]
    # Those of a class stand at even distances; where in the first of them is drawn, or small classes would all come
    # at the same place.
    offset = torch.rand(len(sizes), generator=generator, dtype=torch.float64)
    place = torch.empty(len(labels), dtype=torch.float64)
    place[by_class] = (rank + offset[labels[by_class]]) / sizes[labels[by_class]]
    return shuffled[place[shuffled].argsort(stable=True)]
