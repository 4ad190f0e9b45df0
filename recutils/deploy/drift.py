"""Has what arrives changed? PSI and KS of a window against a reference, and the reference's file. No counting
(window.py) and no thresholds (alerts.py).

PSI, the population stability index, is the sum of (p - q) ln(p / q) over cells with shares p and q. Two samples of one
population do not give 0 but about (B - 1)(1/n + 1/m) for B cells (a chi-square's mean; Yurdakul & Naranjo 2020):
`excess` takes that away. Requests of one visit resemble each other, so that the true chance part is larger still;
thresholds must be learnt from real quiet traffic.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse, stats

from recutils import runs
from recutils.tables import Problem

BINS = 10  # of PSI
CELLS = 40  # of KS: its distance is read at the reference's quantiles, so it is up to 1/40 too small
LEAST = 100  # values below which nothing is said of a window
DIMENSIONS = 3  # numbers that describe a taste
HALF = 0.5  # added to every count, so that an empty cell gives no infinite PSI


def psi(expected: np.ndarray, came: np.ndarray) -> np.ndarray:
    """PSI of counts (..., B) against counts (B,) of the reference, half a count added to each: (...).

    >>> round(float(psi(np.array([500, 500]), np.array([300, 700]))), 3)
    0.169
    """
    q = (np.asarray(expected, dtype=float) + HALF) / (np.sum(expected) + HALF * len(expected))
    p = (np.asarray(came, dtype=float) + HALF) / (np.sum(came, axis=-1, keepdims=True) + HALF * len(expected))
    return ((p - q) * np.log(p / q)).sum(axis=-1)


def by_chance(n_bins: int, n_reference: float, n_window: np.ndarray | float) -> np.ndarray:
    """What PSI is on average when nothing changed and all requests are independent.

    >>> round(float(by_chance(10, 1000, 500)), 4)
    0.027
    """
    return (n_bins - 1) * (1 / n_reference + 1 / np.maximum(n_window, 1))


def excess(expected: np.ndarray, came: np.ndarray) -> np.ndarray:
    """PSI without its chance part: about 0 on average when nothing changed; may be negative."""
    return psi(expected, came) - by_chance(len(expected), np.sum(expected), np.sum(came, axis=-1))


def ks(expected: np.ndarray, came: np.ndarray) -> np.ndarray:
    """The largest distance between the two cumulative shares over ordered cells: (...), 0..1.

    >>> round(float(ks(np.array([500, 500]), np.array([300, 700]))), 3)
    0.2
    """
    q = np.cumsum(expected) / np.sum(expected)
    p = np.cumsum(came, axis=-1) / np.maximum(np.sum(came, axis=-1, keepdims=True), 1)
    return np.abs(p - q).max(axis=-1)


def ks_p(distance: np.ndarray | float, n: float, m: np.ndarray | float) -> np.ndarray:
    """The p of a KS distance between n and m independent values (Smirnov's limit); no alarm: see the notebook."""
    return stats.kstwobign.sf(np.asarray(distance) * np.sqrt(n * m / (n + m)))


def by_simulation(sizes: Sequence[int], *, draws: int, seed: int, reference: int = 2000) -> list[dict[str, float]]:
    """What PSI and KS say when nothing changed: a reference and windows of one population, all values independent.

    One row a size of the window: mean PSI, its chance part by formula, mean of what is left, the share of windows above
    the customary 0.1 (by PSI itself), the share with a KS p below .01. A new reference is drawn for each window.
    """
    rng, rows = np.random.default_rng([seed, 61]), []
    for size in sizes:
        drawn = [(Feature.of(rng.normal(size=reference)), rng.normal(size=size)) for _ in range(draws)]
        pairs = [(one, one.count(values)) for one, values in drawn]
        raw = np.array([psi(one.binned(one.counts), one.binned(counts)) for one, counts in pairs])
        left = np.array([excess(one.binned(one.counts), one.binned(counts)) for one, counts in pairs])
        p = ks_p(np.array([ks(one.counts, counts) for one, counts in pairs]), reference, size)
        chance = float(by_chance(BINS, reference, size))
        rows.append({
            "window": size, "PSI": raw.mean(), "by formula": chance, "left": left.mean(),
            "above 0.1": (raw > 0.1).mean(), "KS p under 1 %": (p < 0.01).mean(), "n": draws,
        })  # fmt: skip
    return rows


@dataclass(frozen=True, eq=False)
class Feature:
    """The reference of one number of a request. edges: (C - 1,) rising; counts: (C,) values of the reference by cell.

    A cell holds what lies above its lower edge, up to and including its upper one.
    """

    edges: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, cells: int = CELLS) -> "Feature":
        """Cells of about equal counts. Raises Problem for fewer than LEAST finite values."""
        known = values[np.isfinite(values)]
        if len(known) < LEAST:
            raise Problem(f"a reference needs {LEAST} values or more; got {len(known)}. Watch for longer.")
        edges = np.unique(np.quantile(known, np.arange(1, cells) / cells, method="lower"))
        edges = edges[edges < known.max()]
        return cls(edges, np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1))

    @cached_property
    def bin_of(self) -> np.ndarray:
        """(C,) the PSI bin of each cell: BINS of about equal counts, fewer where one value is frequent."""
        before = np.cumsum(self.counts) - self.counts / 2
        return np.unique((BINS * before / self.counts.sum()).astype(int).clip(0, BINS - 1), return_inverse=True)[1]

    def cells(self, values: np.ndarray) -> np.ndarray:
        """The cell of each value, -1 for a missing one."""
        return np.where(np.isfinite(values), np.searchsorted(self.edges, values), -1)

    def count(self, values: np.ndarray) -> np.ndarray:
        """(C,) how many finite values each cell holds."""
        return np.bincount(np.searchsorted(self.edges, values[np.isfinite(values)]), minlength=len(self.counts))

    def binned(self, counts: np.ndarray) -> np.ndarray:
        """Counts (..., C) of cells as counts (..., B) of PSI's bins."""
        return np.asarray(counts) @ np.eye(self.bin_of.max() + 1)[self.bin_of]

    def excess(self, counts: np.ndarray) -> np.ndarray:
        """`excess` of counts (..., C) of cells; NaN for fewer than LEAST."""
        found = excess(self.binned(self.counts), self.binned(counts))
        return np.where(np.sum(counts, axis=-1) >= LEAST, found, np.nan)

    def ks(self, counts: np.ndarray) -> np.ndarray:
        """`ks` of counts (..., C) of cells; NaN for fewer than LEAST."""
        return np.where(np.sum(counts, axis=-1) >= LEAST, ks(self.counts, counts), np.nan)


