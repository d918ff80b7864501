"""`teach`: a teacher is asked once about each example, and its answers are kept in a file."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kdgan.data.batch import Batch
from kdgan.data.kept import random_views
from kdgan.data.ordered import data_set_of, each_alone, example_of, in_order, length_of, spread
from kdgan.data.own import Data, Inputs, recordable
from kdgan.data.stream import Stream, one_pass
from kdgan.errors import UsageError, wrong
from kdgan.files import locked, make_folder, replacing, sync
from kdgan.methods.player import evaluating, forward
from kdgan.tasks.logits_file import LogitsFile, Note, Part, create, numbers, plain_names
from kdgan.tasks.recording import CHECKED
from kdgan.tasks.teachers import Teacher, as_teacher
from kdgan.training.check import check_choices, check_teacher
from kdgan.training.devices import find_device
from kdgan.training.display import training_bars
from kdgan.training.execution import unseen
from kdgan.training.faces import Face, as_face
from kdgan.training.players import apart

_SECONDS = 1.0
"""How long answers wait before they are written: what a kill costs, at most, beside the batch that is at work."""
_BYTES = 2**25
"""How much of them waits, at most."""


def teach(
    teacher: Teacher,
    data: Data,
    path: Path | str,
    *,
    teacher_gives: Literal["logits", "probabilities"] = "logits",
    teacher_sees: Literal["both", "inputs", "privileged"] = "both",
    batch: int = 256,
    device: str = "auto",
    progress: bool = True,
    unlabelled: Inputs | None = None,
    name: str | None = None,
) -> Path:
    """Asks a teacher once about each example and writes what it says into a file, which `distill` takes as a teacher.

    The file is plain safetensors: `logits` (N, K), as the teacher gave them, in the order of the data, and `examples`,
    numbers that tell which example each row is of. It is mapped into memory where it is read. A call that is stopped
    leaves `.NAME.part` beside it: the same call goes on from there, and one whose file is complete asks nothing.

    `distill` needs the same training examples in the same order, and neither the teacher nor, where it alone sees them,
    what is privileged. It holds examples that lie in memory against the file one by one; of data that are read anew in
    every pass their number and 64 of them, from the first to the last.

    Args:
        teacher: as in `distill`: a module, a function, an estimator, or a list of them.
        data: training data as in `distill`; views must be the same each time. Of a DataLoader, the examples of its data
            set in their order, in batches of its size; its collate_fn may pad each batch to its own length.
        path: of the file, such as `teacher.safetensors`.
        teacher_gives: what functions give.
        teacher_sees: what the teacher is called with.
        batch: examples per call.
        device: of modules: `auto`, `cpu`, `cuda`.
        progress: show a bar on stderr, where that is a terminal.
        unlabelled: examples without labels, whose logits follow those of `data`.
        name: what tells the teacher from others, in place of its weights and code: for one that changes as it is asked,
            such as a client with a session or a counter. A function is known by its code, and by what it holds and
            finds in its module.

    Returns:
        The path.

    Raises:
        UsageError: if teacher and data do not fit, or the file is of another teacher or of other data.
        RunError: if the teacher fails; its answers until then are kept.

    Example:
        >>> import tempfile, torch
        >>> from kdgan import distill, nets, teach
        >>> x, y = torch.randn(40, 8), torch.arange(40) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = teach(nets.mlp(8, [64], 2), (x, y), f"{folder}/teacher.safetensors")
        ...     result = distill(nets.mlp(8, [4], 2), path, (x, y), (x, y), steps=5)
        >>> result.report.method
        'distn'
    """
    where, place = find_device(device), _checked_path(path)
    check_choices(None, progress=progress)
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise wrong(f"batch must be a whole number of at least 1, not {batch!r:.60}")
    if name is not None and not isinstance(name, str):
        raise wrong(f"name must be text, not {name!r:.60}")
    face = as_face(as_teacher(teacher, gives=teacher_gives, sees=teacher_sees, data=data).face)
    if face.count is not None:
        raise UsageError(
            "teach asks a teacher, and logits that are there already need none: give them to distill"
        )
    members = list(face.parts())
    make_folder(place.parent)
    with (
        training_bars() if progress else nullcontext(unseen) as shown,
        apart(where, 0, {"teacher": face}),
        evaluating(face),
        locked(place.parent),
    ):
        parts = recordable(data, unlabelled)
        _check_order(parts)
        known_by = " ".join(each.fingerprint() for each in members) if name is None else f"name {name}"
        try:
            _Asking(members, known_by, parts, place, where, batch, shown).finish()
        except OSError as error:
            raise wrong(f"{place} cannot be written: {error.strerror or error}") from error
    return place


def _checked_path(path: object) -> Path:
    if not isinstance(path, Path | str) or not str(path) or "\0" in str(path):
        raise wrong(f"path must be that of a file, not {path!r:.60}")
    found = Path(path)
    if found.suffix in (".npy", ".npz"):
        raise wrong(
            f"{found} would be read as an array of your own: choose another ending, such as .safetensors"
        )
    if found.is_dir():
        raise wrong(f"{found} is a folder: give the path of a file")
    return found


def _check_order(parts: Sequence[Batch | Stream]) -> None:
    for part in parts:
        if isinstance(part, Batch):
            continue
        if data_set_of(part) is None:
            raise UsageError(
                f"{part.name} has no order of its own, so that a file cannot say which example a row is of: give a "
                "Dataset, or a DataLoader of one"
            )
        if random_views(part):
            raise UsageError(
                f"{part.name} gives another view of an example each time it is asked, and a file holds what a teacher "
                "says of one: leave random transforms to augment="
            )


class _Asking:
    """The work of one call.

    Args:
        members: the teachers.
        teacher: what tells them from others.
        parts: the examples, in order.
        path: of the file.
        device: of the teachers.
        size: examples per call.
        shown: is told how many are done.
    """

    def __init__(
        self,
        members: Sequence[Face],
        teacher: str,
        parts: Sequence[Batch | Stream],
        path: Path,
        device: torch.device,
        size: int,
        shown: Callable[[str, int, int], None],
    ) -> None:
        self.members, self.parts, self.path, self.size, self.device = members, parts, path, size, device
        self.shown, self.unfinished = shown, path.with_name(f".{path.name}.part")
        self.counts = list(map(length_of, parts))
        self.total = sum(self.counts)
        self.teacher = teacher
        self.all_count = any(each.sees != "inputs" for each in members)
        self.ask = [each.as_given() for each in members]
        first = parts[0]
        self.like = first[:1] if isinstance(first, Batch) else example_of(first, 0)

    def finish(self) -> None:
        """Asks about all that is missing."""
        if self.path.exists():
            self._check(LogitsFile(self.path), self.path)
            return
        for left in self.path.parent.glob(f".{glob.escape(self.unfinished.name)}.*.tmp"):
            left.unlink(missing_ok=True)  # which a kill left in the moment of its beginning
        done = 0
        if self.unfinished.exists():
            started = LogitsFile(self.unfinished)
            self._check(started, self.unfinished)
            done = started.done
        if done < self.total:
            self._go_on(done)
        self.unfinished.replace(self.path)
        sync(self.path.parent)

    def _check(self, file: LogitsFile, path: Path) -> None:
        """Raises a UsageError unless the file is of this teacher and these data."""
        asked = [(part["gives"], part["names"]) for part in file.note["parts"]]
        if (
            (file.note["teacher"], len(file)) != (self.teacher, self.total)
            or asked != [_read_as(each) for each in self.members]
            or (path == self.path and file.done < len(file))
            or not self._same(file, file.done)
        ):
            raise wrong(
                f"{path} holds the logits of another teacher or other data: choose another path, or delete it"
            )

    def _same(self, file: LogitsFile, done: int) -> bool:
        """Whether the first examples are those that the file has; of a stream some are looked at."""
        first = 0
        for part, count in zip(self.parts, self.counts, strict=True):
            there = min(count, max(done - first, 0))
            if isinstance(part, Batch):
                mine, rows = numbers(part[:there]), np.arange(first, first + there)
            else:
                places = spread(there, CHECKED) if there else []
                looked = [numbers(example_of(part, place)) for place in places]
                mine = np.concatenate([np.zeros((0, 2), np.int64), *looked])
                rows = first + np.array(places, np.int64)
            seen = file.examples[rows] == mine
            # What is privileged is no part of what is asked where no teacher looks at it.
            if not (seen if self.all_count else seen[:, 0]).all():
                return False
            first += count
        return True

    def _go_on(self, done: int) -> None:
        file = LogitsFile(self.unfinished) if done else None
        waiting: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        written, since = done, time.monotonic()
        try:
            for given, examples in self._batches(done):
                batch = given.named_as(self.like)
                answers = [forward("teacher", each, batch.to(self.device)).float().cpu() for each in self.ask]
                for each in answers:
                    check_teacher(each, f"examples {done} to {done + len(batch) - 1}")
                widths = [each.shape[1] for each in answers]
                if file is None:
                    file = self._new(widths)
                if widths != [part["width"] for part in file.note["parts"]]:
                    raise wrong(
                        f"the teacher gives {sum(widths)} numbers for an example, and gave another number before"
                    )
                waiting.append((torch.cat(answers, 1).numpy(), examples))
                done += len(batch)
                self.shown("asking the teacher", done, self.total)
                size = len(waiting) * waiting[-1][0].nbytes
                if time.monotonic() - since > _SECONDS or size > _BYTES:
                    written, since = _write(file, waiting, written), time.monotonic()
        finally:
            if file is not None:
                _write(file, waiting, written)
                file.close()

    def _new(self, widths: Sequence[int]) -> LogitsFile:
        parts = []
        for each, width in zip(self.members, widths, strict=True):
            gives, names = _read_as(each)
            parts.append(Part(gives=gives, names=names, width=width))
        with replacing(self.unfinished) as temporary:
            create(temporary, self.total, Note(teacher=self.teacher, parts=parts))
        return LogitsFile(self.unfinished)

    def _batches(self, done: int) -> Iterator[tuple[Batch, NDArray[np.int64]]]:
        """The examples from that number on, and what tells each from others."""
        first = 0
        for part, count in zip(self.parts, self.counts, strict=True):
            start = max(done - first, 0)
            first += count
            if start >= count:
                continue
            if isinstance(part, Batch):
                for at in range(start, count, self.size):
                    batch = part[at : at + self.size]
                    yield batch, numbers(batch)
            else:
                ordered = in_order(part, self.size, start)
                assert ordered is not None
                for batch in one_pass(ordered, 0):
                    yield batch, np.concatenate([*map(numbers, each_alone(part, start, batch))])
                    start += len(batch)


def _read_as(member: Face) -> tuple[Any, Any]:
    return member.reading.gives, plain_names(member.reading.names)


def _write(file: LogitsFile, waiting: list[tuple[NDArray[np.float32], NDArray[np.int64]]], start: int) -> int:
    """Writes what waits behind the first `start` rows, and gives the number of rows that are then there."""
    if not waiting:
        return start
    logits, examples = (np.concatenate(each) for each in zip(*waiting, strict=True))
    waiting.clear()
    file.put(start, logits, examples)
    return start + len(logits)
