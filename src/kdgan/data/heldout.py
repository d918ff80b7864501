"""Labelled examples to judge players by, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from kdgan.data import kept as keeping
from kdgan.data.batch import PARTS, Batch, checked, labelled_rows
from kdgan.data.collate import batched
from kdgan.data.forms import fits, kind_of
from kdgan.data.join import join
from kdgan.data.kept import AT_ONCE, all_labelled, bytes_of, source_of
from kdgan.data.own import Data
from kdgan.data.stream import Stream, one_pass
from kdgan.data.targets import Kind, check_batch, check_signs, in_kind
from kdgan.errors import UsageError


class HeldOut:
    """Labelled examples to judge players by, in batches; read anew each time where they are too many to be kept.

    Args:
        batches: all of them, each with a label for every example, or what they are read from.
        what: its name in messages.
        seed: of random views.
        device: where batches go that are read anew; None leaves them where they are.
        blind: whether these lose their privileged information.
    """

    def __init__(
        self,
        batches: Sequence[Batch] | Stream,
        what: str,
        *,
        seed: int = 0,
        device: torch.device | None = None,
        blind: bool = False,
    ) -> None:
        self.batches, self.what, self.seed = batches, what, seed
        # As values, so that another process can get them.
        self.device, self.blind = device, blind
        self._targets: Tensor | None = None

    def __iter__(self) -> Iterator[Batch]:
        if not isinstance(self.batches, Stream):
            yield from self.batches
            return
        found: list[Tensor] = []
        others = False
        for batch in one_pass(self.batches, self.seed):
            known = labelled_rows(batch)
            others = others or len(known) < len(batch)
            if len(known):
                known = replace(known, privileged=None) if self.blind else known
                known = known if self.device is None else known.to(self.device)
                found.append(known.targets)
                yield known
        if not found:
            raise UsageError(f"{self.what} gives no example with a label")
        targets = torch.cat(found)
        check_signs(targets, others, self.what)
        if self._targets is not None and not torch.equal(targets, self._targets):
            raise UsageError(
                f"{self.what} gives other examples when it is read again, so that nobody knows which logits belong to "
                "a label: let it give the same in every pass"
            )
        self._targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def sample(self) -> Batch:
        """The first batch."""
        return next(iter(self))

    @property
    def targets(self) -> Tensor:
        """Of all examples."""
        if self._targets is None:
            found = [batch.targets for batch in self]
            self._targets = torch.cat(found)
        return self._targets

    def to(self, device: torch.device) -> HeldOut:
        """The same on `device`; what is read anew comes to it batch by batch."""
        if isinstance(self.batches, Stream):
            return self._anew(self.batches, device=device)
        return self._kept([batch.to(device) for batch in self.batches])

    def without_privileged(self) -> HeldOut:
        """The same without privileged information."""
        if isinstance(self.batches, Stream):
            return self._anew(self.batches, blind=True)
        return self._kept([replace(batch, privileged=None) for batch in self.batches])

    def _anew(self, batches: Stream, *, device: torch.device | None = None, blind: bool = False) -> HeldOut:
        device, blind = device or self.device, blind or self.blind
        return HeldOut(batches, self.what, seed=self.seed, device=device, blind=blind)

    def _kept(self, batches: Sequence[Batch]) -> HeldOut:
        return HeldOut(batches, self.what, seed=self.seed)

    def of_kind(self, kind: Kind, classes: int, like: Batch | None = None) -> HeldOut:
        """The same with targets of that kind of task, to which all of them are held.

        Args:
            kind: of task.
            classes: K.
            like: training examples, whose names these have in the same order, where they have the same.

        Raises:
            UsageError: for a target that is none of it.
        """
        if isinstance(self.batches, Stream):
            sample = self.sample if like is None else self.sample.named_as(like)
            return self._anew(replace(self.batches, like=in_kind(sample, kind), classes=classes, kind=kind))
        batches = self.batches if like is None else [batch.named_as(like) for batch in self.batches]
        found = self._kept([in_kind(batch, kind) for batch in batches])
        for batch in found:
            check_batch(batch, classes=classes, what=self.what, kind=kind)
        return found


def held_out(data: Data, what: str, *, seed: int = 0) -> HeldOut:
    """Data to judge players by, on the CPU; random views are those of the seed.

    Batches stay as a loader gives them where they differ in size, so that no padding is needed.

    Raises:
        UsageError: for data without examples or labels, numbers that are not finite, and another form.
    """
    source = source_of(data, what)
    if isinstance(source, Batch):
        return HeldOut([all_labelled(checked(source, what), what)], what)
    loader = source if isinstance(source, DataLoader) else batched(source, AT_ONCE)
    stream, batches = Stream(loader, name=what), _batches(loader)
    kept: list[Batch] = []
    size = count = 0
    for part in one_pass(stream, seed):
        found = labelled_rows(checked(part, what, count))
        count += len(part)
        size += bytes_of(found)
        # What will not fit is not begun: the first batch tells, where it is known how many there are.
        if size > keeping.MOST_BYTES or (not kept and batches * bytes_of(part) > keeping.MOST_BYTES):
            return HeldOut(stream, what, seed=seed)
        if len(found):
            kept.append(found)
    if not kept:
        raise UsageError(f"{what} gives no example with a label")
    _check_alike(kept, what)
    check_signs(torch.cat([part.targets for part in kept]), sum(map(len, kept)) < count, what)
    first = kept[0]
    one = all(fits(first.inputs, other.inputs) and fits(first.privileged, other.privileged) for other in kept)
    return HeldOut([join(kept)] if one else kept, what)


def _batches(loader: DataLoader[Any]) -> int:
    """How many batches a pass has; 0 where nobody says."""
    try:
        return len(loader)
    except Exception:  # the length of a Dataset is somebody's own
        return 0


def _check_alike(batches: Sequence[Batch], what: str) -> None:
    """Raises a UsageError unless all batches have the same form, and targets for as many labels."""
    first = batches[0]
    for batch in batches[1:]:
        for name, mine, other in zip(PARTS, batch.parts(), first.parts(), strict=True):
            if kind_of(mine) != kind_of(other):
                raise UsageError(
                    f"{what}: {name} are {kind_of(mine)}, but {kind_of(other)} in the first batch"
                )
        if batch.targets.shape[1:] != first.targets.shape[1:]:
            raise UsageError(
                f"{what}: targets weigh {batch.targets.shape[1]} labels, but {first.targets.shape[1]} in the first "
                "batch"
            )
