"""What is done to vectors after the encoder: directions taken away, dimensions cut, digits dropped. No text, no model.

Every step is fitted on item vectors alone and then used on users' vectors too: nothing is learnt from who met what.
"""

from dataclasses import dataclass

import numpy as np

from recutils.tables import Problem

STEPS = ("none", "centre", "top", "whiten", "pca", "cut")
N_TOP = 3  # directions that "top" takes away; Mu & Viswanath advise d / 100, which is 3 or 4 for MiniLM
SMALLEST = 1e-6  # share of the largest variance below which "whiten" takes a direction for empty
KINDS = {"fp32": 32, "fp16": 16, "int8": 8, "1 bit": 1}  # bits of a number


@dataclass(frozen=True, eq=False)
class Step:
    """A fitted step: (vectors - mean) @ matrix, then rows of length 1. mean (d,), matrix (d, width), float32."""

    name: str
    mean: np.ndarray
    matrix: np.ndarray

    @property
    def width(self) -> int:
        """Numbers in a vector after the step."""
        return self.matrix.shape[1]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (n, width) float32 of length 1, a new table; zero rows (empty texts) stay zero.

        Raises Problem when the vectors have another width than those of the fit.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise Problem(f"step {self.name!r} was fitted on vectors (n, {len(self.mean)}); got {vectors.shape}")
        there = vectors.any(axis=1, keepdims=True)
        return unit(np.where(there, (vectors - self.mean) @ self.matrix, 0))


def fit_step(vectors: np.ndarray, name: str, *, width: int | None = None, n_top: int = N_TOP) -> Step:
    """A step fitted on item vectors (n, d); rows of zeros are left out of the fit.

    name: "none"; "centre" takes the mean away; "top" the mean and the n_top directions of most variance
    (all-but-the-top, Mu & Viswanath 2018); "whiten" gives all directions one variance (Su et al. 2021); "pca" keeps the
    `width` directions of most variance; "cut" the first `width` numbers as they are (for models trained to bear it).
    width: numbers kept, for all but "none", "centre" and "top"; None keeps all that hold any variance.
    Raises Problem for an unknown name, fewer than two texts with vectors, and a width that these do not allow.
    """
    if name not in STEPS:
        raise Problem(f"there is no step {name!r}; expected one of {', '.join(STEPS)}")
    filled = vectors[vectors.any(axis=1)].astype(np.float64)
    if len(filled) < 2 or not np.isfinite(filled).all():
        raise Problem(f"a step is fitted on at least two finite vectors of texts; got {len(filled)} that are not empty")
    d = filled.shape[1]
    mean = np.zeros(d) if name in ("none", "cut") else filled.mean(axis=0)
    matrix = _matrix(filled - mean, name, _checked_width(width, len(filled), d, name), n_top)
    return Step(name, mean.astype(np.float32), matrix.astype(np.float32))


def _checked_width(width: int | None, n: int, d: int, name: str) -> int:
    if name in ("none", "centre", "top"):
        if width is not None:
            raise Problem(f"step {name!r} keeps all {d} numbers; width is for 'whiten', 'pca' and 'cut'")
        return d
    most = d if name == "cut" else min(d, n - 1)
    if width is not None and not 1 <= width <= most:
        raise Problem(f"width must lie in 1..{most} for {name!r} of {n} vectors of {d} numbers; got {width}")
    return most if width is None else width


def _matrix(centred: np.ndarray, name: str, width: int, n_top: int) -> np.ndarray:
    """(d, width) float64 by which centred vectors are multiplied."""
    d = centred.shape[1]
    if name in ("none", "centre", "cut"):
        return np.eye(d)[:, :width]
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if name == "top":
        if not 0 <= n_top < d:
            raise Problem(f"n_top must lie in 0..{d - 1} directions; got {n_top}")
        return np.eye(d) - directions[:n_top].T @ directions[:n_top]
    kept = np.flatnonzero(spread**2 > SMALLEST * spread[0] ** 2)[:width]
    scale = 1 / spread[kept] if name == "whiten" else np.ones(len(kept))
    return directions[kept].T * scale


@dataclass(frozen=True, eq=False)
class Stored:
    """Vectors as they would lie in an index: codes, and a factor for each row where codes are whole numbers."""

    kind: str
    codes: np.ndarray
    factors: np.ndarray | None
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes of codes and factors together."""
        return self.codes.nbytes + (0 if self.factors is None else self.factors.nbytes)

    def vectors(self) -> np.ndarray:
        """What is read back: (n, width) float32."""
        if self.kind == "1 bit":
            return np.unpackbits(self.codes, axis=1, count=self.width).astype(np.float32) * 2 - 1
        values = self.codes.astype(np.float32)
        return values if self.factors is None else values * self.factors[:, None]


def store(vectors: np.ndarray, kind: str) -> Stored:
    """Vectors (n, d) in fewer bits. kind: "fp32", "fp16", "int8" (one factor a row) or "1 bit" (signs only).

    int8: round(127 v / max |v|), so that no number is off by more than half a step; a zero row stays zero. "1 bit"
    keeps whether a number is above 0: centre the vectors first; a zero row reads as all -1 and is told from no other.
    """
    if kind not in KINDS:
        raise Problem(f"there is no way to store {kind!r}; expected one of {', '.join(KINDS)}")
    if not np.isfinite(vectors).all():
        raise Problem("vectors hold NaN or infinity; encode those texts again")
    width = vectors.shape[1]
    if kind == "1 bit":
        return Stored(kind, np.packbits(vectors > 0, axis=1), None, width)
    if kind != "int8":
        return Stored(kind, vectors.astype(np.float16 if kind == "fp16" else np.float32), None, width)
    factors = (np.abs(vectors).max(axis=1) / 127).astype(np.float32)
    codes = np.round(vectors / np.where(factors > 0, factors, 1)[:, None]).astype(np.int8)
    return Stored(kind, codes, factors, width)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; zero rows stay zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def mean_cosine(vectors: np.ndarray) -> float:
    """The mean cosine of two different rows that are not zero: near 0 when directions are used evenly.

    >>> round(mean_cosine(np.array([[3.0, 0.0], [3.0, 4.0], [0.0, 0.0]])), 3)
    0.6
    """
    filled = unit(vectors[vectors.any(axis=1)]).astype(np.float64)
    n = len(filled)
    if n < 2:
        raise Problem(f"a mean cosine needs at least two vectors that are not zero; got {n}")
    return float((np.linalg.norm(filled.sum(axis=0)) ** 2 - (filled**2).sum()) / (n * (n - 1)))
