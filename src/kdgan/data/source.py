"""Result of every reader of data, and the checks that all of them share."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kdgan.data.batch import NO_LABEL, Batch
from kdgan.data.labels import Labels, have_labels
from kdgan.errors import UsageError, one_line, wrong

if TYPE_CHECKING:
    from kdgan.data.table_reader import TableReader

Array: TypeAlias = NDArray[Any]
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
}
"""Names of parts, in lower case, in a column or as folders."""

TEST_FRACTION = 0.2
MOST_COMPARED = 10**6
"""Examples up to which copies among them are looked for."""
# A constant, not the seed of a run: every run, of whatever seed, is judged on the same test examples.
SPLIT_SEED = 20181203


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as it was read: nothing standardised, nothing shuffled.

    Attributes:
        name: "digits", "breast-cancer", "mnist", "cifar10", or the name of the file or folder that was read.
        kind: "image" or "vector".
        train: all training examples, on the CPU. `inputs` are uint8 `(N, C, H, W)` for images and float64
            `(N, F)` for vectors; `targets` int64 `(N,)`; `privileged` float64 `(N, P)` or None.
        test: the same for the test examples, never to be used for training, selection or standardisation.
        validation: the same for a validation part of the data's own; None where one is to be drawn from `train`.
        classes: the K label names, in the order of the class indices.
        columns: for tables the F names of the inputs in their order ("age", or "city=Oslo" where text became
            one column per value), otherwise empty.
        notes: what reading did that is not plain, such as files that were left out; for people.
        unlabelled: further examples for training that have no label, in the form of `train`; None where there are none.
        reader: for tables what makes inputs of further rows, as of these.
    """

    name: str
    kind: Literal["image", "vector"]
    train: Batch
    test: Batch
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    validation: Batch | None = None
    notes: tuple[str, ...] = ()
    unlabelled: Batch | None = None
    reader: TableReader | None = None

    @property
    def sha256(self) -> str:
        """A hash of all that a result may depend on: whatever the files, it is told by what was read from them."""
        found = hashlib.sha256(json.dumps([self.kind, self.classes, self.columns]).encode())
        more = [] if self.unlabelled is None else [self.unlabelled]
        for part in (self.train, self.test, self.validation, *more):
            for name in ("inputs", "targets", "privileged"):
                tensor: torch.Tensor | None = None if part is None else getattr(part, name)
                if tensor is not None:
                    found.update(json.dumps([str(tensor.dtype), list(tensor.shape)]).encode())
                    found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
                found.update(b"|")
        return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """Examples as a reader found them: inputs `(N, ...)`, labels, privileged `(N, P)`.

    Which labels are none, see `have_labels`.
    """

    inputs: Array
    labels: Labels
    privileged: Array | None = None

    def rows(self, index: Array) -> Part:
        """The examples at `index`, copied."""
        privileged = None if self.privileged is None else self.privileged[index]
        return Part(self.inputs[index], self.labels[index], privileged)


def unreadable(what: object, error: OSError) -> UsageError:
    """The error for a file or folder that the system does not let us read."""
    return wrong(f"cannot read {what}: {error.strerror or error}")


def brief(value: object, most: int = 60) -> str:
    """The value as Python writes it, not all of it where that is long."""
    written = repr(value)
    return written if len(written) <= most else f"{written[:most]}..."


def listing(names: Iterable[object], limit: int = 12) -> str:
    """The names, quoted and joined with commas; beyond `limit` only their number."""
    shown = [brief(str(name), 100) for name in names]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


