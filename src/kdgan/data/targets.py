"""What targets say of an example: its class, yes or no, or which of several labels it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from kdgan.data.batch import Batch, labelled_rows
from kdgan.errors import UsageError, wrong

Kind = Literal["classes", "binary", "multilabel"]
"""One of K classes (softmax), one logit for one of two (sigmoid), or any of K labels (K independent sigmoids)."""
_REGRESSION = "kdgan is for classes and labels, not for regression"


def kind_of_targets(targets: Tensor, scores: int, asked: str = "auto") -> Kind:
    """The kind of task that targets of labelled examples are of, held against what a player scores.

    Args:
        targets: class indices `(N,)`, real numbers `(N,)`, or weights or bits `(N, K)`.
        scores: logits for each example.
        asked: one of the kinds, or auto for what the targets' form says: whole numbers are classes, or with one logit
            binary; rows `(N, K)` of zeros and ones that do not all sum to 1 are bits of labels, other rows weights of
            classes.

    Raises:
        UsageError: for targets of another form, saying what fits.
    """
    if asked not in ("auto", *get_args(Kind)):
        raise wrong(f"task must be auto, {', '.join(get_args(Kind))}, not {asked!r:.60}")
    found = _found(targets, scores)
    if asked in ("auto", found):
        return found
    if asked == "multilabel" and found == "classes" and targets.ndim == 2:
        return "multilabel"  # each example happens to have one label
    if asked == "multilabel" and found == "binary" and targets.ndim == 2:
        return "multilabel"
    one = {"classes": "class indices (N,)", "binary": "0 or 1 for each example", "multilabel": "bits (N, K)"}
    raise UsageError(
        f"task={asked!r} needs {one[asked]} and {'one logit' if asked == 'binary' else 'K logits'} for each example, "
        f"but targets of train are {tuple(targets.shape)} of {targets.dtype} and the student gives {scores}"
    )


def _found(targets: Tensor, scores: int) -> Kind:
    if not targets.is_floating_point():
        return "binary" if scores == 1 else "classes"
    within = bool(((targets >= 0) & (targets <= 1)).all())
    if targets.ndim == 1:
        if scores == 1 and within:
            return "binary"
        raise _real("targets of train", targets)
    if targets.shape[1] == 1:
        if within:
            return "binary"
        raise UsageError(
            f"targets of train are numbers (N, 1) outside 0 to 1: class indices are (N,), as .squeeze(1) of whole "
            f"numbers makes them; {_REGRESSION}"
        )
    # Weights between 0 and 1 that do not sum to 1 may be of either, or wrong: nobody knows, so it has to be said.
    bits = bool(((targets == 0) | (targets == 1)).all())
    return "multilabel" if bits and not bool(_is_distribution(targets).all()) else "classes"


def _real(targets_of: str, targets: Tensor) -> UsageError:
    """What is wrong with real numbers `(N,)`, of examples that have a label."""
    if bool((targets == targets.round()).all()):
        return UsageError(
            f"{targets_of} are whole numbers as real ones, {targets.dtype}: give class indices of an integer type, and "
            "-1 for a missing label, as .nan_to_num(nan=-1).long() makes them"
        )
    return UsageError(
        f"{targets_of} are real numbers (N,): {_REGRESSION}; class indices are whole numbers (.long())"
    )


def _is_distribution(targets: Tensor) -> Tensor:
    # Weights of half precision are rounded one by one.
    slack = max(1e-3, targets.shape[1] * torch.finfo(targets.dtype).eps)
    return (targets >= 0).all(1) & ((targets.double().sum(1) - 1).abs() <= slack)


def in_kind(batch: Batch, kind: Kind) -> Batch:
    """The batch with targets as losses take them: bits `(B, 1)` where there is one logit."""
    if kind != "binary" or batch.targets.ndim == 2:
        return batch
    real = torch.get_default_dtype()
    bits = batch.targets if batch.targets.is_floating_point() else batch.targets.to(real)
    if batch.labelled is not None:
        bits = bits.masked_fill(~batch.labelled, float("nan"))
    return replace(batch, targets=bits.unsqueeze(1))


def check_labels(
    targets: Tensor, *, classes: int, what: str, role: str = "student", kind: Kind = "classes"
) -> None:
    """Raises a UsageError unless targets, of labelled examples, are ones that a player can be right about.

    Args:
        targets: as losses take them, see `in_kind`.
        classes: K, the number of logits.
        what: name of the data.
        role: of the player that scores so many.
        kind: of task.
    """
    if not len(targets):
        return
    if targets.ndim == 1 and kind == "multilabel":
        raise UsageError(
            f"{what}: targets are class indices (N,), but train's are bits of labels (N, {classes})"
        )
    if targets.ndim == 1 and targets.is_floating_point():
        raise _real(f"{what}: targets", targets)
    if targets.ndim == 1:
        least, most = int(targets.min()), int(targets.max())
        if not 0 <= least <= most < classes:
            raise UsageError(
                f"{what}: targets lie in {least}..{most}, but the {role} scores {classes} classes, 0..{classes - 1}"
            )
        return
    if targets.shape[1] != classes:
        hint = ": class indices are (N,), as .squeeze(1) makes them" if targets.shape[1] == 1 else ""
        raise UsageError(
            f"{what}: targets weigh {targets.shape[1]} labels, but the {role} scores {classes} classes{hint}"
        )
    if kind != "classes":
        bad = ((targets < 0) | (targets > 1)).any(1).nonzero()
        if len(bad):
            why = f" (the {role} gives one score, for yes or no)" if kind == "binary" else ""
            raise UsageError(
                f"{what}: targets of example {int(bad[0])} are no labels: each must be 0, 1 or in between{why}"
            )
        return
    bad = (~_is_distribution(targets)).nonzero()
    if len(bad):
        raise UsageError(
            f"{what}: targets of example {int(bad[0])} are no distribution over labels: they must be at least 0 and "
            f"sum to 1, and sum to {targets[bad[0, 0]].double().sum().item():g}; for several labels of an example say "
            "task='multilabel'"
        )


def check_signs(targets: Tensor, others: bool, what: str) -> None:
    """Raises a UsageError if labels seem to be -1 and 1, of which the first is taken for none.

    Args:
        targets: of the examples that have a label.
        others: whether there are examples that have none.
        what: the name of the data in messages.
    """
    if others and len(targets) and bool((targets == 1).all()):
        raise UsageError(
            f"{what}: every label that is there is 1, and -1 stands for no label: for yes and no give 1 and 0"
        )


def missing_last(targets: Iterable[Tensor], classes: int) -> str | None:
    """What to tell a user whose classes may be numbered from -1, which is taken for no label; None where they are not.

    Args:
        targets: of all examples that have a label, class indices `(N,)` or weights `(N, K)`, in parts.
        classes: K.
    """
    last = classes - 1
    if any(bool((each == last if each.ndim == 1 else each[:, last] > 0).any()) for each in targets):
        return None
    return (
        f"no example has class {last}, the last of {classes}: -1 stands for no label, so number classes from 0 if it "
        "is one"
    )


def check_batch(
    batch: Batch, *, classes: int, what: str, role: str = "student", kind: Kind = "classes"
) -> None:
    """`check_labels` for those examples of a batch that have a label."""
    targets = labelled_rows(batch).targets
    check_labels(targets, classes=classes, what=what, role=role, kind=kind)
