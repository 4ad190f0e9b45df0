"""The trivial rules that stand beside every model: random, popularity, recent popularity. Nothing personal here."""

import hashlib

import numpy as np
from scipy import sparse

from recutils.model.base import Model
from recutils.tables import Interactions, Problem

DAY = np.timedelta64(1, "D") / np.timedelta64(1, "s")


class Random(Model):
    """Every item is equally likely: the floor of every comparison. A history always gets the same draw.

    seed: together with the items of the history it starts the generator, so that the order of users does not matter.
    """

    name = "random"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, train: Interactions) -> None:
        """Nothing to learn."""

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.stack([self._draw(row.indices, histories.shape[1]) for row in histories])

    def _draw(self, items: np.ndarray, n_items: int) -> np.ndarray:
        """Scores (n_items,) in [0, 1) for one history."""
        digest = hashlib.sha256(np.sort(items).astype(np.int64).tobytes()).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest[:8], "little")]).random(
            n_items, dtype=np.float32
        )


class Popularity(Model):
    """Items by the number of their training events, the same list for everybody (less what they have seen)."""

    name = "popularity"
    arrays = ("counts",)

    counts: np.ndarray  # (n_items,) float32

    def _fit(self, train: Interactions) -> None:
        self.counts = np.bincount(train.item, minlength=train.n_items).astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.broadcast_to(self.counts, histories.shape)


class RecentPopularity(Popularity):
    """Popularity in which an event counts half as much after every half-life.

    half_life: days; the age of an event is counted from the last training event. Weight 2^(-age / half_life), the decay
    of SAR (recommenders-team, "SAR single node"), here summed over users. Raises Problem when half_life is not positive
    or the data have no time.
    """

    name = "recent popularity"
    needs_time = True

    def __init__(self, *, half_life: float = 30.0) -> None:
        if not half_life > 0:
            raise Problem(f"half_life must be a positive number of days; got {half_life}")
        self.half_life = half_life

    def _fit(self, train: Interactions) -> None:
        age = (train.time.max() - train.time).dt.total_seconds().to_numpy() / DAY
        self.counts = np.bincount(train.item, weights=2.0 ** (-age / self.half_life), minlength=train.n_items).astype(
            np.float32
        )
