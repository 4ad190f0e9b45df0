"""Rating predictors without factors: Surprise's slope one and co-clustering. Factor models stand in svd.py."""

from typing import Any

import numpy as np
from scipy import sparse

from recutils.model.base import RatingModel, as_values
from recutils.model.svd import trainset
from recutils.tables import Interactions, Problem

MOST_ITEMS = 8_000  # two dense tables of 8,000 x 8,000 items take 0.8 GB
BLOCK = 512  # histories made dense at a time


class SlopeOne(RatingModel):
    """A user's mean plus how much better the item is rated than his others, by who rated both.

    Lemire & Maclachlan 2005, "Slope One Predictors", the unweighted scheme as in Surprise: each item of the history
    that somebody rated together with the item counts alike. `predict` gives the training mean where user or item is
    unknown. Strangers get popularity. Raises Problem for more than 8,000 items.
    """

    name = "slope one"
    arrays = ("slopes", "together", "known", "mean", "scale")
    serves_strangers = False

    slopes: np.ndarray  # (n_items, n_items) float32, how much higher the row's item is rated than the column's
    together: np.ndarray  # (n_items, n_items) float32, 1 where somebody rated both, the item itself included
    known: sparse.csr_matrix  # (n_users, n_items) float32, the training values
    mean: np.ndarray  # (1,)
    scale: np.ndarray  # (2,) lowest and highest training rating

    def _fit(self, train: Interactions) -> None:
        from surprise import SlopeOne as Algorithm

        if train.n_items > MOST_ITEMS:
            raise Problem(
                f"slope one holds items x items; it takes at most {MOST_ITEMS:,} items, got {train.n_items:,}. "
                "Drop rare items, or use SVD or the baseline."
            )
        self.known, self.scale = train.matrix(), _scale(train)
        table = trainset(train, tuple(self.scale))
        fitted = Algorithm().fit(table)
        self.mean = np.array([table.global_mean])
        rows = np.array([table.to_raw_iid(inner) for inner in table.all_items()])
        self.slopes, self.together = (np.zeros((train.n_items, train.n_items), dtype=np.float32) for _ in range(2))
        self.together[np.ix_(rows, rows)] = fitted.freq > 0
        self.slopes[np.ix_(rows, rows)] = np.where(fitted.freq > 0, fitted.dev, 0)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings (n,) of user rows for item rows, clipped to the training scale; the mean where a side is unknown."""
        people, place = np.unique(users, return_inverse=True)
        ratings = np.empty(len(users))
        for first in range(0, len(people), BLOCK):
            chosen = (place >= first) & (place < first + BLOCK)
            ratings[chosen] = self._score(self.known[people[first : first + BLOCK]])[
                place[chosen] - first, items[chosen]
            ]
        met = (np.diff(self.known.indptr) > 0)[users] & (np.diag(self.together) > 0)[items]
        return np.clip(np.where(met, ratings, self.mean[0]), *self.scale)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        met = as_values(histories, "binary")
        counts = met @ self.together.T
        rises = np.divide(met @ self.slopes.T, counts, out=np.zeros_like(counts), where=counts > 0)
        return rises + _row_means(histories, self.mean[0])[:, None]


class CoClustering(RatingModel):
    """Groups of users and groups of items at once; a rating is its block's mean, moved by both sides' means.

    George & Merugu 2005, as in Surprise; every history, a training user's as well, is given the group of users that
    fits it best (Surprise keeps the group of the last round before the final means, so that `predict`, which uses it,
    can differ a little from `score`). `predict` gives the training mean where user or item is unknown. Strangers get
    the items' means. Raises Problem when ratings are not whole numbers, which Surprise would cut silently.
    """

    name = "co-clustering"
    arrays = (
        "user_group",
        "item_group",
        "user_mean",
        "item_mean",
        "group_means",
        "item_groups_mean",
        "blocks",
        "scale",
        "mean",
    )

    user_group: np.ndarray  # (n_users,) int64, -1 for users without training events
    item_group: np.ndarray  # (n_items,) int64, -1 for items without training events
    user_mean: np.ndarray  # (n_users,)
    item_mean: np.ndarray  # (n_items,)
    group_means: np.ndarray  # (user_groups,)
    item_groups_mean: np.ndarray  # (item_groups,)
    blocks: np.ndarray  # (user_groups, item_groups)
    scale: np.ndarray  # (2,) lowest and highest training rating
    mean: np.ndarray  # (1,)

    def __init__(self, *, user_groups: int = 3, item_groups: int = 3, epochs: int = 20, seed: int = 0) -> None:
        if min(user_groups, item_groups, epochs) < 1:
            raise Problem(f"groups and epochs must be at least 1; got {user_groups}, {item_groups} and {epochs}")
        self.user_groups, self.item_groups, self.epochs, self.seed = user_groups, item_groups, epochs, seed

    def _fit(self, train: Interactions) -> None:
        from surprise import CoClustering as Algorithm

        values = train.value.to_numpy()
        if (values != np.rint(values)).any():
            came = values[values != np.rint(values)][0]
            raise Problem(f"co-clustering takes whole ratings only; got {came}. Multiply half stars by 2, or use SVD.")
        self.scale = _scale(train)
        table = trainset(train, tuple(self.scale))
        fitted = Algorithm(self.user_groups, self.item_groups, self.epochs, random_state=self.seed).fit(table)
        users = [table.to_raw_uid(inner) for inner in table.all_users()]
        items = [table.to_raw_iid(inner) for inner in table.all_items()]
        self.mean = np.array([table.global_mean])
        self.user_group = _placed(fitted.cltr_u, users, train.n_users, -1)
        self.item_group = _placed(fitted.cltr_i, items, train.n_items, -1)
        self.user_mean = _placed(fitted.user_mean, users, train.n_users, table.global_mean)
        self.item_mean = _placed(fitted.item_mean, items, train.n_items, table.global_mean)
        self.group_means, self.item_groups_mean, self.blocks = fitted.avg_cltr_u, fitted.avg_cltr_i, fitted.avg_cocltr

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings (n,) of user rows for item rows, clipped to the training scale; the mean where a side is unknown."""
        group, known = self.user_group[users], self.item_group[items]
        ratings = self._table()[group, items] + self.user_mean[users]
        return np.clip(np.where((group >= 0) & (known >= 0), ratings, self.mean[0]), *self.scale)

    def _table(self) -> np.ndarray:
        """What each user group adds to a user's mean for each item (user_groups, n_items); 0 for unknown items."""
        moved = self.blocks - self.group_means[:, None] - self.item_groups_mean
        return np.where(self.item_group >= 0, moved[:, self.item_group] + self.item_mean, 0.0)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        means, table = _row_means(histories, self.mean[0]), self._table()
        met = as_values(histories, "binary").astype(np.float64)
        rest = histories.astype(np.float64) - sparse.diags_array(means) @ met
        errors = met @ (table**2).T - 2 * (rest @ table.T)  # squared errors of each group, less what all groups share
        groups = errors.argmin(axis=1)
        scores = table[groups] + means[:, None]
        scores[np.diff(histories.indptr) == 0] = self.item_mean
        return scores


def _scale(train: Interactions) -> np.ndarray:
    """Lowest and highest training rating (2,) float64."""
    return np.array([train.value.min(), train.value.max()], dtype=np.float64)


def _row_means(histories: sparse.csr_matrix, empty: float) -> np.ndarray:
    """Mean value (n_histories,) float64 of each history; `empty` for one without items."""
    counts = np.diff(histories.indptr)
    sums = np.asarray(histories.sum(axis=1, dtype=np.float64)).ravel()
    return np.divide(sums, counts, out=np.full(len(counts), float(empty)), where=counts > 0)


def _placed(values: Any, rows: list[int], size: int, fill: float) -> np.ndarray:
    """Values in Surprise's inner order at our rows; `fill` at rows that Surprise never saw."""
    placed = np.full(size, fill, dtype=np.asarray(values).dtype)
    placed[rows] = values
    return placed
