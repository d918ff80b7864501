"""Looks at the logits of players on test examples: calibration, confusions, labels, where two of them differ most, and
how far their metrics depend on which examples were drawn.

Everything holds for logits `(N, K)` of a softmax and targets `(N,)` of class indices or `(N, K)` of label weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from kdgan.errors import UsageError
from kdgan.ship.forms import Form, form_of
from kdgan.tasks.scores import BINS, ece, is_right, log_odds, log_softmax, one_label

RESAMPLES, LEAST_RESAMPLES = 300, 100
NUMBERS = 2**27
"""Logits that are drawn in all resamples together, unless that leaves fewer than the least."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Value:
    """A number with its 95 % interval.

    Attributes:
        value: in the unit of its metric.
        low: lower end; None where there is no interval.
        high: upper end; likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often a player is right beside how sure it is, in `BINS` bins of equal width, open below.

    Attributes:
        confidence: mean probability of the likeliest label `(BINS,)`; NaN in an empty bin.
        accuracy: share of examples of which that label is true `(BINS,)`; likewise.
        count: examples `(BINS,)`.
        ece: expected calibration error in per cent, see `kdgan.tasks.scores.ece`.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    ece: float


def reliability(logits: Tensor, targets: Tensor) -> Reliability:
    """Calibration of the likeliest label (Guo et al., 2017)."""
    sure = log_softmax(logits.double()).amax(1).exp().cpu().numpy()
    right = is_right(logits, targets).double().cpu().numpy()
    places = np.searchsorted(np.arange(1, BINS) / BINS, sure)
    count = np.bincount(places, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (np.bincount(places, each, BINS) / count for each in (sure, right))
    return Reliability(confidence, accuracy, count, ece(logits, targets))


def confusion(logits: Tensor, targets: Tensor) -> NDArray[np.int64]:
    """Counts `(K, K)` of examples: true classes are rows, named ones columns.

    Raises:
        UsageError: where several labels are equally likely to be the true one.
    """
    classes, labels = logits.shape[1], one_label(targets)
    pairs = labels * classes + logits.argmax(1)
    found: NDArray[np.int64] = pairs.bincount(minlength=classes**2).view(classes, classes).cpu().numpy()
    return found


def by_label(logits: Tensor, targets: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Average precision of each of K labels that may be true together, in per cent `(K,)`, NaN for one that is never
    true; and of how many examples each is true `(K,)`.

    Examples are ranked by the label's odds against all others.
    """
    from sklearn.metrics import average_precision_score

    scores, true = log_odds(logits.double()).cpu().numpy(), (targets > 0).cpu().numpy()
    found = [
        100 * average_precision_score(column, np.unique(odds, return_inverse=True)[1])
        if column.any()
        else np.nan
        for column, odds in zip(true.T, scores.T, strict=True)
    ]
    return np.array(found), true.sum(0)


def distances(one: Tensor, other: Tensor) -> Tensor:
    """How far two players' probabilities are from each other for each example `(N,)`: half the sum of the absolute
    differences (total variation), 0 where they agree and 1 where they share no label."""
    difference = log_softmax(one.double()).exp() - log_softmax(other.double()).exp()
    return difference.abs().sum(1) / 2


def over_examples(
    measure: Callable[[Tensor, Tensor], Mapping[str, float]],
    logits: Mapping[str, Tensor],
    targets: Tensor,
    differences: Sequence[tuple[str, str]] = (),
) -> dict[tuple[str, ...], dict[str, Value]]:
    """Metrics of players with intervals over other test examples that might have been drawn.

    Of the accuracy it is Wilson's for a share. Of other metrics and of differences it reaches 1.96 standard errors to
    either side, by the bootstrap: examples are drawn with replacement, the same for all players. Quantiles of what is
    drawn would not do for a calibration error, which grows by drawing, so that they may all lie above it.

    Args:
        measure: gives metrics by name.
        logits: of each player `(N, K)`.
        targets: of the same examples.
        differences: pairs of players, the second to be taken from the first.

    Returns:
        By (player,) and by pair, the metrics by name. There is no interval where fewer than half of the resamples
        have a metric, as a class was not among them.
    """
    whole = {(name,): dict(measure(each, targets)) for name, each in logits.items()}
    names = list(next(iter(whole.values())))
    point = np.array([[whole[(player,)][name] for name in names] for player in logits])
    drawn = _resampled(measure, logits, targets, names)
    players = list(logits)
    found: dict[tuple[str, ...], dict[str, Value]] = {}
    for place, player in enumerate(players):
        found[(player,)] = {
            name: _ends(point[place, column], drawn[:, place, column], form_of(name))
            for column, name in enumerate(names)
        }
        if "accuracy" in names:
            found[(player,)]["accuracy"] = _wilson(logits[player], targets, whole[(player,)]["accuracy"])
    for pair in differences:
        first, second = (players.index(player) for player in pair)
        found[pair] = {
            name: _ends(
                point[first, column] - point[second, column],
                drawn[:, first, column] - drawn[:, second, column],
            )
            for column, name in enumerate(names)
        }
    return found


def _resampled(
    measure: Callable[[Tensor, Tensor], Mapping[str, float]],
    logits: Mapping[str, Tensor],
    targets: Tensor,
    names: Sequence[str],
) -> NDArray[np.float64]:
    """Metrics of players in resamples `(R, players, metrics)`, NaN where they are not defined."""
    size = len(targets)
    numbers = sum(each.numel() for each in logits.values())
    count = max(LEAST_RESAMPLES, min(RESAMPLES, NUMBERS // max(numbers, 1)))
    generator = np.random.default_rng(0)  # the same intervals each time
    drawn = np.full((count, len(logits), len(names)), np.nan)
    for row in range(count):
        places = torch.from_numpy(generator.integers(0, size, size)).to(targets.device)
        for player, each in enumerate(logits.values()):
            try:
                found = measure(each[places], targets[places])
            except UsageError:
                continue
            drawn[row, player] = [found[name] for name in names]
    return drawn


def _ends(value: float, drawn: NDArray[np.float64], form: Form | None = None) -> Value:
    """The interval of a value by the spread of resamples, cut where a metric of that form ends."""
    there = drawn[np.isfinite(drawn)]
    if len(there) < len(drawn) / 2:
        return Value(float(value))
    half = float(ndtri((1 + CONFIDENCE) / 2) * there.std(ddof=1))
    low, high = value - half, value + half
    if form is not None:
        low, high = form.cut(low, high)
    return Value(float(value), float(low), float(high))


def _wilson(logits: Tensor, targets: Tensor, value: float) -> Value:
    from scipy.stats import binomtest

    right = is_right(logits, targets)
    ends = binomtest(int(right.sum()), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return Value(value, 100 * float(ends.low), 100 * float(ends.high))
