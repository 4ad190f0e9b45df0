"""Graded judgments by readers: the blind pool they read, how far two readings agree, and nDCG with grades as gains.

Grades are numbers of 0 or more in a table (n_queries, n_items), NaN where nobody judged the pair. Binary truth is in
metrics.py, whose laws for lists hold here too.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recutils.evaluate.hits import checked_lists
from recutils.evaluate.resample import counts, seed_of
from recutils.evaluate.statistics import DRAWS, LEVEL, Interval
from recutils.tables import Problem

WEIGHTS = ("linear", "quadratic")
_KAPPA = 108  # a stream of its own, as in resample.py


def graded_ndcg(lists: np.ndarray, grades: np.ndarray, k: int | None = None) -> np.ndarray:
    """nDCG with the grade itself as gain: (n_queries,), NaN where no judged item has a grade above 0.

    lists: (n_queries, >= k) item rows, -1 at the end. grades: (n_queries, n_items), NaN is unjudged and gains nothing.
    The best possible list holds the highest grades that were judged, so the value is relative to the pool.
    Linear gain as in trec_eval (Jarvelin & Kekalainen 2002), not 2^grade - 1. Equals pytrec_eval `ndcg_cut_k`.
    First row on paper: (2 + 1 / 2) / (2 + 1 / log2(3)) = .950; the second holds an unjudged item first.

    >>> grades = np.array([[2, 0, 1], [np.nan, 1, 0], [0, 0, np.nan]])
    >>> graded_ndcg(np.array([[0, 1, 2], [0, 1, -1], [0, 1, 2]]), grades).round(3).tolist()
    [0.95, 0.631, nan]
    """
    table = checked_grades(grades)
    lists = checked_lists(lists, table.shape[1], k)
    if len(lists) != len(table):
        raise Problem(f"lists and grades must have a row for each query; got {len(lists)} and {len(table)}")
    gains = np.where(lists >= 0, np.take_along_axis(np.nan_to_num(table), np.maximum(lists, 0), axis=1), 0.0)
    best = -np.sort(-np.nan_to_num(table), axis=1)[:, : lists.shape[1]]
    discount = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    ideal = best @ discount[: best.shape[1]]
    return np.divide(gains @ discount, ideal, out=np.full(len(lists), np.nan), where=ideal > 0)


def checked_grades(grades: np.ndarray) -> np.ndarray:
    """Grades as float64 (n_queries, n_items). Raises Problem for another shape, infinities and negative grades."""
    table = np.asarray(grades, dtype=np.float64)
    if table.ndim != 2 or np.isinf(table).any() or (table < 0).any():
        raise Problem(f"grades must be (n_queries, n_items), 0 or more, NaN for unjudged; got shape {table.shape}")
    return table


def share_judged(lists: np.ndarray, grades: np.ndarray, k: int | None = None) -> np.ndarray:
    """The share of each list's items that somebody judged: (n_queries,), NaN for an empty list.

    >>> share_judged(np.array([[0, 1], [1, -1], [-1, -1]]), np.array([[2, np.nan], [0, 1], [0, 0]])).tolist()
    [0.5, 1.0, nan]
    """
    table = checked_grades(grades)
    lists = checked_lists(lists, table.shape[1], k)
    there = lists >= 0
    known = there & ~np.isnan(np.take_along_axis(table, np.maximum(lists, 0), axis=1))
    shown = there.sum(axis=1)
    return np.divide(known.sum(axis=1), shown, out=np.full(len(lists), np.nan), where=shown > 0)


def blind_pool(lists: Mapping[str, np.ndarray], depth: Mapping[str, int], *, seed: int) -> pd.DataFrame:
    """What the readers are given: columns query and item, each pair once, without system and rank, shuffled.

    lists: system -> (n_queries, k) item rows; depth: system -> how many of its first places enter the pool.
    Queries come in shuffled order with their items together, also shuffled, so that a phrase is understood once.
    """
    if set(lists) != set(depth):
        raise Problem(f"each of {sorted(lists)} needs a depth; got {sorted(depth)}")
    rng, rows = np.random.default_rng(seed), []
    for query in rng.permutation(len(next(iter(lists.values())))):
        items = np.unique(np.concatenate([lists[name][query, : depth[name]] for name in lists]))
        rows += [(int(query), int(item)) for item in rng.permutation(items[items >= 0])]
    return pd.DataFrame(rows, columns=["query", "item"])


def grade_table(pairs: pd.DataFrame, shape: tuple[int, int]) -> np.ndarray:
    """Grades (n_queries, n_items), NaN for unjudged. pairs: columns query, item, grade; a pair at most once."""
    if pairs.duplicated(["query", "item"]).any():
        raise Problem("a pair of query and item is graded twice; settle the readings first.")
    table = np.full(shape, np.nan)
    table[pairs["query"], pairs["item"]] = pairs["grade"]
    return table


def confusion(first: np.ndarray, second: np.ndarray, levels: int) -> np.ndarray:
    """Counts (levels, levels): how often the first reader said row and the second column."""
    return np.bincount(first * levels + second, minlength=levels**2).reshape(levels, levels)


def kappa(tables: np.ndarray, weights: str = "linear") -> np.ndarray:
    """Cohen's weighted kappa of count tables (..., levels, levels): 1 is full agreement, 0 that of chance.

    weights: the cost of a disagreement, "linear" in the distance of the grades or "quadratic". NaN where both readers
    gave one and the same grade to all. Source: Cohen 1968; equals scikit-learn's cohen_kappa_score.

    >>> float(kappa(np.array([[20, 5], [10, 15]])).round(3))
    0.4
    """
    if weights not in WEIGHTS:
        raise Problem(f"weights must be one of {', '.join(WEIGHTS)}; got {weights!r}")
    levels = np.arange(tables.shape[-1])
    cost = np.abs(levels[:, None] - levels).astype(np.float64) ** (1 + WEIGHTS.index(weights))
    n = np.maximum(tables.sum(axis=(-1, -2)), 1)
    by_chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :] / n[..., None, None]
    expected, seen = (by_chance * cost).sum(axis=(-1, -2)), (tables * cost).sum(axis=(-1, -2))
    return 1 - np.divide(seen, expected, out=np.full(expected.shape, np.nan), where=expected > 0)


def agreement(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, rng: int, *, weights: str = "linear", draws: int = DRAWS
) -> Interval:
    """Weighted kappa of two readings; its interval draws groups, such as queries, whose pairs belong together.

    first, second: (n,) whole grades from 0; groups: (n,) labels. n of the result counts groups.
    Raises Problem when a pair lacks a grade, or fewer than two groups are there.
    """
    first, second = _whole(first), _whole(second)
    names, group = np.unique(groups, return_inverse=True)
    if not len(first) == len(second) == len(group) or len(names) < 2:
        raise Problem(f"readings and groups need one length and two groups; got {len(first)}, {len(second)}, {names}")
    levels = int(max(first.max(), second.max())) + 1
    tables = np.stack([confusion(first[group == g], second[group == g], levels) for g in range(len(names))])
    flat = tables.reshape(len(names), -1).astype(np.float64)
    drawn = counts(np.random.default_rng([seed_of(rng), _KAPPA]), draws, len(names)) @ flat
    found = kappa(drawn.reshape(-1, levels, levels), weights)
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(kappa(tables.sum(axis=0), weights)), float(low), float(high), len(names), 0)


def _whole(grades: np.ndarray) -> np.ndarray:
    """Grades as integers. Raises Problem for a missing, negative or broken grade."""
    table = np.asarray(grades, dtype=np.float64)
    if not np.isfinite(table).all() or (table < 0).any() or (table != np.round(table)).any():
        raise Problem("readings must be whole grades of 0 or more, one a pair; some pair lacks one or has another.")
    return table.astype(np.int64)
