"""Meaning as a matrix: attention over a history, the association matrix as factors, and its fusion with behaviour.

Vectors come from outside (`with_vectors`); no text and no encoder here, and no choice of weights.
"""

from typing import Any

import numpy as np
from scipy import sparse

from recutils.model.als import ALS, check_positive
from recutils.model.base import as_values, check_values
from recutils.model.content import VectorModel, dense, unit_rows
from recutils.tables import Interactions, Problem

COOLEST = 0.01  # least temperature: exp(-2 / 0.01) is still a number in float64
FUSIONS = ("sum", "product")


class AttentionProfile(VectorModel):
    """The mean cosine of an item with a history, each item of the history weighing by its likeness to that very item.

    Weight of history item j for candidate i: value_j exp(cos(i, j) / temperature), scaled to sum 1 over the history. A
    large temperature is the plain mean, so that the lists are those of `ContentProfile`; a small one listens to the
    nearest item only. Attention with one head and nothing learnt (Bahdanau et al. 2015; for histories He et al. 2018).
    values: "value" or "binary". Needs non-negative values. Strangers get popularity; items with a zero vector score 0.
    """

    name = "attention"
    serves_strangers = False
    arrays = ("vectors",)

    def __init__(self, *, temperature: float = 0.1, values: str = "binary") -> None:
        check_values(values)
        if not temperature >= COOLEST:
            raise Problem(f"temperature must be at least {COOLEST}; got {temperature}")
        self.temperature, self.values = temperature, values

    def _fit(self, train: Interactions) -> None:
        self.vectors = unit_rows(self._given(train.n_items))

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        weights = as_values(histories, self.values).astype(np.float64)
        if weights.nnz and weights.data.min() < 0:
            raise Problem("attention weighs by value and needs 0 or more. Use values='binary', or keep the likes only.")
        scores = np.zeros(histories.shape)
        met = np.unique(histories.indices)  # only these columns can carry weight
        weights = weights[:, met]
        for start in range(0, histories.shape[1], 1024):
            rows = slice(start, start + 1024)
            cosine = dense(self.vectors[met] @ self.vectors[rows].T).astype(np.float64)
            heat = np.exp((cosine - 1) / self.temperature)
            total = weights @ heat
            scores[:, rows] = np.divide(weights @ (heat * cosine), total, out=np.zeros_like(total), where=total > 0)
        return scores


