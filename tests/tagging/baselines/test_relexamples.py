"""RelExamples (Li & Snoek 2013) against a naive one.

With negative bootstrapping (Li, Snoek, Worring, Koelma & Smeulders 2013).
"""

import numpy as np

from kdgan.tagging.baselines.relexamples import RelExamples
from naive_baselines import NEIGHBOURS, Array, Near, Sets, logistic_regression, same_map


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
