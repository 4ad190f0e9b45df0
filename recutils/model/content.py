"""Models that are given item vectors: a content profile, and text mapped to ALS factors. No encoder, no text here."""

from typing import Any, Self

import numpy as np
from scipy import sparse

from recutils.model.als import ALS, check_positive
from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem

Vectors = np.ndarray | sparse.csr_matrix  # (n_items, d) float32: dense from an encoder, sparse from TF-IDF
EXAMPLE = "model.with_vectors(vectors).fit(train)"


class VectorModel(Model):
    """A model that learns from item vectors too, which are handed over before fit: `with_vectors(v).fit(train)`."""

    vectors: Vectors | None = None

    def with_vectors(self, vectors: Vectors) -> Self:
        """Keep the items' vectors (n_items, d), in item row order; returns the model. The caller's are not changed.

        A zero row means that nothing is known of the item. Raises Problem for another shape and for NaN or infinity.
        """
        if vectors.ndim != 2:
            raise Problem(f"vectors must have the shape (n_items, d); got {vectors.shape}")
        values = vectors.data if sparse.issparse(vectors) else vectors
        if not np.isfinite(values).all():
            rows = vectors.tocoo().row if sparse.issparse(vectors) else np.indices(vectors.shape)[0]
            bad = int(rows[~np.isfinite(values)][0])
            raise Problem(f"the vector of item row {bad} holds NaN or infinity. Encode that item's text again.")
        self.vectors = (vectors.tocsr() if sparse.issparse(vectors) else np.asarray(vectors)).astype(np.float32)
        return self

    def _given(self, n_items: int) -> Vectors:
        """The vectors. Raises Problem when there are none or not one for each item."""
        if self.vectors is None:
            raise Problem(f"{self.name} learns from item vectors and has none. Write {EXAMPLE}.")
        if self.vectors.shape[0] != n_items:
            raise Problem(
                f"{self.name} has vectors of {self.vectors.shape[0]} items, but the training part has {n_items}. "
                "Encode the texts of the same items table, all of it and in row order."
            )
        return self.vectors


class ContentProfile(VectorModel):
    """Items whose vectors point where the history's do: the cosine with the mean of its vectors, weighted by value.

    values: "value" or "binary" (all items alike). centred: weights are values less the history's mean, so that what was
    liked less than usual pushes away; a history whose values are all equal is not centred, as nothing would be left.
    Vectors are scaled to length 1 first. A simple form of Rocchio's profile (Pazzani & Billsus 2007), without its
    negative term unless centred. Strangers get popularity; items with a zero vector score 0.
    """

    name = "content"
    serves_strangers = False
    arrays = ("vectors",)

    def __init__(self, *, values: str = "value", centred: bool = False) -> None:
        check_values(values)
        self.values, self.centred = values, centred

    def _fit(self, train: Interactions) -> None:
        self.vectors = unit_rows(self._given(train.n_items))

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        weights = as_values(histories, self.values)
        profiles = unit_rows((_centred(weights) if self.centred else weights) @ self.vectors)
        scores = profiles @ self.vectors.T
        return scores.toarray() if sparse.issparse(scores) else scores


class TextToFactors(ALS, VectorModel):
    """ALS in which items without training events get the factors that their text lets expect.

    A ridge regression from vectors to factors is learnt on the items with training events, each counting alike; these
    keep their own factors, so that they score as in ALS. Centred on both sides (the mean factors are not penalised),
    not scaled: unit vectors and TF-IDF weights are on one scale already. reg_text: penalty of a squared coefficient.
    A cold item in a history counts through its text. (Gantner et al. 2010 map attributes to the factors of BPR.)
    """

    name = "text to factors"
    arrays = (*ALS.arrays, "weights", "intercept")

    weights: np.ndarray  # (d, factors) float32
    intercept: np.ndarray  # (factors,) float32

    def __init__(self, *, reg_text: float = 1.0, **als: Any) -> None:
        super().__init__(**als)
        check_positive(reg_text=reg_text)
        self.reg_text = reg_text

    def _fit(self, train: Interactions) -> None:
        vectors = self._given(train.n_items)
        super()._fit(train)
        warm = np.bincount(train.item, minlength=train.n_items) > 0
        self.weights, self.intercept = ridge(vectors[warm], self.item_factors[warm], self.reg_text)
        self.item_factors[~warm] = self.factors_of(vectors[~warm])

    def factors_of(self, vectors: Vectors) -> np.ndarray:
        """Factors (n, factors) float32 that the map expects of vectors (n, d), also for items that came after fit."""
        return vectors @ self.weights + self.intercept


def ridge(vectors: Vectors, targets: np.ndarray, reg: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (d, f) and intercept (f,), float32: least squares from (n, d) to (n, f) plus reg x squared weights.

    Solved in float64 on the smaller side, d or n; sparse vectors are never made dense. The intercept is free.
    """
    vectors, targets = vectors.astype(np.float64), targets.astype(np.float64)
    centre, level = np.asarray(vectors.mean(axis=0)).ravel(), targets.mean(axis=0)
    n, d = vectors.shape
    rest = targets - level
    if d <= n:
        gram = dense(vectors.T @ vectors) - n * np.outer(centre, centre)
        weights = np.linalg.solve(gram + reg * np.eye(d), vectors.T @ rest)
    else:
        gram = dense(vectors @ vectors.T)
        gram = gram - gram.mean(axis=0) - gram.mean(axis=1, keepdims=True) + gram.mean()
        dual = np.linalg.solve(gram + reg * np.eye(n), rest)
        weights = vectors.T @ dual - np.outer(centre, dual.sum(axis=0))
    return weights.astype(np.float32), (level - centre @ weights).astype(np.float32)


def dense(matrix: Vectors) -> np.ndarray:
    """A table from a sparse matrix, or the table itself."""
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def _centred(histories: sparse.csr_matrix) -> sparse.csr_matrix:
    """Values less their row's mean, save for rows whose values are all equal."""
    counts = np.diff(histories.indptr)
    means = np.asarray(histories.sum(axis=1, dtype=np.float64)).ravel() / np.maximum(counts, 1)
    rest = histories.data - np.repeat(means, counts)
    spread = np.bincount(np.repeat(np.arange(len(counts)), counts), np.abs(rest), len(counts))
    level = np.repeat(spread <= 1e-6 * np.abs(means) * counts, counts)
    data = np.where(level, histories.data, rest).astype(np.float32)
    return sparse.csr_matrix((data, histories.indices, histories.indptr), shape=histories.shape)


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows of length 1, float32; zero rows stay zero."""
    squares = vectors.multiply(vectors) if sparse.issparse(vectors) else vectors * vectors
    lengths = np.sqrt(np.asarray(squares.sum(axis=1, dtype=np.float64)).ravel())
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return (sparse.diags(scale, format="csr") @ vectors).astype(np.float32)
