"""Data that are read anew in every pass: the feed over a DataLoader, whose batches depend on seed and step alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from kdgan.data.augment import Augmentation
from kdgan.data.batch import PARTS, Batch, checked, has_labels, labelled_rows
from kdgan.data.collate import AtOnce, as_it_is, batched, collate
from kdgan.data.feed import augmented
from kdgan.data.forms import kind_of
from kdgan.data.generators import generators_in
from kdgan.data.join import without_labels
from kdgan.data.parsing import as_batch, as_unlabelled
from kdgan.data.recorded import CollateWithLogits, ExamplesWithLogits, Recorded, WithLogits, check_finite
from kdgan.data.seeds import RandomState, mixed, seed_everything
from kdgan.data.targets import Kind, check_batch, check_signs, in_kind
from kdgan.errors import KdganError, UsageError, failed

_EVEN = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
"""Samplers that give as many examples in every pass as they say."""
_OVER = object()
MOST_WITHOUT_LENGTH = 2**22
"""Examples in one pass of data that do not say how many they are: what has no end could not be read through."""


@contextmanager
def own_data(what: str) -> Iterator[None]:
    """What a Dataset or DataLoader of one's own raises as one line."""
    try:
        yield
    except KdganError:
        raise
    except (Exception, SystemExit) as error:
        if "PIL." in str(error):
            hint = "make tensors of them, as torchvision.transforms.ToTensor() does"
            raise UsageError(f"{what} gives PIL images: {hint}") from error
        raise failed(error, what) from error


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Data that are read anew in every pass: the batches of a DataLoader, or a Dataset that is to be batched.

    Attributes:
        source: the caller's own.
        like: a batch that has the form of all, once one is known.
        classes: K, to which every target is held, once it is known.
        kind: of task, which says what targets are.
        beside: labelled examples, of the form of whose inputs these are: then nobody looks at labels here.
        logits: of a teacher for each example `(N, K)`, in the order of the data set, where they were recorded.
        name: of the data in messages.
    """

    source: DataLoader[Any] | Dataset[Any]
    like: Batch | None = None
    classes: int | None = None
    kind: Kind = "classes"
    beside: Batch | None = None
    logits: Recorded | None = None
    name: str = "train"

    def loader(self, size: int) -> DataLoader[Any]:
        """Its batches; of `size` examples where it has none of its own."""
        if not isinstance(self.source, DataLoader):
            loader = batched(self.source, size, shuffle=not isinstance(self.source, IterableDataset))
        else:
            loader = copy.copy(self.source)
            # Workers that outlive a pass would take the random state of one into the next.
            vars(loader).update(persistent_workers=False, _iterator=None, in_order=True)
            if loader.collate_fn is default_collate:
                vars(loader).update(collate_fn=collate)
        data = loader.dataset
        plain = loader.batch_sampler is not None and loader.collate_fn is collate and self.logits is None
        if plain and type(data) is TensorDataset and type(loader) is DataLoader:
            vars(loader).update(dataset=AtOnce(*data.tensors), collate_fn=as_it_is)
        if self.logits is not None:
            vars(loader).update(
                dataset=WithLogits(loader.dataset, self.logits),
                collate_fn=CollateWithLogits(loader.collate_fn),
            )
        return loader

    def ends_alone(self) -> bool:
        """Whether a pass of a loader is sure to end with a batch of one example, after larger ones."""
        batches = self.source.batch_sampler if isinstance(self.source, DataLoader) else None
        if type(batches) is not BatchSampler or type(batches.sampler) not in _EVEN or batches.drop_last:
            return False
        return batches.batch_size > 1 and len(batches.sampler) % batches.batch_size == 1  # type: ignore[arg-type]

    def checked(self, part: object) -> Batch:
        """A batch of it; once the form of all is known, with that, finite numbers, and targets among the classes."""
        what = self.name
        logits: Tensor | None = None
        found: Any = part
        if self.logits is not None:
            if not isinstance(part, ExamplesWithLogits):
                raise UsageError(f"{what} gives batches past the teacher's logits: give a plain DataLoader")
            found, logits = part.examples, part.logits
        if self.beside is not None:
            batch = as_unlabelled(found, what, self.beside)
        else:
            batch = in_kind(as_batch(found, what), self.kind)
        if self.like is not None:
            if not has_labels(batch) and kind_of(batch.targets) != kind_of(self.like.targets):
                batch = without_labels(batch, self.like.targets)
            checked(batch, what)
            for name, mine, first in zip(PARTS, batch.parts(), self.like.parts(), strict=True):
                if kind_of(mine) != kind_of(first):
                    raise UsageError(
                        f"{what}: {name} are {kind_of(mine)}, but {kind_of(first)} in the first batch"
                    )
            batch = batch.named_as(self.like)
        if self.classes is not None:
            check_batch(batch, classes=self.classes, what=what, kind=self.kind)
        if logits is None:
            return batch
        check_finite(logits, what)
        return replace(batch, teacher_logits=logits, recorded=True)


def one_pass(stream: Stream, seed: int) -> Iterator[Batch]:
    """The batches of one pass, on the CPU; always the same for a seed.

    Raises:
        UsageError: if it has no length and does not seem to end.
    """
    feed = LoaderFeed(stream, 1, seed=seed, device=torch.device("cpu"))
    most = math.inf if hasattr(feed.loader.dataset, "__len__") else MOST_WITHOUT_LENGTH
    count = 0
    while (part := feed.within_pass()) is not None:
        count += len(part)
        if count > most:
            raise UsageError(
                f"{stream.name} does not say how many examples it has, and has more than {most:,}: does it end?"
            )
        yield part


class LoaderFeed:
    """Batches of a DataLoader, again from its start when it ends.

    Order and views are the loader's own, and yet the batch of a step depends on nothing but seed and step: each pass
    has the random state that seed and number of the pass give, for Python's, numpy's and torch's generators and those
    that loader, sampler and Dataset hold, and training does not feel that they draw. What a Dataset remembers from one
    pass to the next, or draws from what nobody can seed, is beyond that.

    Args:
        data: what is read.
        size: examples per batch, where it has none of its own.
        seed: of order and views.
        device: where batches go.
        augment: other views of a batch of inputs, or None.
    """

    def __init__(
        self,
        data: Stream,
        size: int,
        *,
        seed: int,
        device: torch.device,
        augment: Augmentation | None = None,
    ) -> None:
        self.data, self.seed, self.device, self.what = data, seed, device, data.name
        self.augment, self._generator = augment, torch.Generator(device)
        with own_data(self.what):
            self.loader = data.loader(size)
            self._length = len(self.loader) if _is_even(self.loader) else 0
        self._own, self._of_views = generators_in(self.loader, data.source), generators_in(augment)
        self._state = RandomState.now(device, self._own)
        self._pass, self._first, self._next = -1, 0, 0
        # Whether all labels so far are 1, with one of them; and whether there are examples without a label.
        self._only_ones, self._ones, self._others = True, torch.empty(0), False
        self._iterator: Iterator[Any] = iter(())

    def __call__(self, step: int) -> Batch:
        """The batch of that step."""
        if step < self._next:
            self._begin(0, 0)
        number = step // self._length if self._length else 0
        if number > max(self._pass, 0):
            self._begin(number, number * self._length)
        while True:
            batch = self.within_pass()
            if batch is not None and self._next > step:
                # A network that writes into its inputs must not write into the caller's tensors.
                batch = batch.copy() if self.device.type == "cpu" else batch.to(self.device)
                seed = mixed(self.seed, "view", step)
                return augmented(batch, self.augment, self._generator, seed, self._of_views)
            if batch is None:
                if self._first == self._next:
                    raise UsageError(
                        f"{self.what} gives no batch in pass {self._pass + 1}: does drop_last leave nothing, or can it "
                        "be read only once?"
                    )
                self._begin(self._pass + 1, self._next)

    def within_pass(self) -> Batch | None:
        """The next batch of the pass, on the device of the loader; None where it ends."""
        if self._pass < 0:
            self._begin(0, 0)
        with self._random():
            part = next(self._iterator, _OVER)
        if part is _OVER:
            return None
        self._next += 1
        try:
            batch = self.data.checked(part)
        except UsageError as error:
            raise UsageError(
                f"{error} (batch {self._next - self._first} of pass {self._pass + 1})"
            ) from error
        self._others = self._others or batch.labelled is not None
        if self._only_ones and has_labels(batch):
            known = labelled_rows(batch).targets
            self._only_ones = bool((known == 1).all())
            self._ones = known[: int(self._only_ones)]
        return batch

    def _begin(self, number: int, first: int) -> None:
        """Pass number `number`, the first batch of which is that of step `first`."""
        check_signs(self._ones[:1], self._others, self.data.name)
        self._pass, self._first, self._next = number, first, first
        with self._random():
            seed_everything(mixed(self.seed, "pass", number), self._own)
            self._iterator = iter(self.loader)

    @contextmanager
    def _random(self) -> Iterator[None]:
        """The random state of the loader for the block."""
        outside = RandomState.now(self.device, self._own)
        self._state.restore()
        try:
            with own_data(self.what):
                yield
        finally:
            self._state = RandomState.now(self.device, self._own)
            outside.restore()


def is_plain(loader: DataLoader[Any]) -> bool:
    """Whether it gives its batches as torch's own does, by the places that its sampler says."""
    return type(loader).__iter__ is DataLoader.__iter__


def _is_even(loader: DataLoader[Any]) -> bool:
    """Whether every pass is sure to have as many batches as the loader says."""
    if not is_plain(loader) or type(loader).__len__ is not DataLoader.__len__:
        return False
    sampler = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
    if type(sampler) is BatchSampler:
        sampler = sampler.sampler
    return type(sampler) in _EVEN
