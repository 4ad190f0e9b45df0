r"""Ten metrics at k = 10 for ml-1m's 6,040 users: ours, warm ranx and the merge-and-groupby way of pandas, in one run.

Lists are those of EASE on a random split per user, so that everybody has a truth. All three are given the same lists,
and must agree on every metric. ranx is not in the lock; without it its rows are left out. To have it:
    pip install --target /tmp/ranx --no-deps \
        ranx==0.3.21 numba==0.68.1 llvmlite ir_datasets orjson tabulate cbor2 lz4 seaborn
Run: PYTHONPATH=.:/tmp/ranx python benchmarks/bench_evaluate.py [data set]
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data import load, split
from recutils.evaluate.metrics import FURTHER, METRICS, accuracy
from recutils.model.ease import EASE
from recutils.rank.top import top_k

K, REPEATS = 10, 5
TEN = (*METRICS, *FURTHER)
RANX = {  # our name -> ranx's; its average precision divides by all relevant items, and it has none that does not
    "ndcg": "ndcg@10",
    "recall": "recall@10",
    "precision": "precision@10",
    "average_precision": "r-precision",  # another metric in its place, so that ranx computes ten as well
    "average_precision_at_all": "map@10",
    "reciprocal_rank": "mrr@10",
    "hit_rate": "hit_rate@10",
    "hits": "hits@10",
    "f1": "f1@10",
    "dcg": "dcg@10",
}
SHARED = [name for name in TEN if name != "average_precision"]


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> tuple[float, object]:
    """The least seconds of several runs, and the result."""
    times, result = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return min(times), result


# --- ranx -------------------------------------------------------------------------------------------------------------


def ranx_inputs(lists: np.ndarray, truth: sparse.csr_matrix) -> tuple[dict, dict]:
    """Truth and lists as ranx takes them: user -> item -> grade or score."""
    qrels = {str(user): {str(item): 1 for item in truth[user].indices} for user in range(truth.shape[0])}
    run = {
        str(user): {str(item): float(K - place) for place, item in enumerate(row) if item >= 0}
        for user, row in enumerate(lists)
    }
    return qrels, run


def ranx_rows(lists: np.ndarray, truth: sparse.csr_matrix) -> tuple[list[tuple[str, float]], dict[str, float] | None]:
    """Named seconds of ranx, and its metrics; none when it is not installed."""
    try:
        import ranx
    except ImportError as fault:
        print(f"ranx is left out: {fault}. The head of this file says how to have it.")
        return [], None
    qrels, run = ranx_inputs(lists, truth)
    started = time.perf_counter()
    built = ranx.Qrels(qrels), ranx.Run(run)
    means = ranx.evaluate(*built, list(RANX.values()))
    print(f"ranx compiled and ran for the first time in {time.perf_counter() - started:.1f} s (not counted below)")
    build, built = seconds(lambda: (ranx.Qrels(qrels), ranx.Run(run)), 3)
    warm, means = seconds(lambda: ranx.evaluate(*built, list(RANX.values())))
    rows = [("ranx, warm, from its own structures", warm), ("ranx, warm, structures built from dicts", warm + build)]
    return rows, {name: float(means[RANX[name]]) for name in SHARED}


# --- pandas: every metric merges lists and truth and groups by user, as recommenders-team's do ------------------------


def merged(recommended: pd.DataFrame, relevant: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The hits with their rank, hits and relevant items of each user, and the number of users."""
    users = set(relevant["user"]).intersection(recommended["user"])
    relevant, recommended = relevant[relevant["user"].isin(users)], recommended[recommended["user"].isin(users)]
    found = recommended.merge(relevant, on=["user", "item"])[["user", "item", "rank"]]
    hits = found.groupby("user", as_index=False)["user"].agg(hit="count")
    actual = relevant.groupby("user", as_index=False)["user"].agg(actual="count")
    return found, hits.merge(actual, on="user"), len(users)


def gains(found: pd.DataFrame) -> pd.DataFrame:
    """dcg of each user with a hit."""
    return (1 / np.log2(found["rank"] + 1)).groupby(found["user"]).sum().rename("dcg").reset_index()


def precisions(found: pd.DataFrame) -> pd.DataFrame:
    """The precisions at the hits, summed for each user with a hit."""
    found = found.sort_values(["user", "rank"])
    share = (found.groupby("user").cumcount() + 1) / found["rank"]
    return share.groupby(found["user"]).sum().rename("sum").reset_index()


