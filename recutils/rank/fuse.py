"""Fusing rankings without learning, and pooling candidates of several sources. Weighted scores live in `blend`."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from recutils.tables import Problem

CONSTANT = 60.0  # Cormack, Clarke & Buettcher 2009: their k


def places(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Place (n_users, n_items) int32 of each item in its user's ranking, 1 is best; seen items stand last.

    scores: (n_users, n_items), higher is better; seen: bool of that shape. Equal scores keep the order of the items.

    >>> places(np.array([[0.1, 0.9, 0.5]]), np.array([[False, True, False]])).tolist()
    [[2, 3, 1]]
    """
    order = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")
    found = np.empty(scores.shape, dtype=np.int32)
    np.put_along_axis(found, order, np.arange(1, scores.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return found


def reciprocal_rank(ranks: Mapping[str, np.ndarray], constant: float = CONSTANT) -> np.ndarray:
    """Reciprocal-rank fusion, the sum over sources of 1 / (constant + place): (n_users, n_items) float32.

    Source: Cormack, Clarke & Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", section 1. Raises Problem without a source or with a negative constant.
    """
    if not ranks or constant < 0:
        raise Problem(f"fusion needs at least one source and a constant of 0 or more; got {len(ranks)} and {constant}")
    return sum(1.0 / (constant + place) for place in ranks.values()).astype(np.float32)


def pooled(lists: Mapping[str, np.ndarray], handicaps: Mapping[str, float], n: int, n_items: int) -> np.ndarray:
    """Candidates (n_users, n) int64: the n items with the smallest handicap x place over the sources, by item row.

    lists: source -> ranked items (n_users, k), best first, -1 where a list runs out; k may differ between sources.
    A source with handicap 5 offers its first item when the source with handicap 1 offers its fifth. Of equal offers the
    lower item row is taken, and so are the lowest rows where all lists together hold fewer than n items.
    Raises Problem when a source has no handicap, or n is larger than the catalogue.
    """
    if not lists or set(lists) - set(handicaps):
        raise Problem(f"each source needs a handicap; sources {sorted(lists)}, handicaps {sorted(handicaps)}")
    if not 1 <= n <= n_items:
        raise Problem(f"n must lie in 1..{n_items} (the number of items); got {n}")
    n_users = len(next(iter(lists.values())))
    offers = np.full((n_users, n_items + 1), np.inf)  # the last column takes the -1
    rows = np.arange(n_users)[:, None]
    for name, items in lists.items():
        offer = handicaps[name] * np.arange(1, items.shape[1] + 1, dtype=np.float64)
        offers[rows, items] = np.minimum(offers[rows, items], offer)
    return np.sort(np.argsort(offers[:, :-1], axis=1, kind="stable")[:, :n], axis=1)


def stored(histories: sparse.csr_matrix) -> np.ndarray:
    """Where a sparse table has an entry, whatever its value: bool, dense."""
    mask = np.zeros(histories.shape, dtype=bool)
    coordinates = histories.tocoo()
    mask[coordinates.row, coordinates.col] = True
    return mask
