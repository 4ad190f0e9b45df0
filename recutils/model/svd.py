"""Matrix factorisation for ratings: Surprise's SVD, SVD++, NMF and baseline. No implicit models."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, sparse

from recutils.model.base import RatingModel
from recutils.tables import ITEM, USER, VALUE, Interactions


def trainset(train: Interactions, scale: tuple[float, float]) -> Any:
    """Surprise's own training table raw ids = our row numbers, rows as in `train` (its digits depend on the order)."""
    from surprise import Dataset, Reader

    return Dataset.load_from_df(train.rows[[USER, ITEM, VALUE]], Reader(rating_scale=scale)).build_full_trainset()


class SurpriseModel(RatingModel):
    """What Surprise's factor models share: fitting, row order, clipping to the training part's scale.

    Surprise knows its training users only; `predict` uses what it learnt of them. `score` folds every history in, a
    training user's as well as a stranger's, so that all three kinds of history are one call.
    """

    arrays = ("user_factors", "item_factors", "user_bias", "item_bias", "mean", "scale")
    biased: ClassVar[bool] = True

    user_factors: np.ndarray  # (n_users, factors), zero rows for users without training events
    item_factors: np.ndarray  # (n_items, factors)
    user_bias: np.ndarray  # (n_users,)
    item_bias: np.ndarray  # (n_items,)
    mean: np.ndarray  # (1,)
    scale: np.ndarray  # (2,) lowest and highest training rating

    @abstractmethod
    def _algorithm(self) -> Any:
        """The Surprise algorithm with this model's parameters."""

    @abstractmethod
    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Bias and factors (1 + factors,) of one user from rated items (n,) and the ratings (n,), n >= 1."""

    def _fit(self, train: Interactions) -> None:
        self.scale = np.array([train.value.min(), train.value.max()], dtype=np.float64)
        table = trainset(train, tuple(self.scale))
        algorithm = self._algorithm().fit(table)
        self.mean = np.array([table.global_mean])
        users = [table.to_raw_uid(inner) for inner in table.all_users()]
        items = [table.to_raw_iid(inner) for inner in table.all_items()]
        self._learn(algorithm, train, users, items)

    def _learn(self, algorithm: Any, train: Interactions, users: list[int], items: list[int]) -> None:
        """Take the arrays from the fitted algorithm; users, items: our rows in its inner order."""
        self.user_factors = _spread(getattr(algorithm, "pu", np.zeros((len(users), 0))), users, train.n_users)
        self.item_factors = _spread(getattr(algorithm, "qi", np.zeros((len(items), 0))), items, train.n_items)
        self.user_bias = _spread(algorithm.bu if self.biased else np.zeros(len(users)), users, train.n_users)
        self.item_bias = _spread(algorithm.bi if self.biased else np.zeros(len(items)), items, train.n_items)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings (n,) of user rows for item rows, clipped to the training scale; an unknown side adds nothing."""
        bias = self.mean[0] + self.user_bias[users] + self.item_bias[items]
        ratings = bias + np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items])
        return np.clip(ratings, *self.scale)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        users = np.zeros((histories.shape[0], 1 + self.item_factors.shape[1]))
        for row in np.flatnonzero(np.diff(histories.indptr)):
            part = slice(histories.indptr[row], histories.indptr[row + 1])
            users[row] = self._fold_in(histories.indices[part], histories.data[part].astype(np.float64))
        return users @ np.column_stack([np.ones(len(self.item_bias)), self.item_factors]).T + self.mean + self.item_bias


def _spread(values: np.ndarray, rows: list[int], size: int) -> np.ndarray:
    """Values in Surprise's inner order moved to our rows; rows that Surprise never saw are 0."""
    spread = np.zeros((size, *values.shape[1:]))
    spread[rows] = values
    return spread


class SVD(SurpriseModel):
    """Biased matrix factorisation by stochastic gradient descent (Koren, Bell & Volinsky 2009, "SVD").

    It is not the singular value decomposition: it fits known ratings only and adds biases (notebook 31 shows both).
    """

    name = "svd"

    def __init__(
        self, *, factors: int = 100, epochs: int = 20, learning_rate: float = 0.005, reg: float = 0.02, seed: int = 0
    ) -> None:
        self.factors, self.epochs, self.learning_rate, self.reg, self.seed = factors, epochs, learning_rate, reg, seed

    def _algorithm(self) -> Any:
        from surprise import SVD as Algorithm

        return Algorithm(self.factors, self.epochs, lr_all=self.learning_rate, reg_all=self.reg, random_state=self.seed)

    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Ridge of what mean and item biases leave over on (1, item factors), penalty reg for each rating."""
        return _ridge(self, items, values)


class SVDPlus(SurpriseModel):
    """SVD++: the factors of an item also say what it means that a user rated it at all (Koren 2008, eq. 15).

    Slow: each rating moves the factors of all items its user rated. A user's two parts, his own factors and the mean of
    what he rated over the root of its length, are kept as one sum.
    """

    name = "svd++"
    arrays = (*SurpriseModel.arrays, "implicit_factors")

    implicit_factors: np.ndarray  # (n_items, factors), what having rated the item adds to a user

    def __init__(
        self, *, factors: int = 20, epochs: int = 20, learning_rate: float = 0.007, reg: float = 0.02, seed: int = 0
    ) -> None:
        self.factors, self.epochs, self.learning_rate, self.reg, self.seed = factors, epochs, learning_rate, reg, seed

    def _algorithm(self) -> Any:
        from surprise import SVDpp

        options = {"lr_all": self.learning_rate, "reg_all": self.reg, "random_state": self.seed}
        return SVDpp(self.factors, self.epochs, **options)

    def _learn(self, algorithm: Any, train: Interactions, users: list[int], items: list[int]) -> None:
        super()._learn(algorithm, train, users, items)
        self.implicit_factors = _spread(np.asarray(algorithm.yj), items, train.n_items)
        known = train.matrix("binary")
        known.data /= np.sqrt(np.repeat(np.diff(known.indptr), np.diff(known.indptr)))
        self.user_factors = self.user_factors + known @ self.implicit_factors

    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Ridge as in SVD of what mean, item biases and the rated items' implicit factors leave over."""
        implicit = self.implicit_factors[items].sum(axis=0) / np.sqrt(len(items))
        rest = values - self.item_factors[items] @ implicit
        return _ridge(self, items, rest) + np.concatenate([[0.0], implicit])


