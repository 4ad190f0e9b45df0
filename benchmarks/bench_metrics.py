"""Seconds that the metrics take at the size of ml-1m: 6,040 users, 3,706 items, k = 10.

Run: PYTHONPATH=. python benchmarks/bench_metrics.py
"""

import time

import numpy as np
from scipy import sparse

from recutils.evaluate.beyond import intra_list_distance, novelty
from recutils.evaluate.judge import judge
from recutils.evaluate.metrics import accuracy, auc
from recutils.rank.top import top_k

N_USERS, N_ITEMS, K = 6040, 3706, 10


def timed(what: str, work: object) -> object:
    """Run `work` and print its seconds."""
    started = time.perf_counter()
    result = work()
    print(f"{time.perf_counter() - started:8.3f} s  {what}")
    return result


def main() -> None:
    """Make random scores, rank them, and time each step."""
    rng = np.random.default_rng(0)
    scores = rng.random((N_USERS, N_ITEMS), dtype=np.float32)
    train = sparse.random(N_USERS, N_ITEMS, density=0.035, format="csr", rng=rng)
    truth = sparse.random(N_USERS, N_ITEMS, density=0.005, format="csr", rng=rng)
    vectors = rng.normal(size=(N_ITEMS, 384))
    lists = timed("ranked lists of 22 million scores", lambda: top_k(scores, train, K))
    timed("all seven accuracy metrics, all users", lambda: accuracy(lists, truth, K))
    timed("novelty", lambda: novelty(lists, train, K))
    timed("intra-list distance, 384 dimensions", lambda: intra_list_distance(lists, vectors, K))
    timed("AUC from all scores", lambda: auc(scores, truth, train))
    models = {"popularity": lists, **{f"model {number}": np.roll(lists, number, axis=0) for number in range(4)}}
    timed("judgement of five models: 10,000 draws for 35 intervals, 28 tests", lambda: judge(models, truth, K, seed=0))


if __name__ == "__main__":
    main()
