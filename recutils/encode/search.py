"""Exact nearest neighbours by cosine, in blocks. No index structure and no ranking for users here."""

from dataclasses import dataclass

import numpy as np

from recutils.tables import Problem

BLOCK = 256  # queries at a time: 256 x 100,000 float32 cosines take 100 MB
DECIMALS = 6  # products of equal vectors differ in the last bits by where they stand; rounded, they tie on any machine


@dataclass(frozen=True, eq=False)
class Neighbours:
    """rows (n_queries, k) int32, nearest first; cosine (n_queries, k) float32, rounded to six decimals."""

    rows: np.ndarray
    cosine: np.ndarray


def nearest(vectors: np.ndarray, queries: np.ndarray, k: int, *, block: int = BLOCK) -> Neighbours:
    """The k rows of `vectors` with the largest cosine to each query; equal cosines by ascending row.

    vectors (n, d), queries (m, d) or one (d,); neither need be scaled. A zero vector (an empty text) has cosine 0 to
    all. A row that is its own query is its own first neighbour: ask for k + 1 and drop it.
    Raises Problem for shapes that do not fit, values that are not finite and a k outside 1..n.

    >>> nearest(np.eye(3), np.array([1.0, 0.5, 0.0]), k=2).rows
    array([[0, 1]], dtype=int32)
    """
    queries = np.atleast_2d(queries)
    if vectors.ndim != 2 or queries.ndim != 2 or vectors.shape[1] != queries.shape[1]:
        raise Problem(f"vectors (n, d) and queries (m, d) must share d; got {vectors.shape} and {queries.shape}.")
    if not 1 <= k <= len(vectors):
        raise Problem(f"k must lie in 1..{len(vectors)} (the number of vectors); got {k}")
    if block < 1:
        raise Problem(f"block must be at least 1 query; got {block}")
    known, asked = _scaled(vectors, "vectors"), _scaled(queries, "queries")
    found = [_best(asked[start : start + block] @ known.T, k) for start in range(0, len(asked), block)]
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty((0, k), np.int32)
    cosine = np.concatenate([cosine for _, cosine in found]) if found else np.empty((0, k), np.float32)
    return Neighbours(rows, cosine)


def _scaled(vectors: np.ndarray, name: str) -> np.ndarray:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise Problem(f"{name}: row {bad} holds NaN or infinity; cosines need finite numbers. Encode that text again.")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _best(cosine: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines of the k largest of each line: those above the k-th first, ties by ascending row."""
    cosine = np.round(cosine, DECIMALS) + np.float32(0)  # + 0 makes -0.0 equal to 0.0
    floor = np.partition(cosine, -k, axis=1)[:, -k]
    rows = np.empty((len(cosine), k), dtype=np.int32)
    for line, (values, least) in enumerate(zip(cosine, floor, strict=True)):
        candidates = np.flatnonzero(values >= least)
        rows[line] = candidates[np.argsort(-values[candidates], kind="stable")[:k]]
    return rows, np.take_along_axis(cosine, rows, axis=1)
