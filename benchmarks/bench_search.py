"""Exact search against the HNSW graph: recall, speed-up, latency and memory at several sizes, on one thread.

    python benchmarks/bench_search.py [10000 100000 1000000]

The vectors are mixtures of real ones (titles of the data sets named below, encoded by MiniLM): see `index.enlarged`.
The effort is the smallest that reaches the recall on one half of the queries; recall and seconds are of the other half.
"""

import sys

import numpy as np

from recutils.data import load
from recutils.encode import Encoder, encode_cached, texts_of
from recutils.encode.index import Trial, trial
from recutils.runs import peak_memory_mb

NAMES = ("ml-100k", "online-retail", "articles")
SEED = 7


def told(one: Trial) -> str:
    """One line of figures."""
    ends = [
        f"{name} p50 {np.median(ms):.3f} p95 {np.quantile(ms, 0.95):.3f} p99 {np.quantile(ms, 0.99):.3f} ms"
        for name, ms in (("exact", one.exact_ms), ("graph", one.graph_ms))
    ]
    ratio = np.median(one.exact_ms) / np.median(one.graph_ms)
    found = f"recall {one.recall.mean():.4f} at effort {one.effort}, built in {one.built:.1f} s"
    return f"n {one.size:>9,}: {found}; {'; '.join(ends)}; speed-up {ratio:.1f}; peak {peak_memory_mb():,.0f} MB"


def main() -> None:
    """Print one line for each size."""
    sizes = [int(text) for text in sys.argv[1:]] or [10_000, 100_000]
    encoder = Encoder("minilm")
    real = np.concatenate([encode_cached(encoder, texts_of(load.load(name), "title")).vectors for name in NAMES])
    print(f"{len(real):,} real vectors of {real.shape[1]} numbers", flush=True)
    for n in sizes:
        print(told(trial(real, n, seed=SEED)), flush=True)


if __name__ == "__main__":
    main()
