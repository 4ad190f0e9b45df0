"""Counts as confidence: ALS whose events weigh by how often something was played or bought. No ratings (svd.py)."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.neighbours import K1, B
from recutils.tables import Interactions, Problem

WEIGHTINGS = ("binary", "raw", "log", "share", "rank", "bm25")


class CountsALS(ALS):
    """ALS in which `weighting` turns an event's count into its strength, which `alpha` multiplies.

    binary: 1. raw: the count. log: log(1 + count). share: the count over the mean count of the same history. rank: the
    share of the history's counts that are not larger, ties by their mean. bm25: the count saturates, counts less for an
    item with many counts altogether, and less in a long history (items as texts, people as words, K1 100, B .8: what
    the library implicit proposes for listening counts).
    Strengths are divided by their mean over the training events, so that one alpha means the same for all weightings.
    A history is weighed as in training; what bm25 needs of the items is learnt there. `values` of ALS is not read.
    Strangers get popularity. Raises Problem for an unknown weighting and for negative counts.
    """

    name = "als of counts"
    arrays = (*ALS.arrays, "damping", "unit")

    damping: np.ndarray  # (n_items,) float32: 1 - B + B x an item's counts over the mean item's
    unit: np.ndarray  # (1,) float32: mean strength of the training events before the division

    def __init__(self, *, weighting: str = "log", **als: Any) -> None:
        if weighting not in WEIGHTINGS:
            raise Problem(f"weighting must be one of {', '.join(WEIGHTINGS)}; got {weighting!r}")
        super().__init__(**als)
        self.weighting = weighting

    def _fit(self, train: Interactions) -> None:
        histories = train.matrix()
        sums = np.asarray(histories.sum(axis=0, dtype=np.float64)).ravel()
        self.damping = ((1 - B) + B * sums / max(sums.mean(), 1e-12)).astype(np.float32)
        mean = self._weights(histories).mean()
        self.unit = np.array([mean if mean > 0 else 1.0], dtype=np.float32)
        super()._fit(train)

    def _strengths(self, histories: sparse.csr_matrix) -> sparse.csr_matrix:
        data = (self._weights(histories) / self.unit[0]).astype(np.float32)
        return sparse.csr_matrix((data, histories.indices, histories.indptr), shape=histories.shape)

    def _weights(self, histories: sparse.csr_matrix) -> np.ndarray:
        """The weight (nnz,) float64 of each stored count."""
        counts = histories.data.astype(np.float64)
        if self.weighting == "binary":
            return np.ones(len(counts))
        if self.weighting == "log":
            return np.log1p(np.maximum(counts, 0))
        if self.weighting == "bm25":
            lengths = np.repeat(np.diff(histories.indptr), np.diff(histories.indptr))
            rarity = np.maximum(np.log(histories.shape[1]) - np.log1p(lengths), 0)
            return counts * (K1 + 1) / (K1 * self.damping[histories.indices] + counts) * rarity
        return counts if self.weighting == "raw" else self._within(histories, counts)

    def _within(self, histories: sparse.csr_matrix, counts: np.ndarray) -> np.ndarray:
        """Counts against those of the same history: their share of its mean, or their rank."""
        rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        grouped = pd.Series(counts).groupby(rows)
        if self.weighting == "rank":
            return grouped.rank(pct=True).to_numpy()
        means = grouped.transform("mean").to_numpy()
        return np.divide(counts, means, out=np.ones(len(counts)), where=means > 0)
