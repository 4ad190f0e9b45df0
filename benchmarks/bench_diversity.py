"""Milliseconds that a re-ranker takes for one user of 100 candidates and k = 10: users in blocks, and one by one.

Run: PYTHONPATH=. python benchmarks/bench_diversity.py [n_users]
"""

import sys
import time

import numpy as np

from recutils.rank.diversity import Candidates, dpp, mmr, spread, widest
from recutils.rank.kernels import likeness

N_ITEMS, N, K, ALONE = 3883, 100, 10, 100


def milliseconds(work: object, times: int) -> float:
    """Milliseconds per user."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000 / times


def main() -> None:
    """Print a line for each rule."""
    n_users = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    rng = np.random.default_rng(0)
    items = rng.permuted(np.tile(np.arange(N_ITEMS, dtype=np.int32), (n_users, 1)), axis=1)[:, :N]
    relevance = -np.sort(-rng.random((n_users, N), dtype=np.float32), axis=1)
    given, table = Candidates(items, relevance), likeness(rng.normal(size=(N_ITEMS, 64)).astype(np.float32)).table
    rules = {"MMR": mmr, "DPP": dpp, "sum of distances": spread}
    rules |= {"pure diversification": lambda given, table, trade, k: widest(given, table, k)}
    for name, rule in rules.items():
        block = milliseconds(lambda rule=rule: rule(given, table, 0.5, K), n_users)
        people = [given.only(slice(user, user + 1)) for user in range(min(ALONE, n_users))]
        alone = [milliseconds(lambda rule=rule, one=one: rule(one, table, 0.5, K), 1) for one in people]
        ends = f"p50 {np.median(alone):.2f}, p95 {np.quantile(alone, 0.95):.2f}, max {max(alone):.2f} ms"
        print(f"{name:22s} {n_users:,} users in blocks: {block:.3f} ms a user; one user alone: {ends}")


if __name__ == "__main__":
    main()