def assemble(
    name: str,
    kind: Literal["image", "vector"],
    train: Part,
    test: Part | None = None,
    validation: Part | None = None,
    *,
    label_name: Callable[[Any], str] = str,
    columns: tuple[str, ...] = (),
    notes: Sequence[str] = (),
) -> Source:
    """Turn what a reader found into a `Source`.

    Examples of the training part that have no label are set apart; those of the others, which could not be judged, are
    left out. The notes say how many there are.

    Args:
        name: what the data are called, also in the errors.
        kind: what the inputs are; they must have their final type already.
        train: the training part, or all examples where `test` is None.
        test: the given test part. Without one, a fixed stratified fifth of `train` becomes the test part.
        validation: the given validation part, if there is one.
        label_name: the class name of a label. Classes are ordered by label: numbers, and texts that all are numbers,
            by value, other text by letter.
        columns: see `Source`.
        notes: see `Source`.

    Raises:
        UsageError: for a part without examples or without labels, fewer than two classes, labels that hardly ever
            repeat, or a class of another part that is absent from the training part.
    """
    parts = {"training": train, "test": test, "validation": validation}
    for which, part in parts.items():
        if part is not None and len(part.labels) == 0:
            raise wrong(f"{name}: the {which} part has no examples")
    if test is None:
        is_train = fixed_split(name, train.labels)
        train, test = train.rows(is_train), train.rows(~is_train)
    given = [part for part in (train, test, validation) if part is not None]
    given, others, said = _without_those(name, given)
    classes, targets = _encode(name, Labels.joined([part.labels for part in given]), label_name)
    cuts = np.split(targets, np.cumsum([len(part.labels) for part in given])[:-1])
    for which, own in zip(("test", "validation"), cuts[1:], strict=False):
        absent = np.setdiff1d(own, cuts[0])
        if len(absent):
            raise wrong(
                f"{name}: class {classes[absent[0]]!r} is in the {which} part but not in the training part"
            )
    notes = [*notes, *said, *_about_classes(classes, targets, cuts[1]), *_about_copies(given, others)]
    first, second, *third = (_batch(part, own) for part, own in zip(given, cuts, strict=True))
    return Source(
        name,
        kind,
        first,
        second,
        classes,
        columns,
        third[0] if third else None,
        tuple(map(one_line, notes)),
        None if others is None else _batch(others, np.full(len(others.labels), NO_LABEL[0])),
    )


def _without_those(name: str, given: Sequence[Part]) -> tuple[list[Part], Part | None, list[str]]:
    """The parts with their labelled examples alone, those of the first that have no label, and what is to be said."""
    there, said = have_labels(Labels.joined([part.labels for part in given]))
    if there.all():
        return list(given), None, list(said)
    masks = np.split(there, np.cumsum([len(part.labels) for part in given])[:-1])
    notes = list(said)
    for which, mask in zip(("training", "test", "validation"), masks, strict=False):
        without = int((~mask).sum())
        if without == len(mask):
            raise wrong(f"{name}: no example of the {which} part has a label")
        if without:
            left = "" if which == "training" else " and are left out"
            notes.append(f"{without:,} of {len(mask):,} {which} examples have no label{left}")
    first = masks[0]
    kept = [part if mask.all() else part.rows(mask) for part, mask in zip(given, masks, strict=True)]
    return kept, None if first.all() else given[0].rows(~first), notes


def _about_classes(classes: tuple[str, ...], targets: Array, tested: Array) -> list[str]:
    """What people should know about the classes."""
    notes = []
    counts = np.bincount(targets)
    for which, labels in (
        ("one example alone, which is for training, of", np.flatnonzero(counts == 1)),
        ("no example for testing of", np.setdiff1d(np.flatnonzero(counts > 1), tested)),
    ):
        if len(labels):
            notes.append(f"{which} {listing([classes[label] for label in labels], limit=5)}")
    alike: dict[object, list[str]] = {}
    for name in classes:
        alike.setdefault(_seen_as(name), []).append(name)
    notes += [
        f"labels that look alike are kept apart: {listing(each)}" for each in alike.values() if len(each) > 1
    ][:3]
    return notes


def _seen_as(name: str) -> object:
    """What is the same for labels that people may take for one: the number, or the letters without their case."""
    number = _by_value(np.array([name])) is not None
    if number:
        return int(name) if name.strip().lstrip("+-").isdecimal() else float(name)
    return unicodedata.normalize("NFKC", name).casefold().strip()


