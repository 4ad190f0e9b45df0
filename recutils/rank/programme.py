"""The best k of n candidates under linear bounds, exactly: one small integer programme. It knows no goals or rules."""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


def programme(worth: np.ndarray, k: int, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """The k candidates with the largest worth and low <= rows @ chosen <= high: (n,) bool; None where there are none.

    worth: (n,), rows: (m, n), low, high: (m,), infinite where one side is open. scipy's milp (HiGHS), gap 0, on the
    candidates that can matter: who is at most equal to k others on the worth and on every row is left out.
    """
    signs = np.vstack([rows[np.isfinite(low)], -rows[np.isfinite(high)]])
    kept = np.flatnonzero(_may_matter(np.vstack([worth, signs]), k))
    scale = np.maximum(np.abs(rows).max(axis=1, initial=0.0), 1e-300)
    table = np.vstack([np.ones(len(kept)), rows[:, kept] / scale[:, None]])
    bounds = LinearConstraint(table, np.r_[k, low / scale], np.r_[k, high / scale])
    cost = -worth[kept] / max(np.abs(worth).max(initial=0.0), 1e-300)
    result = milp(cost, constraints=bounds, integrality=1, bounds=Bounds(0, 1), options={"mip_rel_gap": 0.0})
    if result.x is None:
        return None
    chosen = np.zeros(len(worth), dtype=bool)
    chosen[kept[result.x > 0.5]] = True
    return chosen


def _may_matter(goods: np.ndarray, k: int) -> np.ndarray:
    """(n,) bool, False where at least k others are as good in every row of goods (m, n); of equals the first stays."""
    better = np.ones((goods.shape[1],) * 2, dtype=bool)  # [i, j]: i is at least as good as j
    for row in goods:
        better &= row[:, None] >= row[None, :]
    same = better & better.T
    return (better & ~(same & np.tri(len(same), dtype=bool))).sum(axis=0) < k