def _ridge(model: SurpriseModel, items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Bias and factors (1 + factors,) by ridge on (1, item factors), penalty model.reg for each rating.

    The descent shrinks once per rating, so that its penalty grows with the history (Zhou et al. 2008, ALS-WR).
    """
    design = np.column_stack([np.ones(len(items)), model.item_factors[items]])
    rest = values - model.mean[0] - model.item_bias[items]
    penalty = model.parameters()["reg"] * len(items)
    return design.T @ np.linalg.solve(design @ design.T + penalty * np.eye(len(items)), rest)


class NMF(SurpriseModel):
    """Non-negative factors without biases (Luo et al. 2014, as in Surprise); an unknown side means the mean."""

    name = "nmf"
    biased = False

    def __init__(self, *, factors: int = 15, epochs: int = 50, reg: float = 0.06, seed: int = 0) -> None:
        self.factors, self.epochs, self.reg, self.seed = factors, epochs, reg, seed

    def _algorithm(self) -> Any:
        from surprise import NMF as Algorithm

        return Algorithm(self.factors, self.epochs, reg_pu=self.reg, reg_qi=self.reg, random_state=self.seed)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings (n,) = factor products, clipped; the training mean where user or item is unknown."""
        products = np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items])
        known = self.user_factors[users].any(axis=1) & self.item_factors[items].any(axis=1)
        return np.clip(np.where(known, products, self.mean[0]), *self.scale)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Factor products; an empty history gets each item's product with the mean user."""
        scores = super()._score(histories) - self.mean
        empty = np.diff(histories.indptr) == 0
        known = self.user_factors[self.user_factors.any(axis=1)]
        scores[empty] = self.item_factors @ known.mean(axis=0)
        return scores

    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Non-negative ridge on the item factors, penalty reg for each rating; the bias is 0."""
        penalty = np.sqrt(self.reg * len(items)) * np.eye(self.item_factors.shape[1])
        design = np.vstack([self.item_factors[items], penalty])
        factors, _ = optimize.nnls(design, np.concatenate([values, np.zeros(len(penalty))]))
        return np.concatenate([[0.0], factors])


class Baseline(SurpriseModel):
    """Mean plus user and item bias by alternating least squares (Koren 2010, eq. 1): the trivial rule for ratings."""

    name = "baseline"

    def __init__(self, *, epochs: int = 10, reg_user: float = 15.0, reg_item: float = 10.0) -> None:
        self.epochs, self.reg_user, self.reg_item = epochs, reg_user, reg_item

    def _algorithm(self) -> Any:
        from surprise import BaselineOnly

        options = {"method": "als", "n_epochs": self.epochs, "reg_u": self.reg_user, "reg_i": self.reg_item}
        return BaselineOnly(options, verbose=False)

    def _fold_in(self, items: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The user's bias: what mean and item biases leave over, shrunk by reg_user."""
        rest = values - self.mean[0] - self.item_bias[items]
        return np.array([rest.sum() / (self.reg_user + len(items))])


class NormalRating(RatingModel):
    """Ratings drawn from a normal with the training part's mean and deviation (Surprise's NormalPredictor): the floor.

    Draws come from the legacy generator, row by row, so that Surprise's published figure is met with its seed.
    skip: draws already used up, so that the folds of one cross-validation continue one stream.
    """

    name = "random rating"
    arrays = ("moments", "scale")

    moments: np.ndarray  # (2,) mean and standard deviation of the training ratings
    scale: np.ndarray  # (2,)

    def __init__(self, *, seed: int = 0, skip: int = 0) -> None:
        self.seed, self.skip = seed, skip

    def _fit(self, train: Interactions) -> None:
        values = train.value.to_numpy(dtype=np.float64)
        self.moments = np.array([values.mean(), values.std()])
        self.scale = np.array([values.min(), values.max()])

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """One clipped draw for each pair (n,), whatever the pair."""
        return np.clip(self._draw(len(users)), *self.scale)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.broadcast_to(self._draw(histories.shape[1]), histories.shape)

    def _draw(self, n: int) -> np.ndarray:
        """The next n draws of the stream, not clipped."""
        return np.random.RandomState(self.seed).normal(*self.moments, size=self.skip + n)[self.skip :]
