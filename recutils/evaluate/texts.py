"""Which text about an item serves best: the same cold items, people, factors and penalties, only the text differs.

One ALS for each fold and one ridge map for each kind of text (Gantner et al. 2010). No texts and no encoder here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.evaluate.cold import ColdTask, best_of, crossed, nested_folds, pairs
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.statistics import Interval
from recutils.model.als import ALS
from recutils.model.content import Vectors, ridge
from recutils.rank.top import top_k
from recutils.tables import Interactions, Problem


@dataclass(frozen=True, eq=False)
class TextComparison:
    """values: the table of `cold.pairs`, one column for each kind of text, "random" and "oracle" beside them.

    regs: penalty chosen for each (fold, kind). The oracle ranks by the cold items' true popularity.
    """

    values: pd.DataFrame
    regs: dict[tuple[int, str], float]
    seed: int
    draws: int

    def mean(self, kind: str) -> Interval:
        """Mean nDCG of a kind, interval over people and items."""
        return crossed(self.values, self.values[kind], self.seed, draws=self.draws)

    def difference(self, kind: str, against: str) -> Interval:
        """The mean of kind - against over the same people and items, interval over both."""
        return crossed(self.values, self.values[kind] - self.values[against], self.seed, draws=self.draws)


def compare_texts(
    interactions: Interactions,
    kinds: Mapping[str, Vectors],
    regs: Sequence[float],
    *,
    k: int = 10,
    n_folds: int = 5,
    seed: int = 0,
    draws: int = 1000,
    factors: int = 32,
    alpha: float = 1.0,
) -> TextComparison:
    """Rank cold items by each kind of text: house protocol, every item judged once, penalties chosen on another fold.

    kinds: name -> vectors (n_items, d) in item row order. regs: penalties of the map, tried for each kind and fold.
    factors, alpha: of ALS, whose start is `seed` in every fold. Raises Problem for names in use and wrong shapes.
    """
    wrong = [n for n, v in kinds.items() if v.shape[0] != interactions.n_items or n in ("random", "oracle")]
    if wrong or not regs:
        raise Problem(
            f"kinds need one vector for each of {interactions.n_items} items and another name; wrong: {wrong}"
        )
    tables, chosen = [], {}
    for fold in nested_folds(interactions, n_folds):
        inner, outer = (
            _Mapper(task, ALS(factors=factors, alpha=alpha, seed=seed).fit(train), train)
            for task, train in ((fold.inner, fold.inner_train), (fold.outer, fold.train))
        )
        lists = _beside(outer.task, fold.cold, k, seed)
        for kind, vectors in kinds.items():
            reg = float(best_of({str(reg): inner.mean(vectors, reg, k) for reg in regs}))
            chosen[fold.number, kind] = reg
            lists[kind] = outer.lists(vectors, reg, k)
        tables.append(pairs(lists, outer.task, k, fold=fold.number))
    return TextComparison(pd.concat(tables, ignore_index=True), chosen, seed, draws)


class _Mapper:
    """The people's factors of one task, and which items are warm; both stay while texts change."""

    def __init__(self, task: ColdTask, als: ALS, train: Interactions) -> None:
        self.task, self._als = task, als
        self._people = als.fold_in(task.histories)
        self._warm = np.bincount(train.item, minlength=train.n_items) > 0

    def lists(self, vectors: Vectors, reg: float, k: int) -> np.ndarray:
        """Lists (n_users, k) of the cold items by the factors that their texts let expect."""
        weights, intercept = ridge(vectors[self._warm], self._als.item_factors[self._warm], reg)
        scores = self._people @ (vectors[self.task.items] @ weights + intercept).T
        return _named(scores, self.task.items, k)

    def mean(self, vectors: Vectors, reg: float, k: int) -> float:
        """Mean nDCG@k of these lists."""
        return float(np.nanmean(ndcg(self.lists(vectors, reg, k), self.task.truth, k)))


def _named(scores: np.ndarray, items: np.ndarray, k: int) -> np.ndarray:
    """Lists (n_users, k) of item rows from scores (n_users, n_cold); -1 where there are fewer cold items than k."""
    places = top_k(scores, None, min(k, len(items)))
    lists = np.full((len(scores), k), -1, dtype=np.int32)
    lists[:, : places.shape[1]] = items[places]
    return lists


def _beside(task: ColdTask, cold: Interactions, k: int, seed: int) -> dict[str, np.ndarray]:
    """The lists of chance, and of the cold items' true popularity."""
    shape = (len(task.users), len(task.items))
    counts = np.bincount(cold.item, minlength=cold.n_items)[task.items]
    chance = np.random.default_rng(seed).random(shape, dtype=np.float32)
    popular = np.tile(counts.astype(np.float32), (shape[0], 1))
    return {"random": _named(chance, task.items, k), "oracle": _named(popular, task.items, k)}
