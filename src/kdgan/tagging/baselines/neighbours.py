"""Exact nearest neighbours among image features, by matrix products in blocks or by faiss's flat search.

Both ways compute in float32. The blocks keep the k best similarities of each query so far and look at a block
again only where its best similarity beats the query's k-th: a pass over a million vectors then costs little more
than its matrix product, and memory depends on neither the number of queries nor that of vectors.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse

from kdgan.errors import UsageError
from kdgan.tagging.arrays import Array, as_features, at_least

Metric: TypeAlias = Literal["cosine", "euclidean"]
Engine: TypeAlias = Literal["numpy", "faiss"]

MEMORY = 2**27
"""Bytes that a search may use by default, beside vectors, queries and result."""

_BYTES_PER_PAIR = 100  # of a block: the similarity, and sorting if every pair is a candidate
_BYTES_PER_BEST = 180  # of the k best: as many wait, each with row, index and similarity; and their sorting
_ROWS, _COLUMNS = 512, 1024  # a block of similarities that stays in the processor's cache
_FAISS_BLAS = 20  # queries from which on faiss is to multiply matrices: what its default was for years


class Nearest(NamedTuple):
    """The k nearest vectors of M queries, nearest first; equally near ones by index, the lower first.

    `indices` are int64 `(M, k)`, `distances` float32 `(M, k)`: Euclidean, or 1 − cosine.
    """

    indices: Array
    distances: Array


class Neighbours:
    """The vectors that are searched, and how.

    Distances carry the rounding of float32 sums: those of near duplicates, below about a thousandth of the
    vectors' length, are noise. A vector of zeros has cosine distance 1 to everything.

    Args:
        vectors: `(N, F)`; they are kept as a float32 copy.
        metric: `cosine` (1 − cosine) or `euclidean`.
        memory: bytes that a search may use beside vectors, queries and result. (faiss has blocks of its own, 16 MB.)
        engine: `numpy` for matrix products, or `faiss` for its flat search where that is installed. The two may keep
            different ones of vectors that are equally near up to rounding; benchmarks/neighbours.py compares them.

    Raises:
        UsageError: for arguments other than these, or `faiss` where it is not installed.

    Example:
        >>> Neighbours([[0.0], [1.0], [3.0]], metric="euclidean").nearest([[0.9]], 2).indices
        array([[1, 0]])
    """

    def __init__(
        self,
        vectors: ArrayLike | torch.Tensor,
        *,
        metric: Metric = "cosine",
        memory: int = MEMORY,
        engine: Engine = "numpy",
    ) -> None:
        if metric not in ("cosine", "euclidean"):
            raise UsageError(f"metric {metric!r}: choose cosine or euclidean")
        self.metric, self.memory = metric, memory
        self._faiss = _faiss(engine)
        given = as_features(vectors, "vectors")
        # Seen from their middle, Euclidean distances lose least to cancellation.
        self._centre = given.mean(0, dtype=np.float64).astype(np.float32) if metric == "euclidean" else None
        self._vectors = self._prepared(given)
        self._half_squares = _half_squares(self._vectors) if metric == "euclidean" else None

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(self, queries: ArrayLike | torch.Tensor, k: int) -> Nearest:
        """The `k` nearest vectors of each of `queries` `(M, F)`.

        Raises:
            UsageError: for queries of another width, a `k` outside 1 to N, or too little memory for it.
        """
        return self._nearest(self._prepared(as_features(queries, "queries", self._vectors.shape[1])), k)

    def nearest_others(self, k: int) -> Nearest:
        """The `k` nearest among the other vectors of each of the N vectors, itself left out.

        Raises:
            UsageError: for a `k` outside 1 to N − 1, or too little memory for it.
        """
        if k >= len(self):
            raise UsageError(f"k {k}: each of {len(self)} vectors has {len(self) - 1} others")
        indices, distances = self._nearest(self._vectors, k + 1)
        own = indices == np.arange(len(self))[:, None]
        own[~own.any(1), -1] = True  # more duplicates than k: itself is not among them
        shape = (len(self), k)
        return Nearest(indices[~own].reshape(shape), distances[~own].reshape(shape))

    def _prepared(self, vectors: Array) -> Array:
        if self._centre is not None:
            return np.asarray(vectors - self._centre)
        length = np.sqrt(2 * _half_squares(vectors))[:, None]
        return np.asarray(vectors / np.where(length > 0, length, 1))

    def _nearest(self, queries: Array, k: int) -> Nearest:
        if not 1 <= k <= len(self):
            raise UsageError(f"k {k}: expected 1 to {len(self)}, the number of vectors")
        at_least("memory", self.memory, _bytes_of(1, k, k))
        if self._faiss is not None:
            return self._by_faiss(queries, k)
        indices = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        rows, columns = _block_shape(self.memory, k)
        for start in range(0, len(queries), rows):
            block = slice(start, start + rows)
            best = _Best(len(queries[block]), k)
            self._offer_all(queries[block], best, columns)
            indices[block], distances[block] = (
                best.indices,
                self._distances(queries[block], best.similarities),
            )
        return Nearest(indices, distances)

    def _offer_all(self, queries: Array, best: _Best, columns: int) -> None:
        space = np.empty((len(queries), columns), np.float32)
        for start in range(0, len(self), columns):
            vectors = self._vectors[start : start + columns]
            # A contiguous block also for the last, narrower one: the space is cut anew, not sliced.
            similar = space.reshape(-1)[: len(queries) * len(vectors)].reshape(len(queries), len(vectors))
            np.matmul(queries, vectors.T, out=similar)
            if self._half_squares is not None:
                similar -= self._half_squares[start : start + columns]
            best.offer(start, similar)
        best.merge()

    def _distances(self, queries: Array, similar: Array) -> Array:
        """Euclidean: |q − v|² = |q|² − 2 (q·v − |v|²/2)."""
        if self._half_squares is None:
            return np.asarray(np.maximum(1 - similar, 0))
        return np.asarray(np.sqrt(np.maximum(2 * (_half_squares(queries)[:, None] - similar), 0)))

    def _by_faiss(self, queries: Array, k: int) -> Nearest:
        assert self._faiss is not None
        metric = self._faiss.METRIC_INNER_PRODUCT if self._centre is None else self._faiss.METRIC_L2
        # Recent wheels multiply matrices only from 128,000 queries on; with fewer their loops take ten times as long.
        settings, least = self._faiss.cvar, self._faiss.cvar.distance_compute_blas_threshold
        settings.distance_compute_blas_threshold = min(least, _FAISS_BLAS)
        try:
            values, indices = self._faiss.knn(queries, self._vectors, k, metric=metric)
        finally:
            settings.distance_compute_blas_threshold = least
        distances = np.maximum(1 - values, 0) if self._centre is None else np.sqrt(np.maximum(values, 0))
        order = np.lexsort((indices, distances), axis=1)
        return Nearest(*(np.take_along_axis(found, order, axis=1) for found in (indices, distances)))


class _Best:
    """The k most similar vectors of each of R queries among those that were offered."""

    def __init__(self, rows: int, k: int) -> None:
        self.k = k
        self.indices = np.empty((rows, 0), np.int64)
        self.similarities = np.empty((rows, 0), np.float32)
        self.worst: Array | None = None
        self.waiting: list[tuple[Array, Array, Array]] = []
        self.count = 0

    def offer(self, start: int, similar: Array) -> None:
        """Consider the vectors from index `start` on, with similarities `(R, columns)`."""
        promising = np.arange(len(similar))
        if self.worst is None:
            bar = np.partition(similar, similar.shape[1] - self.k, axis=1)[:, similar.shape[1] - self.k]
            chosen = similar >= bar[:, None]
        else:
            # An equal similarity does not beat: the lower index was offered before.
            promising = np.flatnonzero(similar.max(1) > self.worst)
            similar = similar[promising]
            chosen = similar > self.worst[promising, None]
        flat = np.flatnonzero(chosen)  # an order of magnitude faster than nonzero in two dimensions
        rows, columns = np.divmod(flat, similar.shape[1])
        self.waiting.append((promising[rows], start + columns, similar.reshape(-1)[flat]))
        self.count += len(flat)
        if self.count > self.indices.size:
            self.merge()

    def merge(self) -> None:
        """Bring in what waits."""
        held = np.repeat(np.arange(len(self.indices)), self.indices.shape[1])
        parts = [(held, self.indices.reshape(-1), self.similarities.reshape(-1)), *self.waiting]
        rows, indices, similarities = (np.concatenate(column) for column in zip(*parts, strict=True))
        # Stable, and offered in the order of the indices: of equal ones the lower index comes first.
        order = np.argsort((rows << 32) - _as_whole(similarities), kind="stable")
        starts = np.searchsorted(rows[order], np.arange(len(self.indices)))
        chosen = order[starts[:, None] + np.arange(self.k)]
        self.indices, self.similarities = indices[chosen], similarities[chosen]
        self.worst = self.similarities[:, -1]
        self.waiting, self.count = [], 0


def _as_whole(numbers: Array) -> Array:
    """float32 numbers as int64 of 32 bits in the same order."""
    bits = (numbers + np.float32(0)).view(np.int32).astype(np.int64)  # −0 becomes 0
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


class Votes:
    """The tags `(N, K)` of N images, to be looked up by their neighbours."""

    def __init__(self, tags: Array) -> None:
        self.tags = sparse.csr_array(tags, dtype=np.float32)

    def __call__(self, indices: Array, weights: Array | None = None) -> Array:
        """Share of the neighbours `indices` `(M, k)` that have each tag, `(M, K)`; `weights` weigh them."""
        rows, k = indices.shape
        shares = np.full(indices.size, 1 / k, np.float32) if weights is None else weights.reshape(-1)
        pointers = np.arange(0, indices.size + 1, k)
        spread = sparse.csr_array((shares, indices.reshape(-1), pointers), shape=(rows, self.tags.shape[0]))
        return np.asarray((spread @ self.tags).toarray())


def _half_squares(vectors: Array) -> Array:
    return np.asarray(0.5 * np.einsum("nf,nf->n", vectors, vectors))


def _bytes_of(rows: int, columns: int, k: int) -> int:
    return rows * (_BYTES_PER_PAIR * columns + _BYTES_PER_BEST * k)


def _block_shape(memory: int, k: int) -> tuple[int, int]:
    """Queries and vectors of one block: as square as memory allows, and not too large for the cache."""
    columns = max(k, min(_COLUMNS, int((memory / _BYTES_PER_PAIR) ** 0.5)))
    return max(1, min(_ROWS, memory // _bytes_of(1, columns, k))), columns


def _faiss(engine: Engine) -> Any:
    if engine not in ("numpy", "faiss"):
        raise UsageError(f"engine {engine!r}: choose numpy or faiss")
    if engine == "numpy":
        return None
    if importlib.util.find_spec("faiss") is None:
        raise UsageError("engine 'faiss' is not installed: pip install faiss-cpu, or choose numpy")
    return importlib.import_module("faiss")
