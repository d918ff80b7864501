"""KNN scoring against faiss's flat index on the same vectors, in turns, in one run.

Prints CPU seconds and clock seconds of each, those of KNN's scores, by either engine, as multiples of faiss's flat
index (left to its own choice, and made to use BLAS), and the memory that scoring takes beside its inputs.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from kdgan.tagging.baselines.knn import KNN
from kdgan.tagging.baselines.neighbours import MEMORY

Search = Callable[[], Any]


def flat_searches(vectors: np.ndarray, queries: np.ndarray, k: int) -> dict[str, Search]:
    """faiss's exact search by inner product, as it is and made to use BLAS; empty where faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return {}
    faiss = importlib.import_module("faiss")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    own = faiss.cvar.distance_compute_blas_threshold

    def search(threshold: int) -> Any:
        faiss.cvar.distance_compute_blas_threshold = threshold
        return index.search(queries, k)[1]

    return {"faiss flat index": lambda: search(own), "faiss flat index by BLAS": lambda: search(20)}


def peak_bytes(work: Search) -> int:
    """What numpy allocates at most during `work`, beside what it held before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def in_turns(searches: dict[str, Search], rounds: int) -> dict[str, list[float]]:
    """Median CPU seconds and clock seconds of each."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in searches}
    for turn in range(rounds):
        for name, search in searches.items():
            if turn and name == "faiss flat index":
                continue  # once is enough to see that its own choice is the slower way
            cpu, clock = time.process_time(), time.perf_counter()
            search()
            seconds[name].append((time.process_time() - cpu, time.perf_counter() - clock))
    return {
        name: [statistics.median(part) for part in zip(*times, strict=True)]
        for name, times in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--dimensions", type=int, default=100)
    parser.add_argument("--neighbours", type=int, default=100)
    parser.add_argument("--tags", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=MEMORY // 2**20, help="KNN's option, in MiB")
    sizes = parser.parse_args()
    rng = np.random.default_rng(0)

    def unit(rows: int) -> np.ndarray:
        drawn = rng.standard_normal((rows, sizes.dimensions), dtype=np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    vectors, queries = unit(sizes.vectors), unit(sizes.queries)
    tags = np.zeros((sizes.vectors, sizes.tags), dtype=np.bool_)
    for _ in range(3):
        tags[np.arange(sizes.vectors), rng.integers(0, sizes.tags, sizes.vectors)] = True
    knn = KNN(sizes.neighbours, memory=sizes.memory * 2**20).fit(vectors, tags)
    others = flat_searches(vectors, queries, sizes.neighbours)
    ours: dict[str, Search] = {"KNN scores": lambda: knn.scores(queries)}
    if others:
        through = KNN(sizes.neighbours, engine="faiss").fit(vectors, tags)
        ours["KNN scores through faiss"] = lambda: through.scores(queries)
    medians = in_turns({**ours, **others}, sizes.rounds)
    for name, (cpu, clock) in medians.items():
        print(f"{name:26} {cpu:7.2f} CPU seconds {clock:7.2f} by the clock")
    for name in ours:
        for other in others:
            cpu, clock = (own / time for own, time in zip(medians[name], medians[other], strict=True))
            print(f"{name} / {other}: {cpu:.2f} in CPU seconds, {clock:.2f} by the clock; bar 1.20")
    if not others:
        print("faiss is not installed, so there is nothing to compare with: pip install faiss-cpu")
    peak = peak_bytes(ours["KNN scores"]) / 2**20
    print(f"memory of scoring, beside inputs: {peak:.0f} MiB with memory={sizes.memory} MiB")


if __name__ == "__main__":
    main()
