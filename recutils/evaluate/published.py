"""Tables that others have published, and their protocols, to be met before anything is claimed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from recutils.data.split import Split
from recutils.evaluate.metrics import accuracy
from recutils.evaluate.ratings import mae, rmse
from recutils.model.base import RatingModel
from recutils.model.svd import trainset
from recutils.rank.top import Scorer, recommend
from recutils.tables import Interactions

# P1: README of Surprise (N. Hug), MovieLens-100K, 5 folds, default parameters: RMSE, MAE, three decimals.
RATINGS = {
    "svd": (0.934, 0.737),
    "nmf": (0.963, 0.758),
    "baseline": (0.944, 0.748),
    "knn": (0.980, 0.774),
    "centred knn": (0.951, 0.749),
    "knn baseline": (0.931, 0.733),
    "random rating": (1.518, 1.219),
}
# P2: recommenders-team, examples/06_benchmarks/movielens.ipynb, MovieLens-100K, top 10. Their "MAP" is our
# average_precision_at_all; popularity and EASE (reg 300, binary) are rows of our own rerun of that protocol. EASE's reg
# was chosen on the test part by whoever first printed it: a check of the code, never a claim.
TOP_TEN = ("average_precision_at_all", "ndcg", "precision", "recall")
TOP_TEN_ROWS = {
    "svd": (0.012060, 0.094445, 0.089077, 0.030094),
    "popularity": (0.055959, 0.252353, 0.228738, 0.113188),
    "ease": (0.149866, 0.484195, 0.422057, 0.229626),
}
TOP_TEN_RATINGS = {"svd": (0.942506, 0.744752)}


def surprise_folds(
    interactions: Interactions, n_folds: int = 5, seed: int = 0
) -> Iterator[tuple[Interactions, Interactions]]:
    """Train and test of each fold as Surprise's KFold(n_folds, random_state=seed) deals them, rows in its order.

    The digits depend on the order: Surprise numbers users and items as they appear and starts its factors so.
    """
    order = np.arange(len(interactions))
    np.random.RandomState(seed).shuffle(order)
    for rows in np.array_split(order, n_folds):
        first = int(np.flatnonzero(order == rows[0])[0])
        rest = np.concatenate([order[:first], order[first + len(rows) :]])
        yield interactions.only(rest), interactions.only(rows)


def rating_errors(model: RatingModel, train: Interactions, test: Interactions) -> tuple[float, float]:
    """RMSE and MAE over the test rows of a model fitted on train, in rating units."""
    predicted = model.fit(train).predict(test.user.to_numpy(), test.item.to_numpy())
    return rmse(test.value.to_numpy(), predicted), mae(test.value.to_numpy(), predicted)


def surprise_errors(algorithm: Any, train: Interactions, test: Interactions) -> tuple[float, float]:
    """RMSE and MAE over the test rows of one of Surprise's own algorithms, which is fitted on train; ratings 1 to 5.

    For rows of P1 whose algorithm has no place behind our interface, such as the neighbours that predict ratings.
    """
    fitted = algorithm.fit(trainset(train, (1, 5)))
    truth = test.value.to_numpy()
    rows = zip(test.user.tolist(), test.item.tolist(), truth.tolist(), strict=True)
    predicted = np.array([prediction.est for prediction in fitted.test(rows)])
    return rmse(truth, predicted), mae(truth, predicted)


def top_ten(model: Scorer, split: Split) -> dict[str, float]:
    """P2's four metrics: means over all users with test ratings, top 10 of all items the user has not trained on."""
    users = np.unique(split.test.user)
    lists = recommend(model, split.train.matrix()[users], 10)
    values = accuracy(lists, split.test.matrix("binary")[users], 10, TOP_TEN)
    return {metric: float(np.mean(values[metric])) for metric in TOP_TEN}


def side_by_side(published: Mapping[str, float], ours: Mapping[str, float], digits: int) -> pd.DataFrame:
    """Name, published, ours, and whether ours rounds to the published digits."""
    rows = [(name, published[name], round(ours[name], digits), abs(ours[name] - published[name])) for name in published]
    table = pd.DataFrame(rows, columns=["figure", "published", "ours", "distance"])
    return table.assign(met=table.distance <= 0.5 * 10.0**-digits + 1e-12)
