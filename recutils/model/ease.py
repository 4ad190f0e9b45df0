"""EASE: one linear map from items to items, in closed form. No other item-to-item model (neighbours.py)."""

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem

MOST_ITEMS = 20_000  # the float64 inversion of 20,000 items holds about 7 GB


class EASE(Model):
    """Embarrassingly shallow autoencoder: each item's column as a ridge regression on all other items.

    With gram matrix G = X'X + reg I and P = its inverse, weights are B[i, j] = -P[i, j] / P[j, j] and 0 on the diagonal
    (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8); scores are history x B. No departure;
    the inversion is float64, the stored weights float32.
    reg: penalty of a squared weight, in units of events. values: "binary" (the paper) or "value".
    Strangers get popularity; items without training events score 0. Raises Problem for more than 20,000 items.
    """

    name = "ease"
    serves_strangers = False
    arrays = ("weights",)

    weights: np.ndarray  # (n_items, n_items) float32, column j gives the score of item j

    def __init__(self, *, reg: float = 300.0, values: str = "binary") -> None:
        check_values(values)
        if not reg > 0:
            raise Problem(f"reg must be a positive number of events, for example 300; got {reg}")
        self.reg, self.values = reg, values

    def _fit(self, train: Interactions) -> None:
        if train.n_items > MOST_ITEMS:
            memory = 2 * 8 * train.n_items**2 / 1e9
            raise Problem(
                f"EASE holds items x items: {train.n_items:,} items would need {memory:.0f} GB; it takes at most "
                f"{MOST_ITEMS:,}. Drop rare items, or use ALS or item neighbours."
            )
        known = train.matrix(self.values).astype(np.float64)
        gram = (known.T @ known).toarray()
        gram[np.diag_indices_from(gram)] += self.reg
        inverse = _inverse(gram)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights.astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_values(histories, self.values) @ self.weights


def _inverse(gram: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, which is overwritten: Cholesky, half of the general work."""
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(gram, lower=False, overwrite_a=True)
    upper, singular = lapack.dpotri(factor, lower=False, overwrite_c=True)
    if failed or singular:
        raise Problem("the gram matrix cannot be inverted; values are too large for this reg. Scale them or raise reg.")
    return np.triu(upper) + np.triu(upper, 1).T
