"""Neighbours by faiss: exact (Flat) and by a graph (HNSW), the graph's recall, and larger sets made of real vectors.

`search.nearest` needs no faiss and rounds ties; these two are for many vectors. No texts, no ranking for users here.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recutils.encode.search import Neighbours, nearest
from recutils.tables import Problem

MIXED = 10  # a made vector is mixed from a real one and two of so many nearest neighbours
EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
PIECE = 50_000  # vectors made at a time
SLACK = 1e-5  # cosines this close count as equal: two exact searches differ by as much in the last bits


class Flat:
    """Exact neighbours by cosine: every query meets every vector (faiss IndexFlatIP), on one thread."""

    def __init__(self, vectors: np.ndarray) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(_checked(vectors).shape[1])
        self._index.add(unit(vectors))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def nearest(self, queries: np.ndarray, k: int) -> Neighbours:
        """The k nearest rows of each query (m, d), nearest first."""
        return _ask(self._index, queries, k, len(self))


class Graph:
    """Neighbours by cosine in a hierarchical navigable small world graph (Malkov & Yashunin 2018, faiss IndexHNSWFlat).

    links: neighbours kept of each vector (M; twice as many on the lowest level). build: candidates looked at while a
    vector is added (efConstruction). Built and asked on one thread, so that the same vectors give the same graph.
    """

    def __init__(self, vectors: np.ndarray, *, links: int = 16, build: int = 80) -> None:
        if links < 2 or build < links:
            raise Problem(f"links must be at least 2 and build at least links; got {links} and {build}")
        import faiss

        self._index = faiss.IndexHNSWFlat(_checked(vectors).shape[1], links, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = build
        with _one_thread():
            self._index.add(unit(vectors))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def nearest(self, queries: np.ndarray, k: int, *, effort: int = 64) -> Neighbours:
        """About the k nearest rows of each query (m, d), nearest first; -1 where the graph led nowhere.

        effort: candidates kept on the way (efSearch), at least k: more finds more and takes longer.
        """
        self._index.hnsw.efSearch = effort
        return _ask(self._index, queries, k, min(len(self), effort))


def _checked(vectors: np.ndarray) -> np.ndarray:
    if vectors.ndim != 2 or len(vectors) == 0:
        raise Problem(f"vectors must have the shape (n, d) with n of at least 1; got {vectors.shape}")
    return vectors


def _ask(index: Any, queries: np.ndarray, k: int, most: int) -> Neighbours:
    """One search of a faiss index."""
    queries = np.atleast_2d(queries)
    if queries.shape[1] != index.d:
        raise Problem(f"queries must have {index.d} numbers each, as the index's vectors; got {queries.shape}")
    if not 1 <= k <= most:
        raise Problem(f"k must lie in 1..{most} (the number of vectors, or the effort); got {k}")
    with _one_thread():
        cosine, rows = index.search(unit(queries), k)
    return Neighbours(rows.astype(np.int32), cosine.astype(np.float32))


def recall(found: Neighbours, truth: Neighbours) -> np.ndarray:
    """Share (m,) of the k places filled with a row as near as the true k-th, so that ties count as found.

    >>> exact = Neighbours(np.array([[0, 1]]), np.array([[0.9, 0.5]]))
    >>> recall(Neighbours(np.array([[0, 7]]), np.array([[0.9, 0.1]])), exact).tolist()
    [0.5]
    """
    if found.cosine.shape != truth.cosine.shape:
        raise Problem(f"found {found.cosine.shape} and truth {truth.cosine.shape} must have one shape (queries, k)")
    return ((found.cosine >= truth.cosine[:, -1:] - SLACK) & (found.rows >= 0)).mean(axis=1)


def least_effort(graph: Graph, queries: np.ndarray, truth: Neighbours, wanted: float, efforts: Sequence[int]) -> int:
    """The smallest effort whose recall over these queries surely reaches `wanted`; the largest tried when none does.

    Surely: the mean less two standard errors. Judge it on other queries than these.
    """
    k = truth.rows.shape[1]
    for effort in sorted(efforts):
        found = recall(graph.nearest(queries, k, effort=effort), truth)
        if found.mean() - 2 * found.std() / np.sqrt(len(found)) >= wanted:
            return effort
    return max(efforts)


def milliseconds(ask: Callable[[np.ndarray], object], queries: np.ndarray) -> np.ndarray:
    """Time (m,) of each query asked alone, ms; to be shown, never to be recorded as a result."""
    spent = np.empty(len(queries))
    for row, query in enumerate(queries):
        started = time.perf_counter()
        ask(query[None])
        spent[row] = 1000 * (time.perf_counter() - started)
    return spent


def enlarged(vectors: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n vectors (n, d) of length 1 made from real ones, so that their distances resemble those of real texts.

    Each is a mixture of a real vector and two of its ten nearest neighbours, with weights drawn uniformly among those
    that sum to 1. Made vectors serve to measure speed and recall; they stand for no text. Zero vectors are left out.
    """
    real = unit(vectors[np.linalg.norm(vectors, axis=1) > 0])
    if len(real) <= MIXED:
        raise Problem(f"at least {MIXED + 1} vectors that are not zero are needed to mix from; got {len(real)}")
    near = nearest(real, real, MIXED + 1).rows[:, 1:]
    first = np.resize(rng.permutation(len(real)), n)
    made = np.empty((n, real.shape[1]), dtype=np.float32)
    for start in range(0, n, PIECE):
        some = first[start : start + PIECE]
        parts = [some, *(near[some, rng.integers(MIXED, size=len(some))] for _ in range(2))]
        shares = rng.dirichlet(np.ones(3), size=len(some)).astype(np.float32)
        made[start : start + PIECE] = sum(real[rows] * shares[:, [number]] for number, rows in enumerate(parts))
    return unit(made)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, contiguous float32; zero rows stay zero. Raises Problem for values that are not finite."""
    if not np.isfinite(vectors).all():
        raise Problem("vectors hold NaN or infinity; cosines need finite numbers. Encode these texts again.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """faiss on one thread; the caller's number comes back."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Trial:
    """How the graph did against exact search. recall (n_queries,); exact_ms, graph_ms: one query each; built: s."""

    size: int
    effort: int
    recall: np.ndarray
    exact_ms: np.ndarray
    graph_ms: np.ndarray
    built: float


def trial(
    real: np.ndarray, size: int, *, k: int = 10, wanted: float = 0.99, n_queries: int = 500, seed: int = 0
) -> Trial:
    """Build both indexes on `size` vectors made of real ones; choose the effort on some queries, judge it on others."""
    made = enlarged(real, size + 2 * n_queries, np.random.default_rng(seed))
    known, chosen, judged = np.split(made, [size, size + n_queries])
    flat, started = Flat(known), time.perf_counter()
    graph = Graph(known)
    built = time.perf_counter() - started
    effort = least_effort(graph, chosen, flat.nearest(chosen, k), wanted, EFFORTS)
    found = recall(graph.nearest(judged, k, effort=effort), flat.nearest(judged, k))
    exact_ms = milliseconds(partial(flat.nearest, k=k), judged[:100])
    return Trial(size, effort, found, exact_ms, milliseconds(partial(graph.nearest, k=k, effort=effort), judged), built)