def copies_in(rows: Array, others: Array) -> int:
    """How many rows are among the others; 0 where they are too many to compare."""
    if len(rows) + len(others) > MOST_COMPARED or rows.dtype != others.dtype:
        return 0
    there = {_digest(row) for row in others}
    return sum(_digest(row) in there for row in rows)


def _about_copies(given: Sequence[Part], unlabelled: Part | None) -> list[str]:
    """How many examples of other parts are among the training ones, where that is worth a word."""
    more = [] if unlabelled is None else [unlabelled]
    if sum(len(part.labels) for part in (*given, *more)) > MOST_COMPARED:
        return []
    known, *others = ([_digest(row) for row in part.inputs] for part in given)
    trained = {*known, *(_digest(row) for part in more for row in part.inputs)}
    notes = []
    for which, part in zip(("test", "validation"), others, strict=False):
        copies = sum(row in trained for row in part)
        if copies > len(part) / 100:
            notes.append(f"{copies:,} of {len(part):,} {which} examples are among the training ones, too")
    return notes


def _digest(row: Array) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=8).digest()


def fixed_split(name: str, labels: Labels) -> Array:
    """Mask of the examples for training, `(N,)` of truth values: all but a stratified fifth, always the same.

    The only example of a class is for training, and so are all that have no label.

    Raises:
        UsageError: as `assemble` does for the classes.
    """
    from sklearn.model_selection import train_test_split  # a second to import: only where it is needed

    (there,) = np.nonzero(have_labels(labels)[0])
    if not len(there):
        raise wrong(f"{name}: no example has a label")
    _, targets = _encode(name, labels[there], str)
    counts = np.bincount(targets)
    rows = np.flatnonzero(counts[targets] > 1)
    # A fifth of a tiny data set may be fewer examples than there are classes, which cannot be stratified.
    size = max(math.ceil(len(targets) * TEST_FRACTION), int((counts > 1).sum()))
    size = min(size, len(rows) - int((counts > 1).sum()))
    _, test = train_test_split(rows, test_size=size, stratify=targets[rows], random_state=SPLIT_SEED)
    is_train = np.ones(len(labels), bool)
    is_train[there[test]] = False
    return is_train


def check_finite(what: str, values: Array) -> None:
    """Raise a UsageError that names `what` and the first row (from 1) of a NaN or infinity in `(N, F)`."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        value = "NaN" if np.isnan(values[row, column]) else "an infinite value"
        within = f", column {column + 1}" if values.shape[1] > 1 else ""
        raise wrong(f"{what} holds {value} in row {row + 1}{within} (counted from 1)")


def _encode(name: str, labels: Labels, label_name: Callable[[Any], str]) -> tuple[tuple[str, ...], Array]:
    values, targets, counts = labels.counted()
    order = _by_value(values)
    if order is not None:
        values, counts, targets = values[order], counts[order], np.argsort(order)[targets]
    classes = tuple(label_name(value) for value in values)
    if len(classes) < 2:
        found = f"all {len(labels)} examples are of the class {classes[0]!r}" if classes else "no examples"
        raise wrong(f"{name}: {found}, and at least two classes are needed")
    single = int((counts == 1).sum())
    if single > len(classes) / 2:
        raise wrong(
            f"{name}: {single:,} of {len(classes):,} labels ({listing(classes, limit=3)}) have only one example, so "
            "they are no classes: look at the column or folders of labels, or put numbers into a few groups"
        )
    return classes, targets


def _by_value(values: Array) -> Array | None:
    """The order of texts that all are numbers by value; None where they are not, or are no text."""
    if values.dtype.kind not in "UO" or not len(values):
        return None
    try:
        numbers = values.astype(np.float64)
    except (ValueError, TypeError):
        return None
    return None if np.isnan(numbers).any() else np.lexsort((values.astype(str), numbers))


def _batch(part: Part, targets: Array) -> Batch:
    return Batch(
        inputs=_tensor(part.inputs),
        targets=_tensor(targets.astype(np.int64)),
        privileged=None if part.privileged is None else _tensor(part.privileged),
    )


def _tensor(values: Array) -> torch.Tensor:
    # Torch shares the memory of a contiguous, writable array; anything else is copied once.
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
