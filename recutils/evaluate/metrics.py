"""Accuracy of ranked lists, one value per user. No averages or intervals here (statistics.py), no variety (beyond.py).

Laws of every metric here, for `lists` (n_users, k) of item rows, best first, and `truth` csr (n_users, n_items):
- every non-zero entry of `truth` is a relevant item, all alike (binary gain);
- a list that holds fewer than k items is padded with -1 at its end, and the missing places count as misses;
- only the first `k` places are read (all places when k is None);
- a user without relevant items has no value: NaN, so that nobody averages over him by accident;
- a list that names an item twice, leaves a hole, or names an item outside the catalogue is refused.
The doctests share the five users of `hits.example` and can be checked on paper: user 0's list is perfect; user 1 has
one relevant item, on place 2; user 2 hits nothing; user 3's list is short, hits on places 1 and 3 and misses a third
relevant item; user 4 has no truth.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.hits import Hits, example, hits, relevant_items, stored_entries  # noqa: F401 - the doctests use example
from recutils.tables import Problem

_AUC_BLOCK = 512  # users whose seen and relevant items are made dense at a time: 512 x 3,706 flags are 2 MB


def _share(part: np.ndarray, whole: np.ndarray | int, n_truth: np.ndarray) -> np.ndarray:
    """part / whole as float64, NaN where the user has no truth."""
    return np.divide(part, whole, out=np.full(len(n_truth), np.nan), where=n_truth > 0)


def _precision_sum(found: Hits) -> np.ndarray:
    """(n_users,) the precisions at each hit's place, summed."""
    precisions = np.cumsum(found.at, axis=1) / np.arange(1, found.k + 1)
    return np.where(found.at, precisions, 0.0).sum(axis=1)


def _discounts(k: int) -> np.ndarray:
    return 1.0 / np.log2(np.arange(2, k + 2))


def _precision(found: Hits) -> np.ndarray:
    return _share(found.at.sum(axis=1), found.k, found.n_truth)


def _recall(found: Hits) -> np.ndarray:
    return _share(found.at.sum(axis=1), found.n_truth, found.n_truth)


def _average_precision(found: Hits) -> np.ndarray:
    return _share(_precision_sum(found), found.most, found.n_truth)


def _average_precision_at_all(found: Hits) -> np.ndarray:
    return _share(_precision_sum(found), found.n_truth, found.n_truth)


def _reciprocal_rank(found: Hits) -> np.ndarray:
    return _share(found.at.any(axis=1), found.at.argmax(axis=1) + 1, found.n_truth)


def _ndcg(found: Hits) -> np.ndarray:
    discounts = _discounts(found.k)
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[found.most]
    return _share(np.where(found.at, discounts, 0.0).sum(axis=1), ideal, found.n_truth)


def _hit_rate(found: Hits) -> np.ndarray:
    return _share(found.at.any(axis=1), 1, found.n_truth)


METRICS: dict[str, Callable[[Hits], np.ndarray]] = {
    "ndcg": _ndcg,
    "recall": _recall,
    "precision": _precision,
    "average_precision": _average_precision,
    "average_precision_at_all": _average_precision_at_all,
    "reciprocal_rank": _reciprocal_rank,
    "hit_rate": _hit_rate,
}


def _hits(found: Hits) -> np.ndarray:
    return _share(found.at.sum(axis=1), 1, found.n_truth)


def _f1(found: Hits) -> np.ndarray:
    return _share(2 * found.at.sum(axis=1), found.k + found.n_truth, found.n_truth)


def _dcg(found: Hits) -> np.ndarray:
    return _share(np.where(found.at, _discounts(found.k), 0.0).sum(axis=1), 1, found.n_truth)


# What other libraries print beside them; `accuracy` gives them when they are named. hits: how many places hit.
# f1: harmonic mean of precision and recall. dcg: the gain that ndcg divides by the best possible.
FURTHER: dict[str, Callable[[Hits], np.ndarray]] = {"hits": _hits, "f1": _f1, "dcg": _dcg}


def accuracy(
    lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None, metrics: Iterable[str] = tuple(METRICS)
) -> dict[str, np.ndarray]:
    """Several metrics of the same lists, hits found once: metric name -> (n_users,) float64, NaN without truth.

    >>> {name: values.round(3).tolist()[1] for name, values in accuracy(*example(), metrics=["recall", "ndcg"]).items()}
    {'recall': 1.0, 'ndcg': 0.631}
    >>> [values.round(3).tolist()[3] for values in accuracy(*example(), metrics=FURTHER).values()]
    [2.0, 0.571, 1.5]
    """
    metrics, known = list(metrics), METRICS | FURTHER
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise Problem(f"unknown metrics {unknown}; known: {', '.join(known)}")
    found = hits(lists, truth, k)
    return {name: known[name](found) for name in metrics}


