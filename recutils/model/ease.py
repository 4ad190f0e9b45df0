"""EASE: linear maps in closed form, from items to items and from users to users. No neighbours (neighbours.py)."""

from typing import ClassVar

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values, known_rows, row_keys
from recutils.tables import Interactions, Problem

MOST_ITEMS = 20_000  # the float64 inversion of 20,000 items holds about 7 GB


class Shallow(Model):
    """What both sides share: their parameters, and how values are read.

    reg: penalty of a squared weight, in units of events (of squared values where values count). values: "binary" (the
    paper) or "value"; power: values are raised to it, .5 is their square root. balance: a row of the regression that
    has n events weighs n^-balance, scaled so that the mean event weighs 1; 0 weighs all rows alike, as the paper does.
    """

    serves_strangers: ClassVar[bool] = False

    def __init__(self, *, reg: float = 300.0, values: str = "binary", power: float = 1.0, balance: float = 0.0) -> None:
        check_values(values)
        if not reg > 0:
            raise Problem(f"reg must be a positive number of events, for example 300; got {reg}")
        if not power > 0 or balance < 0:
            raise Problem(f"power must be above 0 and balance 0 or more; got {power} and {balance}")
        self.reg, self.values, self.power, self.balance = reg, values, power, balance

    def _read(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """Histories with the values that the regression works on, float64. Raises Problem for roots of negatives."""
        known = as_values(histories, self.values).astype(np.float64)
        if self.power != 1.0 and self.values == "value":
            if known.nnz and known.data.min() < 0:
                raise Problem(f"{self.name} cannot raise negative values to power {self.power}. Use power 1.")
            known.data **= self.power
        return known

    def _gram(self, rows: sparse.csr_matrix) -> np.ndarray:
        """rows' W rows + reg I, dense (n, n) float64, W the weights of the rows."""
        weighted = sparse.diags(self._weights(rows)) @ rows if self.balance else rows
        gram = (rows.T @ weighted).toarray()
        gram[np.diag_indices_from(gram)] += self.reg
        return gram

    def _weights(self, rows: sparse.csr_matrix) -> np.ndarray:
        """Weight (n_rows,) float64 of each row of the regression."""
        counts = np.diff(rows.indptr)
        weights = np.maximum(counts, 1) ** -float(self.balance)
        return weights * counts.sum() / max(float(weights @ counts), 1e-300)


class EASE(Shallow):
    """Embarrassingly shallow autoencoder: each item's column as a ridge regression on all other items.

    With gram matrix G = X'X + reg I and P = its inverse, weights are B[i, j] = -P[i, j] / P[j, j] and 0 on the diagonal
    (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8); scores are history x B. No departure at
    the defaults; power and balance are ours. The inversion is float64, the stored weights float32.
    Strangers get popularity; items without training events score 0. Raises Problem for more than 20,000 items.
    """

    name = "ease"
    arrays = ("weights",)

    weights: np.ndarray  # (n_items, n_items) float32, column j gives the score of item j

    def _fit(self, train: Interactions) -> None:
        _check_size("items", train.n_items)
        inverted = inverse(self._gram(self._read(train.matrix())))
        weights = inverted / -np.diag(inverted)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights.astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self._read(histories).astype(np.float32) @ self.weights


class WideEASE(Shallow):
    """EASE's scores, exactly, where there are more items than people: only a table of people by people is inverted.

    With M = (XX' + reg I)^-1, the identity of Woodbury gives P = (I - X'MX) / reg, so that x P = (x - (xX'M)X) / reg
    and the diagonal of P needs one product; EASE's score of item j is x[j] - (xP)[j] / P[j, j]. Time grows with the
    people cubed instead of the items. Parameters as EASE's; `balance` is left out, since it weighs people.
    Strangers get popularity; items without training events score 0. Raises Problem for more than 20,000 people.
    """

    name = "wide ease"
    arrays = ("known", "inverse", "diagonal")

    known: sparse.csr_matrix  # (n_users, n_items) float64, the training values as read
    inverse: np.ndarray  # (n_users, n_users) float64, M
    diagonal: np.ndarray  # (n_items,) float64, of P

    def __init__(self, *, reg: float = 300.0, values: str = "binary", power: float = 1.0) -> None:
        super().__init__(reg=reg, values=values, power=power)

    def _fit(self, train: Interactions) -> None:
        _check_size("users", train.n_users)
        self.known = self._read(train.matrix())
        self.inverse = inverse(self._gram(self.known.T.tocsr()))
        entries = self.known.tocoo()
        parts = entries.data * (self.known.T @ self.inverse)[entries.col, entries.row]
        self.diagonal = (1 - np.bincount(entries.col, parts, train.n_items)) / self.reg

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        own = self._read(histories)
        alike = (own @ self.known.T).toarray()  # hardly an empty cell: dense is faster from here
        rest = self.known.T @ (alike @ self.inverse).T
        scores = rest.T / (self.reg * self.diagonal)
        entries = own.tocoo()
        scores[entries.row, entries.col] += entries.data * (1 - 1 / (self.reg * self.diagonal[entries.col]))
        return scores


class UserEASE(Shallow):
    """EASE on the user side: each user's row as a ridge regression on the rows of all other users.

    The same closed form on the transposed table, so that the "rows of the regression" are items. A history that equals
    a training user's, items and values, gets that user's weights, himself left out (the first such user's); any other
    gets the plain ridge regression on all training users, which is the same formula without the zero.
    Strangers get popularity; items without training events score 0. Raises Problem for more than 20,000 users.
    """

    name = "user ease"
    arrays = ("inverse", "known", "item_weights", "user_keys")

    inverse: np.ndarray  # (n_users, n_users) float32, of the users' gram matrix
    known: sparse.csr_matrix  # (n_users, n_items) float64, the training values as read
    item_weights: np.ndarray  # (n_items,) float64
    user_keys: np.ndarray  # (n_users,) int64, digest of each training user's items and values

    def _fit(self, train: Interactions) -> None:
        _check_size("users", train.n_users)
        self.user_keys, self.known = row_keys(train.matrix()), self._read(train.matrix())
        by_item = self.known.T.tocsr()
        self.item_weights = self._weights(by_item)
        self.inverse = inverse(self._gram(by_item)).astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        rows = known_rows(row_keys(histories), self.user_keys)
        found, new = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        weights = np.empty((len(rows), len(self.user_keys)), dtype=np.float32)
        weights[found] = self.inverse[rows[found]] / -self.inverse[rows[found], rows[found]][:, None]
        weights[found, rows[found]] = 0
        weighted = (self._read(histories[new]) @ sparse.diags(self.item_weights) @ self.known.T).toarray()
        weights[new] = weighted.astype(np.float32) @ self.inverse
        return (self.known.T @ weights.T).T


def _check_size(noun: str, size: int) -> None:
    if size > MOST_ITEMS:
        raise Problem(
            f"EASE holds {noun} x {noun}: {size:,} {noun} would need {2 * 8 * size**2 / 1e9:.0f} GB; it takes at most "
            f"{MOST_ITEMS:,}. Drop rare {noun}, or use ALS or item neighbours."
        )


def inverse(gram: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, which is overwritten: Cholesky, half of the general work."""
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(gram, lower=False, overwrite_a=True)
    upper, singular = lapack.dpotri(factor, lower=False, overwrite_c=True)
    if failed or singular:
        raise Problem("the gram matrix cannot be inverted; values are too large for this reg. Scale them or raise reg.")
    return np.triu(upper) + np.triu(upper, 1).T
