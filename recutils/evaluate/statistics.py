"""Intervals and tests over users, items and folds: what may be claimed. The values come from metrics.py, no files here.

Users with NaN (no truth) are left out and counted in every result. `rng` is a seed or a numpy Generator; the same seed
gives the same draws to every column of one length, so a figure does not depend on what was computed beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from recutils.evaluate.resample import bootstrap_means, crossed_ratios, seed_of, sign_flip_p
from recutils.tables import Problem

DRAWS = 10_000  # house protocol
LEVEL = 0.95
SMALLEST_DIFFERENCE = 0.005  # of nDCG; a smaller one is of no interest, however significant. Declared before the test.


@dataclass(frozen=True)
class Interval:
    """A mean and its interval over n units; `n_left_out` had no value. low and high are NaN when n is 1."""

    mean: float
    low: float
    high: float
    n: int
    n_left_out: int


@dataclass(frozen=True)
class Comparison:
    """The paired difference of means a - b, its interval, and the p of no difference (NaN when it was not tested)."""

    delta: float
    low: float
    high: float
    p: float
    n: int
    n_left_out: int

    @property
    def matters(self) -> bool:
        """Whether the whole interval lies beyond the smallest difference of interest, on either side."""
        return self.low >= SMALLEST_DIFFERENCE or self.high <= -SMALLEST_DIFFERENCE


@dataclass(frozen=True)
class NonInferiority:
    """Whether a is no worse than b by `margin`: 'no worse', 'worse' or 'undecided', and the two one-sided bounds."""

    verdict: str
    delta: float
    lower: float
    upper: float
    margin: float
    n: int
    n_left_out: int


@dataclass(frozen=True)
class FoldMean:
    """The mean over k folds, its corrected interval, and the corrected t test of a mean of 0."""

    mean: float
    low: float
    high: float
    t: float
    p: float
    n_folds: int


def mean_interval(
    values: np.ndarray, rng: int | np.random.Generator, *, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """The mean of per-user values and its percentile bootstrap interval. values: (n_users,), NaN is left out.

    >>> mean_interval(np.array([0.0, 1.0, 1.0, np.nan, 0.0]), rng=0).mean
    0.5
    """
    return mean_intervals({"values": values}, rng, draws=draws, level=level)["values"]


def mean_intervals(
    columns: Mapping[str, np.ndarray], rng: int | np.random.Generator, *, draws: int = DRAWS, level: float = LEVEL
) -> dict[str, Interval]:
    """`mean_interval` of many columns over the same users, all from one set of draws: much faster than one by one."""
    table, kept = _table(columns)
    low, high = _bounds(table, kept, seed_of(rng), draws, _tails(level))
    n = kept.sum(axis=0)
    return {
        name: Interval(
            float(table[kept[:, j], j].mean()), float(low[j]), float(high[j]), int(n[j]), int(len(kept) - n[j])
        )
        for j, name in enumerate(columns)
    }


def compare(
    a: np.ndarray, b: np.ndarray, rng: int | np.random.Generator, *, draws: int = DRAWS, level: float = LEVEL
) -> Comparison:
    """The mean of a - b over users who have both: paired bootstrap interval and two-sided sign-flip p.

    a, b: (n_users,), the same users in the same order.

    >>> compare(np.array([0.2, 0.4, 0.9, np.nan]), np.array([0.1, 0.4, 0.7, 0.5]), rng=0).n
    3
    """
    return compare_all({"a": (a, b)}, rng, draws=draws, level=level)["a"]


def compare_all(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rng: int | np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> dict[str, Comparison]:
    """`compare` for many pairs over the same users, all from one set of draws. The p are not corrected: see `holm`."""
    seed = seed_of(rng)
    table, kept = _table({name: _difference(a, b) for name, (a, b) in pairs.items()})
    low, high = _bounds(table, kept, seed, draws, _tails(level))
    p = np.empty(table.shape[1])
    for rows, columns in _same_rows(kept):
        p[columns] = sign_flip_p(table[np.ix_(rows, columns)], seed, draws)
    means = [float(table[kept[:, j], j].mean()) for j in range(len(pairs))]
    n = kept.sum(axis=0).tolist()
    return {
        name: Comparison(means[j], float(low[j]), float(high[j]), float(p[j]), n[j], len(kept) - n[j])
        for j, name in enumerate(pairs)
    }


def from_draws(gaps: np.ndarray, delta: float, n: int, *, level: float = LEVEL) -> Comparison:
    """A Comparison from bootstrap draws of a difference, of any figure: percentile interval, two-sided p.

    gaps: (draws,); draws that are not finite (a class that was not drawn) are left out. delta: the difference itself.
    level: 1 - .05 / m for the simultaneous intervals of a family of m (Bonferroni).
    """
    gaps = gaps[np.isfinite(gaps)]
    low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return Comparison(delta, float(low), float(high), min(1.0, 2 * (tail + 1) / (len(gaps) + 1)), n, 0)


def non_inferiority(
    a: np.ndarray,
    b: np.ndarray,
    rng: int | np.random.Generator,
    *,
    margin: float = SMALLEST_DIFFERENCE,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> NonInferiority:
    """Whether a may be called no worse than b: the one-sided bound of the mean of a - b lies above -margin.

    'worse' when the opposite bound lies below -margin; 'undecided' otherwise, which is not a proof of equality.
    """
    if not margin > 0:
        raise Problem(
            f"margin must be > 0, in units of the metric; got {margin}. Declare it before looking at the result."
        )
    both = compare(a, b, rng, draws=draws, level=2 * level - 1)  # its two tails hold 1 - level each
    verdict = "no worse" if both.low > -margin else "worse" if both.high < -margin else "undecided"
    return NonInferiority(verdict, both.delta, both.low, both.high, margin, both.n, both.n_left_out)


def holm(ps: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjusted p of one family, in the order given: (n,) float64.

    >>> holm([0.01, 0.04, 0.03, 0.005]).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    ps = np.asarray(ps, dtype=np.float64)
    if ps.ndim != 1 or not ((ps >= 0) & (ps <= 1)).all():
        raise Problem(f"ps must be numbers in 0..1, the whole family at once; got {ps}")
    order = np.argsort(ps, kind="stable")
    adjusted = np.minimum(1.0, np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1)))
    result = np.empty(len(ps))
    result[order] = adjusted
    return result


def corrected_k_fold(values: Sequence[float], n_train: int, n_test: int, *, level: float = LEVEL) -> FoldMean:
    """The mean of k folds' values (or of their differences a - b) with the variance corrected for shared training data.

    n_train, n_test: rows of one fold's two parts. Variance of the mean: (1/k + n_test/n_train) x the folds' sample
    variance; t with k - 1 degrees of freedom. Source: Nadeau & Bengio 2003, section 3 (an approximation, not exact).

    >>> round(corrected_k_fold([0.01, 0.02, 0.03, 0.02, 0.02], n_train=80, n_test=20).t, 4)
    4.2164
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise Problem(f"values must be at least two finite numbers, one per fold; got {values}")
    if n_train < 1 or n_test < 1:
        raise Problem(f"n_train and n_test must be at least 1 row; got {n_train} and {n_test}")
    k, mean = len(values), float(values.mean())
    error = float(np.sqrt((1 / k + n_test / n_train) * values.var(ddof=1)))
    reach = error * float(stats.t.ppf((1 + level) / 2, k - 1))
    t = mean / error if error > 0 else np.copysign(np.inf, mean) if mean else 0.0  # folds may all agree
    return FoldMean(mean, mean - reach, mean + reach, t, float(2 * stats.t.sf(abs(t), k - 1)), k)


