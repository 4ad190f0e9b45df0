"""Who may know whom: scores of pairs of people from a graph of friends. Nothing is held out or judged here.

All functions take a graph (n, n) csr, symmetric, stored entries are edges, and give scores (n, n) float32, higher is
likelier; the diagonal and known edges are not masked (rank.top does that).
"""

import numpy as np
from scipy import sparse

from recutils.model.content import Vectors, dense, unit_rows


def degrees(graph: sparse.csr_matrix) -> np.ndarray:
    """Friends of each person, (n,) float32."""
    return np.diff(graph.indptr).astype(np.float32)


def most_connected(graph: sparse.csr_matrix) -> np.ndarray:
    """The trivial rule: everybody is shown the people with the most friends."""
    return np.tile(degrees(graph), (graph.shape[0], 1))


def common(graph: sparse.csr_matrix) -> np.ndarray:
    """How many friends two people share (Newman 2001).

    >>> common(sparse.csr_matrix([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]))[0].tolist()
    [2.0, 0.0, 0.0, 2.0]
    """
    return dense(_ones(graph) @ _ones(graph))


def adamic_adar(graph: sparse.csr_matrix) -> np.ndarray:
    """Shared friends, each weighing 1 / log of its own friends: a friend of few says more (Adamic & Adar 2003)."""
    ones = _ones(graph)
    weights = 1 / np.log(np.maximum(degrees(graph), 2))
    return dense(ones @ sparse.diags(weights.astype(np.float32)) @ ones)


def alike(vectors: Vectors) -> np.ndarray:
    """Cosine of what is known of two people, (n, d) vectors; a zero row is like nobody."""
    unit = unit_rows(vectors)
    return np.asarray(dense(unit @ unit.T), dtype=np.float32)


def _ones(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    made = graph.astype(np.float32, copy=True)
    made.data[:] = 1
    return made
