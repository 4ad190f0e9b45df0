"""A comparison from the bootstrap draws of a difference, of any figure. Means over users: see statistics.py."""

import numpy as np

from recutils.evaluate.statistics import LEVEL, Comparison


def from_draws(gaps: np.ndarray, delta: float, n: int, *, level: float = LEVEL) -> Comparison:
    """A Comparison from bootstrap draws of a difference, of any figure: percentile interval, two-sided p.

    gaps: (draws,); draws that are not finite (a class that was not drawn) are left out. delta: the difference itself.
    level: 1 - .05 / m for the simultaneous intervals of a family of m (Bonferroni).
    """
    gaps = gaps[np.isfinite(gaps)]
    low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    return Comparison(delta, float(low), float(high), min(1.0, 2 * (tail + 1) / (len(gaps) + 1)), n, 0)
