"""Batches one after the other, of the same form or not, with labels or without."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgan.data.batch import NO_LABEL, Batch, has_labels
from kdgan.data.forms import joined
from kdgan.errors import UsageError


def join(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other, none of them with a scale of its own; forms that do not fit lie in pieces.

    Raises:
        UsageError: if only some have privileged information, or targets of another form.
    """
    first = batches[0]
    if len(batches) == 1:
        return first
    some = [batch.privileged for batch in batches if batch.privileged is not None]
    if some and len(some) < len(batches):
        raise UsageError("privileged information is in some batches and not in others")
    targets = _alike(batches)
    logits = [batch.teacher_logits for batch in batches if batch.teacher_logits is not None]
    places = [batch.places for batch in batches if batch.places is not None]
    marks = None
    if any(batch.labelled is not None for batch in batches):
        marks = torch.cat([_marks(batch) for batch in batches])
    inputs = joined([batch.inputs for batch in batches])
    complete = len(logits) == len(batches)
    return first._with(
        inputs=inputs,
        targets=torch.cat(targets),
        privileged=joined(some) if some else None,
        teacher_logits=torch.cat(logits) if complete else None,
        teacher_saw=inputs if complete else None,
        recorded=complete and all(batch.recorded for batch in batches),
        labelled=marks,
        places=torch.cat(places) if len(places) == len(batches) else None,
        **_pseudo_labels(batches),
    )


def _pseudo_labels(batches: Sequence[Batch]) -> dict[str, Tensor | None]:
    """Pseudo-labels of all, those that have none with a confidence of 0."""
    like = next((batch.pseudo_labels for batch in batches if batch.pseudo_labels is not None), None)
    if like is None:
        return {"pseudo_labels": None, "confidence": None}
    labels, confidence = [], []
    for batch in batches:
        count = len(batch)
        found, sure = batch.pseudo_labels, batch.confidence
        labels.append(like.new_zeros(count, like.shape[1]) if found is None else found)
        confidence.append(like.new_zeros(count) if sure is None else sure)
    return {"pseudo_labels": torch.cat(labels), "confidence": torch.cat(confidence)}


def _marks(batch: Batch) -> Tensor:
    if batch.labelled is not None:
        return batch.labelled
    return torch.ones(len(batch), dtype=torch.bool, device=batch.device)


def _alike(batches: Sequence[Batch]) -> list[Tensor]:
    """Targets of one form: those of batches without any label are put into that of the others."""
    wide = next((batch.targets for batch in batches if batch.targets.ndim == 2), None)
    if wide is None:
        return [batch.targets for batch in batches]
    narrow = [batch for batch in batches if batch.targets.ndim == 1]
    if any(map(has_labels, narrow)):
        raise UsageError(
            "targets are class indices (B,) in some batches, and weights or bits (B, K) in others"
        )
    return [(without_labels(batch, wide) if batch.targets.ndim == 1 else batch).targets for batch in batches]


def without_labels(batch: Batch, like: Tensor | None = None) -> Batch:
    """The batch with no label at all, in the form of other targets, or of class indices."""
    if like is None:
        like = torch.empty(0, dtype=torch.long)
    none = NO_LABEL[0] if like.ndim == 1 and not like.is_floating_point() else float("nan")
    shape = (len(batch), *like.shape[1:])
    targets = torch.full(shape, none, dtype=like.dtype, device=batch.device)
    return batch._with(
        targets=targets, labelled=torch.zeros(len(batch), dtype=torch.bool, device=batch.device)
    )
