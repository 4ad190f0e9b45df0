"""Lists beyond accuracy: coverage, concentration, novelty, variety, serendipity. Accuracy is in metrics.py,
whose tastes a list serves in tastes.py, re-ranking in rank.

Lists follow the laws of metrics.py: (n_users, k) item rows, -1 at the end where items ran out; -1 counts as no item.
"""

import numpy as np
from scipy import sparse

from recutils.data.prepare import gini as gini  # the same coefficient for data and for exposure
from recutils.evaluate.hits import checked_lists, hits, stored_entries
from recutils.tables import Problem


def exposure(lists: np.ndarray, n_items: int, k: int | None = None) -> np.ndarray:
    """How often each item is shown: (n_items,) int64.

    >>> exposure(np.array([[0, 1], [0, 2], [0, 1], [0, -1], [3, 0]]), n_items=5).tolist()
    [5, 2, 1, 1, 0]
    """
    lists = checked_lists(lists, n_items, k)
    return np.bincount(lists[lists >= 0], minlength=n_items)


def catalogue_coverage(lists: np.ndarray, n_items: int, k: int | None = None) -> float:
    """The share of the catalogue that at least one list shows.

    >>> catalogue_coverage(np.array([[0, 1], [0, 2], [0, 1], [0, -1], [3, 0]]), n_items=5)
    0.8
    """
    return float((exposure(lists, n_items, k) > 0).mean())


def self_information(train: sparse.csr_matrix) -> np.ndarray:
    """The surprise of meeting each item, in bits, (n_items,): -log2 of the share of training users who have it.

    train: csr (any users, n_items), every stored entry is an event; users without events are not counted.
    An item nobody has counts as if one user had it: finite, and still among the most surprising.

    >>> self_information(sparse.csr_matrix([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])).tolist()
    [0.0, 1.0, 2.0]
    """
    events = stored_entries(train)
    n_active = int((np.diff(events.indptr) > 0).sum())
    if n_active == 0:
        raise Problem("train holds no events, so no item has a popularity; expected the training part of a split")
    holders = np.bincount(events.indices, minlength=events.shape[1])
    return np.log2(n_active) - np.log2(np.maximum(holders, 1))


