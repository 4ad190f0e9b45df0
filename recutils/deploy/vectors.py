"""Item vectors in fewer bytes by product quantisation, and how many near items any storing loses. No encoder here.

Plain shortening of each number (fp16, int8, 1 bit) is encode/reduce.py's `store`.
"""

from dataclasses import dataclass

import numpy as np

from recutils.encode.index import unit
from recutils.encode.reduce import store
from recutils.encode.search import nearest
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Quantised:
    """Vectors as numbers of the nearest of a few typical pieces. codes: (n, bytes of a vector) uint8.

    codebook_bytes: of the typical pieces, once for all vectors. read: what the codes stand for, (n, d) float32.
    """

    codes: np.ndarray
    codebook_bytes: int
    read: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of codes and codebook together."""
        return self.codes.nbytes + self.codebook_bytes


def quantised(vectors: np.ndarray, pieces: int, *, bits: int = 8, seed: int = 0) -> Quantised:
    """Product quantisation (Jégou, Douze and Schmid 2011, by faiss): each vector is cut into `pieces` runs of numbers,
    each run is replaced by the nearest of 2^bits typical runs (k-means over these very vectors).

    Raises Problem when the width is no multiple of pieces, or there are fewer vectors than typical runs.
    """
    import faiss

    n, d = vectors.shape
    if pieces < 1 or d % pieces:
        raise Problem(f"pieces must divide the width {d}; got {pieces}")
    if n < 2**bits:
        raise Problem(f"{2**bits} typical runs need as many vectors at least; got {n}. Lower bits.")
    given = unit(vectors)
    made = faiss.ProductQuantizer(d, pieces, bits)
    made.cp.seed, made.cp.min_points_per_centroid = seed, 1  # faiss warns below 39 a centroid; these are all there are
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # so that a second run gives the same codes
    made.train(given)
    codes = made.compute_codes(given)
    faiss.omp_set_num_threads(before)
    return Quantised(codes, 4 * d * 2**bits, made.decode(codes))


def stored_ways(vectors: np.ndarray, pieces: tuple[int, ...], *, bits: int = 8) -> dict[str, tuple[np.ndarray, int]]:
    """Name -> what is read back (n, d) and its bytes: float32, float16, int8 and product quantisation."""
    kinds = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
    found = {}
    for name, kind in kinds.items():
        one = store(vectors, kind)
        found[name] = (one.vectors(), one.nbytes)
    for number in pieces:
        short = quantised(vectors, number, bits=bits)
        found[f"product, {number} pieces"] = (short.read, short.nbytes)
    return found


def kept_neighbours(read: np.ndarray, exact: np.ndarray, k: int = 10) -> np.ndarray:
    """recall@k (n,) of each vector's true neighbours, itself left out, when vectors are stored; queries stay exact."""
    if not 1 <= k < len(exact):
        raise Problem(f"k must lie in 1..{len(exact) - 1}; got {k}")
    truth, found = (_others(rows, exact, k) for rows in (exact, read))
    return np.array([len(set(a) & set(b)) / k for a, b in zip(truth.tolist(), found.tolist(), strict=True)])


def _others(stored: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Rows (n, k) of the nearest stored vectors, the query's own row left out."""
    rows = nearest(stored, queries, k + 1).rows
    own = rows == np.arange(len(queries))[:, None]
    own[~own.any(axis=1), -1] = True  # where the own row is not found, the last place goes
    return rows[~own].reshape(len(queries), k)
