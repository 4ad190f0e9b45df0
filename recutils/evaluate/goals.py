"""What lists brought for each goal, the regret of optimising another, and how sure a front is. No re-ranking here."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.records import Record, Records
from recutils.evaluate.resample import blocks, counts, seed_of
from recutils.evaluate.statistics import DRAWS, mean_intervals
from recutils.present import interval
from recutils.rank.business import efficient
from recutils.tables import Problem

_REGRET, _FRONT = 104, 105  # streams of their own, as in `resample`


def brought(lists: np.ndarray, worth: sparse.csr_matrix) -> np.ndarray:
    """The worth (n_users,) of what the lists held and people then did. worth: csr (n_users, n_items) of later events.

    >>> brought(np.array([[0, 2], [1, -1]]), sparse.csr_matrix([[5, 1, 2], [0, 0, 3]])).tolist()
    [7.0, 0.0]
    """
    _check(lists, worth.shape[0], worth.shape[1])
    users, places = np.nonzero(lists >= 0)
    found = np.asarray(worth[users, lists[users, places]], dtype=np.float64).ravel()
    return np.bincount(users, weights=found, minlength=len(lists))


def shown(lists: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean value (n_users,) of the items shown, whatever people did with them; NaN for an empty list.

    >>> shown(np.array([[0, 2], [1, -1]]), np.array([1.0, 0.5, 0.0])).tolist()
    [0.5, 0.5]
    """
    _check(lists, len(lists), len(values))
    there = lists >= 0
    total = np.where(there, np.asarray(values, dtype=np.float64)[lists], 0.0).sum(axis=1)
    return np.divide(total, there.sum(axis=1), out=np.full(len(lists), np.nan), where=there.any(axis=1))


def told(
    values: Mapping[str, Mapping[str, np.ndarray]], *, seed: int, draws: int = DRAWS, digits: int = 2
) -> pd.DataFrame:
    """One row for each of the lists, one column for each goal: the mean with its interval, as text."""
    found = {goal: mean_intervals(columns, seed, draws=draws) for goal, columns in values.items()}
    names = next(iter(found.values()))
    rows = [
        {goal: interval(one[name].mean, one[name].low, one[name].high, digits) for goal, one in found.items()}
        for name in names
    ]
    return (
        pd.DataFrame(rows).assign(made_for=list(names))[["made_for", *found]].rename(columns={"made_for": "made for"})
    )


def _check(lists: np.ndarray, n_users: int, n_items: int) -> None:
    if lists.ndim != 2 or len(lists) != n_users or lists.max(initial=-1) >= n_items:
        raise Problem(f"lists must be (n_users, k) rows of {n_items} items for {n_users} users; got {lists.shape}")


def regret(
    values: Mapping[str, Mapping[str, np.ndarray]], *, seed: int | np.random.Generator, draws: int = DRAWS
) -> pd.DataFrame:
    """What lists made for one goal reach of another, as a share of the lists that were made for that other.

    values: goal judged -> lists -> (n_users,) finite; each judged goal is also the name of the lists made for it.
    Returns judged, made_for, share, low, high, n: ratios of means with percentile intervals, users drawn, the same for
    above and below. A share above 1 is possible: what was expected need not happen.
    Raises Problem when the lists of a goal are missing, or brought nothing at all.
    """
    names = list(next(iter(values.values())))
    lacking = [goal for goal in values if goal not in names]
    if lacking:
        raise Problem(f"each judged goal needs lists made for it; missing for {lacking}, lists are {names}")
    table = np.array([[values[goal][name] for name in names] for goal in values], dtype=np.float64)
    best = table[np.arange(len(values)), [names.index(goal) for goal in values]].mean(axis=1)
    if not np.isfinite(table).all() or not (best > 0).all():
        poor = [goal for goal, mean in zip(values, best, strict=True) if not mean > 0]
        raise Problem(f"values must be finite, and each goal's own lists bring something; wrong: {poor or 'NaN'}")
    return _ratios(table, list(values), names, seed_of(seed), draws)


