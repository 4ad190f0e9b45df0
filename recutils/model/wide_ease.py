"""EASE for more items than people: the same scores from a table of people by people. EASE itself is in ease.py."""

import numpy as np
from scipy import sparse

from recutils.model.ease import Shallow, _check_size, inverse
from recutils.tables import Interactions


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
