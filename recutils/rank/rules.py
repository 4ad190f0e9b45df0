"""Symbolic rules: "who met A met B" mined from baskets, and "first part first" from a graph. No learned model here."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.tables import Interactions, Problem

IF, THEN = "if_item", "then_item"


@dataclass(frozen=True, eq=False)
class Rules:
    """One row a rule: if_item, then_item (rows), support, confidence, lift; most confident first.

    n_items: size of the item table behind the rows.
    """

    table: pd.DataFrame
    n_items: int

    def __len__(self) -> int:
        return len(self.table)

    def matrix(self, by: str = "confidence") -> sparse.csr_matrix:
        """Sparse (n_items, n_items) float32: row if_item, column then_item, value of the measure."""
        if by not in ("support", "confidence", "lift"):
            raise Problem(f"by must be support, confidence or lift; got {by!r}")
        where = (self.table[IF].to_numpy(), self.table[THEN].to_numpy())
        values = self.table[by].to_numpy(dtype=np.float32)
        return sparse.csr_matrix((values, where), shape=(self.n_items, self.n_items))

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """(n_histories, n_items) float32: the confidence of the best rule that fires; 0 where none does.

        The best one, not the sum: rules that fire together mostly say the same thing twice.
        """
        rules = self.matrix()
        found = np.zeros((histories.shape[0], self.n_items), dtype=np.float32)
        for row in range(histories.shape[0]):
            items = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            if len(items):
                found[row] = rules[items].max(axis=0).toarray()[0]
        return found


def mine(train: Interactions, *, min_support: int = 10, min_confidence: float = 0.1) -> Rules:
    """Rules with one item on each side (Agrawal, Imielinski & Swami 1993), each user's items as one basket.

    support: baskets with both. confidence: of the baskets with if_item, the share with then_item too. lift: that share
    over then_item's share of all baskets; 1 means that if_item tells nothing. Raises Problem for shares out of range.
    """
    if min_support < 1 or not 0 <= min_confidence <= 1:
        raise Problem(
            f"expected min_support of at least 1 basket and min_confidence in 0..1; got {min_support}, {min_confidence}"
        )
    met = train.matrix("binary")
    n_baskets, popular = int((np.diff(met.indptr) > 0).sum()), np.asarray(met.sum(axis=0)).ravel()
    both = (met.T @ met).tocoo()
    kept = (both.row != both.col) & (both.data >= min_support)
    rows, columns, support = both.row[kept], both.col[kept], both.data[kept]
    confidence = support / popular[rows]
    table = pd.DataFrame({IF: rows, THEN: columns, "support": support.astype(np.int64), "confidence": confidence})
    table["lift"] = confidence * n_baskets / popular[columns]
    table = table[table["confidence"] >= min_confidence]
    order = table.sort_values(["confidence", IF, THEN], ascending=[False, True, True], kind="stable")
    return Rules(order.reset_index(drop=True), train.n_items)


def first_parts(sequels: np.ndarray, n_items: int) -> sparse.csr_matrix:
    """Which earlier parts each item has, sparse (n_items, n_items) bool: row a later part, columns all parts before it.

    sequels: (n, 2) item rows (earlier, later). A circle in the facts would make an item its own earlier part; such
    entries are left out.
    """
    later = (np.ones(len(sequels), dtype=bool), (sequels[:, 1], sequels[:, 0]))
    reach = sparse.csr_matrix(later, shape=(n_items, n_items), dtype=bool)
    grown = reach
    while True:
        grown = (reach + grown @ reach).astype(bool)
        if grown.nnz == reach.nnz:
            break
        reach = grown
    reach = reach.tolil()
    reach.setdiag(False)
    reach = reach.tocsr()
    reach.eliminate_zeros()
    return reach


def out_of_order(histories: sparse.csr_matrix, parts: sparse.csr_matrix) -> np.ndarray:
    """(n_histories, n_items) bool, True where an earlier part of the item is not in the history."""
    seen = (histories != 0).astype(np.int32)
    have = (seen @ parts.T.astype(np.int32)).toarray()
    return have < np.asarray(parts.sum(axis=1)).ravel()
