"""The one thing that passes between data, methods and the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from kdgan.errors import UsageError

PARTS = ("inputs", "targets", "privileged")


class Scaling(Protocol):
    """A change of inputs that belongs to a device."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """The inputs `(B, ...)` as networks take them."""

    def to(self, device: torch.device | str) -> Scaling:
        """The same on `device`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples with their labels, and what is known of them only while training.

    Attributes:
        inputs: x, what the student sees, `(B, ...)`.
        targets: class indices `(B,)` (an integer type) or label weights `(B, K)` (a floating type; each
            row a distribution over the K labels).
        privileged: ϱ, what only teacher and discriminator see, `(B, ...)`, or None.
        teacher_logits: logits of a frozen teacher for these very inputs, `(B, K)`, where they were computed
            ahead, or None.
        teacher_saw: the inputs that those are of; a copy with other inputs has neither.
        scale: brings `inputs` to what networks take, where they are kept as they were read; None where they are that.

    Raises:
        UsageError: if the parts differ in length or the targets have neither form.
    """

    inputs: Tensor
    targets: Tensor
    privileged: Tensor | None = None
    teacher_logits: Tensor | None = None
    teacher_saw: Tensor | None = None
    scale: Scaling | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in (*PARTS, "teacher_logits"):
            part = getattr(self, name)
            if part is not None and not isinstance(part, Tensor):
                raise UsageError(f"{name} must be a tensor, not {type(part).__name__}")
        if self.inputs is None or self.targets is None:
            raise UsageError("a batch needs inputs and targets: None is neither")
        real = self.targets.is_floating_point()
        if self.targets.ndim not in (1, 2) or real != (self.targets.ndim == 2) or self.targets.is_complex():
            raise UsageError(
                "targets must be class indices (B,) of an integer type or label weights (B, K) of a floating "
                f"type, not {tuple(self.targets.shape)} of {self.targets.dtype}"
            )
        for name in ("targets", "privileged", "teacher_logits"):
            part = getattr(self, name)
            if self.inputs.ndim == 0 or (part is not None and part.ndim == 0):
                raise UsageError(
                    f"{name if self.inputs.ndim else 'inputs'} are a single number: each row is an example"
                )
            if part is not None and len(part) != len(self.inputs):
                raise UsageError(f"{len(self.inputs)} inputs but {len(part)} {name}: each example needs one")

        if self.teacher_logits is not None and self.teacher_saw is None:
            object.__setattr__(self, "teacher_saw", self.inputs)
        if self.teacher_saw is not self.inputs:
            object.__setattr__(self, "teacher_logits", None)
            object.__setattr__(self, "teacher_saw", None)
        if self.targets.ndim == 1 and self.targets.dtype != torch.int64:
            object.__setattr__(self, "targets", self.targets.long())  # the only type that all of torch takes

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> Batch:
        """The examples at `index` (a slice, a boolean mask or integer positions)."""
        return self._map(lambda part: part[index], self.scale)

    def parts(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs, targets and privileged information."""
        return self.inputs, self.targets, self.privileged

    def copy(self) -> Batch:
        """The same examples in memory of their own: a network may write into what it is given."""
        return self._map(Tensor.clone, self.scale)

    def to(self, device: torch.device | str) -> Batch:
        """The same examples on `device`."""
        scale = None if self.scale is None else self.scale.to(device)
        return self._map(lambda part: part.to(device, non_blocking=True), scale)

    def standardised(self) -> Batch:
        """The same examples with inputs as networks take them."""
        if self.scale is None:
            return self
        return Batch(self.scale(self.inputs), self.targets, self.privileged, self.teacher_logits)

    def _map(self, change: Callable[[Tensor], Tensor], scale: Scaling | None) -> Batch:
        privileged = None if self.privileged is None else change(self.privileged)
        logits = None if self.teacher_logits is None else change(self.teacher_logits)
        return Batch(change(self.inputs), change(self.targets), privileged, logits, scale=scale)


def checked(batch: Batch, what: str) -> Batch:
    """The batch, if it has examples and all its numbers are finite.

    Raises:
        UsageError: naming the first example that is not.
    """
    if not len(batch):
        raise UsageError(f"{what} has no examples")
    for name, part in zip(PARTS, batch.parts(), strict=True):
        if part is not None and (part.is_floating_point() or part.is_complex()):
            bad = (~part.reshape(len(part), -1).isfinite().all(1)).nonzero()
            if len(bad):
                raise UsageError(f"{what}: {name} of example {int(bad[0])} hold NaN or infinite numbers")
    return batch


def check_labels(targets: Tensor, classes: int, what: str, role: str = "student") -> None:
    """Raises a UsageError unless every target is one of the classes that a player scores, or weighs them all."""
    if not len(targets):
        return
    if targets.ndim == 1:
        least, most = int(targets.min()), int(targets.max())
        if not 0 <= least <= most < classes:
            raise UsageError(
                f"{what}: targets lie in {least}..{most}, but the {role} scores {classes} classes, 0..{classes - 1}"
            )
        return
    if targets.shape[1] != classes:
        raise UsageError(
            f"{what}: targets weigh {targets.shape[1]} labels, but the {role} scores {classes} classes"
        )
    # Weights of half precision are rounded one by one.
    slack = max(1e-3, classes * torch.finfo(targets.dtype).eps)
    bad = ((targets < 0).any(1) | ((targets.double().sum(1) - 1).abs() > slack)).nonzero()
    if len(bad):
        raise UsageError(
            f"{what}: targets of example {int(bad[0])} are no distribution over labels: they must be at least 0 and "
            f"sum to 1, and sum to {targets[bad[0, 0]].double().sum().item():g}"
        )
