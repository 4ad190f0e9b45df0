"""Whose tastes a list serves: calibration error, intents covered, alpha-nDCG. How different its items are: beyond.py.

membership: (n_items, n_groups), 0 or more, such as genres as zeros and ones. mix: (n_users, n_groups), each person's
shares of the groups (rank.intents.mixes). Lists follow the laws of metrics.py; -1 counts as no item.
"""

import numpy as np
from scipy import sparse

from recutils.evaluate.hits import checked_lists, hits, relevant_items
from recutils.rank.intents import SMOOTH, shares
from recutils.tables import Problem


def calibration_error(lists: np.ndarray, membership: np.ndarray, mix: np.ndarray, k: int | None = None) -> np.ndarray:
    """How far each list's mix of groups is from the person's, as Kullback-Leibler divergence in nats: (n_users,).

    0 for the same mix. The list's mix is smoothed by SMOOTH of the person's, so that a missing group costs much but
    not without end. NaN without a mix, and for a list without any item of a group. Source: Steck 2018, eq. 6.

    >>> membership, mix = np.array([[1, 0], [1, 0], [0, 1]]), np.array([[0.5, 0.5], [0.5, 0.5], [0, 0]])
    >>> calibration_error(np.array([[0, 2], [0, 1], [0, 1]]), membership, mix).round(3).tolist()
    [0.0, 1.959, nan]
    """
    listed, mix = _listed(lists, shares(membership), mix, k)
    total = listed.sum(axis=1, keepdims=True)
    smooth = (1 - SMOOTH) * listed / np.maximum(total, 1e-12) + SMOOTH * mix
    apart = (mix * np.log(np.where(mix > 0, mix, 1) / np.where(mix > 0, smooth, 1))).sum(axis=1)
    return np.where((total[:, 0] > 0) & (mix.sum(axis=1) > 0), np.maximum(apart, 0), np.nan)


def intent_coverage(lists: np.ndarray, membership: np.ndarray, mix: np.ndarray, k: int | None = None) -> np.ndarray:
    """The share of each person's mix whose group has at least one item in the list: (n_users,), NaN without a mix.

    Source: subtopic recall of Zhai, Cohen & Lafferty 2003, each topic weighing what the person gives it.

    >>> membership = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    >>> intent_coverage(np.array([[0, 1], [2, -1]]), membership, np.array([[0.5, 0.25, 0.25], [0, 1, 0]])).tolist()
    [0.75, 0.0]
    """
    listed, mix = _listed(lists, shares(membership), mix, k)
    total = mix.sum(axis=1)
    covered = (mix * (listed > 0)).sum(axis=1)
    return np.divide(covered, total, out=np.full(len(total), np.nan), where=total > 0)


def alpha_ndcg(
    lists: np.ndarray,
    truth: sparse.csr_matrix,
    membership: np.ndarray,
    k: int | None = None,
    *,
    alpha: float = 0.5,
    best: np.ndarray | None = None,
) -> np.ndarray:
    """nDCG in which the second hit of a group counts (1 - alpha) of the first: (n_users,), NaN without truth.

    A hit gains, for each of its groups, (1 - alpha) to the power of the hits of that group before it. The best list is
    made greedily, as in the source: Clarke and others 2008. An item without a group gains nothing. NaN also where no
    relevant item has a group. best: (n_users,) what `best_alpha_dcg` gave, to judge many lists without making it anew.

    >>> truth, membership = sparse.csr_matrix([[1, 1, 1]]), np.array([[1, 0], [1, 0], [0, 1]])
    >>> [alpha_ndcg(np.array([one]), truth, membership, 2).round(3).item() for one in ([0, 2], [0, 1])]
    [1.0, 0.807]
    """
    if not 0 <= alpha <= 1:
        raise Problem(f"alpha must lie in 0..1; got {alpha}")
    groups = (shares(membership) > 0).astype(np.float64)
    found = hits(lists, truth, k)
    lists = checked_lists(lists, truth.shape[1], k)
    gained = groups[np.maximum(lists, 0)] * found.at[:, :, None]
    before = np.cumsum(gained, axis=1) - gained
    discounts = 1 / np.log2(np.arange(2, found.k + 2))
    value = ((gained * (1 - alpha) ** before).sum(axis=2) * discounts).sum(axis=1)
    best = best_alpha_dcg(truth, membership, found.k, alpha=alpha) if best is None else best
    return np.divide(value, best, out=np.full(len(lists), np.nan), where=best > 0)


def best_alpha_dcg(truth: sparse.csr_matrix, membership: np.ndarray, k: int, *, alpha: float = 0.5) -> np.ndarray:
    """(n_users,) the gain of the greedily best list of k relevant items, by which `alpha_ndcg` divides."""
    groups = (shares(membership) > 0).astype(np.float64)
    relevant, discounts = relevant_items(truth, truth.shape[0]), 1 / np.log2(np.arange(2, k + 2))
    rows = np.split(relevant.indices, relevant.indptr[1:-1])
    return np.array([_best(groups[items], discounts, alpha) for items in rows])


def _best(groups: np.ndarray, discounts: np.ndarray, alpha: float) -> float:
    """The value of the greedily best order of the relevant items; groups (n_relevant, n_groups)."""
    left, total = np.ones(groups.shape[1]), 0.0
    free = groups.copy()
    for discount in discounts[: len(groups)]:
        gains = free @ left
        item = int(gains.argmax())
        total += gains[item] * discount
        left = np.where(free[item] > 0, left * (1 - alpha), left)
        free[item] = 0
    return total


def _listed(lists: np.ndarray, share: np.ndarray, mix: np.ndarray, k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """How much of each group each list holds (n_users, n_groups), and the mix as float64, checked."""
    lists, mix = checked_lists(lists, len(share), k), np.asarray(mix, np.float64)
    if mix.shape != (len(lists), share.shape[1]) or not (mix >= 0).all():
        raise Problem(f"mix must be {(len(lists), share.shape[1])}, 0 or more, no NaN; got shape {mix.shape}")
    held = share[np.maximum(lists, 0)].astype(np.float64) * (lists >= 0)[:, :, None]
    return held.sum(axis=1), mix
