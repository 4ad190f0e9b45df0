"""Neighbourhood models: like items, and like users. No learnt item-to-item weights (ease.py), no vectors here."""

from typing import ClassVar

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem

BLOCK = 512  # rows of similarities made dense at a time: 512 x 6,040 float32 take 12 MB


class Neighbours(Model):
    """What both neighbourhood models share: their parameters, cosine with shrinkage, and the choice of neighbours.

    similarity: "cosine" of two rows of values, or "pearson": the cosine after each row's own mean was taken from its
    known values. Unknown values stay 0 in both. Pearson's correlation proper takes means and deviations over the pairs
    that both rows know; ours over all that each knows, so that few common values give a small similarity, not +-1.
    neighbours: how many of the most similar count; 0 means all. Only positive similarities count. Equal ones are taken
    in row order. shrink: added to the product of lengths, in squared units of the values; pulls rare rows to 0.
    values: "value" or "binary" (cosine only).
    """

    serves_strangers: ClassVar[bool] = False

    def __init__(
        self, *, similarity: str = "cosine", neighbours: int = 100, shrink: float = 0.0, values: str = "value"
    ) -> None:
        check_values(values)
        if similarity not in ("cosine", "pearson"):
            raise Problem(f"similarity must be 'cosine' or 'pearson'; got {similarity!r}")
        if similarity == "pearson" and values == "binary":
            raise Problem("similarity 'pearson' compares values, but values is 'binary'. Use 'value', or 'cosine'.")
        if neighbours < 0 or shrink < 0:
            raise Problem(f"neighbours (0 means all) and shrink must be 0 or more; got {neighbours} and {shrink}")
        self.similarity, self.neighbours, self.shrink, self.values = similarity, neighbours, shrink, values

    def _compared(self, rows: sparse.csr_matrix) -> sparse.csr_matrix:
        """Rows as they are compared: as they are for the cosine, less each row's mean for Pearson."""
        return rows if self.similarity == "cosine" else _centred(rows)

    def _nearest(self, rows: sparse.csr_matrix, others: sparse.csr_matrix, *, same: bool = False) -> sparse.csr_matrix:
        """Similarities (n_rows, n_others) csr of each row to its nearest; same: a row is not its own neighbour."""
        turned, lengths = others.T.tocsr(), _lengths(others)
        found = []
        for first in range(0, rows.shape[0], BLOCK):
            block = rows[first : first + BLOCK]
            product = (block @ turned).toarray()
            scale = _lengths(block)[:, None] * lengths + np.float32(self.shrink)
            near = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
            if same:
                near[np.arange(len(near)), first + np.arange(len(near))] = 0
            found.append(sparse.csr_matrix(_largest(near, self.neighbours)))
        return sparse.vstack(found, format="csr")


class ItemNeighbours(Neighbours):
    """Items like those of the history (Sarwar et al. 2001): the sum of similarity x value over an item's neighbours.

    The neighbours are the item's own, whether the history holds them or not. The sum is not divided by the similarities
    (as it is to predict a rating), since for a list many like items are better than one.
    Strangers get popularity; so do histories that meet no neighbour of any item.
    """

    name = "item neighbours"
    arrays = ("weights",)

    weights: sparse.csr_matrix  # (n_items, n_items) float32, column j holds the similarities of item j's neighbours

    def _fit(self, train: Interactions) -> None:
        by_item = self._compared(train.matrix(self.values).T.tocsr())
        self.weights = self._nearest(by_item, by_item, same=True).T.tocsr()

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return (as_values(histories, self.values) @ self.weights).toarray()


class UserNeighbours(Neighbours):
    """What like users met (Resnick et al. 1994): the sum of similarity x value over a history's nearest training users.

    A training user is his own nearest neighbour: he takes one of the places and adds nothing to what he has not seen.
    The sum is not divided by the similarities (as it is to predict a rating).
    Strangers get popularity; so do histories that are like nobody's.
    """

    name = "user neighbours"
    arrays = ("known",)

    known: sparse.csr_matrix  # (n_users, n_items) float32, the training values

    def _fit(self, train: Interactions) -> None:
        self.known = train.matrix(self.values)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        compared = self._compared(as_values(histories, self.values))
        return (self._nearest(compared, self._compared(self.known)) @ self.known).toarray()


def _centred(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Stored values less their row's mean; what only rounding leaves over becomes 0."""
    counts = np.diff(rows.indptr)
    means = np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel() / np.maximum(counts, 1)
    means = np.repeat(means, counts)
    rest = rows.data - means
    rest[np.abs(rest) <= 1e-6 * np.abs(means)] = 0
    return sparse.csr_matrix((rest.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)


def _lengths(rows: sparse.csr_matrix) -> np.ndarray:
    """Euclidean length (n,) float32 of each row."""
    return np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1))).ravel().astype(np.float32)


def _largest(near: np.ndarray, k: int) -> np.ndarray:
    """The k largest positive entries of each row, others 0; entries equal to the k-th are taken in column order."""
    near = np.maximum(near, 0)
    if not 0 < k < near.shape[1]:
        return near
    floor = np.partition(near, -k, axis=1)[:, [-k]]
    above, level = near > floor, near == floor
    room = k - above.sum(axis=1, keepdims=True)
    return np.where(above | (level & (level.cumsum(axis=1) <= room)), near, 0)