def matrix(regrets: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """A table of `regret` as a matrix, one row for each of the lists (made_for) and one column for each goal judged.

    column: "share", "low" or "high"; None gives the share with its interval as text.
    """
    texts = [interval(*row, 2) for row in regrets[["share", "low", "high"]].to_numpy()]
    table = regrets.assign(text=texts).pivot(index="made_for", columns="judged", values=column or "text")
    return table.loc[list(dict.fromkeys(regrets.made_for)), list(dict.fromkeys(regrets.judged))]


def regret_records(regrets: pd.DataFrame, made_up: Collection[str], **labels: Any) -> Records:
    """The off-diagonal entries of a table of `regret` as records; whatever touches `made_up` names says so by group."""
    rows = [row for row in regrets.itertuples() if row.judged != row.made_for]
    return Records(
        Record(
            **labels,
            model=f"for {row.made_for}",
            metric=f"share of best {row.judged}",
            group="what-if" if {row.judged, row.made_for} & set(made_up) else "known users",
            value=row.share,
            low=row.low,
            high=row.high,
            n=row.n,
        )
        for row in rows
    )


def _ratios(table: np.ndarray, goals: list[str], names: list[str], seed: int, draws: int) -> pd.DataFrame:
    """table: (n_goals, n_names, n_users)."""
    means = _resampled(table.reshape(-1, table.shape[2]).T, [seed, _REGRET], draws)
    means = means.reshape(draws, len(goals), len(names))
    rows = []
    for place, goal in enumerate(goals):
        own = names.index(goal)
        for column, name in enumerate(names):
            share = table[place, column].mean() / table[place, own].mean()
            below = means[:, place, own]
            drawn = np.divide(means[:, place, column], below, out=np.full(draws, np.nan), where=below > 0)
            rows.append((goal, name, share, *np.nanquantile(drawn, [0.025, 0.975]), table.shape[2]))
    return pd.DataFrame(rows, columns=["judged", "made_for", "share", "low", "high", "n"])


def _resampled(values: np.ndarray, stream: list[int], draws: int) -> np.ndarray:
    """Means (draws, n_columns) of drawn rows of values (n_users, n_columns)."""
    rng, means = np.random.default_rng(stream), np.empty((draws, values.shape[1]))
    for block in blocks(draws, len(values)):
        means[block] = counts(rng, block.stop - block.start, len(values)) @ values / len(values)
    return means


def front(
    values: Mapping[str, Mapping[str, np.ndarray]], *, seed: int | np.random.Generator, draws: int = DRAWS
) -> pd.DataFrame:
    """Which settings no other beats on every goal, and how often that would hold with other people.

    values: goal -> setting -> (n_users,) finite. Returns setting, for each goal its mean and the ends "... low" and
    "... high" of its interval, on_front (bool), held: the share of resamples of the users that have it on the front.
    """
    settings = list(next(iter(values.values())))
    table = np.array([[values[goal][name] for name in settings] for goal in values], dtype=np.float64)
    if not np.isfinite(table).all():
        raise Problem("values must be finite for every user; leave out, for all settings, users without a value")
    drawn = _resampled(table.reshape(-1, table.shape[2]).T, [seed_of(seed), _FRONT], draws)
    drawn = drawn.reshape(draws, len(values), len(settings))
    held = np.mean([efficient(one.T) for one in drawn], axis=0)
    means, ends = table.mean(axis=2), np.quantile(drawn, [0.025, 0.975], axis=0)
    found = pd.DataFrame({"setting": settings})
    for place, goal in enumerate(values):
        found[goal], found[f"{goal} low"], found[f"{goal} high"] = means[place], ends[0, place], ends[1, place]
    return found.assign(on_front=efficient(means.T), held=held)
