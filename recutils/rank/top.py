"""From scores to ranked lists: masking of seen items and the order of ties. Re-ranking lives elsewhere."""

from typing import Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.tables import ITEM, USER, Problem

BLOCK = 512  # users scored at a time: 512 x 4,000 float32 scores take 8 MB


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
    n_items = scores.shape[1]
    if not 1 <= k <= n_items:
        raise Problem(f"k must lie in 1..{n_items} (the number of items); got {k}")
    if np.isnan(scores).any():
        raise Problem("scores hold NaN; a model must give finite scores. Check the training data for NaN.")
    masked = np.array(scores, dtype=np.float32, copy=True)
    if seen is not None:
        if seen.shape != scores.shape:
            raise Problem(f"scores {scores.shape} and seen {seen.shape} must have one shape (n_users, n_items)")
        coordinates = seen.tocoo()
        masked[coordinates.row, coordinates.col] = -np.inf
    return _ranked(masked, k)


def _ranked(masked: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row, equal scores by ascending column, without a loop over users.

    Score and column share one integer: the float32 bits, made to sort like the numbers, above the column counted from
    the right. All keys differ, so that a partition finds the k best exactly.
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
