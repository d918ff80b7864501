"""The one thing that passes between data, methods and the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from kdgan.errors import UsageError


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
        if self.targets.ndim not in (1, 2) or self.targets.is_floating_point() != (self.targets.ndim == 2):
            raise UsageError(
                "targets must be class indices (B,) of an integer type or label weights (B, K) of a floating "
                f"type, not {tuple(self.targets.shape)} of {self.targets.dtype}"
            )
        for name in ("targets", "privileged", "teacher_logits"):
            part = getattr(self, name)
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
