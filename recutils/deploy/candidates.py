"""Which items are looked at for a query: through a faiss index of texts' vectors, or of a factor model's items.

Small catalogues are searched exactly (Flat is the truth), large ones through a graph (HNSW), which misses a place now
and then (benchmarks/bench_search.py tells how often). Whatever the index names is scored again exactly and ordered
here, ties by ascending row. Models without factors (EASE, neighbours) score every item: that is one product with the
few rows of the items in a history, and the table of all pairs that they need ends long before the catalogues for which
an index would pay.
"""

import numpy as np

from recutils.encode.index import Flat, Graph, unit
from recutils.rank.search import DEPTH

GRAPH_FROM = 50_000  # items: below, exact search by faiss takes a millisecond or so (benchmarks/bench_search.py)
SPARE = 50  # candidates beyond those asked for, so that ties at the end are ordered by us
EFFORT = 256  # of the graph, at least


class Nearest:
    """Items by the cosine of their vectors (n, d). graph_from: size from which the graph stands in for exact search."""

    def __init__(self, vectors: np.ndarray, *, graph_from: int = GRAPH_FROM) -> None:
        self.vectors = unit(vectors)
        self._index = Flat(self.vectors) if len(vectors) < graph_from else Graph(self.vectors)

    def scores(self, query: np.ndarray, k: int) -> np.ndarray:
        """(1, n) float32: the cosines of at least k candidates, and as many as a fusion reads; -inf elsewhere."""
        rows = self.rows(query, max(k, DEPTH))
        return _filled(len(self.vectors), rows, unit(np.atleast_2d(query)) @ self.vectors[rows].T)

    def rows(self, query: np.ndarray, k: int) -> np.ndarray:
        """The nearest rows, k and some to spare, in no order that counts."""
        most = min(len(self.vectors), k + SPARE)
        if isinstance(self._index, Graph):
            found = self._index.nearest(query, most, effort=max(EFFORT, most)).rows[0]
        else:
            found = self._index.nearest(query, most).rows[0]
        return found[found >= 0]


class Factors:
    """Items by the inner product of their factors (n, f) with a person's, for large catalogues.

    An index knows cosines, a factor model inner products. One more number for each item makes all of one length, and
    then the nearest by cosine are the largest by product (Bachrach et al. 2014, "Speeding up the Xbox recommender").
    """

    def __init__(self, factors: np.ndarray, *, graph_from: int = GRAPH_FROM) -> None:
        self._factors = np.ascontiguousarray(factors, dtype=np.float32)
        squares = (self._factors.astype(np.float64) ** 2).sum(axis=1)
        more = np.sqrt(np.maximum(squares.max() - squares, 0))
        self._index = Nearest(np.column_stack([self._factors, more]), graph_from=graph_from)

    def scores(self, person: np.ndarray, k: int) -> np.ndarray:
        """(1, n) float32: the products of at least k candidates with (1, f); -inf elsewhere."""
        rows = self._index.rows(np.column_stack([person, [[0.0]]]), k)
        return _filled(len(self._factors), rows, person @ self._factors[rows].T)


def _filled(n: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    found = np.full((1, n), -np.inf, dtype=np.float32)
    found[0, rows] = values[0]
    return found
