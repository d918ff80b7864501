"""Ranking metrics against scikit-learn's and against what they must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from kdgan.tasks.ranking import ranking
from support import refused


def drawn(seed: int, images: int = 12, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    tags = chance.random((images, count)) < 0.3
    tags[:, 0] |= ~tags.any(1)
    return chance.normal(size=(images, count)), tags


@given(st.integers(0, 10_000))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    scores, tags = drawn(seed)
    found = ranking(scores, tags)
    expected = [average_precision_score(true, score) for true, score in zip(tags, scores, strict=True)]
    assert found.average_precision == pytest.approx(expected)
    assert found.means()["MAP"] == pytest.approx(label_ranking_average_precision_score(tags, scores))


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_metrics_by_hand(seed: int, k: int) -> None:
    scores, tags = drawn(seed)
    found = ranking(scores, tags, ks=(k,))
    for row, (score, true) in enumerate(zip(scores, tags, strict=True)):
        order = sorted(range(len(score)), key=lambda tag: (-score[tag], tag))
        hits = sum(true[tag] for tag in order[:k])
        precision, recall = hits / k, hits / true.sum()
        assert found.precision[k][row] == pytest.approx(precision)
        f = 2 * precision * recall / (precision + recall) if hits else 0
        assert found.f_measure[k][row] == pytest.approx(f)
        first = next(rank for rank, tag in enumerate(order, 1) if true[tag])
        assert found.reciprocal_rank[row] == pytest.approx(1 / first)


@given(st.integers(0, 10_000))
def test_only_the_order_counts(seed: int) -> None:
    scores, tags = drawn(seed)
    assert ranking(np.exp(scores), tags).means() == ranking(scores, tags).means()
    assert ranking(tags.astype(float), tags).means()["MAP"] == 1


def test_ties_fall_by_index_and_untagged_images_are_left_out() -> None:
    found = ranking(np.zeros((2, 3)), np.array([[False, True, False], [False, False, False]]))
    assert (~found.kept).sum() == 1
    assert found.reciprocal_rank.tolist() == [0.5]
    with refused("NaN"):
        ranking([[float("nan"), 0.0]], [[True, False]])
    with refused("no image"):
        ranking([[1.0, 0.0]], [[False, False]])