def crossed_interval(
    values: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    rng: int | np.random.Generator,
    *,
    weights: np.ndarray | None = None,
    resample: tuple[str, ...] = ("users", "items"),
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """The weighted mean of values of (user, item) pairs, with an interval from drawing users and items both.

    values, users, items, weights: (n_pairs,) each. For cold items: draws users alone would treat the few items that
    happened to be cold as all there are. `metrics.by_pair` gives the pairs of nDCG and recall; for two models hand over
    the difference of their values. n counts users. Source: Owen 2007, the pigeonhole bootstrap; somewhat too wide
    where neither users nor items matter.
    """
    values, weights = _pair_values(values, weights)
    _check_axes(resample)
    user, item = (np.unique(axis, return_inverse=True)[1] for axis in (users, items))
    if not len(values) == len(user) == len(item):
        raise Problem(f"values, users and items must have one length; got {len(values)}, {len(user)} and {len(item)}")
    shape = (int(user.max()) + 1, int(item.max()) + 1)
    cells = tuple(sparse.csr_matrix((cell, (user, item)), shape=shape) for cell in (values * weights, weights))
    ratios = crossed_ratios(shape, cells, seed_of(rng), draws, resample)
    low, high = np.nanquantile(ratios, _tails(level))
    return Interval(float(values @ weights / weights.sum()), float(low), float(high), shape[0], 0)


def _pair_values(values: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, dtype=np.float64)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise Problem("values must be finite, at least one; drop the pairs without a value and say how many")
    if weights.shape != values.shape or not (weights > 0).all() or not np.isfinite(weights).all():
        raise Problem(f"weights must be finite numbers > 0, one for each of {len(values)} values")
    return values, weights


def _check_axes(resample: tuple[str, ...]) -> None:
    if not resample or not set(resample) <= {"users", "items"}:
        raise Problem(f"resample must name 'users', 'items' or both; got {resample!r}")


def _tails(level: float) -> list[float]:
    if not 0 < level < 1:
        raise Problem(f"level must lie between 0 and 1, such as 0.95; got {level}")
    return [(1 - level) / 2, (1 + level) / 2]


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise Problem(f"a and b must be the same users in the same order; got shapes {a.shape} and {b.shape}")
    return a - b


def _table(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The columns side by side (n, n_columns) and where they have values; Problem when one has none, or infinities."""
    lengths = {np.shape(values) for values in columns.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise Problem(
            f"per-user values must be rows of one length, the same users for all; got shapes {sorted(lengths)}"
        )
    table = np.column_stack([np.asarray(values, dtype=np.float64) for values in columns.values()])
    kept = ~np.isnan(table)
    for name, has_value, values in zip(columns, kept.T, table.T, strict=True):
        if not has_value.any() or np.isinf(values).any():
            raise Problem(f"{name!r} must hold a finite value for at least one user; got none, or an infinite one")
    return table, kept


def _same_rows(kept: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Columns grouped by the rows they have: a list of (rows, columns), so that each group is resampled once."""
    groups: dict[bytes, list[int]] = {}
    for column in range(kept.shape[1]):
        groups.setdefault(kept[:, column].tobytes(), []).append(column)
    return [(np.flatnonzero(kept[:, columns[0]]), np.array(columns)) for columns in groups.values()]


def _bounds(table: np.ndarray, kept: np.ndarray, seed: int, draws: int, tails: list[float]) -> np.ndarray:
    """(2, n_columns): the quantiles of each column's resampled means; NaN where one row leaves no spread to see."""
    bounds = np.full((2, table.shape[1]), np.nan)
    for rows, columns in _same_rows(kept):
        if len(rows) > 1:
            means = bootstrap_means(table[np.ix_(rows, columns)], seed, draws)
            bounds[:, columns] = np.quantile(means, tails, axis=0)
    return bounds
