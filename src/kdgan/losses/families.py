"""Families: what logits are logits *of*, and with that the form of every loss.

Methods say which losses they add; a family says what these are for one class among K (`Categorical`) or for K labels
of which each is on or off (`Bernoulli`). All give one value per example; half precision is computed in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import ClassVar, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgan.errors import UsageError, wrong
from kdgan.losses import adversarial
from kdgan.losses._numeric import (
    check_class_weights,
    check_labelled,
    filled,
    over_labelled,
    widened,
    widened_pair,
)
from kdgan.losses.adversarial import EstimatorName, check_estimator
from kdgan.losses.distillation import Distance, Loss, cross_entropy, distance, own_values


@dataclass(frozen=True, eq=False)
class Family(ABC):
    """Distribution that logits `(B, K)` stand for, with the settings of its supervised loss.

    Attributes:
        class_weights: weight `(K,)` of each class in the supervised loss; of `Bernoulli` that of a label that is on.
            None weighs all 1. The game and the distances do not use them.
        smoothing: label smoothing of the supervised loss, in [0, 1).
        loss: a supervised loss of one's own in place of the family's, of logits `(n, K)` and targets to one value
            per example `(n,)`. It weighs and smooths by itself.

    Raises:
        UsageError: for settings that make no sense, or that an own loss would not use.
    """

    class_weights: Tensor | None = None
    smoothing: float = 0.0
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    name: ClassVar[str]
    """What there are K of: `classes` or `labels`."""

    def __post_init__(self) -> None:
        if not isinstance(self.smoothing, Real) or not 0 <= self.smoothing < 1:
            raise wrong(f"smoothing must be a number in [0, 1), not {self.smoothing!r:.60}")
        if self.loss is not None and not callable(self.loss):
            raise wrong(
                f"loss must be a function of logits and targets, not {type(self.loss).__name__} {self.loss!r:.60}"
            )
        weights = self.class_weights
        if weights is not None:
            if not isinstance(weights, Tensor) or weights.ndim != 1 or not weights.is_floating_point():
                raise wrong(f"class_weights must be a tensor (K,) of real numbers, not {weights!r:.60}")
            if not bool((weights.isfinite() & (weights >= 0)).all()):
                raise wrong(f"class_weights must be finite and at least 0, not {weights.tolist()!r:.60}")
            if not bool(weights.any()):
                raise wrong(
                    f"class_weights must not all be 0, as in {weights.tolist()!r:.60}: nothing would count"
                )
        self._check_own(self.smoothing)

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        return (
            self if self.class_weights is None else replace(self, class_weights=self.class_weights.to(device))
        )

    def supervised(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        labelled: Tensor | None = None,
        smoothing: float | None = None,
    ) -> Tensor:
        """The supervised loss, `(B,)`, in nats.

        Args:
            logits: `(B, K)`; receive gradient.
            targets: of the family, see there.
            labelled: which rows have a label, bool `(B,)`; None for all. The others count 0, and these B / n, so that
                the mean over all rows is that over the n labelled ones. An own loss sees the labelled rows alone, as
                it could do anything with what stands in the others; to count them a GPU is waited for.
            smoothing: in place of the family's.

        Raises:
            UsageError: if targets, weights or `labelled` are not those of these logits, or an own loss gives values
                of another shape.
            RunError: saying what an own loss raises.
        """
        smoothing = self.smoothing if smoothing is None else smoothing
        if self.loss is None:
            return self._supervised(logits, targets, labelled, smoothing)
        self._check_own(smoothing)
        if labelled is None:
            return own_values(self.loss, logits, targets, _OWN)
        check_labelled(labelled, logits)
        (rows,) = labelled.nonzero(as_tuple=True)
        values = logits[:, :0].sum(-1)  # 0, with a gradient of 0
        if not len(rows):
            return values
        own = own_values(self.loss, logits[rows], targets[rows], _OWN)
        return values.to(own.dtype).index_put((rows,), own * (len(logits) / len(rows)))

    def _check_own(self, smoothing: float) -> None:
        if self.loss is not None and (smoothing or self.class_weights is not None):
            raise UsageError(
                f"{'smoothing' if smoothing else 'class_weights'} would not be used: a loss of your own smooths and "
                "weighs by itself"
            )

    @abstractmethod
    def _supervised(
        self, logits: Tensor, targets: Tensor, labelled: Tensor | None, smoothing: float
    ) -> Tensor:
        """The supervised loss of the family."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Probability of each class or label, `(..., K)`, for logits of that shape."""

    @abstractmethod
    def distance(self, chosen: Distance, *, temperature: float = 1.0) -> Loss:
        """A distillation loss of logits by name, or one of your own; see `kdgan.losses.distance`."""

    @abstractmethod
    def discriminator_loss(
        self, scores: Tensor, targets: Tensor, fake: Tensor, *, labelled: Tensor | None = None
    ) -> Tensor:
        """What D minimises; see `kdgan.losses.discriminator_loss`."""

    @abstractmethod
    def generator_loss(
        self,
        logits: Tensor,
        scores: Tensor,
        *,
        estimator: EstimatorName = "exact",
        tau: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """What C and T minimise; see `kdgan.losses.generator_loss`."""

    @abstractmethod
    def generated_labels(
        self, logits: Tensor, *, estimator: EstimatorName = "exact", generator: torch.Generator | None = None
    ) -> Tensor:
        """The labels `(..., K)` that a player shows to D, as new memory; see `kdgan.losses.generated_labels`."""

    @abstractmethod
    def uniform(self, like: Tensor) -> Tensor:
        """Generated labels of a player that knows nothing, of the shape `(..., K)`, type and device of `like`."""


@final
@dataclass(frozen=True, eq=False)
class Categorical(Family):
    """One class among K: logits of a softmax. Targets are class indices `(B,)` or label weights `(B, K)`.

    Its losses are the functions of `kdgan.losses`.

    Example:
        >>> import torch
        >>> Categorical().probabilities(torch.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    name: ClassVar[str] = "classes"

    def probabilities(self, logits: Tensor) -> Tensor:
        """softmax."""
        return widened(logits).softmax(-1)

    def _supervised(
        self, logits: Tensor, targets: Tensor, labelled: Tensor | None, smoothing: float
    ) -> Tensor:
        return cross_entropy(
            logits, targets, smoothing=smoothing, class_weights=self.class_weights, labelled=labelled
        )

    def distance(self, chosen: Distance, *, temperature: float = 1.0) -> Loss:
        """As `kdgan.losses.distance`."""
        return distance(chosen, temperature=temperature)

    def discriminator_loss(
        self, scores: Tensor, targets: Tensor, fake: Tensor, *, labelled: Tensor | None = None
    ) -> Tensor:
        """As `kdgan.losses.discriminator_loss`."""
        return adversarial.discriminator_loss(scores, targets, fake, labelled=labelled)

    def generator_loss(
        self,
        logits: Tensor,
        scores: Tensor,
        *,
        estimator: EstimatorName = "exact",
        tau: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """As `kdgan.losses.generator_loss`."""
        return adversarial.generator_loss(logits, scores, estimator=estimator, tau=tau, generator=generator)

    def generated_labels(
        self, logits: Tensor, *, estimator: EstimatorName = "exact", generator: torch.Generator | None = None
    ) -> Tensor:
        """As `kdgan.losses.generated_labels`."""
        return adversarial.generated_labels(logits, estimator=estimator, generator=generator)

    def uniform(self, like: Tensor) -> Tensor:
        """1/K."""
        return torch.full_like(like, 1 / like.shape[-1])


@final
@dataclass(frozen=True, eq=False)
class Bernoulli(Family):
    """K labels, each on or off by itself: logits of K sigmoids; one of them is the binary case.

    Targets are `(B, K)` in [0, 1], how likely each label is on. Of each label, on and off are two classes with logits
    (l, 0), and every loss is that of `Categorical` over these two, in the mean over the K labels, as l2 is a mean
    over them.

    In the game D gives one score g for each label and takes value z ∈ {0, 1} for true with p_d(z) = σ((2z−1)·g): what
    speaks for on speaks against off. For a true probability u and a generated one f its loss is

        −[u·log σ(g) + (1−u)·log σ(−g)] − [f·log σ(−g) + (1−f)·log σ(g)].

    The weights of −log σ(g) and −log σ(−g) are 1+u−f and 1−u+f, which sum to 2: the best D has σ(g) = m = (1+u−f)/2,
    and the value of the game there, −2·H(m) with H the entropy of a coin, is strictly convex in f and lowest, −log 4,
    at m = ½ alone, where f = u. So α·p_c + (1−α)·p_t = u at every equilibrium, and p_c = p_t = u with a distance
    between the two. The generator loss of a player p falls with p at the rate g = log((1+u−f)/(1−u+f)): it raises
    a label that is shown too rarely, and lowers one that is shown too often.

    Example:
        >>> import torch
        >>> Bernoulli().supervised(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.5]]))
        tensor([0.6931])
    """

    name: ClassVar[str] = "labels"

    def probabilities(self, logits: Tensor) -> Tensor:
        """sigmoid."""
        return widened(logits).sigmoid()

    def _supervised(
        self, logits: Tensor, targets: Tensor, labelled: Tensor | None, smoothing: float
    ) -> Tensor:
        logits = widened(logits)
        targets = _bits(targets, labelled, logits)
        if smoothing:
            targets = (1 - smoothing) * targets + smoothing / 2
        weights = self.class_weights
        if weights is not None:
            check_class_weights(weights, logits)
            weights = weights.to(logits.dtype)
        values = F.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weights)
        return over_labelled(values.mean(-1), labelled)

    def distance(self, chosen: Distance, *, temperature: float = 1.0) -> Loss:
        """l2 of the logits as for classes; kl and js of each label, in the mean over labels.

        Args:
            chosen: l2, kl or js, or one of your own; see `kdgan.losses.distance`.
            temperature: T of kl and js, above 0: p = σ(l / T), and the value is multiplied by T².

        Raises:
            UsageError: as `kdgan.losses.distance`.
        """
        loss = distance(chosen, temperature=temperature)
        if chosen not in ("kl", "js"):
            return loss

        def of_labels(logits: Tensor, target_logits: Tensor) -> Tensor:
            logits, target_logits = widened_pair(logits, target_logits)
            return loss(_on_and_off(logits), _on_and_off(target_logits)).mean(-1)

        return of_labels

    def discriminator_loss(
        self, scores: Tensor, targets: Tensor, fake: Tensor, *, labelled: Tensor | None = None
    ) -> Tensor:
        """D's loss for one score per label, in the mean over labels; see the class.

        Args:
            scores: g, `(..., K)`; receives gradient.
            targets: u, `(..., K)` in [0, 1].
            fake: f, `(..., K)` in [0, 1]; detached.
            labelled: which rows have a label, bool `(...)`; None for all. As in `kdgan.losses.discriminator_loss`.

        Returns:
            One value per example, `(...)`, in nats.

        Raises:
            UsageError: if the shapes do not belong together.
        """
        scores, fake = widened_pair(scores, fake)
        fake = fake.detach().to(scores.dtype)
        true = F.binary_cross_entropy_with_logits(scores, _bits(targets, labelled, scores), reduction="none")
        false = F.binary_cross_entropy_with_logits(-scores, fake, reduction="none")
        return over_labelled(true.mean(-1), labelled) + false.mean(-1)

    def generator_loss(
        self,
        logits: Tensor,
        scores: Tensor,
        *,
        estimator: EstimatorName = "exact",
        tau: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """E_{z~p}[log(1 − p_d(x, z))] of each label, in the mean over labels; see `kdgan.losses.generator_loss`.

        Samples of the labels are independent. Of `concrete` they are binary concrete (Maddison et al. 2017), and the
        baseline of `reinforce-baseline` is the mean of the same label in the other examples.
        """
        logits, scores = widened_pair(logits, scores)
        values = adversarial.generator_loss(
            _on_and_off(_by_label(logits)),
            _with_opposite(_by_label(scores)),
            estimator=estimator,
            tau=tau,
            generator=generator,
        )
        return values.mean(0).view(logits.shape[:-1])

    def generated_labels(
        self, logits: Tensor, *, estimator: EstimatorName = "exact", generator: torch.Generator | None = None
    ) -> Tensor:
        """Probabilities `(..., K)` under `exact`; otherwise independent samples, each 0 or 1. Without gradient."""
        check_estimator(estimator)
        p = widened(logits.detach()).sigmoid()
        if estimator == "exact":
            return p
        drawn = torch.rand(p.shape, generator=generator, dtype=p.dtype, device=p.device)
        return (drawn < p).to(p.dtype)

    def uniform(self, like: Tensor) -> Tensor:
        """½."""
        return torch.full_like(like, 0.5)


_OWN = "supervised loss"


def _on_and_off(logits: Tensor) -> Tensor:
    """Logits `(..., 2)` of a label being on and off."""
    return torch.stack((logits, torch.zeros_like(logits)), -1)


def _with_opposite(scores: Tensor) -> Tensor:
    """Scores `(..., 2)` of a label being on and off."""
    return torch.stack((scores, -scores), -1)


def _by_label(values: Tensor) -> Tensor:
    """Values `(..., K)` with labels first, so that the last axis is that of the examples: the baseline is of them."""
    return values.movedim(-1, 0).reshape(values.shape[-1], *(values.shape[:-1] or (1,)))


def _bits(targets: Tensor, labelled: Tensor | None, logits: Tensor) -> Tensor:
    """Targets in the type of the logits `(..., K)`, with 0 in the rows without a label."""
    if targets.shape != logits.shape:
        raise UsageError(
            f"targets of shape {tuple(targets.shape)} do not belong to logits of shape {tuple(logits.shape)}: "
            "several labels have targets (..., K) in [0, 1], one for each label"
        )
    return filled(targets, labelled, logits).to(logits.dtype)
