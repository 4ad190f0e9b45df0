"""SAR: items that were met together, weighted by how lately each was met. No other neighbours (neighbours.py)."""

import numpy as np
from scipy import sparse

from recutils.model.base import Model, known_rows, row_keys
from recutils.model.baselines import DAY
from recutils.model.ease import MOST_ITEMS
from recutils.tables import Interactions, Problem


class SAR(Model):
    """Smart adaptive recommendations, "SAR single node" of recommenders-team: affinity x similarity of items.

    Similarity is Jaccard's: users who met both items over users who met either; an item is wholly like itself. The
    affinity of a user to an item is value x 2^(-age / half_life), summed over the events of the pair; the age counts
    from the last training event. Scores are affinity x similarity.
    A history is a sparse row without times. One that equals a training user's, items and values, gets that user's
    affinities (the first such user's); any other is read as if all its events had happened just now. That is ours: the
    original knows its training users only.
    half_life: days. Strangers get popularity; items without training events score 0. Raises Problem when half_life is
    not positive, for more than 20,000 items, and when the data have no time.
    """

    name = "sar"
    needs_time = True
    serves_strangers = False
    arrays = ("similarity", "affinity", "user_keys")

    similarity: np.ndarray  # (n_items, n_items) float64, in 0..1, symmetric
    affinity: sparse.csr_matrix  # (n_users, n_items) float64
    user_keys: np.ndarray  # (n_users,) int64, digest of each training user's items and values

    def __init__(self, *, half_life: float = 30.0) -> None:
        if not half_life > 0:
            raise Problem(f"half_life must be a positive number of days; got {half_life}")
        self.half_life = half_life

    def _fit(self, train: Interactions) -> None:
        if train.n_items > MOST_ITEMS:
            raise Problem(
                f"SAR holds items x items; it takes at most {MOST_ITEMS:,} items, got {train.n_items:,}. "
                "Drop rare items, or use item neighbours."
            )
        self.similarity = _jaccard(train.matrix("binary"))
        age = (train.time.max() - train.time).dt.total_seconds().to_numpy() / DAY
        weights = train.value.to_numpy(dtype=np.float64) * 2.0 ** (-age / self.half_life)
        shape = (train.n_users, train.n_items)
        self.affinity = sparse.csr_matrix((weights, (train.user, train.item)), shape=shape)
        self.user_keys = row_keys(train.matrix())

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.affinities(histories) @ self.similarity

    def affinities(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """(n_histories, n_items) float64: a training user's own where items and values are his, else the values."""
        rows = known_rows(row_keys(histories), self.user_keys)
        both = sparse.vstack([self.affinity, histories.astype(np.float64)], format="csr")
        return both[np.where(rows >= 0, rows, len(self.user_keys) + np.arange(len(rows)))]


def _jaccard(known: sparse.csr_matrix) -> np.ndarray:
    """Users of both items over users of either (n_items, n_items) float64; 0 where neither was met. known: of ones."""
    together = (known.T @ known).toarray().astype(np.float64)
    alone = np.diag(together)
    either = alone[:, None] + alone - together
    return np.divide(together, either, out=together, where=either > 0)
