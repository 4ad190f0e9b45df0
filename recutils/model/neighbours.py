"""Neighbourhood models: like items, and like users. No learnt item-to-item weights (ease.py), no vectors here."""

from typing import ClassVar

import numpy as np
from scipy import sparse

from recutils.model.base import Model, as_values, check_values
from recutils.tables import Interactions, Problem

K1, B = 100.0, 0.8  # how soon a value saturates, how much a long row is damped: the defaults of implicit
BLOCK = 512  # rows of similarities made dense at a time: 512 x 6,040 float32 take 12 MB


class Neighbours(Model):
    """What both neighbourhood models share: parameters, similarities with shrinkage, the choice of neighbours.

    similarity: "cosine" of two rows of values; "pearson": the cosine after each row's own mean was taken from its known
    values; "adjusted": the cosine after the other side's mean was taken (items: each user's mean, Sarwar et al. 2001).
    Unknown values stay 0. Pearson's correlation proper takes means and deviations over the pairs that both rows
    know; ours over all that each knows, so that few common values give a small similarity, not +-1.
    neighbours: how many of the most similar count; 0 means all. Only positive similarities count. Equal ones are taken
    in row order. shrink: added to the product of lengths, in squared units of the values; pulls rare rows to 0.
    values: "value" or "binary" (cosine only).
    weighting: "plain", or as a text search reads words, rows being texts and columns words: "tfidf": root of the value
    times the log of how rare the column is; "bm25": a value saturates and counts less in a long row, and the product
    is not divided by the lengths, since long rows are damped already (both as in the library implicit, K1 100, B .8).
    """

    serves_strangers: ClassVar[bool] = False
    arrays: ClassVar[tuple[str, ...]] = ("column_means", "rarity", "row_length")

    column_means: np.ndarray  # (n_columns,) float32, mean known value of each column of the compared rows
    rarity: np.ndarray  # (n_columns,) float32, log of rows over 1 + rows that hold the column
    row_length: np.ndarray  # (1,) float32, mean sum of a row's values

    def __init__(
        self,
        *,
        similarity: str = "cosine",
        neighbours: int = 100,
        shrink: float = 0.0,
        values: str = "value",
        weighting: str = "plain",
    ) -> None:
        check_values(values)
        if similarity not in ("cosine", "pearson", "adjusted") or weighting not in ("plain", "tfidf", "bm25"):
            raise Problem(
                "similarity must be 'cosine', 'pearson' or 'adjusted', weighting 'plain', 'tfidf' or 'bm25'; "
                f"got {similarity!r} and {weighting!r}"
            )
        if similarity != "cosine" and (values == "binary" or weighting != "plain"):
            came = f"values is {values!r} and weighting {weighting!r}"
            raise Problem(
                f"similarity {similarity!r} compares values, but {came}. Use 'value' and 'plain', or 'cosine'."
            )
        if neighbours < 0 or shrink < 0:
            raise Problem(f"neighbours (0 means all) and shrink must be 0 or more; got {neighbours} and {shrink}")
        self.similarity, self.neighbours, self.shrink = similarity, neighbours, shrink
        self.values, self.weighting = values, weighting

    def _learn_columns(self, rows: sparse.csr_matrix) -> None:
        """What is known of the columns of the rows that are compared."""
        counts = np.bincount(rows.indices, minlength=rows.shape[1])
        sums = np.bincount(rows.indices, weights=rows.data, minlength=rows.shape[1])
        self.column_means = (sums / np.maximum(counts, 1)).astype(np.float32)
        self.rarity = (np.log(float(rows.shape[0])) - np.log1p(counts)).astype(np.float32)
        self.row_length = np.array([max(rows.sum(dtype=np.float64) / rows.shape[0], 1e-12)], dtype=np.float32)

    def _compared(self, rows: sparse.csr_matrix) -> sparse.csr_matrix:
        """Rows as they are compared: moved by means or weighted, by what was learnt of the columns."""
        if self.similarity == "pearson":
            return _centred(rows)
        if self.similarity == "adjusted":
            return _moved(rows, self.column_means[rows.indices])
        if self.weighting == "tfidf":
            return _with(rows, np.sqrt(np.maximum(rows.data, 0)) * self.rarity[rows.indices])
        if self.weighting == "bm25":
            damping = (1 - B) + B * np.asarray(rows.sum(axis=1)).ravel() / self.row_length
            damping = np.repeat(damping, np.diff(rows.indptr))
            return _with(rows, rows.data * (K1 + 1) / (K1 * damping + rows.data) * self.rarity[rows.indices])
        return rows

    def _scale(self, block: sparse.csr_matrix, lengths: np.ndarray) -> np.ndarray:
        """What products of rows are divided by (n_block, n_others); ones and the shrinkage for bm25."""
        if self.weighting == "bm25":
            return np.full((block.shape[0], len(lengths)), np.float32(1 + self.shrink))
        return _lengths(block)[:, None] * lengths + np.float32(self.shrink)

    def _nearest(self, rows: sparse.csr_matrix, others: sparse.csr_matrix, *, same: bool = False) -> sparse.csr_matrix:
        """Similarities (n_rows, n_others) csr of each row to its nearest; same: a row is not its own neighbour."""
        turned, lengths = others.T.tocsr(), _lengths(others)
        found = []
        for first in range(0, rows.shape[0], BLOCK):
            block = rows[first : first + BLOCK]
            product = (block @ turned).toarray()
            scale = self._scale(block, lengths)
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
    arrays = (*Neighbours.arrays, "weights")

    weights: sparse.csr_matrix  # (n_items, n_items) float32, column j holds the similarities of item j's neighbours

    def _fit(self, train: Interactions) -> None:
        by_item = train.matrix(self.values).T.tocsr()
        self._learn_columns(by_item)
        by_item = self._compared(by_item)
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
    arrays = (*Neighbours.arrays, "known")

    known: sparse.csr_matrix  # (n_users, n_items) float32, the training values

    def _fit(self, train: Interactions) -> None:
        self.known = train.matrix(self.values)
        self._learn_columns(self.known)

    def _score(self, histories: sparse.csr_matrix) -> np.ndarray:
        compared = self._compared(as_values(histories, self.values))
        return (self._nearest(compared, self._compared(self.known)) @ self.known).toarray()


def _centred(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Stored values less their row's mean."""
    counts = np.diff(rows.indptr)
    means = np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel() / np.maximum(counts, 1)
    return _moved(rows, np.repeat(means, counts))


def _moved(rows: sparse.csr_matrix, means: np.ndarray) -> sparse.csr_matrix:
    """Stored values less means (n_stored,); what only rounding leaves over becomes 0."""
    rest = rows.data - means
    rest[np.abs(rest) <= 1e-6 * np.abs(means)] = 0
    return _with(rows, rest)


def _with(rows: sparse.csr_matrix, data: np.ndarray) -> sparse.csr_matrix:
    """The same stored places with other values, float32."""
    return sparse.csr_matrix((data.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)


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
