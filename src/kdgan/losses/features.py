"""Feature losses: how far what a layer of the student says is from what a layer of the teacher says.

All take features of the same examples, give one value per example, `(B,)`, and send gradient to the first argument
only. Features are `(B, D)`, tokens `(B, L, D)`, or images `(B, C, H, W)`, of as many more axes as there are. Half
precision is computed in float32, and returned in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import KdganError, UsageError, failed, wrong
from kdgan.losses._numeric import widened
from kdgan.losses.distillation import Loss
from kdgan.references import find_callable, is_reference

FeatureLoss: TypeAlias = Literal["hint", "attention", "relational"] | Loss
"""A feature loss by name, or one of your own: features of student and teacher to one value per example `(B,)`."""


def hint(mine: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference of the features (FitNets: Romero et al., ICLR 2015, Eq. 3).

    The mean over the numbers of an example, rather than half their sum, lets a weight mean the same for any size.

    Args:
        mine: features of the student, `(B, ...)`.
        theirs: features of the teacher, of the same shape; detached. Where widths differ, a regressor brings the
            student's to the teacher's first, see `kdgan.methods.Features`.

    Returns:
        One value per example, `(B,)`, in squared features.

    Raises:
        UsageError: if the shapes differ.

    Example:
        >>> import torch
        >>> hint(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    if mine.shape != theirs.shape:
        raise UsageError(
            f"features of shape {tuple(mine.shape)} and {tuple(theirs.shape)} have no differences: a hint needs layers "
            "of the same size; attention and relational do not"
        )
    square = (widened(mine) - widened(theirs).detach()).square()
    return square.mean(tuple(range(1, square.ndim)))


def attention(mine: Tensor, theirs: Tensor) -> Tensor:
    """Squared distance of the normalised attention maps: where a layer looks (Zagoruyko & Komodakis, ICLR 2017).

    The map is the sum over channels of the squared features, one number for each place, divided by its ℓ2 norm (their
    F²_sum and Eq. 2). They write the distance, and their program takes the mean of its square over the places; its
    sum, as here, is between 0 and 2 for any number of places. The number of channels may differ. Where images differ in
    size, the teacher's map is brought to the student's by means over areas.

    Args:
        mine: features of the student, `(B, C, H, W)` or tokens `(B, L, D)`.
        theirs: features of the teacher; detached.

    Returns:
        One value per example, `(B,)`.

    Raises:
        UsageError: if features have no places, or as many tokens as there are do not fit.

    Example:
        >>> import torch
        >>> left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]], [[0.0, 2.0]]]])
        >>> attention(left, right)
        tensor([2.])
    """
    mine, theirs = _attention_map(mine), _attention_map(theirs.detach())
    if mine.ndim > 2 and mine.ndim == theirs.ndim and mine.shape != theirs.shape:
        theirs = F.interpolate(theirs.unsqueeze(1), size=mine.shape[1:], mode="area").squeeze(1)
    mine, theirs = mine.flatten(1), theirs.flatten(1)
    if mine.shape != theirs.shape:
        raise UsageError(
            f"{mine.shape[1]} places of the student do not fit {theirs.shape[1]} of the teacher: attention needs "
            "images, or the same number of tokens; relational does not"
        )
    return (F.normalize(mine, eps=_TINY) - F.normalize(theirs, eps=_TINY)).square().sum(1)


def relational(mine: Tensor, theirs: Tensor, *, distance: float = 1.0, angle: float = 2.0) -> Tensor:
    """Differences in the relations among the examples of a batch: RKD (Park et al., CVPR 2019).

    Of each pair its distance, divided by the mean over all pairs, and of each three examples the cosine of the angle at
    one of them are compared by the Huber loss (Eqs. 4 to 8). The value of an example is the mean over its partners, so
    that the mean over the batch is the paper's loss as a mean over pairs and triples. Features may differ in width and
    size: those of images and tokens are averaged over the places first, as the paper's embeddings are. A batch of B
    examples has B³ angles; `angle=0` leaves them out.

    Args:
        mine: features of the student, `(B, ...)`.
        theirs: features of the teacher, `(B, ...)`; detached.
        distance: weight of the distances.
        angle: weight of the angles; the paper has 1 and 2 for embeddings, 25 and 50 for classifiers.

    Returns:
        One value per example, `(B,)`; 0 where it has no partner.

    Raises:
        UsageError: if the numbers of examples differ.

    Example:
        >>> import torch
        >>> triangle = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
        >>> relational(2 * triangle, triangle)  # of the same form
        tensor([0., 0., 0.])
    """
    mine, theirs = embedding(mine), embedding(theirs.detach())
    if len(mine) != len(theirs):
        raise UsageError(
            f"features of {len(mine)} and of {len(theirs)} examples: relations are among the same"
        )
    ours, others, partners = _distances(mine), _distances(theirs), len(mine) - 1
    # Each example is at no distance from itself, in both.
    pairs = F.smooth_l1_loss(_scaled(ours), _scaled(others), reduction="none")
    values = distance * pairs.sum(1) / max(partners, 1)
    if not angle:
        return values
    # The angle between an example and itself is none, whatever rounding makes of it.
    three = F.smooth_l1_loss(_cosines(ours), _cosines(others), reduction="none")
    different = three.sum((1, 2)) - three.diagonal(dim1=1, dim2=2).sum(1)
    return values + angle * different / max(partners * (partners - 1), 1)


def embedding(features: Tensor) -> Tensor:
    """One vector `(B, D)` for each example: the mean over the places of an image or over tokens, else itself."""
    check_features(features)
    features = widened(features)
    if features.ndim == 3:
        return features.mean(1)
    return features if features.ndim == 2 else features.mean(tuple(range(2, features.ndim)))


def check_features(features: Tensor) -> None:
    """Raises a UsageError unless these are real numbers, `(B, D)` or of more axes."""
    if features.ndim < 2 or not features.is_floating_point():
        raise UsageError(
            f"features must be real numbers of at least two axes, (B, D), not {tuple(features.shape)} of "
            f"{features.dtype}"
        )


def feature_loss(chosen: FeatureLoss) -> Loss:
    """A feature loss as a function of the features of student and teacher.

    Args:
        chosen: hint, attention or relational; `module:function`, or a function, of your own. That gets the second
            features without gradient and must give one value per example.

    Raises:
        UsageError: for another name or, when it is called, a function of your own that gives values of another shape.
    """
    if is_reference(chosen) or callable(chosen):
        return _own(find_callable(chosen) if isinstance(chosen, str) else chosen)
    if not isinstance(chosen, str) or chosen not in FEATURE_LOSSES:
        raise wrong(
            f"unknown feature loss {chosen!r:.60}: choose one of {', '.join(FEATURE_LOSSES)}, or give a function"
        )
    return FEATURE_LOSSES[chosen]


def _own(loss: Loss) -> Loss:
    def checked(mine: Tensor, theirs: Tensor) -> Tensor:
        try:
            values = loss(mine, theirs.detach())
        except KdganError:
            raise
        except (Exception, SystemExit) as error:
            raise failed(
                error, f"feature loss {getattr(loss, '__qualname__', type(loss).__qualname__)}"
            ) from error
        if not isinstance(values, Tensor) or values.shape != mine.shape[:1]:
            found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise wrong(
                f"a feature loss must give one value per example, {tuple(mine.shape[:1])}, not {found}"
            )
        return values

    return checked


FEATURE_LOSSES: Mapping[str, Loss] = MappingProxyType(
    {"hint": hint, "attention": attention, "relational": relational}
)

_TINY = 1e-30
"""Norms of attention maps below this are none: a map without any attention stays 0."""
_CLOSE = 1e-12
"""Distances below this are none: examples at one place have neither direction nor scale."""


def _attention_map(features: Tensor) -> Tensor:
    """`(B, L)` of tokens, `(B, H, W)` of images."""
    check_features(features)
    if features.ndim == 2:
        raise UsageError(
            f"features of shape {tuple(features.shape)} have no places: attention is for images (B, C, H, W) and "
            "tokens (B, L, D)"
        )
    return widened(features).square().sum(2 if features.ndim == 3 else 1)


def _distances(embeddings: Tensor) -> Tensor:
    """Of all pairs, `(B, B)`, from differences: from products those of near ones would be lost in rounding."""
    return torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")


def _scaled(distances: Tensor) -> Tensor:
    """Distances in units of their mean over all pairs of two examples."""
    pairs = max(len(distances) * (len(distances) - 1), 1)
    return distances / (distances.sum() / pairs).clamp_min(_CLOSE)


def _cosines(distances: Tensor) -> Tensor:
    """cos ∠(i j k) at `[j, i, k]`, by the law of cosines; 0 where one of them lies at the place of j."""
    square, apart = distances.square(), distances > _CLOSE
    inverse = torch.where(apart, distances, 1.0).reciprocal() * apart
    # Few operations on B³ numbers: they are what takes the time.
    opposite = square.unsqueeze(1) + square.unsqueeze(2) - square.unsqueeze(0)
    return opposite * inverse.unsqueeze(1) * (inverse / 2).unsqueeze(2)
