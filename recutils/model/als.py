"""Factors from events: ALS and BPR of implicit behind our interface, every history folded in. No ratings (svd.py)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem


def check_positive(**numbers: float) -> None:
    """Raise Problem naming the first parameter that is not a positive number."""
    for name, number in numbers.items():
        if not number > 0:
            raise Problem(f"{name} must be a positive number; got {number}")


def check_no_dislikes(values: np.ndarray, model: str) -> None:
    """Raise Problem when a value is negative: these models read every event as a liking of some strength."""
    if len(values) and values.min() < 0:
        raise Problem(
            f"{model} reads values as strength of liking, 0 or more; got {values.min():g}. "
            "Keep the likes only, train.only(train.value > 0), or add a constant to all values."
        )


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """implicit runs threads of its own; BLAS threads inside them make it up to ten times slower."""
    import implicit.cpu.als  # noqa: F401 - a limit holds for libraries that are loaded already
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


class ALS(Model):
    """Implicit matrix factorisation by alternating least squares (Hu, Koren & Volinsky 2008), trained by implicit.

    An event has preference 1 with confidence alpha * value, every other pair preference 0 with confidence 1. The paper
    writes 1 + alpha * value (implicit leaves the 1 out), and implicit takes three conjugate gradient steps where the
    paper solves exactly. Scoring solves exactly, for a training user as for anybody (eq. 4), so that no user factors
    need be kept. values: "binary" (all events alike) or "value". Factors do not depend on the number of threads.
    Strangers get popularity; items without training events score 0. Raises Problem for negative values.
    """

    name = "als"
    serves_strangers = False
    arrays = ("item_factors", "gram")

    item_factors: np.ndarray  # (n_items, factors) float32, zero rows for items without training events
    gram: np.ndarray  # (factors, factors) float32: item_factors' item_factors over the items with training events

    def __init__(
        self,
        *,
        factors: int = 64,
        reg: float = 0.05,
        alpha: float = 10.0,
        iterations: int = 15,
        values: str = "binary",
        seed: int = 0,
    ) -> None:
        check_values(values)
        check_positive(factors=factors, reg=reg, alpha=alpha, iterations=iterations)
        self.factors, self.reg, self.alpha, self.iterations = factors, reg, alpha, iterations
        self.values, self.seed = values, seed

    def _fit(self, train: Interactions) -> None:
        check_no_dislikes(train.value.to_numpy(), self.name)
        with one_blas_thread():
            trained = self._implicit()
            trained.fit(self._strengths(train.matrix()), show_progress=False)
        self.item_factors, self.gram = trained.item_factors, trained.YtY

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """User factors (n_histories, factors) float32, solved exactly; zeros for an empty history.

        Raises Problem for negative values.
        """
        check_no_dislikes(histories.data, self.name)
        with one_blas_thread():
            solver = self._implicit()
            solver.item_factors, solver._YtY = self.item_factors, self.gram
            return solver.recalculate_user(np.arange(histories.shape[0]), self._strengths(histories))

    def _strengths(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """What alpha multiplies: each event's value, or 1. A new matrix."""
        return as_values(histories, self.values)

    def _implicit(self) -> Any:
        """implicit's model with these parameters, on the processor."""
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.reg,
            alpha=self.alpha,
            iterations=self.iterations,
            random_state=self.seed,
        )


class BPR(Model):
    """Factors and item biases that rank a met item above one that was not (Rendle et al. 2009), trained by implicit.

    implicit draws the other item by its share of events, not evenly as the paper does. One thread, so that equal seeds
    give equal factors. BPR reads which items were met, not the values.
    A history with exactly the items of a training user gets that user's trained factors (the first such user's). Any
    other is folded in, which is ours: Newton's method on the loss of its items against the mean of all other items (by
    their share of events) in place of drawn ones, with the penalty reg for each item.
    Strangers get popularity. Raises Problem for negative values.
    """

    name = "bpr"
    serves_strangers = False
    arrays = ("item_factors", "item_bias", "user_factors", "user_keys")

    item_factors: np.ndarray  # (n_items, factors) float32, zero rows for items without training events
    item_bias: np.ndarray  # (n_items,) float32
    user_factors: np.ndarray  # (n_users, factors) float32
    user_keys: np.ndarray  # (n_users,) int64, digest of each training user's items

    def __init__(
        self,
        *,
        factors: int = 64,
        learning_rate: float = 0.01,
        reg: float = 0.01,
        iterations: int = 50,
        seed: int = 0,
    ) -> None:
        check_positive(factors=factors, learning_rate=learning_rate, reg=reg, iterations=iterations)
        self.factors, self.learning_rate, self.reg, self.iterations = factors, learning_rate, reg, iterations
        self.seed = seed

    def _fit(self, train: Interactions) -> None:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        check_no_dislikes(train.value.to_numpy(), self.name)
        known = train.matrix("binary")
        trained = BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.reg,
            iterations=self.iterations,
            num_threads=1,
            random_state=self.seed,
        )
        with one_blas_thread():
            trained.fit(known, show_progress=False)
        self.item_factors, self.item_bias = np.split(trained.item_factors, [self.factors], axis=1)
        self.item_bias, self.user_factors = self.item_bias[:, 0], trained.user_factors[:, : self.factors]
        self.user_keys = item_keys(known)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T + self.item_bias

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """User factors (n_histories, factors): trained ones where the items are a training user's, else Newton's."""
        check_no_dislikes(histories.data, self.name)
        row_of = {key: row for row, key in reversed(list(enumerate(self.user_keys)))}
        known = [row_of.get(key) for key in item_keys(histories)]
        found = [
            self._newton(part.indices) if row is None else self.user_factors[row]
            for row, part in zip(known, histories, strict=True)
        ]
        return np.array(found, dtype=np.float32).reshape(-1, self.factors)

    def _newton(self, items: np.ndarray, steps: int = 20) -> np.ndarray:
        """Factors (factors,) that minimise sum log(1 + exp(-margin)) + reg n / 2 |factors|^2 over the n items."""
        above, bias = self._above_others(items)
        penalty = self.reg * max(len(items), 1)
        factors = np.zeros(self.factors)
        for _ in range(steps):
            wrong = 1 / (1 + np.exp(above @ factors + bias))
            slope = above.T @ wrong - penalty * factors
            if np.abs(slope).max() < 1e-9:
                break
            curvature = (above.T * (wrong * (1 - wrong))) @ above + penalty * np.eye(self.factors)
            factors = factors + np.linalg.solve(curvature, slope)
        return factors

    def _above_others(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factors (n, factors) and bias (n,) of the items less those of the mean of all others, weighted by events."""
        share = self.popular.astype(np.float64)
        share[items] = 0
        share /= max(share.sum(), 1.0)
        return self.item_factors[items] - share @ self.item_factors, self.item_bias[items] - share @ self.item_bias


def item_keys(histories: sparse.csr_matrix) -> np.ndarray:
    """Digest (n_histories,) int64 of each row's items, whatever their order and values."""
    rows = (np.sort(row.indices).astype(np.int64).tobytes() for row in histories)
    return np.array([int.from_bytes(hashlib.sha256(row).digest()[:8], "little", signed=True) for row in rows])