class SemanticFactors(VectorModel):
    """The user-item association matrix S as a product of thin factors, the best of its rank (truncated SVD).

    S[u, i] = cosine of the profile of u (the mean vector of the history, weighted by value) and the vector of i, over
    the training users. It is a product already, profiles times vectors, so that its rank is at most d and S itself is
    never formed: a QR of both sides leaves a d x d matrix to decompose. A history gets the factors of its profile.
    rank: columns kept; more than S has are no fault, they are left out. values: "value" or "binary".
    Strangers get popularity; items with a zero vector score 0. Source: Eckart & Young 1936.
    """

    name = "semantic factors"
    serves_strangers = False
    arrays = ("item_factors", "vectors", "strengths")

    item_factors: np.ndarray  # (n_items, rank) float32 with orthonormal columns, the right singular vectors of S
    strengths: np.ndarray  # (rank,) float32, the singular values of S, largest first

    def __init__(self, *, rank: int = 64, values: str = "value") -> None:
        check_values(values)
        check_positive(rank=rank)
        self.rank, self.values = rank, values

    def _fit(self, train: Interactions) -> None:
        self.vectors = np.asarray(dense(unit_rows(self._given(train.n_items))))
        profiles = self.profiles(train.matrix())
        self.strengths, self.item_factors = _truncated(profiles, self.vectors, self.rank)

    def profiles(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Profiles (n_histories, d) float32 of length 1; zeros for an empty history."""
        return unit_rows(np.asarray(as_values(histories, self.values) @ self.vectors))

    def fold_in(self, histories: sparse.csr_matrix) -> np.ndarray:
        """User factors (n_histories, rank): the history's row of S, seen from the kept columns."""
        return self.profiles(histories) @ (self.vectors.T @ self.item_factors)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors.T


class SemanticFusion(ALS, SemanticFactors):
    """Behaviour and meaning in one pair of factors: what ALS learnt, and the association matrix, joined exactly.

    fusion "sum":     (1 - weight) a + weight s, the factors put side by side (`side_by_side`).
    fusion "product": a (1 + weight s), every column of one times every column of the other (`khatri_rao`); the bracket
                      is never negative. An item without training events has a = 0 and keeps 0: a product cannot serve
                      cold items, the sum can.
    In a sum a and s are divided by their deviation over the items, in a product s by its largest size, for each history
    on its own, so that neither wins by its unit. weight 0 is ALS, weight 1 in a sum is `SemanticFactors`.
    Strangers get popularity. Raises Problem for negative values.
    """

    name = "semantic fusion"
    arrays = (*ALS.arrays, "semantic_factors", "vectors", "strengths")

    semantic_factors: np.ndarray  # (n_items, rank) float32

    def __init__(self, *, weight: float = 0.3, fusion: str = "sum", rank: int = 64, **als: Any) -> None:
        super().__init__(**als)
        check_positive(rank=rank)
        if not 0 <= weight <= 1 or fusion not in FUSIONS:
            raise Problem(
                f"weight must lie in 0..1 and fusion be one of {', '.join(FUSIONS)}; got {weight}, {fusion!r}"
            )
        self.weight, self.fusion, self.rank = weight, fusion, rank

    def _fit(self, train: Interactions) -> None:
        SemanticFactors._fit(self, train)
        self.semantic_factors = self.item_factors
        ALS._fit(self, train)

    def parts(self, histories: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """User factors of behaviour (n, factors) and of meaning (n, rank), each over its scores' deviation."""
        behaviour = ALS.fold_in(self, histories)
        meaning = self.profiles(histories) @ (self.vectors.T @ self.semantic_factors)
        return _over_deviation(behaviour, self.item_factors), _over_deviation(meaning, self.semantic_factors)

    def joined(self, histories: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """One pair of factors (n_histories, width) and (n_items, width), whose product is the fused scores."""
        behaviour, meaning = self.parts(histories)
        if self.fusion == "sum":
            users = side_by_side((1 - self.weight) * behaviour, self.weight * meaning)
            return users, side_by_side(self.item_factors, self.semantic_factors)
        most = np.abs(meaning @ self.semantic_factors.T).max(axis=1, keepdims=True)
        meaning = np.divide(self.weight * meaning, most, out=np.zeros_like(meaning), where=most > 0)
        users, items = (
            khatri_rao(first, side_by_side(np.ones((len(second), 1), np.float32), second))
            for first, second in ((behaviour, meaning), (self.item_factors, self.semantic_factors))
        )
        return users, items

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        users, items = self.joined(histories)
        return users @ items.T


def side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, a) and (n, b) as (n, a + b): dot products of such rows are the sums of the parts' dot products."""
    return np.concatenate([first, second], axis=1)


def khatri_rao(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, a) and (n, b) as (n, a b), all products of a row's numbers (row-wise Khatri & Rao 1968).

    Dot products of such rows are the products of the parts' dot products: (U_i . V_j)(u_i . v_j), exactly. The rank of
    an elementwise product is therefore at most the product of the ranks.

    >>> u, v = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]])
    >>> float(khatri_rao(u, v)[0] @ khatri_rao(v, u)[0]) == float((u @ v.T).item() * (v @ u.T).item())
    True
    """
    if len(first) != len(second):
        raise Problem(f"both tables must have one row for each user or item; got {len(first)} and {len(second)}")
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)


def _truncated(left: np.ndarray, right: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Singular values (r,) and right singular vectors (n_items, r) of left @ right.T, r <= rank, float32."""
    left_root = np.linalg.qr(left.astype(np.float64), mode="r")
    basis, right_root = np.linalg.qr(right.astype(np.float64))
    _, strengths, turned = np.linalg.svd(left_root @ right_root.T, full_matrices=False)
    kept = np.flatnonzero(strengths > 1e-9 * strengths[0])[:rank]
    return strengths[kept].astype(np.float32), (basis @ turned[kept].T).astype(np.float32)


def _over_deviation(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """User factors divided by the deviation of their scores over the items; zeros where all scores are equal."""
    centred = items - items.mean(axis=0)
    spread = np.sqrt(np.maximum(((users @ (centred.T @ centred / len(items))) * users).sum(axis=1), 0))
    return np.divide(users, spread[:, None], out=np.zeros_like(users), where=spread[:, None] > 0)