def ideal(count: pd.Series) -> pd.Series:
    """dcg of a perfect list."""
    return count.apply(lambda n: sum(1 / np.log2(np.arange(2, min(n, K) + 2))))


def pandas_metric(name: str, parts: tuple[pd.DataFrame, pd.DataFrame, int]) -> float:
    """One metric's mean from the merged tables."""
    found, counts, n_users = parts
    if name in ("hits", "hit_rate", "precision"):
        per_user = {"hits": counts["hit"], "hit_rate": counts["hit"] > 0, "precision": counts["hit"] / K}[name]
    elif name in ("recall", "f1"):
        per_user = counts["hit"] / counts["actual"] if name == "recall" else 2 * counts["hit"] / (K + counts["actual"])
    elif name == "reciprocal_rank":
        per_user = 1 / found.groupby("user")["rank"].min()
    elif name in ("dcg", "ndcg"):
        table = counts.merge(gains(found), on="user")
        per_user = table["dcg"] / (ideal(table["actual"]) if name == "ndcg" else 1)
    else:
        table = counts.merge(precisions(found), on="user")
        whole = table["actual"] if name == "average_precision_at_all" else np.minimum(table["actual"], K)
        per_user = table["sum"] / whole
    return float(per_user.sum() / n_users)


def pandas_rows(lists: np.ndarray, truth: sparse.csr_matrix) -> tuple[list[tuple[str, float]], dict[str, float]]:
    """Named seconds of the pandas way, merging for each metric and merging once, and its metrics."""
    n_users = len(lists)
    recommended = pd.DataFrame({"user": np.repeat(np.arange(n_users), K), "item": lists.ravel()})
    recommended = recommended.assign(rank=np.tile(np.arange(1, K + 1), n_users)).query("item >= 0")
    relevant = pd.DataFrame({"user": np.repeat(np.arange(n_users), np.diff(truth.indptr)), "item": truth.indices})

    def once() -> dict[str, float]:
        parts = merged(recommended, relevant)
        return {name: pandas_metric(name, parts) for name in TEN}

    each, means = seconds(lambda: {name: pandas_metric(name, merged(recommended, relevant)) for name in TEN}, 3)
    shared, _ = seconds(once, 3)
    return [("pandas, each metric merges", each), ("pandas, merged once for all", shared)], means


def prepared(name: str) -> tuple[np.ndarray, sparse.csr_matrix, sparse.csr_matrix]:
    """Scores of EASE (n_users, n_items), what the users have seen, and their truth; only users who have one."""
    parts = split.random_users(load.load(name).interactions, rng=0)
    truth, seen = parts.test.matrix("binary"), parts.train.matrix()
    users = np.flatnonzero(np.diff(truth.indptr))
    return EASE().fit(parts.train).score(seen[users]), seen[users], truth[users]


def main(name: str = "ml-1m") -> None:
    """Fit, rank, time and compare."""
    scores, seen, truth = prepared(name)
    size = f"{scores.shape[0]:,} users, {scores.shape[1]:,} items, {truth.nnz:,} relevant"
    print(f"{name}: {size}; k = {K}, {len(TEN)} metrics")
    ranking, lists = seconds(lambda: top_k(scores, seen, K))
    ours, values = seconds(lambda: accuracy(lists, truth, K, TEN), 20)
    means = {name: float(np.mean(column)) for name, column in values.items()}
    by_ranx, theirs = ranx_rows(lists, truth)
    by_pandas, usual = pandas_rows(lists, truth)
    rows = [("ours", ours), ("ours, with the ranking of all scores", ours + ranking), *by_ranx, *by_pandas]
    for what, cost in rows:
        print(f"{1000 * cost:10.1f} ms {cost / ours:8.1f} x  {what}")
    for library, other in (("ranx", theirs), ("pandas", usual)):
        if other is not None:
            gap = max(abs(other[metric] - means[metric]) for metric in other)
            print(f"{library}: {len(other)} metrics, largest difference of means {gap:.1e}")
            if gap > 1e-9:
                sys.exit(f"{library} and ours disagree: {other} and {means}")


if __name__ == "__main__":
    main(*sys.argv[1:])
