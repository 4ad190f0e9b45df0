"""The ranking that small encoders are judged by: new items, with bounds on the relative loss. No encoder is made here.

Items are cut into the five folds of the house protocol. The middle one is for choices; an encoder that learnt behaviour
from the first two is judged on the last two, and the other way round (`HALVES`), so that nobody judges what taught.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.split import cold_items
from recutils.evaluate.cold import KINDS, cold_task, pairs
from recutils.evaluate.records import Record
from recutils.evaluate.resample import crossed_ratios
from recutils.evaluate.statistics import Interval
from recutils.evaluate.vectors import Behaviour
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random
from recutils.model.cold import kernel_ridge, likeness
from recutils.tables import ITEM, USER, Interactions, Problem

FOLDS = 5
CHOICE = 2  # the fold that choices are made on
HALVES = {"A": ((3, 4), (0, 1)), "B": ((0, 1), (3, 4))}  # folds that teach, folds that judge
Vectors = Mapping[str, np.ndarray]  # half -> (n_items, d)


@dataclass(frozen=True, eq=False)
class Trial:
    """folds: rows of the items of each fold. taught: half -> its teaching items' rows and their factors (n, f).

    choices: half -> the task on the choice fold. judged: half -> the tasks of its folds.
    """

    folds: tuple[np.ndarray, ...]
    taught: dict[str, tuple[np.ndarray, np.ndarray]]
    choices: dict[str, Behaviour]
    judged: dict[str, tuple[Behaviour, ...]]
    yardsticks: dict[str, list[np.ndarray]]
    k: int
    penalty: float

    def unseen(self, half: str) -> np.ndarray:
        """Items (rows) that the half judges: their texts are not shown to a student of this half."""
        return np.concatenate([self.folds[fold] for fold in HALVES[half][1]])

    def choice(self, half: str, vectors: np.ndarray) -> float:
        """Mean nDCG@k of these vectors on the choice fold."""
        task = self.choices[half]
        return task.worth(self._scores(task, vectors), self.k)

    def _scores(self, task: Behaviour, vectors: np.ndarray) -> np.ndarray:
        """People's factors times the factors that kernel ridge expects of the new items (53, section 1)."""
        expected = kernel_ridge(likeness([(vectors, 1.0)]), task.rated, task.own, self.penalty)
        return task.people @ expected[task.task.items].T

    def lists(self, vectors: Vectors) -> list[np.ndarray]:
        """Lists of all judged folds, in the order of the halves."""
        tasks = [(half, task) for half in HALVES for task in self.judged[half]]
        return [task.listed(self._scores(task, vectors[half]), self.k) for half, task in tasks]

    def table(self, lists: Mapping[str, Sequence[np.ndarray]]) -> pd.DataFrame:
        """`cold.pairs` of all judged folds with "random" and "oracle" beside; one column a model.

        oracle: a fold's items by their true popularity, which no model may know.
        """
        tasks = [task.task for half in HALVES for task in self.judged[half]]
        every = {**self.yardsticks, **lists}
        parts = [
            pairs({name: rows[n] for name, rows in every.items()}, task, self.k, fold=n) for n, task in enumerate(tasks)
        ]
        return pd.concat(parts, ignore_index=True)


def trial(events: Interactions, k: int, *, factors: int = 32, alpha: float = 1.0, penalty: float, seed: int) -> Trial:
    """Cut the items, fit one ALS for each training part. Raises Problem as `cold_task` does."""
    folds = tuple(np.unique(part.test.item) for part in cold_items(events, FOLDS))
    of = np.full(events.n_items, -1)
    for number, items in enumerate(folds):
        of[items] = number
    fold = of[events.item.to_numpy()]

    def fitted(warm: np.ndarray, cold: int, start: int) -> tuple[Behaviour, Interactions, Interactions]:
        train, test = events.only(warm), events.only(fold == cold)
        als = ALS(factors=factors, alpha=alpha, seed=seed + start)
        return Behaviour.of(train, cold_task(train, test), als), train, test

    choices, judged, taught = {}, {}, {}
    yardsticks: dict[str, list[np.ndarray]] = {"random": [], "oracle": []}
    for half, (teaching, judging) in HALVES.items():
        choices[half] = fitted(np.isin(fold, teaching), CHOICE, 100 + teaching[0])[0]
        taught[half] = np.flatnonzero(choices[half].rated), choices[half].own
        made = [fitted(fold != one, one, one) for one in judging]
        judged[half] = tuple(behaviour for behaviour, _, _ in made)
        for behaviour, train, test in made:
            rules = {"random": Random(seed=seed).fit(train), "oracle": Popularity().fit(test)}
            for name, rows in behaviour.task.lists(rules, k).items():
                yardsticks[name].append(rows)
    return Trial(folds, taught, choices, judged, yardsticks, k, penalty)


