"""Lists for more than one goal: weighted sums, one goal after the other, and which lists nothing beats.

What a pair is worth is estimated in `worth`; rules for each list are in `constraints`, for all lists in `exposure`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

from recutils.rank.programme import programme
from recutils.tables import ITEM, Interactions, Problem

MOST_LISTS = 200_000  # lists that may be enumerated
CLOSE = 1e-9  # of a goal's size; sums of the same numbers in another order differ by less


@dataclass(frozen=True, eq=False)
class Offers:
    """What may be shown to whom, and what showing it is worth.

    items: (n_users, n) item rows, -1 fills the places of who has fewer candidates. worth: goal -> (n_users, n), in the
    goal's own unit; what stands at a fill is not read. Choices are masks (n_users, n), True where a candidate is shown.
    Raises Problem for other shapes, NaN or infinity, and for a user without any candidate.
    """

    items: np.ndarray
    worth: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or not np.issubdtype(self.items.dtype, np.integer):
            raise Problem(f"items must be integers (n_users, n); got {self.items.dtype} of shape {self.items.shape}")
        empty = np.flatnonzero(~self.real.any(axis=1))
        if len(empty) or not len(self.items):
            told = (
                f"{len(empty)} users have no candidate, the first in row {empty[0]}" if len(empty) else "no user came"
            )
            raise Problem(
                f"each user needs at least one candidate; {told}. Leave them out, or give them the popular list."
            )
        if not self.worth:
            raise Problem("worth must name at least one goal: name -> (n_users, n)")
        for goal in self.worth:
            self._check_goal(goal)

    def _check_goal(self, goal: str) -> None:
        values = np.asarray(self.worth[goal])
        if values.shape != self.items.shape:
            raise Problem(f"goal {goal!r} must have the shape of items {self.items.shape}; got {values.shape}")
        bad = ~np.isfinite(values) & self.real
        if bad.any():
            item = self.items[bad][0]
            raise Problem(
                f"goal {goal!r} must be finite; {int(bad.sum())} pairs are not, the first of item {item}. "
                "Fill the gap (for example with the mean of the item's category) or drop the item."
            )

    @property
    def real(self) -> np.ndarray:
        """(n_users, n) bool, False at the fills."""
        return self.items >= 0

    def of(self, goal: str) -> np.ndarray:
        """Worth (n_users, n) of one goal. Raises Problem for an unknown goal."""
        if goal not in self.worth:
            raise Problem(f"unknown goal {goal!r}; known: {', '.join(self.worth)}")
        return self.worth[goal]

    def only(self, users: np.ndarray) -> "Offers":
        """The offers of some users, by mask or places."""
        return Offers(self.items[users], {goal: values[users] for goal, values in self.worth.items()})

    def top(self, scores: np.ndarray, k: int) -> np.ndarray:
        """The choice (n_users, n) of the k candidates with the largest scores; equal ones by ascending item row."""
        if not 1 <= k <= self.items.shape[1]:
            raise Problem(f"k must lie in 1..{self.items.shape[1]} (the candidates of a user); got {k}")
        chosen = np.zeros(self.items.shape, dtype=bool)
        np.put_along_axis(chosen, self.order(np.where(self.real, scores, -np.inf))[:, :k], True, axis=1)
        return chosen & self.real

    def order(self, scores: np.ndarray) -> np.ndarray:
        """Places (n_users, n) of the candidates, the largest score first, equal ones by ascending item row."""
        return np.lexsort((self.items, -scores), axis=1)

    def lists(self, chosen: np.ndarray, by: str, k: int) -> np.ndarray:
        """Ranked lists (n_users, k) of what is chosen, the largest worth for goal `by` first; -1 fills the end."""
        order = self.order(np.where(chosen, self.of(by), -np.inf))[:, :k]
        return np.where(np.take_along_axis(chosen, order, 1), np.take_along_axis(self.items, order, 1), -1)

    def total(self, chosen: np.ndarray, goal: str) -> np.ndarray:
        """The expected worth (n_users,) of what is chosen."""
        return np.where(chosen, self.of(goal), 0.0).sum(axis=1)

    def best(self, goal: str, k: int) -> np.ndarray:
        """The largest expected worth (n_users,) that k places can have."""
        return self.total(self.top(self.of(goal), k), goal)


def scalarised(offers: Offers, weights: Mapping[str, float], k: int) -> np.ndarray:
    """The choice (n_users, n) with the largest weighted sum of the goals.

    Each goal is divided by the mean of its best lists first, so that a weight counts shares of the attainable.
    weights: goal -> 0 or more, scaled to sum to 1. Raises Problem for negative, NaN, unknown or only zero ones.
    """
    check_weights(offers, weights)
    units = {goal: float(np.abs(offers.best(goal, k)).mean()) or 1.0 for goal in weights}
    total = sum(weights.values())
    return offers.top(sum(weight / total / units[goal] * offers.of(goal) for goal, weight in weights.items()), k)


def check_weights(offers: Offers, weights: Mapping[str, float]) -> None:
    """Raise Problem unless the weights are finite, 0 or more, of known goals, and at least one is above 0."""
    unknown = sorted(set(weights) - set(offers.worth))
    if unknown or not weights:
        raise Problem(f"weights must name goals among {list(offers.worth)}; got {unknown or 'none'}")
    bad = {goal: weight for goal, weight in weights.items() if not (np.isfinite(weight) and weight >= 0)}
    if bad:
        raise Problem(f"weights must be numbers of 0 or more; got {bad}. To avoid a thing, make a goal of its absence.")
    if not sum(weights.values()) > 0:
        raise Problem("all weights are 0, so every list is as good as any. Give at least one goal a weight above 0.")


def lexicographic(offers: Offers, order: Sequence[str], slack: float, k: int) -> np.ndarray:
    """The choice (n_users, n) that serves the goals one after the other, in `order`, for each list.

    The second goal chooses among the lists within `slack` (a share, 0.05 is five per cent) of the best on the first,
    the third among the lists that are also within `slack` of the best then left on the second. Solved exactly.
    """
    if not 0 <= slack <= 1 or len(set(order)) != len(order) or not order:
        raise Problem(f"order must name different goals and slack lie in 0..1; got {list(order)} and {slack}")
    chosen = offers.top(offers.of(order[0]), k)
    places = np.minimum(k, offers.real.sum(axis=1))
    for user in range(len(chosen) if len(order) > 1 else 0):
        real = np.flatnonzero(offers.real[user])
        columns = np.array([offers.of(goal)[user, real] for goal in order], dtype=np.float64)
        floors: list[float] = []
        picked = chosen[user, real]
        for place, column in enumerate(columns[:-1]):
            reached = float(column[picked].sum())
            floors.append(reached - slack * abs(reached) - CLOSE * np.abs(column).max(initial=1.0))
            rows = columns[: place + 1]
            found = programme(columns[place + 1], int(places[user]), rows, np.array(floors), np.full(len(rows), np.inf))
            picked = picked if found is None else found
        chosen[user, real] = picked
    return chosen


def efficient(points: np.ndarray) -> np.ndarray:
    """(n,) bool, True where no other point is at least as good on all goals and better on one. points: (n, n_goals).

    >>> efficient(np.array([[1, 3], [2, 2], [1, 2], [3, 1]])).tolist()
    [True, True, False, True]
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise Problem(f"points must be finite numbers (n, n_goals); got shape {points.shape}")
    if points.shape[1] == 2:
        return _efficient_pairs(points)
    return np.array(
        [not ((points >= one).all(axis=1) & (points > one).any(axis=1)).any() for one in points], dtype=bool
    )


