"""The one thing that passes between data, methods and the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from kdgan.data.forms import Form, Pieces, as_form, leaves, length, mapped, named_as, one_tensor, rows
from kdgan.errors import UsageError

PARTS = ("inputs", "targets", "privileged")
NO_LABEL = (-1, -100)
"""Class indices that stand for none: the second is torch's own."""


class Scaling(Protocol):
    """A change of inputs that belongs to a device."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """The inputs `(B, ...)` as networks take them."""

    def to(self, device: torch.device | str) -> Scaling:
        """The same on `device`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples with their labels, as far as they have one, and what is known of them only while training.

    Attributes:
        inputs: x, what the student sees: a tensor `(B, ...)`, a tuple of such, or a mapping of such by name.
        targets: class indices `(B,)` (an integer type), or weights or bits of labels `(B, K)`; -1 (or -100), or a row
            of NaN, for an example without a label. None: no example has one.
        privileged: ϱ, what only teacher and discriminator see, in any of the forms of inputs, or None.
        teacher_logits: logits of a frozen teacher for these very inputs, `(B, K)`, where they were computed
            ahead, or None.
        teacher_saw: the inputs that those are of; a copy with other inputs has neither.
        recorded: the logits are all that there is of a teacher, and stand for these examples in any view.
        scale: brings `inputs` to what networks take, where they are kept as they were read; None where they are that.
        places: of the examples among all that were read, whole numbers `(B,)`, while they are needed, else None.
        pseudo_labels: of examples without a label what a teacher that learns takes them for, weights or bits of labels
            `(B, K)`, where somebody has found that; else None.
        confidence: how much each of those counts, at least 0, `(B,)`; 0 for an example that has none.
        labelled: which examples have a label, bool `(B,)`; None where all have. Always found from the targets.

    Raises:
        UsageError: if the parts differ in length or the targets have no such form.
    """

    inputs: Form
    targets: Tensor
    privileged: Form | None = None
    teacher_logits: Tensor | None = None
    teacher_saw: Form | None = None
    scale: Scaling | None = field(default=None, kw_only=True)
    recorded: bool = field(default=False, kw_only=True)
    places: Tensor | None = field(default=None, kw_only=True)
    pseudo_labels: Tensor | None = field(default=None, kw_only=True)
    confidence: Tensor | None = field(default=None, kw_only=True)
    labelled: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.inputs is None:
            raise UsageError("a batch needs inputs: None is none")
        self._set("inputs", as_form(self.inputs, "inputs"))
        if self.privileged is not None:
            self._set("privileged", as_form(self.privileged, "privileged"))
        if self.targets is None:
            device = leaves(self.inputs)[0].device
            self._set("targets", torch.full((len(self),), NO_LABEL[0], device=device))
        for name in ("targets", "teacher_logits"):
            part = getattr(self, name)
            if part is not None and not isinstance(part, Tensor):
                raise UsageError(f"{name} must be a tensor, not {type(part).__name__}")
            if part is not None and part.ndim == 0:
                raise UsageError(f"{name} are a single number: each row is an example")
        self._set("targets", _plain_targets(self.targets))
        for name in ("targets", "privileged", "teacher_logits", "places", "pseudo_labels", "confidence"):
            part = getattr(self, name)
            count = None if part is None else length(part)
            if count not in (None, len(self)):
                raise UsageError(f"{len(self)} inputs but {count} {name}: each example needs one")
        if self.teacher_logits is not None and self.teacher_saw is None:
            self._set("teacher_saw", self.inputs)
        if self.teacher_logits is None or not (self.recorded or _is_same(self.teacher_saw, self.inputs)):
            self._set("teacher_logits", None)
            self._set("teacher_saw", None)
        self._set("labelled", labelled(self.targets))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return length(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> Batch:
        """The examples at `index` (a slice, a boolean mask or integer positions)."""
        return self._map(lambda part: rows(part, index))

    @property
    def tensor(self) -> Tensor:
        """The inputs, where they are one tensor.

        Raises:
            UsageError: if they are not.
        """
        return one_tensor(self.inputs)

    @property
    def device(self) -> torch.device:
        """Where the examples are."""
        return leaves(self.inputs)[0].device

    def parts(self) -> tuple[Form, Tensor, Form | None]:
        """Inputs, targets and privileged information."""
        return self.inputs, self.targets, self.privileged

    def copy(self) -> Batch:
        """The same examples in memory of their own: a network may write into what it is given."""
        return self._map(lambda part: mapped(Tensor.clone, part))

    def to(self, device: torch.device | str) -> Batch:
        """The same examples on `device`."""
        # Towards the CPU nobody waits before the numbers are read, so they must be there.
        late = torch.device(device).type != "cpu"
        found = self._map(lambda part: mapped(lambda leaf: leaf.to(device, non_blocking=late), part))
        return found if self.scale is None else found._with(scale=self.scale.to(device))

    def with_inputs(self, inputs: Form) -> Batch:
        """The same examples in another view, as networks take it."""
        if self.recorded:
            return self._with(inputs=inputs, scale=None)
        return self._with(inputs=inputs, scale=None, teacher_logits=None, teacher_saw=None)

    def named_as(self, like: Batch) -> Batch:
        """The same examples with whatever they have by name in the order that others have it in."""
        inputs = named_as(self.inputs, like.inputs)
        known = None if self.privileged is None else named_as(self.privileged, like.privileged)
        return self._with(
            inputs=inputs, privileged=known, teacher_saw=None if self.teacher_saw is None else inputs
        )

    def standardised(self) -> Batch:
        """The same examples with inputs as networks take them."""
        if self.scale is None:
            return self
        inputs = self.scale(self.tensor)
        return self._with(inputs=inputs, scale=None, teacher_saw=None if self.teacher_saw is None else inputs)

    def pieces(self) -> list[Batch]:
        """Batches of which neither inputs nor privileged information are in pieces: itself, or one for each of them."""
        parts = [part for part in (self.inputs, self.privileged) if isinstance(part, Pieces)]
        if not parts:
            return [self]
        ends = sorted({0, *(end for part in parts for end in accumulate(map(length, part)))})
        return [self[start:end] for start, end in pairwise(ends)] or [self[:0]]

    def _map(self, change: Callable[[Any], Any]) -> Batch:
        """All parts changed alike, with nothing to be checked again."""
        inputs = change(self.inputs)
        logits = self.teacher_logits
        optional = {
            name: change(part)
            for name in ("teacher_logits", "labelled", "places", "pseudo_labels", "confidence")
            if (part := getattr(self, name)) is not None
        }
        return self._with(
            inputs=inputs,
            targets=change(self.targets),
            privileged=None if self.privileged is None else change(self.privileged),
            teacher_saw=None if logits is None else inputs,
            **optional,
        )

    def _with(self, **changes: Any) -> Batch:
        made = object.__new__(Batch)
        for name in _FIELDS:
            object.__setattr__(made, name, changes[name] if name in changes else getattr(self, name))
        return made


_FIELDS = tuple(Batch.__dataclass_fields__)


def _is_same(one: Form | None, other: Form) -> bool:
    """Whether these are the very same tensors."""
    if one is None or type(one) is not type(other):
        return False
    mine, theirs = leaves(one), leaves(other)
    return len(mine) == len(theirs) and all(a is b for a, b in zip(mine, theirs, strict=True))


def _plain_targets(targets: Tensor) -> Tensor:
    """Class indices as int64, the only type that all of torch takes, and bits of labels as real numbers."""
    if targets.ndim not in (1, 2) or targets.is_complex():
        raise UsageError(
            "targets must be class indices (B,) of an integer type, or weights or bits of labels (B, K), not "
            f"{tuple(targets.shape)} of {targets.dtype}"
        )
    if targets.is_floating_point():
        return targets
    if targets.ndim == 2:
        missing = _is_none(targets).all(1, keepdim=True)
        return targets.to(torch.get_default_dtype()).masked_fill(missing, float("nan"))
    return targets if targets.dtype == torch.int64 else targets.long()


def _is_none(targets: Tensor) -> Tensor:
    if targets.dtype in (torch.bool, torch.uint8):  # which have no negative numbers
        return torch.zeros_like(targets, dtype=torch.bool)
    return (targets == NO_LABEL[0]) | (targets == NO_LABEL[1])


def labelled(targets: Tensor) -> Tensor | None:
    """Which examples have a label, bool `(B,)`; None where all have.

    Args:
        targets: class indices `(B,)` or weights or bits of labels `(B, K)`; see `Batch` for what stands for no label.
    """
    missing = targets.isnan() if targets.is_floating_point() else _is_none(targets)
    if missing.ndim > 1:
        missing = missing.all(1)
    return ~missing if bool(missing.any()) else None


def checked(batch: Batch, what: str, start: int = 0) -> Batch:
    """The batch, if it has examples and all its numbers are finite.

    Args:
        batch: the examples.
        what: name of the data in messages.
        start: examples before the first of these.

    Raises:
        UsageError: naming the first example that is not.
    """
    if not len(batch):
        raise UsageError(f"{what} has no examples")
    for piece in batch.pieces():
        for name, part in zip(PARTS, piece.parts(), strict=True):
            if part is None:
                continue
            bad = torch.cat([_not_finite(leaf) for leaf in leaves(part)])
            if name == "targets" and piece.labelled is not None:
                bad = bad[piece.labelled[bad]]
            if len(bad):
                text = f"{what}: {name} of example {start + int(bad.min())} hold NaN or infinite numbers"
                if name == "targets" and piece.targets.ndim == 2:
                    text += ": a whole row of NaN says that there is no label, a part of one says nothing"
                raise UsageError(text)
        start += len(piece)
    return batch


def _not_finite(leaf: Tensor) -> Tensor:
    """The rows that hold a number that is not finite."""
    if not (leaf.is_floating_point() or leaf.is_complex()):
        return torch.empty(0, dtype=torch.long, device=leaf.device)
    # The sum is finite only if all are, and takes a tenth of the time: all of the data are looked at before training.
    if bool(leaf.sum(dtype=torch.float32 if leaf.itemsize == 2 else None).isfinite()):
        return torch.empty(0, dtype=torch.long, device=leaf.device)
    return (~leaf.reshape(len(leaf), -1).isfinite().all(1)).nonzero().flatten()


def has_labels(batch: Batch) -> bool:
    """Whether any example has a label; waits for the device."""
    return len(batch) > 0 if batch.labelled is None else bool(batch.labelled.any())


def labelled_rows(batch: Batch) -> Batch:
    """The examples that have a label."""
    if batch.labelled is None:
        return batch
    return batch[batch.labelled]._with(labelled=None)


def unlabelled_rows(batch: Batch) -> Batch | None:
    """The examples that have none; None where all have one."""
    return None if batch.labelled is None else batch[~batch.labelled]