@dataclass(frozen=True)
class Loss:
    """How much of the reference's nDCG is lost, as a share of it. upper, upper_all: one-sided bounds, 95 % and for the
    whole family; low, high: the two-sided 95 % interval. n: people."""

    share: float
    low: float
    high: float
    upper: float
    upper_all: float
    n: int

    def verdict(self, margin: float) -> str:
        """ "no worse", "worse" or "undecided" by this margin, at 95 % one-sided."""
        return "no worse" if self.upper <= margin else "worse" if self.low > margin else "undecided"


def relative_loss(
    table: pd.DataFrame, name: str, reference: str, seed: int, *, draws: int, family: int = 1, kind: str = "both"
) -> Loss:
    """1 - nDCG(name) / nDCG(reference) with people and items drawn together (`cold.crossed` for the idea).

    family: how many comparisons upper_all holds for at once (Bonferroni). Raises Problem when the reference finds
    nothing.
    """
    if kind not in KINDS:
        raise Problem(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    weight, values = table["weight"].to_numpy(), table[[name, reference]].to_numpy(dtype=np.float64)
    below = weight * values[:, 1]
    if not below.sum() > 0:
        raise Problem(f"{reference} finds nothing, so that no share of it can be lost.")
    above = weight * (values[:, 1] - values[:, 0])
    user, item = (np.unique(table[column], return_inverse=True)[1] for column in (USER, ITEM))
    shape = int(user.max()) + 1, int(item.max()) + 1
    cells = tuple(sparse.csr_matrix((part, (user, item)), shape=shape) for part in (above, below))
    drawn = crossed_ratios(shape, cells, seed, draws, KINDS[kind])
    low, high, upper, upper_all = np.nanquantile(drawn, [0.025, 0.975, 0.95, 1 - 0.05 / family])
    return Loss(float(above.sum() / below.sum()), float(low), float(high), float(upper), float(upper_all), shape[0])


def claims(
    lost: Mapping[str, Loss], speed: pd.DataFrame, at_most: Mapping[str, float], wanted: Mapping[str, float]
) -> pd.DataFrame:
    """The declared claims, one row each: bounds in per cent, speed, and whether the goal is reached: no worse by the
    margin, and at least so many times as fast.

    speed: `footprint.costs` indexed by encoder; claims about others are left out, since they were not made here.
    at_most: margins (shares). wanted: times as fast.
    """
    rows = []
    for name in (name for name in at_most if name in speed.index):
        one, fast, verdict = lost[name], speed.loc[name], lost[name].verdict(at_most[name])
        goal = "reached" if verdict == "no worse" and fast["times"] >= wanted[name] else "missed"
        percents = (round(100 * share, 2) + 0.0 for share in (one.share, one.upper, one.upper_all, at_most[name]))
        quartiles = f"{fast['times_low']:.1f} to {fast['times_high']:.1f}"
        rows.append((name, *percents, verdict, fast["times"], wanted[name], goal, quartiles))
    columns = ["encoder", "lost, %", "bound, %", "bound for all, %", "margin, %", "ranking", "times as fast", "wanted",
               "goal", "quartiles of times"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def told(found: pd.DataFrame) -> str:
    """The rows of `claims` in words."""
    return "; ".join(
        f"{row['encoder']}: {row['ranking']} at {row['margin, %']:.0f} %, {row['times as fast']:.1f} times as fast "
        f"({row['goal']})"
        for _, row in found.iterrows()
    )


def lost_records(lost: Mapping[str, Loss], **about: Any) -> list[Record]:
    """The share of nDCG that each model loses, with its interval. about: all other fields of a record."""
    return [
        Record(**about, model=name, metric="share of ndcg lost", value=one.share, n=one.n,
               low=min(one.low, one.share), high=max(one.high, one.share))
        for name, one in lost.items()
    ]  # fmt: skip


def loss_records(
    means: Mapping[str, Interval], lost: Mapping[str, Loss], claimed: Sequence[str] = (), **about: Any
) -> list[Record]:
    """nDCG of each model and the share that it loses, with intervals; of the claimed ones also the upper bound.

    The reference loses nothing and has no record of a loss. about: notebook, dataset, protocol, split, seed, k.
    """
    found = [
        Record(**about, model=name, metric="ndcg", value=one.mean, low=one.low, high=one.high, n=one.n)
        for name, one in means.items()
    ]
    found += lost_records({name: one for name, one in lost.items() if one.low < one.high}, **about)
    bounds = {"95 % bound": "upper", "95 % bound, all claims": "upper_all"}
    for name in (name for name in claimed if name in lost):
        found += [
            Record(**about, model=name, metric="share of ndcg lost", group=group, value=getattr(lost[name], which),
                   n=lost[name].n)
            for group, which in bounds.items()
        ]  # fmt: skip
    return found
