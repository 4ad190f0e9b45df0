"""Tables that others have published, and their protocols, to be met before anything is claimed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.prepare import compact, k_core
from recutils.data.split import Split
from recutils.evaluate.metrics import accuracy
from recutils.evaluate.ratings import mae, rmse
from recutils.model.base import RatingModel, known_rows, row_keys
from recutils.model.ratings import CoClustering, SlopeOne
from recutils.model.svd import NMF, SVD, Baseline, SVDPlus, trainset
from recutils.rank.top import Scorer, top_k
from recutils.tables import Dataset, Interactions, Problem

# P1: README of Surprise (N. Hug), MovieLens-100K, 5 folds, default parameters: RMSE, MAE, three decimals.
RATINGS = {
    "svd": (0.934, 0.737),
    "svd++": (0.919, 0.721),
    "nmf": (0.963, 0.758),
    "slope one": (0.946, 0.743),
    "knn": (0.980, 0.774),
    "centred knn": (0.951, 0.749),
    "knn baseline": (0.931, 0.733),
    "co-clustering": (0.963, 0.753),
    "baseline": (0.944, 0.748),
    "random rating": (1.518, 1.219),
}
# Rows of P1 behind our interface, all with their defaults, which are Surprise's.
OURS: dict[str, type[RatingModel]] = {one.name: one for one in (SVD, SVDPlus, NMF, Baseline, SlopeOne, CoClustering)}
# Rows of P1 that have no place behind it: the class of Surprise and its arguments. From fast to slow.
SURPRISE: dict[str, tuple[str, dict[str, Any]]] = {
    "knn": ("KNNBasic", {"verbose": False}),
    "centred knn": ("KNNWithMeans", {"verbose": False}),
    "knn baseline": ("KNNBaseline", {"verbose": False}),
}
# P2: recommenders-team, examples/06_benchmarks/movielens.ipynb, MovieLens-100K, top 10. Their "MAP" is our
# average_precision_at_all; popularity and EASE (reg 300, binary) are rows of our own rerun of that protocol. EASE's reg
# was chosen on the test part by whoever first printed it: a check of the code, never a claim.
TOP_TEN = ("average_precision_at_all", "ndcg", "precision", "recall")
TOP_TEN_ROWS = {
    "sar": (0.114038, 0.393819, 0.340615, 0.185377),
    "svd": (0.012060, 0.094445, 0.089077, 0.030094),
    "popularity": (0.055959, 0.252353, 0.228738, 0.113188),
    "ease": (0.149866, 0.484195, 0.422057, 0.229626),
}
TOP_TEN_OWN = ("popularity", "ease")  # not printed by the project: kept from an earlier run of ours
# Rows of P2 that are quoted and not rerun here; BiVAE's nDCG is printed once more, as .4751, in the project's README.
TOP_TEN_QUOTED = {
    "als (explicit)": (0.003276, 0.033186, 0.038494, 0.013406),
    "ncf": (0.095231, 0.368634, 0.326935, 0.163221),
    "bpr": (0.133977, 0.444991, 0.388653, 0.216555),
    "lightgcn": (0.120902, 0.416371, 0.359173, 0.195985),
    "bivae": (0.143562, 0.468673, 0.408165, 0.220898),
}
BIVAE_README = 0.4751
TOP_TEN_RATINGS = {"svd": (0.942506, 0.744752)}
# P4: RecBole's published table for ml-1m, general recommendation, top 10. The split is random and its draws are not
# published: figures are met within .004. Popularity is not met by anybody who reran it.
FULL_RANKING = ("recall", "reciprocal_rank", "ndcg")
FULL_RANKING_ROWS = {"ease": (0.2139, 0.4808, 0.2865), "item neighbours": (0.1723, 0.4254, 0.2389)}
FULL_RANKING_POPULARITY = 0.1006  # nDCG
FULL_RANKING_BEST = 0.2904  # nDCG of ADMM-SLIM, which their solver and ours reach by different ways: not a gate
FULL_RANKING_GATE = 0.004


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


def surprise_algorithm(name: str) -> Any:
    """A fresh algorithm of Surprise for a row of P1 that stands in SURPRISE."""
    import surprise

    if name not in SURPRISE:
        raise Problem(f"there is no algorithm {name!r}; expected one of {', '.join(SURPRISE)}.")
    make, arguments = SURPRISE[name]
    return getattr(surprise, make)(**arguments)


def recbole_events(dataset: Dataset) -> Interactions:
    """P4's events: ratings of 3 and more, then users and items with at least 10 of them; renumbered."""
    events = dataset.interactions
    kept = k_core(events.only(events.value.to_numpy() >= 3), 10)
    return compact(dataset, kept).interactions


def ranked_values(
    model: Scorer, split: Split, metrics: Iterable[str], *, part: str = "test", masked: Iterable[str] = ("train",)
) -> dict[str, np.ndarray]:
    """Per-user values (n,) at 10 of a fitted model's lists for all users with events in `part`.

    Histories hold train alone. masked: the parts whose items are not shown again. P2 masks train, for valid as for
    test: an item of the test part that is shown on valid counts as a miss, or valid would tell what test holds. P4
    masks valid too when it reads test.
    """
    judged: Interactions = getattr(split, part)
    users = np.unique(judged.user)
    histories, truth = split.train.matrix()[users], judged.matrix("binary")[users]
    seen = sum(getattr(split, name).matrix("binary")[users] for name in masked)
    blocks = [slice(first, first + 512) for first in range(0, len(users), 512)]
    lists = np.concatenate([top_k(model.score(histories[block]), seen[block], 10) for block in blocks])
    return accuracy(lists, truth, 10, metrics)


class KnownUsers:
    """A rating model as P2 ranks with it: by the rating predicted for the training user, clipped, not folded in.

    Raises Problem for a history that is no training user's.
    """

    def __init__(self, model: RatingModel, train: Interactions) -> None:
        self.model, self.keys = model.fit(train), row_keys(train.matrix())

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Predicted ratings (n_histories, n_items), float64."""
        users = known_rows(row_keys(histories), self.keys)
        if (users < 0).any():
            raise Problem(f"history {int(users.argmin())} is no training user's; this protocol ranks for those alone.")
        items = np.arange(histories.shape[1])
        return np.stack([self.model.predict(np.full(len(items), user), items) for user in users])


def top_ten_table(values: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """P2's rows that were rerun, published (or kept) above ours. values: model -> metric -> per-user values (n,)."""
    both = [
        (f"{name}, {who}", *row)
        for name, one in values.items()
        for who, row in (
            ("kept" if name in TOP_TEN_OWN else "published", TOP_TEN_ROWS[name]),
            ("ours", [one[metric].mean() for metric in TOP_TEN]),
        )
    ]
    return pd.DataFrame(both, columns=["row", "MAP (theirs)", "nDCG@10", "P@10", "R@10"])


def side_by_side(published: Mapping[str, float], ours: Mapping[str, float], digits: int) -> pd.DataFrame:
    """Name, published, ours, and whether ours rounds to the published digits."""
    rows = [(name, published[name], round(ours[name], digits), abs(ours[name] - published[name])) for name in published]
    table = pd.DataFrame(rows, columns=["figure", "published", "ours", "distance"])
    return table.assign(met=table.distance <= 0.5 * 10.0**-digits + 1e-12)
