"""Each user's last event as the test part, when several events share one time: who is last is then a matter of taste.

The orders themselves are made in data/order.py; what a leaderboard makes of them is computed here.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from recutils.data import split as splits
from recutils.data.order import reorder_ties
from recutils.evaluate.metrics import ndcg
from recutils.evaluate.multiverse import Make, Multiverse
from recutils.evaluate.records import Record, Records
from recutils.evaluate.statistics import DRAWS, Comparison, compare_all, mean_intervals
from recutils.rank.top import recommend
from recutils.tables import TIME, USER, Interactions, Problem

CHOICE, FILE = "tied times", "file"
PROTOCOL = "last one, every order of ties"


def tied_last(events: Interactions) -> np.ndarray:
    """(n_users,) bool: True where a user has another event at the time of the last one. Problem without times."""
    newest = events.time.groupby(events.user).transform("max") == events.time
    return np.bincount(events.user[newest], minlength=events.n_users) > 1


def session_sizes(events: Interactions) -> pd.DataFrame:
    """One row for each number of events at one time: events_together, and the share of all events, by size."""
    sizes = events.rows.groupby([USER, TIME]).size()
    shares = sizes.groupby(sizes).sum() / len(events)
    return shares.rename_axis("events_together").rename("share").reset_index()


def orders(n_random: int) -> dict[str, str]:
    """The orders of ties that are tried: name -> a word of `data.order.TIES`; n_random draws of the random one."""
    if n_random < 1:
        raise Problem(f"n_random must be at least 1 draw of a random order; got {n_random}")
    drawn = {f"random {number}": "random" for number in range(1, n_random + 1)}
    return {FILE: FILE, "reversed": "reversed", "by item": "item", **drawn}


def last_one(
    events: Interactions,
    models: Mapping[str, Make],
    *,
    k: int,
    seed: int,
    n_random: int = 3,
    only: Collection[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Multiverse:
    """nDCG@k of each model under each order of ties; all but the last event train, the last is the truth.

    Settings are fixed, so that the event before the last needs no part of its own: it is learnt from. Returns a
    multiverse whose one choice is the order. Users with fewer than 3 events are not judged.
    only: names of the orders that are made, file order among them, for a model that takes long; None makes all.
    """
    names, seeds = orders(n_random), list(orders(n_random))
    if only is not None and not {FILE} <= set(only) <= set(names):
        raise Problem(f"only must name orders among {', '.join(names)}, with {FILE!r}; got {list(only)}")
    names = {name: word for name, word in names.items() if only is None or name in only}
    values = np.full((events.n_users, len(names), len(models)), np.nan, dtype=np.float32)
    for column, (name, ties) in enumerate(names.items()):
        if say:
            say(f"ties: {name}")
        part = splits.last_n(reorder_ties(events, ties, np.random.default_rng([seed, seeds.index(name)])), 1)
        whole, users = splits.frozen(part).train, np.unique(part.test.user)
        histories, truth = whole.matrix()[users], part.test.matrix("binary")[users]
        for row, make in enumerate(models.values()):
            lists = recommend(make().fit(whole), histories, k)
            values[users, column, row] = ndcg(lists, truth)
    return Multiverse({CHOICE: tuple(names)}, tuple(models), values)


def records(found: Multiverse, *, notebook: str, dataset: str, k: int, seed: int, draws: int = DRAWS) -> Records:
    """A record for each order and model: mean and interval, and its difference from the same model in file order.

    The family is all models x all other orders; p_holm runs over it.
    """
    flat = {
        (order, model): found.values[:, column, row].astype(np.float64)
        for column, order in enumerate(found.choices[CHOICE])
        for row, model in enumerate(found.models)
    }
    means = mean_intervals(flat, seed, draws=draws)
    compared = compare_all({key: (flat[key], flat[FILE, key[1]]) for key in flat if key[0] != FILE}, seed, draws=draws)
    made = []
    for (order, model), mean in means.items():
        about = {"notebook": notebook, "dataset": dataset, "protocol": PROTOCOL, "split": f"last_1, ties {order}"}
        about |= {"model": model, "metric": "ndcg", "k": k, "seed": seed, "n": mean.n}
        paired = _paired(compared[order, model], model) if order != FILE else {}
        made.append(Record(**about, value=mean.mean, low=mean.low, high=mean.high, **paired))
    return Records(made).corrected()


def _paired(one: Comparison, model: str) -> dict[str, Any]:
    """The fields of a difference from file order."""
    delta = {"delta": one.delta, "delta_low": one.low, "delta_high": one.high, "p": one.p}
    return {"against": f"{model}, ties {FILE}", **delta}


def by_people(found: Multiverse, tied: np.ndarray) -> pd.DataFrame:
    """Users with and without a tied last event: each model's mean in file order, and the least and most of all orders.

    tied: (n_users,) bool, from `tied_last`. Columns: people, users, model, file, least, most.
    """
    judged, rows = np.isfinite(found.values[:, 0, 0]), []
    for people, chosen in {"tied last event": tied & judged, "single last event": ~tied & judged}.items():
        means = found.values[chosen].mean(axis=0, dtype=np.float64) if chosen.any() else np.empty((1, 0))
        for model, own in zip(found.models, means.T, strict=False):
            rows.append((people, int(chosen.sum()), model, own[0], own.min(), own.max()))
    return pd.DataFrame(rows, columns=["people", "users", "model", FILE, "least", "most"])


def duel(ours: Multiverse, theirs: Multiverse, *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """The last model of one board minus the last of another, over the same users, in each order that both hold.

    Columns: ties, difference, low, high (95 %, paired, exploratory), users.
    """
    shared = [order for order in ours.choices[CHOICE] if order in theirs.choices[CHOICE]]
    pairs = {
        order: tuple(one.values[:, one.choices[CHOICE].index(order), -1] for one in (ours, theirs)) for order in shared
    }
    found = compare_all(pairs, seed, draws=draws)
    rows = [(order, one.delta, one.low, one.high, one.n) for order, one in found.items()]
    return pd.DataFrame(rows, columns=["ties", "difference", "low", "high", "users"])
