"""TagProp (Guillaumin, Mensink, Verbeek & Schmid 2009) against a naive one, and that no step lowers its likelihood."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from kdgan.tagging.baselines import tagprop
from kdgan.tagging.baselines._logistic import Logistic
from kdgan.tagging.baselines.tagprop import TagProp, Weights
from naive_baselines import NEIGHBOURS, Array, Near, Sets, same_map


class Prop(NamedTuple):
    """What TagProp learns: γ `(k,)` before a softmax or λ `(1,)`, and α and β of each tag or None."""

    shares: torch.Tensor
    alpha: torch.Tensor | None
    beta: torch.Tensor | None


def chances(prop: Prop, weights: Weights, distances: Array, given: Array) -> torch.Tensor:
    """p(y_iw = 1) `(N, K)`, equations 1 to 3 and 8 of the paper; `given` `(N, k, K)` are the neighbours' tags."""
    near = torch.from_numpy(distances)
    pi = torch.softmax(prop.shares.expand_as(near) if weights == "rank" else -prop.shares * near, 1)
    of_neighbour = torch.from_numpy(np.where(given, 1 - 1e-5, 1e-5))
    if prop.alpha is None or prop.beta is None:
        return (pi[:, :, None] * of_neighbour).sum(1)
    x = (pi[:, :, None] * torch.from_numpy(given).double()).sum(1)
    return torch.sigmoid(prop.alpha * x + prop.beta)


def log_likelihood(p: torch.Tensor, y: Array) -> torch.Tensor:
    """Equation 4: a tag that is there weighs 1/n⁺, one that is not 1/n⁻."""
    true = torch.from_numpy(y)
    return p[true].log().sum() / int(true.sum()) + (1 - p[~true]).log().sum() / int((~true).sum())


def fitted(weights: Weights, sigmoid: bool, distances: Array, given: Array, y: Array) -> Prop:
    """All parameters at once, by L-BFGS and automatic differentiation."""
    k, tags = given.shape[1:]
    sizes = [k if weights == "rank" else 1, tags, tags] if sigmoid else [k if weights == "rank" else 1]

    def parts(flat: torch.Tensor) -> Prop:
        shares, *rest = torch.split(flat, sizes)
        # Any positive λ is the square of something; a unit of about the spread of distances helps the search.
        shares = shares if weights == "rank" else shares**2 / distances.std()
        return Prop(shares, *(rest or (None, None)))

    def loss(flat: Array) -> tuple[float, Array]:
        tensor = torch.tensor(flat, requires_grad=True)
        value = -log_likelihood(chances(parts(tensor), weights, distances, given), y)
        value.backward()
        return value.item(), tensor.grad.numpy()  # type: ignore[union-attr]

    start = np.concatenate([np.full(sizes[0], 0.5), *(np.full(size, 0.0) for size in sizes[1:])])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 3000, "maxfun": 5000})
    return parts(torch.from_numpy(found.x))


@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize("weights", ["rank", "distance"])
def test_tagprop(sets: Sets, near: Near, weights: Weights, sigmoid: bool) -> None:
    prop = fitted(weights, sigmoid, near.own_distances, sets.y[near.own], sets.y)
    naive = chances(prop, weights, near.other_distances, sets.y[near.other])
    ours = TagProp(NEIGHBOURS, weights=weights, sigmoid=sigmoid).fit(sets.x, sets.y)
    same_map(sets, ours.scores(sets.other_x), naive.numpy())
    reached = log_likelihood(chances(prop, weights, near.own_distances, sets.y[near.own]), sets.y).item()
    assert ours.log_likelihoods[-1] == pytest.approx(reached, rel=1e-3)


def drawn_props(weights: Weights, sigmoid: bool, k: int, tags: int) -> list[tuple[Array, Array, Array]]:
    chance = np.random.default_rng(0)
    return [
        (
            chance.normal(size=k) if weights == "rank" else chance.uniform(0, 3, 1),
            chance.normal(0, 3, tags),
            chance.normal(size=tags),
        )
        for _ in range(4)
    ]


@pytest.mark.parametrize(
    ("weights", "sigmoid"), [("rank", True), ("rank", False), ("distance", True), ("distance", False)]
)
def test_no_step_of_tagprop_lowers_its_likelihood(
    sets: Sets, near: Near, weights: Weights, sigmoid: bool
) -> None:
    """From anywhere, by the likelihood above: a step that went wrong would not be hidden by being undone."""
    shares = tagprop._SHARES[weights](near.own_distances)
    likelihood = tagprop._Likelihood(sets.y, near.own, near.own_distances, shares)
    em = tagprop._by_em if weights == "rank" and not sigmoid else tagprop._by_ascent
    steps = [tagprop._with_sigmoids, em] if sigmoid else [em]

    def value(model: tagprop._Model) -> float:
        scale = torch.from_numpy(model.parameters) / getattr(shares, "unit", 1)
        tags = [None, None] if model.sigmoids is None else [torch.from_numpy(part) for part in model.sigmoids]
        p = chances(Prop(scale, *tags), weights, near.own_distances, sets.y[near.own])
        return log_likelihood(p, sets.y).item()

    for parameters, slope, offset in drawn_props(weights, sigmoid, NEIGHBOURS, sets.y.shape[1]):
        model = tagprop._Model(parameters, Logistic(slope, offset) if sigmoid else None)
        values = [value(model)]
        assert likelihood(model) == pytest.approx(values[0], rel=1e-9)
        for step in steps * 5:
            model = step(likelihood, model)
            values.append(value(model))
        assert np.diff(values).min() > -1e-9
        assert values[-1] > values[0] + 1e-3


@pytest.mark.parametrize(
    ("weights", "sigmoid"), [("rank", True), ("rank", False), ("distance", True), ("distance", False)]
)
def test_the_likelihood_never_decreases_while_tagprop_is_fitted(
    sets: Sets, weights: Weights, sigmoid: bool
) -> None:
    values = TagProp(NEIGHBOURS, weights=weights, sigmoid=sigmoid).fit(sets.x, sets.y).log_likelihoods
    assert np.diff(values).min() >= 0
    assert values[-1] > values[0]
