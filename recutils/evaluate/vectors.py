"""What item vectors are worth on cold items, behaviour fitted once for all kinds of vectors. No encoder, no statistics.

One ALS for each training part; a kind of vectors then costs a ridge regression and the ranking, not a training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from recutils.evaluate.cold import ColdTask, NestedFold, pairs
from recutils.evaluate.metrics import ndcg
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random
from recutils.model.content import Vectors, ridge
from recutils.rank.top import top_k
from recutils.tables import Interactions, Problem


@dataclass(frozen=True, eq=False)
class Behaviour:
    """ALS fitted on one warm part, and the task on cold items that its maps are asked about.

    rated: (n_items,) bool, items with training events. own: their factors (n_rated, f). people: the judged people's
    factors (n_users, f).
    """

    task: ColdTask
    rated: np.ndarray
    own: np.ndarray
    people: np.ndarray

    @classmethod
    def of(cls, train: Interactions, task: ColdTask, als: ALS) -> Self:
        """The behaviour of one training part; als is fitted on it here."""
        fitted = als.fit(train)
        rated = np.bincount(train.item, minlength=train.n_items) > 0
        return cls(task, rated, fitted.item_factors[rated], fitted.fold_in(task.histories))

    def mapped(self, vectors: Vectors, reg: float) -> np.ndarray:
        """Scores (n_users, n_cold) of a ridge map from vectors (n_items, d) to factors, learnt on the rated items."""
        return self.expected(vectors, *ridge(vectors[self.rated], self.own, reg))

    def expected(self, vectors: Vectors, weights: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Scores (n_users, n_cold) of a map given by its weights (d, f) and level (f,)."""
        return self.people @ (vectors[self.task.items] @ weights + level).T

    def listed(self, scores: np.ndarray, k: int) -> np.ndarray:
        """Ranked lists (n_users, k) of cold items from scores (n_users, n_cold); -1 where there are fewer than k."""
        n = min(k, len(self.task.items))
        lists = np.full((len(scores), k), -1, dtype=np.int32)
        lists[:, :n] = self.task.items[top_k(scores, None, n)]
        return lists

    def worth(self, scores: np.ndarray, k: int) -> float:
        """Mean nDCG@k over the people of the lists that scores (n_users, n_cold) make."""
        return float(np.nanmean(ndcg(self.listed(scores, k), self.task.truth, k)))


@dataclass(frozen=True, eq=False)
class ColdBench:
    """Nested folds with their behaviour: `inner` chooses penalties, `outer` judges. k: items per list."""

    folds: tuple[NestedFold, ...]
    inner: tuple[Behaviour, ...]
    outer: tuple[Behaviour, ...]
    k: int

    def chosen(self, vectors: Vectors, regs: Sequence[float]) -> list[float]:
        """The penalty of each fold, best on its inner task; of equal ones the first."""
        if not len(regs):
            raise Problem("regs must name at least one penalty of the map")
        values = [[one.worth(one.mapped(vectors, reg), self.k) for reg in regs] for one in self.inner]
        return [regs[int(np.argmax(row))] for row in values]

    def lists(self, vectors: Vectors, regs: Sequence[float]) -> list[np.ndarray]:
        """Lists of each fold's judged task, every fold with the penalty chosen for these vectors."""
        return self.lists_with(vectors, self.chosen(vectors, regs))

    def lists_with(self, vectors: Vectors, chosen: Sequence[float]) -> list[np.ndarray]:
        """Lists of each fold's judged task, with one penalty for each fold."""
        judged = zip(self.outer, chosen, strict=True)
        return [one.listed(one.mapped(vectors, reg), self.k) for one, reg in judged]

    def yardsticks(self, seed: int) -> dict[str, list[np.ndarray]]:
        """Lists of "random" and of "oracle", the fold's items by their true popularity, which no model may know."""
        fitted = [(Random(seed=seed).fit(f.train), Popularity().fit(f.cold), f.outer) for f in self.folds]
        made = [task.lists({"random": chance, "oracle": oracle}, self.k) for chance, oracle, task in fitted]
        return {name: [one[name] for one in made] for name in ("random", "oracle")}

    def pairs(self, lists: dict[str, list[np.ndarray]]) -> pd.DataFrame:
        """`cold.pairs` of all folds together; lists: name -> one table of lists for each fold."""
        named = [{name: every[n] for name, every in lists.items()} for n in range(len(self.folds))]
        tables = [
            pairs(one, place.task, self.k, fold=n) for n, (one, place) in enumerate(zip(named, self.outer, strict=True))
        ]
        return pd.concat(tables, ignore_index=True)


def cold_bench(folds: Sequence[NestedFold], k: int, *, factors: int, alpha: float, seed: int) -> ColdBench:
    """Fit ALS on both training parts of each fold, each from a start of its own. Raises Problem without folds."""
    if not folds:
        raise Problem("at least one fold is needed; see cold.nested_folds")
    options = {"factors": factors, "alpha": alpha}
    inner = [Behaviour.of(f.inner_train, f.inner, ALS(**options, seed=seed + 100 + f.number)) for f in folds]
    outer = [Behaviour.of(f.train, f.outer, ALS(**options, seed=seed + f.number)) for f in folds]
    return ColdBench(tuple(folds), tuple(inner), tuple(outer), k)
