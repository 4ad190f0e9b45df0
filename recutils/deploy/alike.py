"""The nearest texts of a pool, judged by their topics: the task of "more like this". No encoder is made here."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.labelled import Labelled
from recutils.deploy.trial import Loss, relative_loss
from recutils.encode.search import nearest
from recutils.evaluate.metrics import ndcg
from recutils.rank.top import top_k
from recutils.tables import ITEM, USER, Problem

Vectors = np.ndarray | sparse.csr_matrix  # (n, d)


@dataclass(frozen=True, eq=False)
class Alike:
    """A text of the pool is relevant to a query of the same topic. k: places of a list.

    Raises Problem when the two number their topics differently.
    """

    queries: Labelled
    pool: Labelled
    k: int

    def __post_init__(self) -> None:
        if self.queries.classes != self.pool.classes:
            raise Problem("queries and pool must have the same topics in the same order; read both with one reader.")

    @cached_property
    def truth(self) -> sparse.csr_matrix:
        """csr (n_queries, n_pool), 1 where the topics agree."""
        asked, held = (
            sparse.csr_matrix(np.eye(len(self.pool.classes))[one.labels]) for one in (self.queries, self.pool)
        )
        return sparse.csr_matrix(asked @ held.T)

    def lists(self, queries: Vectors, pool: Vectors) -> np.ndarray:
        """The k pool rows of the largest cosine to each query (n_queries, k), ties by ascending row.

        Both dense, or both sparse with rows of length 1 (`encode.tfidf`).
        """
        if (len_q := queries.shape[0], len_p := pool.shape[0]) != self.truth.shape:
            raise Problem(f"one row for each text is needed, {self.truth.shape} in all; got {len_q} and {len_p}")
        if sparse.issparse(queries):
            return top_k((queries @ pool.T).toarray(), None, self.k)
        return nearest(pool, queries, self.k).rows

    def yardsticks(self, seed: int) -> dict[str, np.ndarray]:
        """Lists that read nothing. random: any texts. popularity: the first texts of the pool's most frequent topic,
        the same for every query.
        """
        rng, n = np.random.default_rng(seed), len(self.queries)
        common = np.flatnonzero(self.pool.labels == np.bincount(self.pool.labels).argmax())[: self.k]
        same = np.full((n, self.k), -1)
        same[:, : len(common)] = common
        anyhow = [rng.choice(len(self.pool), self.k, replace=False) for _ in range(n)]
        return {"random": np.array(anyhow), "popularity": same}

    def table(self, lists: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """One row a query with at least one relevant text: user (the query), item (its topic), weight 1, then nDCG@k,
        one column a model: what `trial.relative_loss` and `cold.crossed` take.
        """
        values = {name: ndcg(rows, self.truth, self.k) for name, rows in lists.items()}
        about = {USER: np.arange(len(self.queries)), ITEM: self.queries.labels, "weight": 1.0}
        return pd.DataFrame({**about, **values}).dropna(ignore_index=True)


def evenly(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with weights that let every topic count as much as any other, however many queries it has."""
    return table.assign(weight=1 / table.groupby(ITEM)[ITEM].transform("size"))


def shared(one: np.ndarray, other: np.ndarray, k: int) -> np.ndarray:
    """Share (n,) of each text's k nearest other texts under one encoder that are so under the other. (n, d) each.

    Unlike `vectors.kept_neighbours` the query is read by the same encoder as what is found.
    """
    found = [_others(vectors, k) for vectors in (one, other)]
    return np.array([len(set(a) & set(b)) / k for a, b in zip(*found, strict=True)])


def _others(vectors: np.ndarray, k: int) -> list[list[int]]:
    rows = nearest(vectors, vectors, k + 1).rows.tolist()
    return [[row for row in mine if row != own][:k] for own, mine in enumerate(rows)]


def losses(
    table: pd.DataFrame, reference: str, seed: int, *, draws: int, kind: str = "users", family: int = 1
) -> dict[str, Loss]:
    """`trial.relative_loss` of every model of `Alike.table` but the reference."""
    names = [name for name in table.columns[3:] if name != reference]
    options = {"draws": draws, "kind": kind, "family": family}
    return {name: relative_loss(table, name, reference, seed, **options) for name in names}


def percent(found: Mapping[str, Loss]) -> pd.DataFrame:
    """One row a model: encoder, what it loses in per cent, the two-sided interval in words, the one-sided bound.

    Two digits are kept, and there is no -0.00.
    """
    rows = [
        (name, _rounded(one.share), f"{_rounded(one.low):.2f} to {_rounded(one.high):.2f}", _rounded(one.upper))
        for name, one in found.items()
    ]
    return pd.DataFrame(rows, columns=["encoder", "lost, %", "95 % interval", "bound, %"])


def _rounded(share: float) -> float:
    return round(100 * share, 2) + 0.0
