"""Neighbour search against sorting all distances, by itself and through faiss, and the memory that it takes."""

import importlib.util
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import kdgan.tagging.baselines.neighbours as module
from kdgan.tagging.baselines.neighbours import Engine, Metric, Neighbours, Votes, _as_whole, _Best
from support import refused

METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


def searched(queries: Any, vectors: Any, k: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest by sorting all distances, in float64; equal ones by index."""
    distances = cdist(queries, vectors, metric)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(distances, indices, axis=1)


@given(st.data())
def test_the_best_are_those_of_a_stable_sort(data: st.DataObject) -> None:
    """Whatever the blocks: with many ties, negative similarities, both zeros and infinities."""
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 40))
    k = data.draw(st.integers(1, columns))
    value = st.sampled_from([-np.inf, -2.5, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 1.0000001, 3e38, np.inf])
    cells = data.draw(st.lists(value, min_size=rows * columns, max_size=rows * columns))
    similar = np.array(cells, dtype=np.float32).reshape(rows, columns)
    best, width = _Best(rows, k), data.draw(st.integers(k, columns))
    for start in range(0, columns, width):
        best.offer(start, similar[:, start : start + width])
    best.merge()
    expected = np.argsort(-similar, axis=1, kind="stable")[:, :k]
    assert np.array_equal(best.indices, expected)
    assert np.array_equal(best.similarities, np.take_along_axis(similar, expected, axis=1))


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20))
def test_whole_numbers_have_the_order_of_the_floats(numbers: list[float]) -> None:
    floats = np.array(numbers, dtype=np.float32)
    whole = _as_whole(floats)
    assert np.array_equal(floats[:, None] < floats, whole[:, None] < whole)
    assert np.array_equal(floats[:, None] == floats, whole[:, None] == whole)


@pytest.mark.parametrize("engine", ["numpy", "faiss"])
@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_are_those_of_a_sort(
    engine: Engine, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "faiss" and importlib.util.find_spec("faiss") is None:
        pytest.skip("faiss is optional and not installed")
    chance = np.random.default_rng(0)
    vectors, queries = chance.normal(size=(700, 12)) + 0.5, chance.normal(size=(90, 12))
    monkeypatch.setattr(module, "_ROWS", 32)
    monkeypatch.setattr(module, "_COLUMNS", 64)  # neither divides the sizes: every kind of block occurs
    for k in (1, 7, 100, 700):
        found = Neighbours(vectors, metric=metric, engine=engine).nearest(queries, k)
        indices, distances = searched(queries, vectors, k, metric)
        assert (found.indices == indices).mean() > 0.999  # all but what float32 cannot tell apart
        assert found.distances == pytest.approx(distances, abs=1e-5)
    others = Neighbours(vectors, metric=metric, engine=engine).nearest_others(5)
    indices, distances = searched(vectors, vectors, 6, metric)
    assert np.array_equal(others.indices, indices[:, 1:])
    assert others.distances == pytest.approx(distances[:, 1:], abs=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_equally_near_ones_fall_by_index(seed: int, k: int) -> None:
    # Small whole numbers: float32 holds all products exactly. The mean is kept whole by what mirrors each vector.
    half = np.random.default_rng(seed).integers(-1, 2, (20, 3))
    vectors = np.concatenate([half, -half])
    found = Neighbours(vectors, metric="euclidean").nearest(vectors[:5], k)
    assert np.array_equal(found.indices, searched(vectors[:5], vectors, k, "euclidean")[0])


def test_duplicates_do_not_hide_that_oneself_is_left_out() -> None:
    found = Neighbours(np.ones((9, 3))).nearest_others(4).indices
    assert not (found == np.arange(9)[:, None]).any()
    assert all(len(set(row)) == 4 for row in found)


@pytest.mark.parametrize("kind", ["drawn", "all equal", "ever nearer"])
@pytest.mark.parametrize(("memory", "k"), [(2**20, 50), (2**23, 50), (2**23, 3000)])
def test_memory_is_bounded_by_the_option(kind: str, memory: int, k: int) -> None:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(20_000, 8)).astype(np.float32)
    queries = np.abs(chance.normal(size=(300, 8))).astype(np.float32)
    if kind == "all equal":
        vectors[:] = 1
    elif kind == "ever nearer":  # every block beats all before it
        vectors = np.linspace(-1, 1, 20_000, dtype=np.float32)[:, None] + np.eye(1, 8, dtype=np.float32)
    images = Neighbours(vectors, memory=memory)
    tracemalloc.start()
    found = images.nearest(queries, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    beside = found.indices.nbytes + found.distances.nbytes + 2 * queries.nbytes
    assert peak - beside < memory
    assert peak - beside > memory / 20  # what the option allows is used, or this test measures nothing


def test_less_memory_gives_the_same() -> None:
    chance = np.random.default_rng(1)
    vectors, queries = chance.normal(size=(3000, 8)), chance.normal(size=(40, 8))
    small, large = (Neighbours(vectors, memory=memory).nearest(queries, 20) for memory in (2**15, 2**27))
    assert np.array_equal(small.indices, large.indices)
    assert small.distances == pytest.approx(large.distances, abs=1e-6)


def test_votes_are_shares_of_the_neighbours() -> None:
    chance = np.random.default_rng(2)
    tags, indices = chance.random((30, 4)) < 0.4, chance.integers(0, 30, (6, 5))
    weights = chance.random((6, 5)).astype(np.float32)
    assert Votes(tags)(indices) == pytest.approx(tags[indices].mean(1))
    assert Votes(tags)(indices, weights) == pytest.approx((tags[indices] * weights[..., None]).sum(1))


def test_wrong_calls_are_refused() -> None:
    images = Neighbours([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    with refused("k 4", "1 to 3"):
        images.nearest([[1.0, 1.0]], 4)
    with refused("k 0"):
        images.nearest([[1.0, 1.0]], 0)
    with refused("k 3", "2 others"):
        images.nearest_others(3)
    with refused("3 columns", "expected 2"):
        images.nearest([[1.0, 1.0, 1.0]], 1)
    with refused("memory 10"):
        Neighbours([[0.0], [1.0]], memory=10).nearest([[1.0]], 1)
    with refused("metric 'manhattan'", "cosine or euclidean"):
        Neighbours([[0.0]], metric="manhattan")  # type: ignore[arg-type]
    with refused("engine 'annoy'", "numpy or faiss"):
        Neighbours([[0.0]], engine="annoy")  # type: ignore[arg-type]