def _efficient_pairs(points: np.ndarray) -> np.ndarray:
    """The same for two goals, by one walk from the best on the first."""
    unique, group = np.unique(-points, axis=0, return_inverse=True)  # best on the first goal first, then on the second
    before = np.concatenate([[np.inf], np.minimum.accumulate(unique[:, 1])[:-1]])
    return (unique[:, 1] < before)[group.ravel()]


def supported(points: np.ndarray) -> np.ndarray:
    """(n,) bool, True where some weighted sum with weights above 0 has its maximum at the point. points: (n, 2).

    The efficient points that are not supported lie in a dent of the front: a weighted sum passes them by.

    >>> supported(np.array([[0, 4], [1, 2], [4, 0], [3, 3]])).tolist()
    [True, False, True, True]
    >>> supported(np.array([[0, 4], [1, 2], [4, 0]])).tolist()  # the middle one is efficient, but lies in a dent
    [True, False, True]
    """
    points = np.asarray(points, dtype=np.float64)
    corners = np.unique(points[efficient(points)], axis=0)  # once each, else two equal points would hide a dent
    hull: list[np.ndarray] = []
    for corner in corners:
        while len(hull) > 1 and _turn(hull[-2], hull[-1], corner) > 0:
            hull.pop()
        hull.append(corner)
    return (points[:, None, :] == np.array(hull)[None, :, :]).all(axis=2).any(axis=1)


