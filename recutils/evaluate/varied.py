"""What variety costs: how far lists may be spread for a given loss of nDCG, chosen on one half of the people and judged
on the other. The re-rankers come from rank; distances are judged by tables that they need not have seen.
The set of rules that is compared lives in rerankers.py.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from scipy import sparse

from recutils.data.split import Split
from recutils.evaluate.beyond import mean_distance
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.resample import bootstrap_means, seed_of
from recutils.evaluate.statistics import DRAWS
from recutils.evaluate.task import Task, task
from recutils.rank.blend import standardised
from recutils.rank.diversity import Candidates, candidates, widest
from recutils.rank.intents import mixes
from recutils.rank.kernels import Likeness, Views, likeness, views
from recutils.rank.sources import collaborative
from recutils.rank.top import top_k
from recutils.tables import Dataset, Problem

LOSS = 0.02  # of nDCG, relative: what a setting may cost on the half that chooses
BOUND = 0.03  # what the upper 95 % bound of the loss may reach on the half that judges
STEPS = 8  # how often the range of the trade-off is halved
ODDS = (3e-3, 3e2)  # that range: trade / (1 - trade)
T = TypeVar("T")
Rerank = Callable[[np.ndarray, float], np.ndarray]  # user rows (n,), trade in 0..1 -> lists (n, k)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means over users with its two-sided 95 % interval; upper: the one-sided 95 % bound."""

    value: float
    low: float
    high: float
    upper: float
    n: int


@dataclass(frozen=True, eq=False)
class Chosen:
    """A re-ranker at the strongest setting within the loss, for each half of the users chosen on the other.

    lists: (n_users, k), every user judged once. trades: the setting of each half. ndcg: (n_users,) of these lists.
    """

    lists: np.ndarray
    trades: tuple[float, float]
    ndcg: np.ndarray


@dataclass(frozen=True, eq=False)
class World:
    """One data set's people, candidates, truth and ways to see items.

    given: their candidates. rules: their histories and truth. likenesses: name -> Likeness, the judges of variety.
    half: (n_users,) bool, who chooses first. stage: the first stage, and the nDCG of each that was tried.
    """

    given: Candidates
    rules: Task
    likenesses: Mapping[str, Likeness]
    half: np.ndarray
    views: Views | None = None
    stage: str = ""
    tried: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not len(self.given) == len(self.rules.users) == len(self.half):
            raise Problem(f"candidates, truth and halves need one row per user; got {len(self.given)} candidates rows")
        if not 0 < self.half.sum() < len(self.half):
            raise Problem("both halves need people: one chooses, the other judges. Use a larger sample.")

    def only(self, users: np.ndarray) -> "World":
        """The same for some of the people: rows. Their headroom is their own."""
        rules = replace(
            self.rules,
            users=self.rules.users[users],
            histories=self.rules.histories[users],
            truth=self.rules.truth[users],
        )
        return replace(self, given=self.given.only(users), rules=rules, half=self.half[users])

    @property
    def k(self) -> int:
        """Places of a list."""
        return self.rules.k

    @property
    def truth(self) -> sparse.csr_matrix:
        """Sparse (n_users, n_items), what they met later."""
        return self.rules.truth

    @cached_property
    def mix(self) -> np.ndarray:
        """(n_users, n_groups) each person's shares of the groups in the history."""
        return mixes(self.rules.histories, self.views.groups)

    @cached_property
    def first(self) -> np.ndarray:
        """The lists (n_users, k) of the first stage."""
        return self.given.first(self.k)

    @cached_property
    def ndcg(self) -> np.ndarray:
        """(n_users,) nDCG of the first stage, NaN without truth."""
        return ndcg(self.first, self.truth, self.k)

    @cached_property
    def narrow(self) -> dict[str, np.ndarray]:
        """name -> (n_users,) distance within the first stage's lists."""
        return {name: mean_distance(self.first, one.judged) for name, one in self.likenesses.items()}

    @cached_property
    def wide(self) -> dict[str, np.ndarray]:
        """name -> (n_users,) the same for pure diversification by that very distance: the ceiling."""
        return {
            name: mean_distance(widest(self.given, one.table, self.k), one.judged)
            for name, one in self.likenesses.items()
        }

    def headroom(self, name: str) -> float:
        """How much the mean distance can grow with these candidates. Raises Problem when it cannot."""
        room = float(np.nanmean(self.wide[name]) - np.nanmean(self.narrow[name]))
        if not room > 0:
            raise Problem(f"the candidates leave no room for more variety by {name!r}; take more, or leave it out.")
        return room

    def share(self, lists: np.ndarray, name: str) -> np.ndarray:
        """(n_users,) growth of the distance `name` within the lists over the mean headroom; NaN where none is known."""
        return (mean_distance(lists, self.likenesses[name].judged) - self.narrow[name]) / self.headroom(name)

    def shares(self, chosen: Mapping[str, Chosen], used: Mapping[str, Collection[str]]) -> np.ndarray:
        """(n_users,) mean share over all pairs of a variant and a distance that it did not use.

        chosen: variant -> lists. used: variant -> the distances it was given. Raises Problem when none is left.
        """
        columns = [
            self.share(one.lists, name)
            for variant, one in chosen.items()
            for name in self.likenesses
            if name not in used[variant]
        ]
        if not columns:
            raise Problem("every distance was used, so none is left to judge with; hold at least one back.")
        table = np.column_stack(columns)
        there = ~np.isnan(table)
        return np.divide(np.where(there, table, 0).sum(axis=1), there.sum(axis=1), where=there.any(axis=1),
                         out=np.full(len(table), np.nan))  # fmt: skip

    def chosen(self, rerank: Rerank, *, loss: float = LOSS, steps: int = STEPS) -> Chosen:
        """The re-ranker for everybody, each half with the setting that the other half chose by `strongest`."""
        lists, trades = np.full_like(self.first, -1), []
        for judged in (~self.half, self.half):
            trades.append(self.strongest(rerank, np.flatnonzero(~judged), loss=loss, steps=steps))
            lists[judged] = rerank(np.flatnonzero(judged), trades[-1])
        return Chosen(lists, (trades[0], trades[1]), ndcg(lists, self.truth, self.k))

    def strongest(self, rerank: Rerank, users: np.ndarray, *, loss: float = LOSS, steps: int = STEPS) -> float:
        """The largest trade whose mean nDCG over these users loses at most `loss`, relative, of the first stage's.

        The range ODDS is halved `steps` times, on a logarithmic scale, as if the loss grew with the trade; a setting is
        only returned after its own loss was seen to be small enough. 0 when none is.
        """
        best, (low, high) = 0.0, np.log(ODDS)
        base = np.nanmean(self.ndcg[users])
        for _ in range(steps):
            middle = (low + high) / 2
            trade = float(1 / (1 + np.exp(-middle)))
            value = np.nanmean(ndcg(rerank(users, trade), self.truth[users], self.k))
            if value >= (1 - loss) * base:
                low, best = middle, trade
            else:
                high = middle
        return best

    def losses(self, values: Mapping[T, np.ndarray], rng: int, *, draws: int = DRAWS) -> dict[T, Ratio]:
        """The relative loss of nDCG of each column against the first stage. values: name -> (n_users,) nDCG."""
        return ratios({name: self.ndcg - one for name, one in values.items()}, self.ndcg, rng, draws=draws)


