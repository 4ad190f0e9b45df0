"""Cold items and cold users: nested folds, the lists' values by pair, three kinds of interval. No models (model)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.split import Split, cold_items, frozen
from recutils.evaluate.metrics import by_pair, ndcg
from recutils.evaluate.statistics import Interval, crossed_interval
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random
from recutils.model.cold import TextMap
from recutils.rank.top import BLOCK, Scorer, top_k
from recutils.tables import ITEM, USER, Interactions, Problem

KINDS: dict[str, tuple[str, ...]] = {"users": ("users",), "items": ("items",), "both": ("users", "items")}
Maker = Callable[[Interactions], Scorer]  # fits a model on a training part


@dataclass(frozen=True, eq=False)
class ColdTask:
    """Ranking the items that have no training event, for people who have a warm history and a cold event.

    users: their rows (n_users,). histories: csr (n_users, n_items), warm events. truth: csr of that shape, cold
    events, all relevant. items: rows of the candidates (n_cold,). n_strangers: people with cold events only, left out.
    """

    users: np.ndarray
    histories: sparse.csr_matrix
    truth: sparse.csr_matrix
    items: np.ndarray
    n_strangers: int
    folded: dict[int, tuple[object, np.ndarray]] = field(default_factory=dict, repr=False)

    def lists(self, models: Mapping[str, Scorer], k: int) -> dict[str, np.ndarray]:
        """Ranked lists (n_users, k) of each fitted model, cold items only."""
        return {name: self._ranked(model, k) for name, model in models.items()}

    def only(self, n_users: int) -> "ColdTask":
        """The same task for at most n_users people, evenly taken in row order."""
        rows = np.unique(np.linspace(0, len(self.users) - 1, min(n_users, len(self.users))).round().astype(int))
        return self.with_histories(self.histories[rows], users=self.users[rows], truth=self.truth[rows])

    def with_histories(self, histories: sparse.csr_matrix, **others: np.ndarray | sparse.csr_matrix) -> "ColdTask":
        """The same task with other histories of the people, such as shortened ones."""
        return replace(self, histories=histories, folded={}, **others)

    def _ranked(self, model: Scorer, k: int) -> np.ndarray:
        """What `rank.recommend` gives with these candidates (none of them is in a history), with smaller tables."""
        starts = range(0, len(self.users), BLOCK)
        scores = (self._scores(model, slice(first, first + BLOCK)) for first in starts)
        lists = np.concatenate([top_k(block, None, min(k, len(self.items))) for block in scores])
        shown = np.full((len(lists), k), -1, dtype=np.int32)
        shown[:, : lists.shape[1]] = self.items[lists]
        return shown

    def _scores(self, model: Scorer, block: slice) -> np.ndarray:
        """Scores (n_block, n_cold). Maps that share their ALS share the people's factors, which are kept in `folded`.

        A history holds warm items only, so that a map of cold items does not change it.
        """
        if not isinstance(model, TextMap) or model.trained is None or self.histories[block].nnz == 0:
            return model.score(self.histories[block])[:, self.items]
        key = id(model.trained)
        if key not in self.folded:  # the trained ALS are kept too, so that their id stays theirs
            self.folded[key] = (model.trained, model.fold_in(self.histories))
        return self.folded[key][1][block] @ model.item_factors[self.items].T

    def mean(self, model: Scorer, k: int) -> float:
        """Mean nDCG@k over the people."""
        return float(np.nanmean(ndcg(self._ranked(model, k), self.truth, k)))

    def one_list(self, model: Scorer, k: int) -> np.ndarray:
        """The list of the average person, the same for all (n_users, k): what a model knows without knowing anybody."""
        scores = np.zeros(self.histories.shape[1])
        for first in range(0, len(self.users), BLOCK):
            scores += model.score(self.histories[first : first + BLOCK]).sum(axis=0)
        best = self.items[top_k(scores[None, self.items], None, k)]
        return np.repeat(best, len(self.users), axis=0)


def cold_task(warm: Interactions, cold: Interactions) -> ColdTask:
    """The task of ranking `cold`'s items for people with events in both. Raises Problem when an item is not cold.

    Raises Problem too when nobody has events in both parts.
    """
    items = np.unique(cold.item)
    if np.isin(items, warm.item).any():
        raise Problem("an item of the cold part has a training event. Split with split.cold_items.")
    histories, truth = warm.matrix(), cold.matrix("binary")
    known, active = np.diff(histories.indptr) > 0, np.diff(truth.indptr) > 0
    users = np.flatnonzero(known & active)
    if len(users) == 0:
        raise Problem("nobody has a warm history and a cold event. Use a larger sample or fewer folds.")
    return ColdTask(users, histories[users], truth[users], items, int((active & ~known).sum()))


@dataclass(frozen=True, eq=False)
class NestedFold:
    """One fold of cold items: `outer` judges them after training on all others; `inner` chooses, on another fold."""

    number: int
    train: Interactions
    cold: Interactions
    inner_train: Interactions
    inner_cold: Interactions

    @cached_property
    def outer(self) -> ColdTask:
        """The judged task, on items that no choice has seen."""
        return cold_task(self.train, self.cold)

    @cached_property
    def inner(self) -> ColdTask:
        """The task that choices are made on: another fold of the rest."""
        return cold_task(self.inner_train, self.inner_cold)


def nested_folds(interactions: Interactions, n_folds: int = 5) -> list[NestedFold]:
    """House protocol H for cold items: each fold is left out of training once; choices are made on the next fold."""
    return [_nested(number, one) for number, one in enumerate(cold_items(interactions, n_folds))]


def _nested(number: int, one: Split) -> NestedFold:
    return NestedFold(number, frozen(one).train, one.test, one.train, one.valid)


def inner_values(makers: Mapping[str, Maker], fold: NestedFold, k: int) -> dict[str, float]:
    """Mean nDCG@k of each setting on the fold's inner task, fitted on its inner training part."""
    task = fold.inner
    return {name: task.mean(make(fold.inner_train), k) for name, make in makers.items()}