def _turn(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> float:
    """Above 0 when the walk turns left at the second point, which then lies under the line from first to third."""
    one, two = second - first, third - first
    return float(one[0] * two[1] - one[1] * two[0])


def every_list(worth: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """All choices of k candidates: members (n_lists, k), and their totals (n_lists, n_goals). worth: (n, n_goals).

    Raises Problem above 200,000 lists.
    """
    n = len(worth)
    if not 1 <= k <= n or comb(n, k) > MOST_LISTS:
        raise Problem(f"{n} candidates and k = {k} make {comb(n, k):,} lists; at most {MOST_LISTS:,}. Take fewer.")
    members = np.array(list(combinations(range(n), k)))
    return members, worth[members].sum(axis=1)


def freshness(items: pd.DataFrame, train: Interactions, *, half_life: float) -> np.ndarray | None:
    """How new each item is when training ends, (n_items,) in 0..1: halved with each `half_life` years of age.

    Age counts from the column `year` where there is one (a missing year counts as the oldest), else from the item's
    first training event (an item without any is new: 1). None where the data have neither.
    """
    if not half_life > 0:
        raise Problem(f"half_life must be a number of years above 0; got {half_life}")
    if not train.has_time:
        return None
    if "year" in items:
        year = pd.to_numeric(items["year"], errors="coerce")
        age = train.time.max().year - year.fillna(year.min()).to_numpy(dtype=np.float64)
    else:
        first = train.rows.groupby(ITEM)["time"].min().reindex(range(train.n_items))
        age = ((train.time.max() - first).dt.total_seconds() / (365.25 * 86400)).fillna(0.0).to_numpy()
    return 0.5 ** (np.maximum(age, 0.0) / half_life)


def shelves(items: pd.DataFrame, *, seed: int, n: int = 6) -> tuple[np.ndarray, list[str]]:
    """Which shelves (categories) each item stands on: (n_items, n_shelves) bool, and their names in order.

    From the column `genres` ("Action, Drama"); where there is none, n made-up shelves by a seeded draw (what-if).
    """
    if "genres" in items and (items["genres"].fillna("") != "").any():
        dummies = items["genres"].fillna("none").replace("", "none").str.get_dummies(", ")
        return dummies.to_numpy(dtype=bool), list(dummies.columns)
    drawn = np.random.default_rng(seed).integers(0, n, len(items))
    return drawn[:, None] == np.arange(n), [f"what-if shelf {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n]]


def what_if_margins(names: Sequence[str], *, seed: int, low: float = 0.05, high: float = 0.5) -> dict[str, float]:
    """A made-up margin for each shelf: evenly spaced shares from low to high, dealt out by a seeded draw."""
    margins = np.linspace(low, high, len(names)).round(2)
    return dict(zip(names, np.random.default_rng(seed).permutation(margins).tolist(), strict=True))


def item_margins(on: np.ndarray, margins: Mapping[str, float]) -> np.ndarray:
    """The mean margin (n_items,) of each item's shelves; of an item on no shelf the mean of all. on: (n_items, n).

    Raises Problem for margins that are not finite.
    """
    table = np.array(list(margins.values()), dtype=np.float64)
    bad = [name for name, margin in margins.items() if not np.isfinite(margin)]
    if bad or len(table) != on.shape[1]:
        raise Problem(
            f"each of {on.shape[1]} shelves needs a finite margin; missing or not finite: {bad or len(table)}"
        )
    count = on.sum(axis=1)
    return np.where(count > 0, (on @ table) / np.maximum(count, 1), table.mean())
