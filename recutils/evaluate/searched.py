"""Lists of several searches for the same queries, with chance and popularity beside them. No index lives here."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from recutils.evaluate.crossfit import crossfit
from recutils.rank.search import Index, personalised, ranked


def search_lists(
    indexes: Mapping[str, Index], queries: Sequence[str], popular: np.ndarray, k: int, *, seed: int
) -> dict[str, np.ndarray]:
    """Lists (n_queries, k) of "random", "popularity" and each index. popular: (n_items,) counts."""
    shape = (len(queries), len(popular))
    scores = {"random": np.random.default_rng(seed).random(shape), "popularity": np.tile(popular, (shape[0], 1))}
    scores |= {name: index.scores(queries) for name, index in indexes.items()}
    return {name: ranked(one, k) for name, one in scores.items()}


def taste_lists(
    answers: np.ndarray,
    tastes: Mapping[str, np.ndarray],
    truth: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    *,
    shares: Sequence[float],
    k: int,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, tuple[float, float]]]:
    """Lists of the query alone, each taste alone and both together, and the shares chosen for the two halves of people.

    answers, tastes: (n_users, n_items). The share of a taste is chosen crosswise (`crossfit`) on nDCG@k.
    """
    alone = {"random": np.random.default_rng(seed).random(answers.shape), "query alone": answers}
    alone |= {f"{name} alone": taste - taste.min() + 1 for name, taste in tastes.items()}
    lists, chosen = {name: ranked(scores, k, seen) for name, scores in alone.items()}, {}
    for name, taste in tastes.items():
        tried = {share: ranked(personalised(answers, taste, share), k, seen) for share in shares}
        lists[f"query + {name}"], chosen[name] = crossfit(tried, truth, k)
    return lists, chosen
