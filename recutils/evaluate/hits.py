"""Ranked lists and their truth: what they must look like and where they hit. Metrics themselves are in metrics.py."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.tables import Problem


def example() -> tuple[np.ndarray, sparse.csr_matrix]:
    """The five users of this module's doctests: lists (5, 4) over 8 items, and their truth."""
    lists = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3], [2, 6, 4, -1], [7, 0, 1, 2]])
    relevant = [[0, 1, 2, 3], [5], [6, 7], [2, 4, 7], []]
    rows = np.repeat(np.arange(5), [len(items) for items in relevant])
    items = np.concatenate([np.array(items, dtype=int) for items in relevant])
    return lists, sparse.csr_matrix((np.ones(len(items), dtype=np.float32), (rows, items)), shape=(5, 8))


@dataclass(frozen=True, eq=False)
class Hits:
    """Where the lists hit. `at`: (n_users, k) bool, True where the item is relevant. `n_truth`: (n_users,) int."""

    at: np.ndarray
    n_truth: np.ndarray

    @property
    def k(self) -> int:
        """Places in each list."""
        return self.at.shape[1]

    @property
    def most(self) -> np.ndarray:
        """(n_users,) int: the hits that a perfect list of k items has."""
        return np.minimum(self.n_truth, self.k)


def checked_lists(lists: np.ndarray, n_items: int, k: int | None = None) -> np.ndarray:
    """The first k places of `lists` after all checks: (n_users, k) integers in -1..n_items-1.

    Raises Problem on a wrong shape or type, k outside 1..places, an unknown item, an item twice in a list, a hole.
    """
    lists = np.asarray(lists)
    if lists.ndim != 2 or not np.issubdtype(lists.dtype, np.integer):
        raise Problem(f"lists must be integers of shape (n_users, k); got {lists.dtype} of shape {lists.shape}")
    k = lists.shape[1] if k is None else k
    if not 1 <= k <= lists.shape[1]:
        raise Problem(f"k must lie in 1..{lists.shape[1]} (the places in each list); got {k}. Make longer lists first.")
    lists = lists[:, :k]
    outside = (lists < -1) | (lists >= n_items)
    _refuse_rows(outside, f"an item outside 0..{n_items - 1}; lists and truth must share one catalogue")
    _refuse_rows((lists[:, :-1] == -1) & (lists[:, 1:] != -1), "an item after a -1; -1 may only fill the end of a list")
    ordered = np.sort(lists, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    _refuse_rows(twice, "one item twice; drop the second when ranking")
    return lists


def _refuse_rows(wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise Problem(f"the list in row {row} holds {what}")


def relevant_items(truth: sparse.csr_matrix, n_users: int) -> sparse.csr_matrix:
    """`truth` without stored zeros, items sorted within users, as a new matrix; Problem when its shape does not fit."""
    if not sparse.issparse(truth):
        came = type(truth).__name__
        raise Problem(f"truth must be sparse (n_users, n_items), such as split.test.matrix('binary'); got {came}")
    if truth.shape[0] != n_users:
        raise Problem(f"truth must have one row for each of the {n_users} users judged; got {truth.shape[0]} rows")
    relevant = sparse.csr_matrix(truth, copy=True)
    relevant.sum_duplicates()
    relevant.eliminate_zeros()
    return relevant


def stored_entries(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """1 at every stored entry of `matrix`, whatever its value, as a new matrix: what a user has seen or bought."""
    entries = sparse.csr_matrix(matrix, copy=True)
    entries.sum_duplicates()
    entries.data[:] = 1
    return entries


def hits(lists: np.ndarray, truth: sparse.csr_matrix, k: int | None = None) -> Hits:
    """Where the first k places of each list hit, checked and computed once for all metrics.

    >>> hits(*example()).at.astype(int).tolist()
    [[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    """
    lists = checked_lists(lists, truth.shape[1], k)
    relevant = relevant_items(truth, len(lists))
    n_users, n_items = relevant.shape
    n_truth = np.diff(relevant.indptr).astype(np.int64)
    known = np.repeat(np.arange(n_users), n_truth) * np.int64(n_items) + relevant.indices  # ascending: rows, then items
    asked = np.arange(n_users)[:, None] * np.int64(n_items) + lists
    if len(known) == 0:
        return Hits(np.zeros(lists.shape, dtype=bool), n_truth)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return Hits((known[place] == asked) & (lists >= 0), n_truth)
