"""Models that read a history in order, and the simplest of them, the Markov chain. The transformer is in sasrec.py."""

import copy
from typing import Self

import numpy as np
from scipy import sparse

from recutils.data.order import sequences, windows
from recutils.model.als import check_positive
from recutils.model.base import Model, as_values, known_rows, row_keys
from recutils.tables import Interactions


class OrderModel(Model):
    """A model that reads what came after what. Histories are sparse rows, which have no order: it is looked up.

    `fit` remembers the last `length` items of each training user in order of time, by the set of the user's items; a
    history of exactly these items is read in that order (of the first such user). `knowing(events)` remembers more
    users, or later histories of the same, without learning from them. Any other history is taken as it stands: in the
    stored order of the row's entries, so a bare list of liked items is read oldest first, as it was written down.
    A pair that occurs twice in the events is read twice.
    """

    needs_time = True
    serves_strangers = False
    arrays: tuple[str, ...] = ("order_keys", "order_items", "order_starts")
    length: int

    order_keys: np.ndarray  # (n_users,) int64, digest of each remembered user's items
    order_items: np.ndarray  # (n,) int32, their last items, oldest first, user after user
    order_starts: np.ndarray  # (n_users + 1,) int64

    def knowing(self, events: Interactions) -> Self:
        """A copy that reads histories made of these events in their order of time; the model itself stays as it is.

        Raises Problem when the events have no time.
        """
        other = copy.copy(self)
        other._remember(events)
        return other

    def _remember(self, events: Interactions, *, anew: bool = False) -> None:
        """The order of these users' histories, before those remembered already, or (anew) in their place."""
        found, known = sequences(events), np.flatnonzero(np.bincount(events.user, minlength=events.n_users))
        keys = row_keys(events.matrix("binary")[known])
        last = windows(found.items, found.starts[known], found.starts[known + 1], self.length)
        items, counts = last[last >= 0], (last >= 0).sum(axis=1)
        if not anew:
            keys = np.concatenate([keys, self.order_keys])
            items = np.concatenate([items, self.order_items])
            counts = np.concatenate([counts, np.diff(self.order_starts)])
        self.order_keys, self.order_items = keys, items.astype(np.int32)
        self.order_starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def read(self, histories: sparse.csr_matrix) -> np.ndarray:
        """The last `length` items of each history, (n_histories, length) int32: newest at the right, -1 for none."""
        rows = known_rows(row_keys(as_values(histories, "binary")), self.order_keys)
        ordered = windows(self.order_items, self.order_starts[rows], self.order_starts[rows + 1], self.length)
        as_written = windows(histories.indices, histories.indptr[:-1], histories.indptr[1:], self.length)
        return np.where((rows >= 0)[:, None], ordered, as_written)


class Markov(OrderModel):
    """What came next, all over the training part, after the item that the history ends with: a first-order chain.

    Score of j after i: (n(i, j) + smooth * share(j)) / (n(i) + smooth), where n counts direct successions in order of
    time and share is the item's share of training events: Laplace's rule with popularity as the prior (the maximum
    likelihood chain of Rendle, Freudenthaler & Schmidt-Thieme 2010, eq. 3, has no prior and is silent on what never
    followed). Strangers get popularity.
    """

    name = "markov"
    arrays = (*OrderModel.arrays, "follows")

    follows: sparse.csr_matrix  # (n_items, n_items) float32, n(i, j)
    length = 1

    def __init__(self, *, smooth: float = 1.0) -> None:
        check_positive(smooth=smooth)
        self.smooth = smooth

    def _fit(self, train: Interactions) -> None:
        self._remember(train, anew=True)
        found = sequences(train)
        inside = np.ones(len(found.items), dtype=bool)
        inside[found.starts[1:][np.diff(found.starts) > 0] - 1] = False
        before = np.flatnonzero(inside)
        pairs = (found.items[before], found.items[before + 1])
        ones = np.ones(len(before), dtype=np.float32)
        self.follows = sparse.csr_matrix((ones, pairs), shape=(train.n_items, train.n_items))

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        newest = self.read(histories)[:, -1]
        counts = self.follows[np.maximum(newest, 0)].toarray()
        share = self.popular / self.popular.sum()
        scores = (counts + self.smooth * share) / (counts.sum(axis=1, keepdims=True) + self.smooth)
        return np.where((newest >= 0)[:, None], scores, share)
