"""What a teacher that is no network says of all training examples, asked once about each before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdgan.data.batch import Batch
from kdgan.data.ordered import example_of, in_order, length_of, spread
from kdgan.data.recorded import Recorded
from kdgan.data.semi import Semi
from kdgan.data.stream import Stream, one_pass
from kdgan.errors import wrong
from kdgan.tasks.own import OwnTask
from kdgan.training import identity
from kdgan.training.answers import mean_of
from kdgan.training.estimators import Estimator
from kdgan.training.evaluate import most_at_once
from kdgan.training.faces import Asked, Ensemble, Known, answered, is_network, known

CHECKED = 64
"""Examples of a stream that are held against a file of logits: from the first to the last."""


def recorded(
    face: nn.Module, task: OwnTask, device: torch.device, shown: Callable[[str, int, int], None]
) -> OwnTask:
    """The task whose training examples have with them what the teacher says of them, each asked about once.

    Examples without an order of their own are left as they are: the teacher is asked about each batch of them.

    Args:
        face: the teacher, which knows the task.
        task: whose examples have the rows of all that is known of the teacher.
        device: of the players.
        shown: is told how many are done.
    """
    if is_network(face):
        return task
    data = task.train
    parts = [data.labelled, data.unlabelled] if isinstance(data, Semi) else [data]
    lazy = all(isinstance(each, Known | Ensemble | nn.ModuleList) for each in face.modules())
    if not lazy and any(isinstance(each, Stream) and in_order(each, 1) is None for each in parts):
        for each in face.modules():
            if isinstance(each, Asked):
                each.known = known_as(each)
        return task
    total = sum(map(_count, parts))
    record = _Recording(face, device, total, shown)
    found = [record.batch(each) if isinstance(each, Batch) else record.stream(each, lazy) for each in parts]
    sample = replace(task.sample, teacher_logits=None, teacher_saw=None, recorded=False)
    return replace(task, train=found[0] if len(found) == 1 else Semi(*found), sample=sample)


def _count(part: Batch | Stream) -> int:
    return len(part) if isinstance(part, Batch) else length_of(part)


class _Recording:
    """Asks a teacher about examples.

    Args:
        face: the teacher.
        device: of the players.
        total: examples.
        shown: is told how many are done.
    """

    def __init__(
        self, face: nn.Module, device: torch.device, total: int, shown: Callable[[str, int, int], None]
    ) -> None:
        self.face, self.device, self.total, self.shown, self.done = face, device, total, shown, 0

    def batch(self, data: Batch) -> Batch:
        """All examples at once, with logits on their device."""
        found = torch.cat(list(self._asked(data))).to(data.device)
        return replace(data, teacher_logits=found, teacher_saw=None, recorded=True)

    def stream(self, data: Stream, lazy: bool) -> Stream:
        """Examples that are read anew; logits of a teacher that cannot be asked stay where they are."""
        self._look(data)
        if lazy:
            assert data.logits is not None
            return replace(data, logits=Lazy(self.face, data.logits))
        ordered = in_order(data, 256)
        assert ordered is not None
        found = [each.cpu() for batch in one_pass(ordered, "train", 0) for each in self._asked(batch)]
        return replace(data, logits=torch.cat(found))

    def _asked(self, batch: Batch) -> Iterator[Tensor]:
        most = most_at_once(batch)
        for start in range(0, len(batch), most):
            part = batch if len(batch) <= most else batch[start : start + most]
            self._check(part)
            yield answered(self.face, part.to(self.device))
            self.done += len(part)
            self.shown("asking the teacher", self.done, self.total)

    def _check(self, batch: Batch) -> None:
        for each in known(self.face):
            if each.check is not None and batch.teacher_logits is not None:
                each.check(batch, each.own(batch.teacher_logits))

    def _look(self, data: Stream) -> None:
        """Holds some examples of a data set against the file that the logits are from."""
        if not any(each.check is not None for each in known(self.face)):
            return
        rows, bare = data.logits, replace(data, logits=None)
        assert rows is not None
        for place in spread(length_of(bare), CHECKED):
            row = torch.as_tensor(rows[place], dtype=torch.float32).unsqueeze(0)
            self._check(replace(example_of(bare, place), teacher_logits=row, recorded=True))


class Columns:
    """Rows of several teachers side by side.

    Args:
        parts: the rows of each, of the same number.
    """

    def __init__(self, parts: Sequence[Recorded]) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, row: Any) -> Any:
        if len(self.parts) == 1:
            return self.parts[0][row]
        return np.concatenate([np.asarray(part[row]) for part in self.parts], axis=-1)


class Lazy:
    """Logits made of rows as they are asked for.

    Args:
        face: the teacher, which is known by rows alone.
        rows: of all its parts.
    """

    def __init__(self, face: nn.Module, rows: Recorded) -> None:
        self.face, self.rows = face, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Tensor:
        values = torch.as_tensor(self.rows[row], dtype=torch.float32)
        several = values.ndim == 2
        found = self._made(self.face, values if several else values.unsqueeze(0))
        return found if several else found[0]

    def _made(self, face: nn.Module, values: Tensor) -> Tensor:
        if isinstance(face, Known):
            return face.logits(face.own(values))
        assert isinstance(face, Ensemble)
        return mean_of([self._made(each, values) for each in face.members], face.kind)


def known_as(face: nn.Module) -> str:
    """What tells a teacher that is asked from others: code, settings and weights, as far as they can be known."""
    if isinstance(face, Ensemble):
        return " ".join(map(known_as, face.members))
    if isinstance(face, Estimator):
        # As joblib keeps results: what compiled parts hold is part of it.
        return f"{type(face.estimator).__name__} {joblib_hash(face.estimator)} {face.sees}"
    if isinstance(face, Asked):
        return f"{identity.of_object(face.ask)} {face.reading.gives} {face.sees}"
    return f"{identity.of_form(face)} {identity.of_tensors(face.state_dict().values())}"


def joblib_hash(estimator: Any) -> str:
    """A hash of an estimator and all that it learned."""
    from joblib import hash as hash_of  # with scikit-learn, which takes long to be imported

    try:
        return str(hash_of(estimator))
    except Exception as error:  # what cannot be pickled
        raise wrong(
            f"{type(estimator).__name__} cannot be told from others ({type(error).__name__}: {error})"
        ) from error
