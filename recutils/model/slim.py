"""SLIM: sparse weights from items to items, by ADMM on the gram matrix. The dense closed form stands in ease.py."""

import numpy as np
from scipy import sparse

from recutils.model.ease import Shallow, inverse
from recutils.tables import Interactions, Problem

MOST_ITEMS = 8_000  # six dense float32 matrices of 8,000 items take 1.5 GB, one round 30 s on one core


class SLIM(Shallow):
    """Each item's column as a regression on all other items with few weights, solved by ADMM.

    Minimises |X - XB|^2 / 2 + l2 |B|^2 / 2 + l1 |B|_1 with diag(B) = 0 and, if asked, B >= 0 (Ning & Karypis 2011,
    "SLIM", eq. 3) by alternating directions (Steck and others 2020, "ADMM SLIM", algorithm 1): a closed form with zero
    diagonal as in EASE, a soft threshold, and a running sum of the difference of the two. What is kept is the
    thresholded side, so that zeros are zeros.
    Departures: a fixed number of rounds instead of a stopping rule; the mean square of an item's column is not used to
    scale l2 (their alpha); values, power and balance are EASE's. The inversion is float64, the rounds float32.
    reg: l2, in units of events (of squared values where values count). l1: in the same units. rho: step of ADMM in the
    same units; it moves the way, not the goal. rounds: how many. positive: keep only weights above 0, as SLIM does.
    Strangers get popularity; items without training events score 0. Raises Problem for more than 8,000 items.
    """

    name = "slim"
    arrays = ("weights",)

    weights: sparse.csr_matrix  # (n_items, n_items) float32, column j gives the score of item j

    def __init__(
        self,
        *,
        reg: float = 100.0,
        l1: float = 5.0,
        rho: float = 1000.0,
        rounds: int = 30,
        positive: bool = True,
        values: str = "binary",
        power: float = 1.0,
        balance: float = 0.0,
    ) -> None:
        super().__init__(reg=reg, values=values, power=power, balance=balance)
        if l1 < 0 or not rho > 0 or rounds < 1:
            raise Problem(f"l1 must be 0 or more, rho above 0, rounds 1 or more; got {l1}, {rho} and {rounds}")
        self.l1, self.rho, self.rounds, self.positive = l1, rho, rounds, positive

    def _fit(self, train: Interactions) -> None:
        if train.n_items > MOST_ITEMS:
            raise Problem(
                f"SLIM holds items x items and multiplies them in each round; it takes at most {MOST_ITEMS:,} items, "
                f"got {train.n_items:,}. Drop rare items, or use EASE or item neighbours."
            )
        gram = self._gram(self._read(train.matrix()))  # holds reg on its diagonal
        gram[np.diag_indices_from(gram)] += self.rho
        self.weights = sparse.csr_matrix(self._rounds(inverse(gram)))

    def _rounds(self, inverted: np.ndarray) -> np.ndarray:
        """Weights (n_items, n_items) float32, thresholded; inverted: of the gram matrix with reg and rho added."""
        diagonal = np.diag(inverted).astype(np.float32)
        # P G = I - (reg + rho) P, since P is the inverse of G + (reg + rho) I: no product is needed.
        start = (np.eye(len(inverted)) - (self.reg + self.rho) * inverted).astype(np.float32)
        inverted, rho = inverted.astype(np.float32), np.float32(self.rho)
        kept, scaled = np.zeros_like(start), np.zeros_like(start)  # scaled: the running sum over rho
        for _ in range(self.rounds):
            dense = start + inverted @ (rho * (kept - scaled))
            dense -= inverted * (np.diag(dense) / diagonal)
            kept = _shrunk(dense + scaled, self.l1 / self.rho, self.positive)
            scaled += dense - kept
        return kept

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return (self._read(histories).astype(np.float32) @ self.weights).toarray()

    def density(self) -> float:
        """Share of the weights off the diagonal that are not 0."""
        n_items = self.weights.shape[0]
        return float(np.count_nonzero(self.weights.data) / max(n_items * (n_items - 1), 1))


def _shrunk(weights: np.ndarray, step: float, positive: bool) -> np.ndarray:
    """Weights moved towards 0 by step, float32; those that would cross it become 0, as do negative ones if positive."""
    above = np.maximum(weights - np.float32(step), 0)
    return above if positive else above + np.minimum(weights + np.float32(step), 0)
