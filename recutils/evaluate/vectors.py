"""What item vectors are worth on cold items, behaviour fitted once for all kinds of vectors. No encoder, no statistics.

One ALS for each training part; a kind of vectors then costs a ridge regression and the ranking, not a training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """ALS fitted on one warm part. users (n_users, factors) of the task's people, factors (n_items, factors) of items.

    warm: rows of the items with training events (n_warm,), on which a map from vectors to factors is learnt.
    """

    task: ColdTask
    users: np.ndarray
    factors: np.ndarray
    warm: np.ndarray

    def lists(self, vectors: Vectors, reg: float, k: int) -> np.ndarray:
        """Ranked lists (n_users, k) of cold items, whose factors are what a ridge map expects of their vectors."""
        weights, level = ridge(vectors[self.warm], self.factors[self.warm], reg)
        expected = vectors[self.task.items] @ weights + level
        return self._named(top_k(self.users @ expected.T, None, k))

    def mean(self, vectors: Vectors, reg: float, k: int) -> float:
        """Mean nDCG@k over the people."""
        return float(np.nanmean(ndcg(self.lists(vectors, reg, k), self.task.truth, k)))

    def _named(self, places: np.ndarray) -> np.ndarray:
        return np.where(places >= 0, self.task.items[places], -1)


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
        values = [[one.mean(vectors, reg, self.k) for reg in regs] for one in self.inner]
        return [regs[int(np.argmax(row))] for row in values]

    def lists(self, vectors: Vectors, regs: Sequence[float]) -> list[np.ndarray]:
        """Lists of each fold's judged task, every fold with the penalty chosen for these vectors."""
        chosen = self.chosen(vectors, regs)
        return [one.lists(vectors, reg, self.k) for one, reg in zip(self.outer, chosen, strict=True)]

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
    inner = [_behaviour(f.inner, f.inner_train, ALS(**options, seed=seed + 100 + f.number)) for f in folds]
    outer = [_behaviour(f.outer, f.train, ALS(**options, seed=seed + f.number)) for f in folds]
    return ColdBench(tuple(folds), tuple(inner), tuple(outer), k)


def _behaviour(task: ColdTask, train: Interactions, model: ALS) -> Behaviour:
    model.fit(train)
    return Behaviour(task, model.fold_in(task.histories), model.item_factors, np.unique(train.item))
