"""Exact search against the HNSW graph: recall, speed-up, latency and memory at several sizes, on one thread.

    python benchmarks/bench_search.py [10000 100000 1000000]

The vectors are mixtures of real ones (titles of the data sets named below, encoded by MiniLM): see `index.enlarged`.
The effort is the smallest that reaches the recall on one half of the queries; recall and seconds are of the other half.
"""

import sys
import time

import numpy as np

from recutils.data import load
from recutils.encode import Encoder, encode_cached, texts_of
from recutils.encode.index import Flat, Graph, enlarged, least_effort, milliseconds, recall
from recutils.runs import peak_memory_mb

NAMES = ("ml-100k", "online-retail", "articles")
K, WANTED, N_QUERIES, SEED = 10, 0.99, 1000, 7
EFFORTS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]


def measure(real: np.ndarray, n: int) -> str:
    """One line of figures for n vectors."""
    made = enlarged(real, n + N_QUERIES, np.random.default_rng(SEED))
    known, chosen, judged = made[:n], made[n : n + N_QUERIES // 2], made[n + N_QUERIES // 2 :]
    flat, started = Flat(known), time.perf_counter()
    graph = Graph(known)
    built = time.perf_counter() - started
    effort = least_effort(graph, chosen, flat.nearest(chosen, K), WANTED, EFFORTS)
    found = recall(graph.nearest(judged, K, effort=effort), flat.nearest(judged, K)).mean()
    exact = milliseconds(lambda query: flat.nearest(query, K), judged[:50])
    fast = milliseconds(lambda query: graph.nearest(query, K, effort=effort), judged)
    ends = [f"{name} p50 {np.median(ms):.3f} p95 {np.quantile(ms, 0.95):.3f} p99 {np.quantile(ms, 0.99):.3f} ms"
            for name, ms in (("exact", exact), ("graph", fast))]  # fmt: skip
    ratio = np.median(exact) / np.median(fast)
    return (f"n {n:>9,}: recall@{K} {found:.4f} at effort {effort}, built in {built:.1f} s; {'; '.join(ends)}; "
            f"speed-up {ratio:.1f}; peak {peak_memory_mb():,.0f} MB")  # fmt: skip


def main() -> None:
    """Print one line for each size."""
    sizes = [int(text) for text in sys.argv[1:]] or [10_000, 100_000]
    encoder = Encoder("minilm")
    real = np.concatenate([encode_cached(encoder, texts_of(load.load(name), "title")).vectors for name in NAMES])
    print(f"{len(real):,} real vectors of {real.shape[1]} numbers", flush=True)
    for n in sizes:
        print(measure(real, n), flush=True)


if __name__ == "__main__":
    main()