@dataclass(frozen=True, eq=False)
class Reference:
    """What requests were like when all was well.

    features: name -> Feature. item_ids: (n,) and coordinates: (n, DIMENSIONS) of each item, in which tastes are told;
    kept here so that another bundle's tastes are read with the same rule.
    """

    features: Mapping[str, Feature]
    item_ids: np.ndarray
    coordinates: np.ndarray

    def placed(self, item_ids: Sequence[str]) -> np.ndarray:
        """(n, DIMENSIONS) float32 of these items; 0 for one that the reference does not know."""
        row_of = {name: row for row, name in enumerate(self.item_ids.tolist())}
        rows = np.array([row_of.get(str(name), -1) for name in item_ids], dtype=np.int64)
        return np.where(rows[:, None] >= 0, self.coordinates[rows], 0).astype(np.float32)

    def save(self, path: Path) -> Path:
        """Write as JSON, whole or not at all."""
        features = {
            name: {"edges": one.edges.tolist(), "counts": one.counts.tolist()} for name, one in self.features.items()
        }
        points = [[float(f"{number:.5g}") for number in row] for row in self.coordinates.tolist()]
        content = {"features": features, "item_ids": self.item_ids.tolist(), "coordinates": points}
        return runs.write_text(path, json.dumps(content) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """What `save` wrote. Raises Problem for anything else."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            features = {
                name: Feature(np.array(one["edges"], dtype=float), np.array(one["counts"], dtype=np.int64))
                for name, one in found["features"].items()
            }
            points = np.array(found["coordinates"], dtype=float).reshape(-1, DIMENSIONS)
            ids = np.array(found["item_ids"], dtype=str)
            if len(ids) != len(points) or any(len(one.counts) != len(one.edges) + 1 for one in features.values()):
                raise ValueError("lengths")
            return cls(features, ids, points)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise Problem(
                f"{path} is no reference ({type(fault).__name__}). Take it away to serve without drift, or learn anew."
            ) from fault


def coordinates(histories: sparse.csr_matrix) -> np.ndarray:
    """(n_items, DIMENSIONS): who is chosen by the same people lies near; right singular vectors, unit length a column.

    histories: (n_users, n_items). The sign is fixed by each column's largest entry. Fewer items give columns of 0.
    """
    from scipy.sparse.linalg import svds

    met = sparse.csr_matrix((np.ones(histories.nnz), histories.indices, histories.indptr), histories.shape)
    rank = min(DIMENSIONS, min(met.shape) - 1)
    found = np.zeros((met.shape[1], DIMENSIONS))
    if rank > 0 and met.nnz:
        right = svds(met, k=rank, v0=np.ones(min(met.shape)), return_singular_vectors="vh")[2][::-1].T
        found[:, :rank] = right * np.sign(right[np.abs(right).argmax(axis=0), np.arange(rank)])
    return found * np.sqrt(met.shape[1])
