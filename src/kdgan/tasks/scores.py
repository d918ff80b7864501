"""Arithmetic of the ready-made metrics: logits and targets of one kind of task to a number.

Everything is computed in float64, and row by row in pieces, so that many classes take no second copy of the logits.
Where a true label is asked for, the likeliest of label weights is meant; where several are equally likely, naming one
of them is right, and metrics that count examples class by class refuse them.

scikit-learn, which takes long to import, is imported by those that use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from kdgan.errors import wrong

BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""
AT_ONCE = 2**22
"""Numbers of which a copy in float64 is made at a time."""
MOST_LOSS = -math.log(math.ulp(0.0))
"""Nats: the loss of the least probability that float64 can hold. One that is 0 counts as that, or one sure mistake
would make every mean infinite."""
_INFINITE = float("inf")


def _pieces(logits: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of both, at most `AT_ONCE` numbers at a time, the logits in float64."""
    size = max(1, AT_ONCE // max(1, logits.shape[1]))
    for start in range(0, len(logits), size):
        yield logits[start : start + size].double(), targets[start : start + size]


def log_softmax(logits: Tensor) -> Tensor:
    """Logarithms of probabilities `(N, K)`; of infinite logits the limit: they share all the probability."""
    sure = logits == _INFINITE
    limit = torch.where(sure, 0.0, -_INFINITE).to(logits.dtype)
    return torch.where(sure.any(-1, keepdim=True), limit, logits).log_softmax(-1)


# Classes: logits (N, K) of a softmax, targets (N,) of class indices or (N, K) of label weights.


def is_right(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether the highest-scored label, of equal ones the first, is true or one of the likeliest `(N,)`."""
    best = logits.argmax(-1)
    if targets.ndim == 1:
        return best == targets
    return targets.gather(1, best.unsqueeze(1)).squeeze(1) == targets.amax(1)


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Per cent of examples whose highest-scored label is true; for label weights: one of those with the largest."""
    return 100 * is_right(logits, targets).double().mean().item()


def top5(logits: Tensor, targets: Tensor) -> float:
    """Per cent of examples of which a true label is among the five highest-scored; of equal scores the first count."""

    def found(scores: Tensor, labels: Tensor) -> Tensor:
        places = scores.sort(dim=1, descending=True, stable=True).indices[:, :5]
        if labels.ndim == 1:
            return (places == labels.unsqueeze(1)).any(1)
        return (labels.gather(1, places) == labels.amax(1, keepdim=True)).any(1)

    return 100 * torch.cat([found(*piece) for piece in _pieces(logits, targets)]).double().mean().item()


def balanced_accuracy(logits: Tensor, targets: Tensor) -> float:
    """Mean over the classes that occur of the per cent of their examples that are named so."""
    labels = one_label(targets)
    count = labels.bincount(minlength=logits.shape[1])
    right = labels[logits.argmax(-1) == labels].bincount(minlength=logits.shape[1])
    occurs = count > 0
    return 100 * (right[occurs].double() / count[occurs]).mean().item()


def f1_macro(logits: Tensor, targets: Tensor) -> float:
    """Mean over the classes that occur of F1, in per cent."""
    from sklearn.metrics import f1_score

    labels, named = one_label(targets).cpu().numpy(), logits.argmax(-1).cpu().numpy()
    found = f1_score(labels, named, labels=np.unique(labels), average="macro", zero_division=0)
    return 100 * float(found)


def auroc(logits: Tensor, targets: Tensor) -> float:
    """Area under the ROC curve of each class against the rest, in per cent: the mean over those that have both."""
    return bits_auroc(log_odds(logits.double()), _one_hot(targets, logits.shape[1]))


def average_precision(logits: Tensor, targets: Tensor) -> float:
    """Average precision of each class against the rest, in per cent: the mean over those that occur."""
    return bits_average_precision(log_odds(logits.double()), _one_hot(targets, logits.shape[1]))


def log_loss(logits: Tensor, targets: Tensor) -> float:
    """Cross-entropy to the true labels or label weights in nats; of a label at most `MOST_LOSS`."""
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    for scores, labels in _pieces(logits, targets):
        found = log_softmax(scores).clamp(min=-MOST_LOSS)
        if labels.ndim == 1:
            total -= found.gather(1, labels.unsqueeze(1)).sum()
        else:
            total -= (labels.double() * found).sum()
    return total.item() / len(logits) + 0.0


def brier(logits: Tensor, targets: Tensor) -> float:
    """Squares of probability minus true label or label weight, summed over the classes: from 0 to 2, a mean."""
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    for scores, labels in _pieces(logits, targets):
        found = log_softmax(scores).exp()
        if labels.ndim == 1:
            found.scatter_add_(
                1, labels.unsqueeze(1), torch.full_like(labels, -1, dtype=found.dtype).unsqueeze(1)
            )
        else:
            found -= labels.double()
        total += found.square().sum()
    return total.item() / len(logits)


def ece(logits: Tensor, targets: Tensor) -> float:
    """Expected calibration error of the likeliest class in %, over `BINS` bins of equal width (Guo et al., 2017)."""
    sure = torch.cat([log_softmax(scores).amax(1).exp() for scores, _ in _pieces(logits, targets)])
    return calibration_error(sure, is_right(logits, targets))


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Mean over all `(N,)`, in per cent, of how far the confidence of their bin is from the share of right ones in it.

    A bin is open below and closed above, as in Guo et al. (2017), equation 3.
    """
    edges = torch.arange(1, BINS, dtype=torch.float64, device=confidence.device) / BINS
    places = torch.bucketize(confidence, edges)
    excess = torch.zeros(BINS, dtype=torch.float64, device=confidence.device)
    excess.index_add_(0, places, confidence - right.double())
    return 100 * excess.abs().sum().item() / len(confidence)


def one_label(targets: Tensor) -> Tensor:
    """The true label of each example `(N,)`: of label weights the likeliest.

    Raises:
        UsageError: where several are equally likely.
    """
    if targets.ndim == 1:
        return targets
    several = ((targets == targets.amax(1, keepdim=True)).sum(1) > 1).sum().item()
    if several:
        raise wrong(
            f"of {several} examples several labels are equally likely, and it counts by class: take accuracy, "
            "log_loss, brier or ece"
        )
    return targets.argmax(1)


def log_odds(logits: Tensor) -> Tensor:
    """Logarithm of each class's probability over that of all others `(N, K)`, in which no sure ones become equal."""
    # Sums in one order, whichever that of the classes is: else ties between examples would be broken by rounding.
    found = log_softmax(logits.sort(1).values).gather(1, logits.argsort(1).argsort(1))
    best = found.argmax(1, keepdim=True)
    others = found.scatter(1, best, -_INFINITE).sort(1).values.logsumexp(1, keepdim=True)
    rest = torch.log1p(-found.exp().clamp(max=0.5)).scatter(1, best, others)  # below the best at most a half
    return found - rest


def _one_hot(targets: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(one_label(targets), classes)


# Bits: logits (N, K) of sigmoids, targets (N, K) from 0 to 1. A logit above 0 says yes.


def bits_are_right(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether yes or no is the likelier, for each label `(N, K)`; where both are equally likely it is."""
    return ((logits > 0) == (targets > 0.5)) | (targets == 0.5)


def bits_accuracy(logits: Tensor, targets: Tensor) -> float:
    """Per cent of labels that are right, over all labels of all examples."""
    return 100 * bits_are_right(logits, targets).double().mean().item()


def bits_f1_macro(logits: Tensor, targets: Tensor) -> float:
    """Mean over the labels that occur of F1, in per cent."""
    from sklearn.metrics import f1_score

    yes, said = _yes(targets), (logits > 0).cpu().numpy()
    return _macro(lambda label: f1_score(yes[:, label], said[:, label]), yes.any(0))


def bits_auroc(logits: Tensor, targets: Tensor) -> float:
    """Area under the ROC curve in per cent: the mean over the labels of which there are both yes and no."""
    from sklearn.metrics import roc_auc_score

    yes, ranks = _yes(targets), _ranks(logits)
    return _macro(lambda label: roc_auc_score(yes[:, label], ranks(label)), yes.any(0) & ~yes.all(0))


def bits_average_precision(logits: Tensor, targets: Tensor) -> float:
    """Average precision in per cent: the mean over the labels that occur."""
    from sklearn.metrics import average_precision_score

    yes, ranks = _yes(targets), _ranks(logits)
    return _macro(lambda label: average_precision_score(yes[:, label], ranks(label)), yes.any(0))


def bits_log_loss(logits: Tensor, targets: Tensor) -> float:
    """Binary cross-entropy in nats, the mean over all labels of all examples; of a label at most `MOST_LOSS`."""
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    for scores, labels in _pieces(logits, targets.double()):
        total -= (labels * logsigmoid(scores).clamp(min=-MOST_LOSS)).sum()
        total -= ((1 - labels) * logsigmoid(-scores).clamp(min=-MOST_LOSS)).sum()
    return total.item() / targets.numel() + 0.0


def bits_brier(logits: Tensor, targets: Tensor) -> float:
    """Square of probability minus target, the mean over all labels of all examples: from 0 to 1."""
    pieces = _pieces(logits, targets.double())
    total = sum((scores.sigmoid() - labels).square().sum() for scores, labels in pieces)
    return float(total) / targets.numel()


def bits_ece(logits: Tensor, targets: Tensor) -> float:
    """Expected calibration error in % over all labels of all examples, as `ece` of the likelier of yes and no."""
    sure = logits.double().abs().sigmoid()
    return calibration_error(sure.flatten(), bits_are_right(logits, targets).flatten())


def _yes(targets: Tensor) -> NDArray[np.bool_]:
    """Where the label is true.

    Raises:
        UsageError: where yes and no are equally likely.
    """
    open_ = (targets == 0.5).sum().item()
    if open_:
        raise wrong(f"{open_} targets are 0.5, neither yes nor no: take accuracy, log_loss, brier or ece")
    found: NDArray[np.bool_] = (targets > 0.5).cpu().numpy()
    return found


def _ranks(scores: Tensor) -> Callable[[int], NDArray[np.int64]]:
    """The ranks of a label's scores, equal ones alike: all that counts, and finite where scores are not."""
    columns = scores.double().cpu().numpy()
    return lambda label: np.unique(columns[:, label], return_inverse=True)[1]


def _macro(of: Callable[[int], float], counted: Any) -> float:
    """The mean over the labels that are counted, in per cent.

    Raises:
        UsageError: where there is none.
    """
    if not counted.any():
        raise wrong("it is not defined here, as all examples have the same label, or none")
    return 100 * float(np.mean([of(int(label)) for label in np.flatnonzero(counted)]))
