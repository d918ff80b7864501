"""Logits of a teacher that is no network for all training examples, each asked about once before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.ordered import data_set_of, example_of, in_order, length_of, spread
from kdgan.data.semi import Semi
from kdgan.data.stream import Stream, one_pass
from kdgan.methods.sharing import by_rows
from kdgan.tasks.own import OwnTask
from kdgan.training.evaluate import most_at_once
from kdgan.training.faces import Face, as_face

CHECKED = 64
"""Examples of a stream that are held against a file of logits: from the first to the last."""


def recorded(
    teacher: nn.Module, task: OwnTask, device: torch.device, shown: Callable[[str, int, int], None]
) -> OwnTask:
    """The task whose training examples have the teacher's logits with them, each asked about once.

    Examples without an order of their own are left as they are: the teacher is asked about each batch of them.

    Args:
        teacher: which knows the task.
        task: whose examples know their places, if some of the teacher is known by its numbers.
        device: of the players.
        shown: is told how many are done.
    """
    face = as_face(teacher)
    if face.is_network:
        return task
    data = task.train
    parts = [data.labelled, data.unlabelled] if isinstance(data, Semi) else [data]
    lazy = all(each.count is not None for each in face.parts())
    if not lazy and any(isinstance(each, Stream) and data_set_of(each) is None for each in parts):
        for each in face.parts():
            each.keep_fingerprint()
        return task
    record = _Recording(face, device, sum(map(length_of, parts)), shown)
    found: list[Any] = []
    for first, part in zip((0, length_of(parts[0])), parts, strict=False):
        found.append(record.batch(part) if isinstance(part, Batch) else record.stream(part, first, lazy=lazy))
    sample = replace(task.sample, places=None)
    return replace(task, train=found[0] if len(found) == 1 else Semi(*found), sample=sample)


class _Recording:
    """Asks a teacher about examples.

    Args:
        face: the teacher.
        device: of the players.
        total: examples.
        shown: is told how many are done.
    """

    def __init__(
        self, face: Face, device: torch.device, total: int, shown: Callable[[str, int, int], None]
    ) -> None:
        self.face, self.device, self.total, self.shown, self.done = face, device, total, shown, 0

    def batch(self, data: Batch) -> Batch:
        """All examples at once, with logits on their device."""
        if data.places is not None:
            self.face.check(data.places.cpu().numpy(), data)
        found = torch.cat(list(self._asked(data))).to(data.device)
        return replace(data, teacher_logits=found, teacher_saw=None, recorded=True, places=None)

    def stream(self, data: Stream, first: int, *, lazy: bool) -> Stream:
        """Examples that are read anew, the first of which has that place; logits of a teacher that cannot be asked are
        made as they are needed."""
        count = length_of(data)
        if self.face.count is not None:
            for place in spread(count, CHECKED):
                self.face.check(slice(first + place, first + place + 1), example_of(data, place))
        if lazy:
            return replace(data, logits=Lazy(self.face, first, count))
        ordered = in_order(data, 256)
        assert ordered is not None
        found, place = [], first
        for batch in one_pass(ordered, 0):
            places = torch.arange(place, place + len(batch))
            found += [each.cpu() for each in self._asked(replace(batch, places=places))]
            place += len(batch)
        return replace(data, logits=torch.cat(found))

    def _asked(self, batch: Batch) -> Iterator[Tensor]:
        most = most_at_once(batch)
        for start in range(0, len(batch), most):
            part = batch if len(batch) <= most else batch[start : start + most]
            yield by_rows(self._answered, part)
            self.done += len(part)
            self.shown("asking the teacher", self.done, self.total)

    def _answered(self, batch: Batch) -> Tensor:
        places = None if batch.places is None else batch.places.cpu().numpy()
        return self.face.answered(places, batch.to(self.device))


class Lazy:
    """Logits of a teacher that is known by its numbers alone, made as they are asked for.

    Args:
        face: the teacher.
        first: place of the first of these examples.
        count: how many they are.
    """

    def __init__(self, face: Face, first: int, count: int) -> None:
        self.face, self.first, self.count = face, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: Any) -> Tensor:
        if isinstance(row, slice):
            start, stop, _ = row.indices(self.count)
            return self.face.answered(slice(self.first + start, self.first + stop), None)
        if not 0 <= row < self.count:
            raise IndexError(f"row {row} of {self.count}")
        place = self.first + int(row)
        return self.face.answered(slice(place, place + 1), None)[0]
