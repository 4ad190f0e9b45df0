"""From scores to ranked lists: masking of seen items and the order of ties. Re-ranking lives elsewhere."""

from typing import Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.tables import ITEM, USER, Problem

BLOCK = 512  # users scored at a time: 512 x 4,000 float32 scores take 8 MB
_CACHED = 128  # users ranked at a time, so that their scores stay in the processor's cache
_STRETCH = 32  # columns whose largest score is taken together
_FEW = 8  # rows where more than 8 k scores reach the bound are full of ties and take the other way


class Scorer(Protocol):
    """Whatever gives scores (n_histories, n_items) for sparse histories; every model does."""

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores, higher is better."""


def top_k(scores: np.ndarray, seen: sparse.csr_matrix | None, k: int) -> np.ndarray:
    """The k best items that are not seen, best first: (n_users, k) int32 item rows, -1 fills a list that runs out.

    scores: (n_users, n_items), higher is better, NaN refused; not changed.
    seen:   sparse (n_users, n_items); every stored entry is masked, whatever its value. None masks nothing.
    Equal scores keep the order of the items, so that runs agree on any machine.
    """
    n_users, n_items = scores.shape
    if not 1 <= k <= n_items:
        raise Problem(f"k must lie in 1..{n_items} (the number of items); got {k}")
    if seen is not None and seen.shape != scores.shape:
        raise Problem(f"scores {scores.shape} and seen {seen.shape} must have one shape (n_users, n_items)")
    seen = None if seen is None else seen.tocsr()
    lists = np.empty((n_users, k), dtype=np.int32)
    for first in range(0, n_users, _CACHED):
        block = slice(first, min(first + _CACHED, n_users))
        lists[block] = _ranked(_masked(scores[block], seen, first), k)
    return lists


def _masked(scores: np.ndarray, seen: sparse.csr_matrix | None, first: int) -> np.ndarray:
    """A float32 copy of one block's scores, -inf at what the users first, first + 1 ... have seen."""
    if np.isnan(scores).any():
        raise Problem("scores hold NaN; a model must give finite scores. Check the training data for NaN.")
    masked = np.array(scores, dtype=np.float32, copy=True)
    if seen is not None:
        ends = seen.indptr[first : first + len(masked) + 1]
        masked[np.repeat(np.arange(len(masked)), np.diff(ends)), seen.indices[ends[0] : ends[-1]]] = -np.inf
    return masked


def _ranked(masked: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row, equal scores by ascending column, without a loop over users.

    Among the largest values of stretches of columns, the k-th is a bound that at least k scores reach, and few more.
    Rows where many do (ties, a short catalogue) are sorted out by `_ranked_by_keys`.
    """
    n_users, n_items = masked.shape
    starts = np.arange(0, n_items, max(_STRETCH, 1))
    if len(starts) < 2 * k:
        return _ranked_by_keys(masked, k)
    bound = np.partition(np.maximum.reduceat(masked, starts, axis=1), len(starts) - k, axis=1)[:, len(starts) - k]
    reached = masked >= bound[:, None]
    counts = np.count_nonzero(reached, axis=1)
    many = counts > _FEW * k
    reached[many] = False
    items = np.empty((n_users, k), dtype=np.int32)
    items[~many] = _few_ranked(masked, reached, np.where(many, 0, counts), k)[~many]
    if many.any():
        items[many] = _ranked_by_keys(masked[many], k)
    return items


def _few_ranked(masked: np.ndarray, reached: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """Lists (n_users, k) from the entries that reached the bound, `counts` of them in each row; rows with 0 hold -1."""
    users, items = np.divmod(np.flatnonzero(reached), masked.shape[1])
    width = int(counts.max(initial=k))
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    scores = np.full((len(masked), width), -np.inf, dtype=np.float32)
    columns = np.full((len(masked), width), -1, dtype=np.int32)
    scores[users, place], columns[users, place] = masked[users, items], items
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # stable: columns stand in ascending order
    return np.where(np.isneginf(np.take_along_axis(scores, best, 1)), -1, np.take_along_axis(columns, best, 1))


def _ranked_by_keys(masked: np.ndarray, k: int) -> np.ndarray:
    """The same for any scores. Score and column share one integer: the float32 bits, made to sort like the numbers,
    above the column counted from the right. All keys differ, so that a partition finds the k best exactly.
    """
    n_items = masked.shape[1]
    bits = (masked + np.float32(0)).view(np.int32)  # + 0 makes -0.0 equal to 0.0
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = (ordered << 32) + np.arange(n_items - 1, -1, -1)
    best = -np.sort(-np.partition(keys, n_items - k, axis=1)[:, n_items - k :], axis=1)
    items = (n_items - 1 - (best & 0xFFFFFFFF)).astype(np.int32)
    hidden = np.float32(-np.inf).view(np.int32) ^ np.int32(0x7FFFFFFF)
    return np.where((best >> 32) == hidden, np.int32(-1), items)


def recommend(
    model: Scorer, histories: sparse.csr_matrix, k: int, *, candidates: np.ndarray | None = None
) -> np.ndarray:
    """Ranked lists (n_histories, k) of unseen items, made in blocks so that memory stays small.

    histories: sparse (n_histories, n_items); their stored entries are the seen items.
    candidates: item rows that may be shown; None means all.
    """
    if histories.shape[0] == 0:
        raise Problem("there is no history to rank for; got 0 rows. Check the sample or the split.")
    starts = range(0, histories.shape[0], BLOCK)
    return np.concatenate([_rank_block(model, histories[first : first + BLOCK], k, candidates) for first in starts])


def _rank_block(model: Scorer, histories: sparse.csr_matrix, k: int, candidates: np.ndarray | None) -> np.ndarray:
    """Lists of one block of users."""
    scores = model.score(histories)
    if candidates is not None:
        hidden = np.ones(scores.shape[1], dtype=bool)
        hidden[candidates] = False
        scores = np.where(hidden, -np.inf, scores)
    return top_k(scores, histories, k)


def as_table(lists: np.ndarray, users: np.ndarray) -> pd.DataFrame:
    """Ranked lists as a tidy table: user, item (rows), rank (1 is best); fill entries are left out."""
    n_users, k = lists.shape
    table = pd.DataFrame(
        {USER: np.repeat(users, k), ITEM: lists.ravel(), "rank": np.tile(np.arange(1, k + 1), n_users)}
    )
    return table[table[ITEM] >= 0].reset_index(drop=True)