def novelty(lists: np.ndarray, train: sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """The mean self-information of each list's items, in bits: (n_users,), NaN for an empty list.

    train: csr (any users, n_items). Source: Vargas & Castells 2011 without rank discount; also RecTools' MIUF.

    >>> train = sparse.csr_matrix([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]])
    >>> novelty(np.array([[0, 1], [1, 2], [0, -1], [2, -1], [-1, -1]]), train).tolist()
    [0.5, 1.5, 0.0, 2.0, nan]
    """
    lists = checked_lists(lists, train.shape[1], k)
    bits = np.where(lists >= 0, self_information(train)[lists], 0.0).sum(axis=1)
    shown = (lists >= 0).sum(axis=1)
    return np.divide(bits, shown, out=np.full(len(lists), np.nan), where=shown > 0)


def intra_list_distance(lists: np.ndarray, vectors: np.ndarray | sparse.csr_matrix, k: int | None = None) -> np.ndarray:
    """The mean of 1 - cosine over all pairs within each list: (n_users,), 0 for a list of copies, NaN below two items.

    vectors: (n_items, d), dense or csr, finite. An item whose vector is all zero (no text) has no direction: it is
    left out of its lists, so that a missing text counts neither as variety nor as sameness.
    Source: Ziegler et al. 2005, whose similarity is 1 minus this.

    >>> vectors = np.array([[1, 0], [2, 0], [0, 3], [-1, 0], [0, 0]])
    >>> lists = np.array([[0, 1, -1], [0, 2, -1], [0, 3, 4], [0, 1, 2], [0, 4, -1]])
    >>> intra_list_distance(lists, vectors).round(3).tolist()
    [0.0, 1.0, 2.0, 0.667, nan]
    """
    unit, has_direction = _unit_rows(vectors)
    lists = checked_lists(lists, unit.shape[0], k)
    users, places = np.nonzero((lists >= 0) & has_direction[lists])
    items = lists[users, places]
    shown = sparse.csr_matrix((np.ones(len(items)), (users, items)), shape=(len(lists), unit.shape[0]))
    counts = np.bincount(users, minlength=len(lists))
    pairs = counts * (counts - 1) / 2
    cosines = (_square_sums(shown @ unit) - counts) / 2  # |sum of unit vectors|^2 = n + 2 x the cosines of all pairs
    distance = 1 - np.divide(cosines, pairs, out=np.full(len(lists), np.nan), where=pairs > 0)
    return np.maximum(distance, 0.0)  # copies may come out at -1e-16


def mean_distance(lists: np.ndarray, distance: np.ndarray, k: int | None = None) -> np.ndarray:
    """The mean of a table's distances over all pairs within each list: (n_users,), NaN where no pair has a distance.

    distance: (n_items, n_items), symmetric; NaN marks a pair of unknown distance, which is left out. With 1 - cosine it
    is `intra_list_distance`, and much faster when many lists are judged.

    >>> distance = np.array([[0, 1, 3], [1, 0, np.nan], [3, np.nan, 0]])
    >>> mean_distance(np.array([[0, 1, 2], [2, 0, -1], [1, 2, -1]]), distance).tolist()
    [2.0, 3.0, nan]
    """
    lists = checked_lists(lists, len(distance), k)
    first, second = np.triu_indices(lists.shape[1], 1)
    between = distance[lists[:, first], lists[:, second]].astype(np.float64)
    there = (lists[:, first] >= 0) & (lists[:, second] >= 0) & ~np.isnan(between)
    pairs = there.sum(axis=1)
    total = np.where(there, between, 0.0).sum(axis=1)
    return np.divide(total, pairs, out=np.full(len(lists), np.nan), where=pairs > 0)


def serendipity(lists: np.ndarray, truth: sparse.csr_matrix, obvious: np.ndarray, k: int | None = None) -> np.ndarray:
    """The share of the k places that hit with an item which is not obvious: (n_users,), NaN without truth.

    obvious: (n_users, any) item rows that an impersonal rule would have shown, such as popularity's lists; -1 is none.
    Source: Ge, Delgado-Battenfeld & Jannach 2010, section 3.2, with hits as the useful items.

    >>> truth = sparse.csr_matrix([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> serendipity(np.array([[0, 1], [3, 2]]), truth, np.array([[0, 2], [3, 0]])).tolist()
    [0.5, 0.0]
    """
    found = hits(lists, truth, k)
    lists, known = checked_lists(lists, truth.shape[1], k), checked_lists(obvious, truth.shape[1])
    if len(known) != len(lists):
        raise Problem(f"obvious needs a row for each of the {len(lists)} lists; got {len(known)}")
    surprising = found.at & ~(lists[:, :, None] == known[:, None, :]).any(axis=2)
    share = surprising.sum(axis=1) / found.k
    return np.where(found.n_truth > 0, share, np.nan)


def _square_sums(rows: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """(n,) the squared length of each row."""
    if sparse.issparse(rows):
        return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", rows, rows)


def _unit_rows(vectors: np.ndarray | sparse.csr_matrix) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray]:
    """The rows at length 1, zero rows left zero, and (n,) bool where a row is not zero."""
    vectors = vectors.tocsr().astype(np.float64) if sparse.issparse(vectors) else np.asarray(vectors, dtype=np.float64)
    entries = vectors.data if sparse.issparse(vectors) else vectors
    if vectors.ndim != 2 or not np.isfinite(entries).all():
        raise Problem(f"vectors must be finite numbers of shape (n_items, d); got shape {vectors.shape}")
    lengths = np.sqrt(_square_sums(vectors))
    scale = np.divide(1.0, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    return sparse.diags(scale) @ vectors, lengths > 0
