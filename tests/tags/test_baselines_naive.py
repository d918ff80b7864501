"""Every baseline against a naive one, written here from its paper in loops and formulas; MAP within 2 %.

Only the generated world and the ranking measures (tested in `test_measures`) come from kdgan; neighbours, votes,
likelihoods, classifiers and random draws are their own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.metrics import label_ranking_average_precision_score

from kdgan.tagging.baselines import tagprop
from kdgan.tagging.baselines._logistic import Logistic
from kdgan.tagging.data import choose
from kdgan.tagging.baselines.knn import KNN, Transfer
from kdgan.tagging.baselines.relexamples import RelExamples
from kdgan.tagging.baselines.tagfeature import TagFeature
from kdgan.tagging.baselines.tagprop import TagProp, Weights
from kdgan.tagging.scenes import world

Array = np.ndarray
NEIGHBOURS = 20


class Sets(NamedTuple):
    """Features `(N, F)` and tags, bool `(N, K)`, of photos to learn from and of others."""

    x: Array
    y: Array
    other_x: Array
    other_y: Array


@pytest.fixture(scope="module")
def sets() -> Sets:
    data = choose(world().photos, "popular", count=12, seed=1)
    train, test = data.rows["train"][:400], data.rows["test"][:400]
    x = data.features.astype(np.float64)
    return Sets(x[train], data.targets[train], x[test], data.targets[test])


def same_map(sets: Sets, scores: Array, naive: Array) -> None:
    ours, theirs, chance = (
        label_ranking_average_precision_score(sets.other_y, each)
        for each in (scores, naive, np.zeros(scores.shape) + sets.y.mean(0))
    )
    assert theirs > chance * 1.04, "the naive one learned nothing: no comparison"
    assert ours == pytest.approx(theirs, rel=0.02)


def by_cosine(image: Array, images: Array) -> tuple[Array, Array]:
    """All images, the nearest first, and their distances."""
    distances = 1 - images @ image / np.sqrt((images**2).sum(1) * (image**2).sum())
    order = np.argsort(distances, kind="stable")
    return order, distances[order]


class Near(NamedTuple):
    """Nearest photos to learn from, `(N, k)`, with distances: of each of them, itself left out, and of the others."""

    own: Array
    own_distances: Array
    other: Array
    other_distances: Array


@pytest.fixture(scope="module")
def near(sets: Sets) -> Near:
    found: Any = ([], [], [], [])
    for row, image in enumerate(sets.x):
        order, distances = by_cosine(image, sets.x)
        found[0].append(order[order != row][:NEIGHBOURS])
        found[1].append(distances[order != row][:NEIGHBOURS])
    for image in sets.other_x:
        order, distances = by_cosine(image, sets.x)
        found[2].append(order[:NEIGHBOURS])
        found[3].append(distances[:NEIGHBOURS])
    return Near(*map(np.array, found))


# KNN (Makadia, Pavlovic & Kumar 2010)


def ranked(y: Array, neighbours: Array) -> list[float]:
    """Tags by the sum of 1/√rank over the neighbours that have them; by frequency where no neighbour has them."""
    total = sum(1 / rank**0.5 for rank in range(1, len(neighbours) + 1))
    return [
        sum(y[other, tag] / rank**0.5 for rank, other in enumerate(neighbours, 1)) / total
        + 1e-6 * y[:, tag].mean()
        for tag in range(y.shape[1])
    ]


def greedy(y: Array, neighbours: Array) -> list[float]:
    """The paper's steps, tag after tag: places in the ranking, the first one highest."""
    tags = range(y.shape[1])
    of_nearest = [tag for tag in tags if y[neighbours[0], tag]]
    places = sorted(of_nearest, key=lambda tag: -y[:, tag].sum())
    local = {tag: sum(y[other, tag] for other in neighbours[1:]) for tag in tags}
    together = {tag: sum((y[:, tag] & y[:, first]).sum() for first in of_nearest) for tag in tags}
    rest = [tag for tag in tags if tag not in places]
    places += sorted(
        (tag for tag in rest if local[tag] * together[tag]), key=lambda tag: -local[tag] * together[tag]
    )
    places += sorted((tag for tag in tags if tag not in places), key=lambda tag: -y[:, tag].sum())
    return [-float(places.index(tag)) for tag in tags]


@pytest.mark.parametrize(("transfer", "naive"), [("ranked", ranked), ("greedy", greedy)])
def test_knn(
    sets: Sets, near: Near, transfer: Transfer, naive: Callable[[Array, Array], list[float]]
) -> None:
    scores = KNN(NEIGHBOURS, transfer=transfer).fit(sets.x, sets.y).scores(sets.other_x)
    same_map(sets, scores, np.array([naive(sets.y, row) for row in near.other]))