def best_of(values: Mapping[str, float]) -> str:
    """The name with the highest value, of equal ones the first."""
    return max(values, key=lambda name: values[name])


def pairs(lists: Mapping[str, np.ndarray], task: ColdTask, k: int, *, fold: int = 0) -> pd.DataFrame:
    """One row for each (person, cold item met): fold, user, item, weight, then one column of values for each model.

    The weighted mean of a column is the model's mean nDCG@k over people (`metrics.by_pair`).
    """
    values = {name: by_pair(ranked, task.truth, k) for name, ranked in lists.items()}
    first = next(iter(values.values()))
    who = {"fold": fold, USER: task.users[first.user], ITEM: first.item, "weight": first.weight}
    return pd.DataFrame({**who, **{name: table.value.astype(np.float32) for name, table in values.items()}})


def judged(
    interactions: Interactions,
    models: Mapping[str, TextMap],
    bases: Callable[[Interactions], Sequence[ALS]],
    k: int,
    *,
    n_judged: int = 5,
) -> pd.DataFrame:
    """`pairs` of several text maps with settings as given, with random and the oracle, over the first n_judged folds.

    bases: gives the ALS of a training part, which all maps share. oracle: the fold's items by their true popularity.
    """
    tables = []
    for fold in nested_folds(interactions)[:n_judged]:
        shared, task = bases(fold.train), fold.outer
        fitted: dict[str, Scorer] = {name: one.with_bases(shared).fit(fold.train) for name, one in models.items()}
        fitted |= {"random": Random(seed=fold.number).fit(fold.train), "oracle": Popularity().fit(fold.cold)}
        tables.append(pairs(task.lists(fitted, k), task, k, fold=fold.number))
    return pd.concat(tables, ignore_index=True)


def crossed(table: pd.DataFrame, values: pd.Series, seed: int, *, kind: str = "both", draws: int = 1000) -> Interval:
    """Mean of a column of `pairs` (or of a difference of two) with an interval; kind: what is drawn, one of KINDS.

    "users" treats the items as all there are, "items" the people; "both" neither, and is the one to report.
    """
    if kind not in KINDS:
        raise Problem(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    options = {"weights": table["weight"].to_numpy(dtype=np.float64), "resample": KINDS[kind], "draws": draws}
    return crossed_interval(values.to_numpy(dtype=np.float64), table[USER], table[ITEM], seed, **options)


def by_fold(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Mean nDCG of each model in each fold: one row per fold, one column per model."""
    weighted = table[list(names)].astype(np.float64).mul(table["weight"], axis=0)
    sums = weighted.groupby(table["fold"]).sum()
    return sums.div(table.groupby("fold")["weight"].sum(), axis=0)


def shortened(histories: sparse.csr_matrix, n: int, seed: int) -> sparse.csr_matrix:
    """Each history with n of its entries, drawn with `seed`; shorter ones stay whole. n = 0 makes strangers.

    The draws are nested: what is kept with n is kept with any larger n, so that learning curves compare like with like.
    """
    if n < 0:
        raise Problem(f"n must be 0 or more entries; got {n}")
    order = np.random.default_rng(seed).random(histories.nnz)
    rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    ranked = np.lexsort((order, rows))
    place = np.empty(histories.nnz, dtype=np.int64)
    place[ranked] = np.arange(histories.nnz) - histories.indptr[rows[ranked]]
    keep = place < n
    made = (histories.data[keep], (rows[keep], histories.indices[keep]))
    return sparse.csr_matrix(made, shape=histories.shape, dtype=histories.dtype)


def first_events(cold: Interactions, n: int, seed: int) -> tuple[Interactions, Interactions]:
    """A new item's first n events, and the others: by time where there is one, else drawn with `seed`.

    Each item keeps at least one event to be judged on, so that one with n events or fewer gives all but one.
    """
    size = cold.rows.groupby(ITEM)[ITEM].transform("size").to_numpy()
    order = np.random.default_rng(seed).random(len(cold))
    key = cold.time.to_numpy() if cold.has_time else order
    ranked = np.lexsort((np.arange(len(cold)), key, cold.item))
    place = np.empty(len(cold), dtype=np.int64)
    starts = np.repeat(np.cumsum(np.r_[0, np.bincount(cold.item)])[:-1], np.bincount(cold.item))
    place[ranked] = np.arange(len(cold)) - starts
    early = place < np.minimum(n, size - 1)
    return cold.only(early), cold.only(~early)


def together(parts: Iterable[Interactions]) -> Interactions:
    """Several parts of one data set as one."""
    parts = list(parts)
    return Interactions(pd.concat([part.rows for part in parts], ignore_index=True), parts[0].n_users, parts[0].n_items)
