"""Result of every reader of data, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from kdgan.data.batch import Batch
from kdgan.errors import UsageError, wrong

Array: TypeAlias = NDArray[Any]

TEST_FRACTION = 0.2
# A constant, not the seed of a run: every run, of whatever seed, is judged on the same test examples.
SPLIT_SEED = 20181203


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as it was read: nothing standardised, nothing shuffled.

    Attributes:
        name: "digits", "mnist", "cifar10", or the name of the file or folder that was read.
        kind: "image" or "vector".
        train: all training examples, on the CPU. `inputs` are uint8 `(N, C, H, W)` for images and float32
            `(N, F)` for vectors; `targets` int64 `(N,)`; `privileged` float32 `(N, P)` or None.
        test: the same for the test examples, never to be used for training, selection or standardisation.
        classes: the K label names, in the order of the class indices.
        columns: for tables the F names of the inputs in their order ("age", or "city=Oslo" where text became
            one column per value), otherwise empty.
    """

    name: str
    kind: Literal["image", "vector"]
    train: Batch
    test: Batch
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors of both parts take."""
        tensors = (
            getattr(b, n) for b in (self.train, self.test) for n in ("inputs", "targets", "privileged")
        )
        return sum(t.nbytes for t in tensors if t is not None)


@dataclass(frozen=True, slots=True)
class Part:
    """Examples as a reader found them: inputs `(N, ...)`, labels `(N,)` of any kind, privileged `(N, P)`."""

    inputs: Array
    labels: Array
    privileged: Array | None = None

    def rows(self, index: Array) -> Part:
        """The examples at `index`, copied."""
        privileged = None if self.privileged is None else self.privileged[index]
        return Part(self.inputs[index], self.labels[index], privileged)


def unreadable(what: object, error: OSError) -> UsageError:
    """The error for a file or folder that the system does not let us read."""
    return wrong(f"cannot read {what}: {error.strerror or error}")


def listing(names: Iterable[object], limit: int = 12) -> str:
    """The names, quoted and joined with commas; beyond `limit` only their number."""
    shown = [repr(str(name)) for name in names]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


def assemble(
    name: str,
    kind: Literal["image", "vector"],
    train: Part,
    test: Part | None = None,
    *,
    label_name: Callable[[Any], str] = str,
    columns: tuple[str, ...] = (),
) -> Source:
    """Turn what a reader found into a `Source`.

    Args:
        name: what the data are called, also in the errors.
        kind: what the inputs are; they must have their final type already.
        train: the training part, or all examples where `test` is None.
        test: the given test part. Without one, a fixed stratified fifth of `train` becomes the test part.
        label_name: the class name of a label. Classes are ordered by label: numbers by value, text by letter.
        columns: see `Source`.

    Raises:
        UsageError: for an empty part, fewer than two classes, a class with a single example, or a class of
            the test part that is absent from the training part.
    """
    for part, which in ((train, "training"), (test, "test")):
        if part is not None and len(part.labels) == 0:
            raise wrong(f"{name}: the {which} part has no examples")
    if test is None:
        is_train = fixed_split(name, train.labels)
        train, test = train.rows(is_train), train.rows(~is_train)
    classes, targets = _encode(name, np.concatenate([train.labels, test.labels]), label_name)
    cut = len(train.labels)
    absent = np.setdiff1d(targets, targets[:cut])
    if len(absent):
        raise wrong(f"{name}: class {classes[absent[0]]!r} is in the test part but not in the training part")
    return Source(name, kind, _batch(train, targets[:cut]), _batch(test, targets[cut:]), classes, columns)


def fixed_split(name: str, labels: Array) -> Array:
    """Mask of the examples for training, `(N,)` of truth values: all but a stratified fifth, always the same.

    Raises:
        UsageError: as `assemble` does for the classes.
    """
    from sklearn.model_selection import train_test_split  # a second to import: only where it is needed

    classes, targets = _encode(name, labels, str)
    # A fifth of a tiny data set may be fewer examples than there are classes, which cannot be stratified.
    size = max(int(np.ceil(len(targets) * TEST_FRACTION)), len(classes))
    rows = np.arange(len(targets))
    _, test = train_test_split(rows, test_size=size, stratify=targets, random_state=SPLIT_SEED)
    is_train = np.ones(len(targets), bool)
    is_train[test] = False
    return is_train


def check_finite(what: str, values: Array) -> None:
    """Raise a UsageError that names `what` and the first row (from 1) of a NaN or infinity in `(N, F)`."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        value = "NaN" if np.isnan(values[row, column]) else "an infinite value (or one too large for float32)"
        within = f", column {column + 1}" if values.shape[1] > 1 else ""
        raise wrong(f"{what} holds {value} in row {row + 1}{within} (counted from 1)")


def as_float32(values: Array) -> Array:
    """The numbers as float32; what is too large becomes infinite, silently, for `check_finite` to find."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def _encode(name: str, labels: Array, label_name: Callable[[Any], str]) -> tuple[tuple[str, ...], Array]:
    values, targets, counts = np.unique(labels, return_inverse=True, return_counts=True)
    classes = tuple(label_name(value) for value in values)
    if len(classes) < 2:
        found = f"all {len(labels)} examples are of the class {classes[0]!r}" if classes else "no examples"
        raise wrong(f"{name}: {found}, and at least two classes are needed")
    single = np.flatnonzero(counts < 2)
    if len(single):
        more = f" (as have {len(single) - 1} more classes)" if len(single) > 1 else ""
        first = classes[single[0]]
        raise wrong(f"{name}: class {first!r} has only one example{more}: each class needs at least two")
    return classes, targets


def _batch(part: Part, targets: Array) -> Batch:
    return Batch(
        inputs=_tensor(part.inputs),
        targets=_tensor(targets.astype(np.int64)),
        privileged=None if part.privileged is None else _tensor(part.privileged),
    )


def _tensor(values: Array) -> torch.Tensor:
    # Torch shares the memory of a contiguous, writable array; anything else is copied once.
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
