"""How much of a second opinion to add to a first: nDCG by share on a task. Learnt blends: rank/stack.py."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.metrics import ndcg
from recutils.rank.blend import standardised
from recutils.rank.top import top_k
from recutils.tables import Problem


def added(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """(1 - share) x first + share x second, both standardised within each row: (n, n_items) float32.

    >>> added(np.array([[3.0, 1.0]]), np.array([[0.0, 5.0]]), 0.25).tolist()
    [[0.5, -0.5]]
    """
    if not 0 <= share <= 1 or first.shape != second.shape:
        raise Problem(f"share must lie in 0..1 and the shapes agree; got {share}, {first.shape}, {second.shape}")
    return (1 - share) * standardised(first) + share * standardised(second)


def by_share(
    first: np.ndarray,
    second: np.ndarray,
    seen: sparse.csr_matrix,
    truth: sparse.csr_matrix,
    k: int,
    *,
    shares: Sequence[float],
) -> pd.Series:
    """Mean nDCG@k of `added` for each share, index: the shares. seen, truth: csr (n, n_items)."""
    found = {share: float(np.nanmean(ndcg(top_k(added(first, second, share), seen, k), truth, k))) for share in shares}
    return pd.Series(found, name="ndcg")
