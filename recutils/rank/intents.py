"""Lists that follow a person's mix of tastes: calibration, coverage of intents, the long tail. Distances: diversity.py.

membership: (n_items, n_groups) float, 0 or more, such as genres as zeros and ones; an item may have no group at all.
mix: (n_users, n_groups), each person's shares, which sum to 1; all zero where nothing is known of a person.
The laws of `trade` and of the lists are those of diversity.py.
"""

import numpy as np
from scipy import sparse

from recutils.rank.diversity import Candidates, Learn, Worth, reranked
from recutils.tables import Problem

SMOOTH = 0.01  # share of the person's own mix that is added to a list's, so that no logarithm is of 0 (Steck's alpha)
HEAD = 0.8  # share of all events that the head's items hold


def shares(membership: np.ndarray) -> np.ndarray:
    """Rows that sum to 1: an item with three genres gives each a third. Rows without a group stay 0."""
    membership = np.asarray(membership, np.float32)
    if membership.ndim != 2 or not np.isfinite(membership).all() or (membership < 0).any():
        raise Problem(f"membership must be (n_items, n_groups), 0 or more, no NaN; got shape {membership.shape}")
    total = membership.sum(axis=1, keepdims=True)
    return np.divide(membership, total, out=np.zeros_like(membership), where=total > 0)


def mixes(histories: sparse.csr_matrix, membership: np.ndarray) -> np.ndarray:
    """Each person's mix (n_users, n_groups) float32: the mean of the shares of what they met, every event alike.

    >>> mixes(sparse.csr_matrix([[5, 1, 0], [0, 0, 0]]), np.array([[1, 0], [1, 1], [0, 1]])).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    met = sparse.csr_matrix((np.ones(histories.nnz, np.float32), histories.indices, histories.indptr), histories.shape)
    return shares(np.asarray(met @ shares(membership)))


def calibrated(
    given: Candidates, membership: np.ndarray, mix: np.ndarray, trade: float, k: int, *, in_order: bool = True
) -> np.ndarray:
    """Lists (n_users, k) whose mix of groups is near the person's.

    Each step takes what makes (1 - trade) x sum of relevance - trade x KL(mix, the list's mix) largest; the list's mix
    is smoothed by SMOOTH. People without a mix keep their order. Source: Steck 2018, eq. 6 and 8, every item weighing
    the same whatever its place.
    """
    share, mix = shares(membership), _checked_mix(mix, given, membership)

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        own = mix[users]
        listed, step = np.zeros_like(own), [0]
        offered = share[given.items]

        def worth() -> np.ndarray:
            would = (1 - SMOOTH) / (step[0] + 1) * (listed[:, None, :] + offered) + SMOOTH * own[:, None, :]
            fit = np.einsum("ug,ung->un", own, np.log(np.maximum(would, 1e-12)))  # -KL but for a constant
            return (1 - trade) * given.relevance + trade * fit

        def learn(chosen: np.ndarray) -> None:
            np.add(listed, offered[np.arange(len(given)), chosen], out=listed)
            step[0] += 1

        return worth, learn

    return reranked(given, trade, k, start, in_order)


def covering(
    given: Candidates, membership: np.ndarray, mix: np.ndarray, trade: float, k: int, *, in_order: bool = True
) -> np.ndarray:
    """Lists (n_users, k) that serve each of a person's intents at least once, the frequent ones first.

    Each step takes the largest (1 - trade) x relevance + trade x sum over groups of mix x (relevance where the item is
    of the group) x the product of (1 - relevance) of the items chosen so far that are. Source: xQuAD, Santos,
    Macdonald & Ounis 2010, with relevance in place of their P(d | q) and P(d | q_i).
    """
    within, mix = (shares(membership) > 0).astype(np.float32), _checked_mix(mix, given, membership)

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        open_ = mix[users].copy()  # how much of each intent is not served yet
        serves = within[given.items] * given.relevance[:, :, None]

        def learn(chosen: np.ndarray) -> None:
            np.multiply(open_, 1 - serves[np.arange(len(given)), chosen], out=open_)

        return lambda: (1 - trade) * given.relevance + trade * np.einsum("ug,ung->un", open_, serves), learn

    return reranked(given, trade, k, start, in_order)


def head_and_tail(counts: np.ndarray, share: float = HEAD) -> np.ndarray:
    """Two groups (n_items, 2): the head, the most met items that together hold `share` of all events, and the tail.

    >>> head_and_tail(np.array([1, 60, 9, 30]), share=0.8).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    counts = np.asarray(counts, np.float64)
    if not 0 < share < 1 or counts.ndim != 1 or not (counts >= 0).all() or not counts.sum() > 0:
        raise Problem(f"counts must be (n_items,) events, some above 0, share between 0 and 1; got share {share}")
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    head = np.zeros(len(counts), dtype=bool)
    head[order] = before < share * counts.sum()
    return np.column_stack([head, ~head]).astype(np.float32)


def long_tail(
    given: Candidates, groups: np.ndarray, mix: np.ndarray, trade: float, k: int, *, in_order: bool = True
) -> np.ndarray:
    """Lists (n_users, k) with items of the tail, more of them for people who have met more.

    Each step takes the largest (1 - trade) x relevance + trade x the person's share of the item's group x the part of
    the list so far that is not of it. groups: `head_and_tail`. Source: Abdollahpouri, Burke & Mobasher 2019, eq. 6-8,
    the smooth variant.
    """
    within, mix = shares(groups), _checked_mix(mix, given, groups)

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        offered, listed, step = within[given.items], np.zeros((len(given), within.shape[1]), np.float32), [0]

        def worth() -> np.ndarray:
            lacking = mix[users] * (1 - listed / max(step[0], 1))
            return (1 - trade) * given.relevance + trade * np.einsum("ug,ung->un", lacking, offered)

        def learn(chosen: np.ndarray) -> None:
            np.add(listed, offered[np.arange(len(given)), chosen], out=listed)
            step[0] += 1

        return worth, learn

    return reranked(given, trade, k, start, in_order)


def _checked_mix(mix: np.ndarray, given: Candidates, membership: np.ndarray) -> np.ndarray:
    """The mix as float32; Problem when it does not fit the users and groups."""
    mix, expected = np.asarray(mix, np.float32), (len(given), membership.shape[1])
    if mix.shape != expected or not np.isfinite(mix).all() or (mix < 0).any():
        raise Problem(f"mix must be {expected} (users, groups), 0 or more, no NaN; got shape {mix.shape}")
    return mix