def ratios(
    above: Mapping[T, np.ndarray], below: np.ndarray, rng: int | np.random.Generator, *, draws: int = DRAWS
) -> dict[T, Ratio]:
    """mean(above) / mean(below) of each column over users who have all values, all from one set of draws of users.

    Raises Problem when nobody has all values, or when the mean below is not above 0.

    >>> ratios({"a": np.array([1.0, 1.0, np.nan])}, np.array([2.0, 2.0, 2.0]), 0, draws=100)["a"].value
    0.5
    """
    table = np.column_stack([below, *above.values()]).astype(np.float64)
    table = table[~np.isnan(table).any(axis=1)]
    if len(table) == 0 or not table[:, 0].mean() > 0:
        raise Problem("a ratio needs users who have both values, and a mean above 0 below the line")
    drawn = bootstrap_means(table, seed_of(rng), draws)
    low, high, upper = np.quantile(drawn[:, 1:] / drawn[:, :1], [0.025, 0.975, 0.95], axis=0)
    values = table[:, 1:].mean(axis=0) / table[:, 0].mean()
    return {
        name: Ratio(float(values[j]), float(low[j]), float(high[j]), float(upper[j]), len(table))
        for j, name in enumerate(above)
    }


def ratio(above: np.ndarray, below: np.ndarray, rng: int | np.random.Generator, *, draws: int = DRAWS) -> Ratio:
    """`ratios` of one column."""
    return ratios({"": above}, below, rng, draws=draws)[""]


FIRST = {"ease": ("ease",), "ease, roots": ("ease, roots",), "ease, roots + als": ("ease, roots", "als")}


def world(dataset: Dataset, parts: Split, text: np.ndarray, *, k: int = 10, n: int = 100, seed: int = 0) -> World:
    """The world of a data set: the best of FIRST on the half that chooses first, and n candidates of it for everybody.

    text: (n_items, d) text vectors. The people are those of the valid part who have training events.
    """
    rules = task(parts, dataset.name, k)
    half = np.random.default_rng([seed, 52]).permutation(len(rules.users)) < (len(rules.users) + 1) // 2
    models = collaborative(parts.train)
    single = {
        name: standardised(models[name].fit(parts.train).score(rules.histories))
        for name in dict.fromkeys(name for names in FIRST.values() for name in names)
    }
    stages = {name: sum(single[one] for one in names) for name, names in FIRST.items()}
    lists = {name: top_k(scores, rules.histories, k) for name, scores in stages.items()}
    tried = {name: float(np.nanmean(ndcg(found, rules.truth, k)[half])) for name, found in lists.items()}
    best = max(tried, key=tried.__getitem__)
    seen = views(dataset, parts.train, text, seed=seed)
    alike = {name: likeness(vectors) for name, vectors in seen.vectors.items()}
    return World(candidates(stages[best], rules.histories, n), rules, alike, half, seen, best, tried)