def precision(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """The share of the k places that hit, for each user; empty places are misses. Equals pytrec_eval `P_k`.

    >>> precision(*example()).round(3).tolist()
    [1.0, 0.25, 0.0, 0.5, nan]
    """
    return _precision(hits(lists, truth, k))


def recall(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """The share of each user's relevant items that the k places hold. Equals pytrec_eval `recall_k`.

    >>> recall(*example()).round(3).tolist()
    [1.0, 1.0, 0.0, 0.667, nan]
    """
    return _recall(hits(lists, truth, k))


def average_precision(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """AP@k, 1 for a perfect list: the precisions at the hits, summed and divided by min(k, relevant items).

    User 3 on paper: (1/1 + 2/3) / min(4, 3) = .556.

    >>> average_precision(*example()).round(3).tolist()
    [1.0, 0.5, 0.0, 0.556, nan]
    >>> average_precision(*example(), k=2).round(3).tolist()
    [1.0, 0.5, 0.0, 0.5, nan]
    """
    return _average_precision(hits(lists, truth, k))


def average_precision_at_all(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """The precisions at the hits, summed and divided by *all* relevant items, however many places there are.

    Not AP@k: a perfect list of k items stays below 1 when the user has more than k relevant items. It is what
    recommenders-team prints as "MAP" (gate P2), and equals pytrec_eval `map_cut_k`.

    >>> average_precision_at_all(*example(), k=2).round(3).tolist()
    [0.5, 0.5, 0.0, 0.333, nan]
    """
    return _average_precision_at_all(hits(lists, truth, k))


def reciprocal_rank(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """1 / place of the first hit, 0 without a hit in the k places. Equals pytrec_eval `recip_rank` of the cut list.

    >>> reciprocal_rank(*example()).round(3).tolist()
    [1.0, 0.5, 0.0, 1.0, nan]
    """
    return _reciprocal_rank(hits(lists, truth, k))


def ndcg(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """Discounted gain 1 / log2(place + 1) of the hits, divided by that of a perfect list of min(k, relevant items).

    Binary gain (Jarvelin & Kekalainen 2002 allow grades; ratings are not read here). Equals pytrec_eval `ndcg_cut_k`.
    User 3 on paper: (1 + 1/2) / (1 + .631 + 1/2) = .704.

    >>> ndcg(*example()).round(3).tolist()
    [1.0, 0.631, 0.0, 0.704, nan]
    """
    return _ndcg(hits(lists, truth, k))


def hit_rate(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """1 where at least one of the k places hits, else 0. Equals pytrec_eval `success_k`.

    >>> hit_rate(*example()).tolist()
    [1.0, 1.0, 0.0, 1.0, nan]
    """
    return _hit_rate(hits(lists, truth, k))


def by_pair(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None, metric: str = "ndcg") -> pd.DataFrame:
    """One row per relevant (user, item), for `statistics.crossed_interval`: columns user, item, value, weight.

    The weighted mean of `value` is the mean of the metric over users with truth; only sums over hits can be taken
    apart like this, so metric is "ndcg" or "recall". weight is 1 / relevant items of the user.

    >>> pairs = by_pair(*example())
    >>> float((pairs.value * pairs.weight).sum() / pairs.weight.sum()) == float(np.nanmean(ndcg(*example())))
    True
    """
    if metric not in ("ndcg", "recall"):
        raise Problem(f"metric must be 'ndcg' or 'recall', the sums over hits; got {metric!r}")
    relevant, found = relevant_items(truth, len(lists)), hits(lists, truth, k)
    gain = _discounts(found.k) if metric == "ndcg" else np.ones(found.k)
    best = np.concatenate([[0.0], np.cumsum(gain)])[found.most] if metric == "ndcg" else found.n_truth
    users, places = np.nonzero(found.at)
    gains = sparse.csr_matrix((gain[places], (users, np.asarray(lists)[users, places])), shape=relevant.shape)
    user = np.repeat(np.arange(len(found.n_truth)), found.n_truth)
    value = np.asarray(gains[user, relevant.indices]).ravel() * (found.n_truth / np.maximum(best, 1e-300))[user]
    return pd.DataFrame({"user": user, "item": relevant.indices, "value": value, "weight": 1.0 / found.n_truth[user]})


def auc(scores: np.ndarray, truth: sparse.csr_matrix, seen: sparse.csr_matrix | None = None) -> np.ndarray:
    """The chance that a relevant item scores above an irrelevant one, ties one half, among each user's unseen items.

    scores: (n_users, n_items), finite; truth, seen: csr of that shape. An item both seen and relevant is no candidate.
    Returns (n_users,); NaN where no relevant or no irrelevant candidate is left. Equals scikit-learn's roc_auc_score.

    >>> relevant = sparse.csr_matrix([[1, 0, 1, 0]] * 4 + [[0, 0, 0, 0]])
    >>> scores = np.array([[4, 1, 3, 2], [4, 3, 2, 1], [1, 1, 1, 1], [1, 4, 2, 3], [1, 2, 3, 4]])
    >>> auc(scores, relevant).tolist()
    [1.0, 0.75, 0.5, 0.0, nan]
    """
    scores = np.asarray(scores)
    relevant = relevant_items(truth, len(scores))
    seen = sparse.csr_matrix(relevant.shape) if seen is None else stored_entries(seen)
    if scores.shape != relevant.shape or seen.shape != relevant.shape:
        came = f"{scores.shape}, {truth.shape} and {seen.shape}"
        raise Problem(f"scores, truth and seen must have one shape (n_users, n_items); got {came}")
    if not np.isfinite(scores).all():
        raise Problem("scores must be finite; give them as the model made them, unmasked, with `seen` beside them")
    values = np.empty(len(scores))
    for start in range(0, len(scores), _AUC_BLOCK):
        block = slice(start, start + _AUC_BLOCK)
        wanted, free = relevant[block].toarray() != 0, seen[block].toarray() == 0
        values[block] = [_auc_of_user(*user) for user in zip(scores[block], wanted, free, strict=True)]
    return values


def _auc_of_user(scores: np.ndarray, wanted: np.ndarray, free: np.ndarray) -> float:
    candidates, positives = np.sort(scores[free]), scores[wanted & free]
    n_positives, n_negatives = len(positives), len(candidates) - len(positives)
    if n_positives == 0 or n_negatives == 0:
        return np.nan
    below, upto = (np.searchsorted(candidates, positives, side=side) for side in ("left", "right"))
    wins = (below + upto).sum() / 2 - n_positives**2 / 2  # contests among the positives sum to half their square
    return wins / (n_positives * n_negatives)
