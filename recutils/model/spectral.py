"""A low-pass filter on the graph of users and items, in closed form. Learnt factors stand in als.py."""

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem


class GraphFilter(Model):
    """What the strongest waves of the graph say: events that agree with few broad tastes stay, the rest is noise.

    Values, raised to power, are divided by (events of the user)^user_norm (events of the item)^item_norm, and the best
    approximation of rank `waves` is kept, each wave with singular value s damped by s^2 / (s^2 + t^2), t the first
    value that is cut off. The ideal low-pass filter of Shen et al. 2021, "How Powerful is Graph Convolution for
    Recommendation?" (GF-CF). Departures: the damping, the exponents and the values are ours, and their linear part
    (neighbours on the normalised graph) is left out. A user's own norm does not move the order of his list.
    Strangers get popularity; items without training events score 0.
    """

    name = "graph filter"
    arrays = ("weights", "item_scale")
    serves_strangers = False

    weights: np.ndarray  # (n_items, waves) float32, a row for each item: its part in each wave, times root of damping
    item_scale: np.ndarray  # (n_items,) float32, events^item_norm

    def __init__(
        self,
        *,
        waves: int = 32,
        user_norm: float = 0.25,
        item_norm: float = 0.25,
        values: str = "value",
        power: float = 0.5,
    ) -> None:
        check_values(values)
        if waves < 1 or not power > 0 or min(user_norm, item_norm) < 0:
            came = f"{waves}, {power}, {user_norm} and {item_norm}"
            raise Problem(f"waves must be 1 or more, power above 0, both norms 0 or more; got {came}")
        self.waves, self.user_norm, self.item_norm = waves, user_norm, item_norm
        self.values, self.power = values, power

    def _read(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        """Histories with the values that are filtered, float32. Raises Problem for powers of negative values."""
        known = as_values(histories, self.values)
        if self.values == "value" and self.power != 1:
            if known.nnz and known.data.min() < 0:
                raise Problem(f"graph filter cannot raise negative values to power {self.power}. Use power 1.")
            known.data **= np.float32(self.power)
        return known

    def _fit(self, train: Interactions) -> None:
        known = self._read(train.matrix())
        user_scale = _scale(np.diff(known.indptr), -self.user_norm)
        self.item_scale = _scale(np.bincount(known.indices, minlength=train.n_items), self.item_norm)
        normal = known.multiply(user_scale[:, None]).multiply(1 / self.item_scale).tocsr()
        strengths, parts = _waves(normal, self.waves + 1)
        cut = strengths[self.waves] if len(strengths) > self.waves else 0.0
        strengths, parts = strengths[: self.waves], parts[: self.waves]
        damped = np.divide(strengths**2, strengths**2 + cut**2, out=np.zeros_like(strengths), where=strengths > 0)
        self.weights = (parts * np.sqrt(damped)[:, None]).T.astype(np.float32)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        normal = self._read(histories).multiply(1 / self.item_scale).tocsr().astype(np.float32)
        return (normal @ self.weights) @ self.weights.T * self.item_scale


def _scale(counts: np.ndarray, power: float) -> np.ndarray:
    """Counts raised to power, (n,) float32; a count of 0 is read as 1."""
    return (np.maximum(counts, 1).astype(np.float64) ** power).astype(np.float32)


def _waves(rows: sparse.csr_matrix, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest singular values (at most) and their right vectors (n, n_items), largest first, float64.

    Computed from a fixed start, so that a second run gives the same.
    """
    from scipy.sparse.linalg import svds

    rows = rows.astype(np.float64)
    if n >= min(rows.shape):
        _, strengths, parts = np.linalg.svd(rows.toarray(), full_matrices=False)
        return strengths[:n], parts[:n]
    _, strengths, parts = svds(rows, k=n, v0=np.ones(min(rows.shape)))
    return strengths[::-1].copy(), parts[::-1].copy()