# TagProp (Guillaumin, Mensink, Verbeek & Schmid 2009)


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


# TagFeature (Chen, Xu, Tsang & Luo 2012)


def logistic_regression(x: Array, present: Array, c: float, weights: Array) -> tuple[Array, float]:
    """The minimum of ½|w|² + c Σ weight · log(1 + e^{∓(w·x + b)}), by Newton's method."""
    ones = np.column_stack([x, np.ones(len(x))])
    penalty = np.append(np.ones(x.shape[1]), 0.0)
    w = np.zeros(len(penalty))
    for _ in range(30):
        p = 1 / (1 + np.exp(-ones @ w))
        slope = penalty * w + c * ones.T @ (weights * (p - present))
        if np.abs(slope).max() < 1e-8 * max(1, c):
            break
        w -= np.linalg.solve(np.diag(penalty) + c * (ones.T * (weights * p * (1 - p))) @ ones, slope)
    assert np.abs(slope).max() < 1e-6 * max(1, c)
    return w[:-1], float(w[-1])


def test_tagfeature(sets: Sets, near: Near) -> None:
    joined, other = (
        np.column_stack([x, [[sets.y[n, tag].mean() for tag in range(sets.y.shape[1])] for n in neighbours]])
        for x, neighbours in ((sets.x, near.own), (sets.other_x, near.other))
    )
    middle, spread = joined.mean(0), joined.std(0)
    joined, other = (joined - middle) / spread, (other - middle) / spread
    naive = np.empty(sets.other_y.shape)
    for tag in range(sets.y.shape[1]):
        w, b = logistic_regression(joined, sets.y[:, tag], 0.02, np.ones(len(joined)))
        naive[:, tag] = other @ w + b
    same_map(sets, TagFeature(NEIGHBOURS, c=0.02).fit(sets.x, sets.y).scores(sets.other_x), naive)


# RelExamples (Li & Snoek 2013), with negative bootstrapping (Li, Snoek, Worring, Koelma & Smeulders 2013)


def relevant_examples(sets: Sets, near: Near, tag: int) -> Array:
    """Values of one tag's ensemble for all photos: 60 positives, 60 negatives a round, 5 rounds.

    Which random images a round looks at moves MAP by several per cent on so few photos: both draw the same ones.
    """
    chance = np.random.default_rng([0, tag])
    middle, spread = sets.x.mean(0), sets.x.std(0)
    x, everything = (sets.x - middle) / spread, (np.concatenate([sets.x, sets.other_x]) - middle) / spread
    votes = {row: sets.y[near.own[row], tag].sum() for row in range(len(x)) if sets.y[row, tag]}
    positives = sorted(votes, key=lambda row: (-votes[row], row))[:60]
    count = max(60, len(positives))
    untagged = [row for row in range(len(x)) if not sets.y[row, tag]]
    classifiers: list[tuple[Array, float]] = []
    for _ in range(5):
        if classifiers:
            lot = chance.choice(untagged, min(3 * count, len(untagged)), replace=False)
            taken = np.mean([x @ w + b for w, b in classifiers], axis=0)
            worst_first = sorted(lot, key=lambda row: -taken[row])
            passed = min(len(worst_first) // 100, len(worst_first) - count)
            negatives = worst_first[passed : passed + count]
        else:
            negatives = list(chance.choice(untagged, count, replace=False))
        chosen, present = (
            x[positives + negatives],
            np.arange(len(positives) + len(negatives)) < len(positives),
        )
        half = len(present) / 2
        weights = np.where(present, half / len(positives), half / len(negatives))
        classifiers.append(logistic_regression(chosen, present, 1e-3, weights))
    values: Array = np.mean([everything @ w + b for w, b in classifiers], axis=0)
    return values


def test_relexamples(sets: Sets, near: Near) -> None:
    naive = np.empty(sets.other_y.shape)
    for tag in range(naive.shape[1]):
        values = relevant_examples(sets, near, tag)[:, None]
        present, all_of_them = sets.y[:, tag], np.ones(len(sets.x))
        # Platt's scaling; the penalty of ½ slope² is next to nothing beside 10⁶ times the likelihood.
        w, b = logistic_regression(values[: len(sets.x)], present, 1e6, all_of_them)
        naive[:, tag] = values[len(sets.x) :, 0] * w[0] + b
    ours = RelExamples(60, 60, neighbours=NEIGHBOURS, c=1e-3)
    same_map(sets, ours.fit(sets.x, sets.y).scores(sets.other_x), naive)
