"""TagProp: neighbours pass on their tags with learned weights (Guillaumin, Mensink, Verbeek & Schmid, ICCV 2009)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from kdgan.errors import UsageError
from kdgan.tagging.arrays import Array, at_least, fitted, training
from kdgan.tagging.baselines._logistic import Logistic, fit_logistic, log_likelihood
from kdgan.tagging.baselines.neighbours import MEMORY, Metric, Neighbours, Votes

Weights: TypeAlias = Literal["rank", "distance"]

EPSILON = 1e-5
"""The paper's ε: what a tag's probability keeps where no neighbour has it, or all have."""

_GAIN = 1e-6  # fitting stops when a round raises the log-likelihood by less than this share of it


class TagProp:
    """p(tag w | image i) from x_iw = Σ_j π_ij [image j has w], over the neighbours j of i, with π_ij learned.

    - `rank`: π_ij = γ_r for the r-th neighbour, γ ≥ 0, Σ γ = 1 (the paper's RK).
    - `distance`: π_ij ∝ exp(−λ d_ij), λ ≥ 0 (SD).
    - With `sigmoid`, p = σ(α_w x_iw + β_w) with α and β of each tag (σRK, σSD), which lets rare tags be predicted too;
      π and (α, β) are fitted in turn. Without, p = ε + (1 − 2ε) x_iw.

    What is learned maximises L = Σ_iw c_iw log p(y_iw) over the training images, each seen from its nearest others.
    c_iw is one over the number of tags given in training, or of those not given: the few weigh as much as the
    many. γ without sigmoid is found by expectation–maximisation, λ and γ otherwise by projected quasi-Newton
    ascent (L-BFGS-B), (α, β) by Newton's method. L never decreases.

    Args:
        neighbours: how many nearest images, at most; all others where there are fewer.
        weights: `rank` or `distance`.
        sigmoid: whether each tag gets its logistic function.
        rounds: of fitting, at most: of EM, or of (α, β) and π in turn.
        metric: `cosine` or `euclidean`.
        memory: bytes that the search may use, see `Neighbours`. Fitting takes, beside that, about 20 bytes for every
            tag of every neighbour of every training image.

    Attributes:
        log_likelihoods: L at the start and after every step of fitting, in nats.

    Raises:
        UsageError: for arguments other than these.
    """

    description = "Neighbours pass on their tags with learned weights (Guillaumin et al., 2009)."
    """Description in a sentence."""
    cost = 20.0
    """Rough time of a fit, in updates of plain training by the thousand: the time left is guessed from it."""

    def __init__(
        self,
        neighbours: int = 200,
        *,
        weights: Weights = "distance",
        sigmoid: bool = True,
        rounds: int = 100,
        metric: Metric = "cosine",
        memory: int = MEMORY,
    ) -> None:
        at_least("neighbours", neighbours, 1)
        at_least("rounds", rounds, 1)
        if weights not in ("rank", "distance"):
            raise UsageError(f"weights {weights!r}: choose rank or distance")
        self.neighbours, self.weights, self.sigmoid = neighbours, weights, sigmoid
        self.rounds, self.metric, self.memory = rounds, metric, memory
        self.log_likelihoods: list[float] = []
        self._images: Neighbours | None = None

    def fit(self, features: ArrayLike | torch.Tensor, tags: ArrayLike | torch.Tensor) -> Self:
        """Learn from features `(N, F)` and tags, bool `(N, K)`. Raises UsageError for other shapes."""
        x, y = training(features, tags)
        images = Neighbours(x, metric=self.metric, memory=self.memory)
        nearest = images.nearest_others(min(self.neighbours, len(x) - 1))
        self._votes, self._shares = Votes(y), _SHARES[self.weights](nearest.distances)
        likelihood = _Likelihood(y, nearest.indices, nearest.distances, self._shares)
        sigmoids = Logistic(np.zeros(y.shape[1]), np.zeros(y.shape[1])) if self.sigmoid else None
        self._model = self._maximised(likelihood, _Model(self._shares.start, sigmoids))
        self._images = images
        return self

    def scores(self, features: ArrayLike | torch.Tensor) -> Array:
        """Log-odds of p, `(M, K)`, for features `(M, F)`; raises UsageError for another width, or before `fit`."""
        images = fitted(self._images, self)
        indices, distances = images.nearest(features, min(self.neighbours, len(images) - 1))
        x = self._votes(indices, self._shares(self._model.parameters, distances))
        return np.asarray(logit(_mixed(x))) if self._model.sigmoids is None else self._model.sigmoids(x)

    def _maximised(self, likelihood: _Likelihood, model: _Model) -> _Model:
        steps = [_with_sigmoids] if self.sigmoid else []
        steps.append(_by_em if self.weights == "rank" and not self.sigmoid else _by_ascent)
        values = [likelihood(model)]
        for _ in range(self.rounds):
            before = values[-1]
            for step in steps:
                new = step(likelihood, model)
                value = likelihood(new)
                if value > values[-1]:  # at the maximum, rounding could lower it
                    model = new
                values.append(max(value, values[-1]))
            if values[-1] - before <= _GAIN * abs(before):
                break
        self.log_likelihoods = values
        return model


class _Model(NamedTuple):
    """Learned parameters of the shares π, and (α, β) where there are any."""

    parameters: Array
    sigmoids: Logistic | None


class _RankShares:
    """π of the paper's RK: γ = softmax of the parameters `(k,)`, which keeps γ on the simplex."""

    bounds = None

    def __init__(self, distances: Array) -> None:
        self.start = np.zeros(distances.shape[1])

    def __call__(self, parameters: Array, distances: Array) -> Array:
        return np.asarray(np.broadcast_to(softmax(parameters), distances.shape))

    def slope(self, shares: Array, distances: Array, by_share: Array) -> Array:
        """Slope by the parameters from that by π, `(N, k)`."""
        gamma, slope = shares[0], by_share.sum(0)
        return np.asarray(gamma * (slope - gamma @ slope))


class _DistanceShares:
    """π of the paper's SD: λ, the one parameter, in units that make the training distances' usual differences 1."""

    bounds = ((0, None),)

    def __init__(self, distances: Array) -> None:
        self.start = np.ones(1)
        self.unit = float(distances.std(1).mean(dtype=np.float64)) or 1.0

    def __call__(self, parameters: Array, distances: Array) -> Array:
        return np.asarray(softmax(-parameters * distances / self.unit, axis=1))

    def slope(self, shares: Array, distances: Array, by_share: Array) -> Array:
        """Slope by the parameter from that by π, `(N, k)`."""
        middle = (shares * distances).sum(1, keepdims=True)
        return np.array([(by_share * shares * (middle - distances)).sum() / self.unit])


_SHARES: dict[Weights, Callable[[Array], _RankShares | _DistanceShares]] = {
    "rank": _RankShares,
    "distance": _DistanceShares,
}


class _Likelihood:
    """L of the N training images, from their k nearest others: `indices` and `distances` `(N, k)`."""

    def __init__(
        self, tags: Array, indices: Array, distances: Array, shares: _RankShares | _DistanceShares
    ) -> None:
        self.tags, self.distances, self.shares = tags, distances, shares
        self.weights = np.where(tags, 1 / max(1, tags.sum()), 1 / max(1, (~tags).sum()))
        # Row (i, j) of this matrix has ones at the cells (i, w) of x for every tag w of neighbour j, so that one
        # product gives x from π and another the slope by π from that by x.
        given = sparse.csr_array(tags, dtype=np.float64)[indices.reshape(-1)]
        image = np.arange(len(tags), dtype=np.int64).repeat(indices.shape[1])
        cells = given.indices + (image * tags.shape[1]).repeat(np.diff(given.indptr))
        self.spread = sparse.csr_array((given.data, cells, given.indptr), shape=(indices.size, tags.size))

    def __call__(self, model: _Model) -> float:
        """L, in nats."""
        x = self.x(model)
        log_odds = logit(_mixed(x)) if model.sigmoids is None else model.sigmoids(x)
        return float(log_likelihood(log_odds, self.tags, self.weights).sum())

    def x(self, model: _Model) -> Array:
        """x_iw, `(N, K)`."""
        shares = self.shares(model.parameters, self.distances)
        return np.asarray(self.spread.T @ shares.reshape(-1)).reshape(self.tags.shape)

    def by_share(self, model: _Model) -> Array:
        """Slope of L by π, `(N, k)`, where π need not sum to 1."""
        x = self.x(model)
        if model.sigmoids is None:
            p = _mixed(x)
            by_x = self.weights * (1 - 2 * EPSILON) * np.where(self.tags, 1 / p, -1 / (1 - p))
        else:
            by_x = self.weights * (self.tags - expit(model.sigmoids(x))) * model.sigmoids.slope
        return np.asarray(self.spread @ by_x.reshape(-1)).reshape(self.distances.shape)


def _mixed(x: Array) -> Array:
    return np.asarray(EPSILON + (1 - 2 * EPSILON) * x)


def _with_sigmoids(likelihood: _Likelihood, model: _Model) -> _Model:
    """(α, β) for the π of `model`."""
    sigmoids = fit_logistic(likelihood.x(model), likelihood.tags, likelihood.weights, model.sigmoids)
    return model._replace(sigmoids=sigmoids)


def _by_em(likelihood: _Likelihood, model: _Model) -> _Model:
    """One round of expectation–maximisation of γ, for p without sigmoids.

    Every image and tag, with its weight c_iw, is shared among the ranks as p(y_iw | rank) γ_r / p(y_iw); the new
    γ is proportional to the sums. p(y_iw | rank) is ε or 1 − ε, and linear in whether that neighbour has the tag.
    """
    p = _mixed(likelihood.x(model))
    tags, weights = likelihood.tags, likelihood.weights
    without = np.where(tags, EPSILON / p, (1 - EPSILON) / (1 - p))
    responsibility = (weights * without).sum() + likelihood.by_share(model).sum(0)
    gamma = softmax(model.parameters) * np.maximum(responsibility, 0)
    return model._replace(parameters=np.log(np.maximum(gamma / gamma.sum(), 1e-300)))


def _by_ascent(likelihood: _Likelihood, model: _Model) -> _Model:
    """The parameters of π that L-BFGS-B reaches from those of `model`, with its (α, β)."""

    def descent(parameters: Array) -> tuple[float, Array]:
        new = model._replace(parameters=parameters)
        pi = likelihood.shares(parameters, likelihood.distances)
        slope = likelihood.shares.slope(pi, likelihood.distances, likelihood.by_share(new))
        return -likelihood(new), -slope

    options = {"maxiter": 30, "gtol": 1e-7}
    found = minimize(
        descent,
        model.parameters,
        jac=True,
        method="L-BFGS-B",
        bounds=likelihood.shares.bounds,
        options=options,
    )
    return model._replace(parameters=found.x)
