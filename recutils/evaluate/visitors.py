"""The people of a data set as the visitors of an experiment: what each did before it, and during it under two lists.

Each person's own history is cut, so that everybody takes part; the lists are judged by what people did without them,
which no real experiment would show. Nothing is chosen on these values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.evaluate.beyond import novelty
from recutils.evaluate.experiments import two_arms
from recutils.evaluate.metrics import accuracy
from recutils.rank.top import Scorer, recommend
from recutils.tables import TIME, USER, Dataset, Interactions, Problem

CUTS = (0.5, 0.75)  # of each person's events: past | before the experiment | during it
LEAST = 8  # events of a person, so that no part is empty
METRICS = ("ndcg", "hit_rate", "recall")


@dataclass(frozen=True, eq=False)
class Visitors:
    """One row per visitor in `table`, indexed by user id: "ndcg before, <list>", "ndcg, <list>", ..., mean ratings.

    notes: who is left out, with counts.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def periods(interactions: Interactions) -> tuple[Interactions, Interactions, Interactions]:
    """(past, before, during): each person's events in order of time, cut at half and at three quarters.

    People with fewer than LEAST events are in none of the three. Raises Problem without times or when nobody is left.
    """
    rows = interactions.rows
    if not interactions.has_time:
        raise Problem("an experiment has a before and a during, but these interactions have no time; use such data.")
    ordered = rows.sort_values([USER, TIME], kind="stable")
    size = ordered.groupby(USER)[USER].transform("size").to_numpy()
    share = ordered.groupby(USER).cumcount().to_numpy() / size
    if not (size >= LEAST).any():
        raise Problem(f"no user has {LEAST} events; the largest history has {size.max()}. Use a larger data set.")
    part = np.where(size < LEAST, -1, np.digitize(share, CUTS))
    return tuple(interactions.only(np.sort(ordered.index[part == one])) for one in range(3))


def visitors(data: Dataset, models: Mapping[str, Scorer], k: int) -> Visitors:
    """Every person's metrics before and during the experiment, under each model's list.

    models: name -> an unfitted model; the first one is what everybody saw before. All learn from the past only.
    """
    past, before, during = periods(data.interactions)
    people = np.flatnonzero(np.bincount(during.user, minlength=during.n_users) > 0)
    history = past.matrix()
    known = history + before.matrix()
    known.sort_indices()
    fitted = {name: model.fit(past) for name, model in models.items()}
    first = next(iter(fitted))
    columns = _judged(f"{{}} before, {first}", recommend(fitted[first], history[people], k), before, people, past)
    for name, model in fitted.items():
        columns |= _judged(f"{{}}, {name}", recommend(model, known[people], k), during, people, past)
    columns |= _ratings(before, during, people) if data.explicit else {}
    table = pd.DataFrame(columns, index=pd.Index(data.user_ids.ids(people), name="user"))
    left = int((np.bincount(data.interactions.user, minlength=during.n_users) > 0).sum()) - len(people)
    return Visitors(table, (f"{len(people):,} people take part; {left:,} with fewer than {LEAST} events do not.",))


def _judged(
    label: str, lists: np.ndarray, part: Interactions, people: np.ndarray, past: Interactions
) -> dict[str, np.ndarray]:
    found = accuracy(lists, part.matrix("binary")[people], lists.shape[1])
    values = {metric: found[metric] for metric in METRICS} | {"novelty": novelty(lists, past.matrix("binary"))}
    return {label.format(metric): column for metric, column in values.items()}


def _ratings(before: Interactions, during: Interactions, people: np.ndarray) -> dict[str, np.ndarray]:
    """Each person's mean rating in the two parts."""
    named = {"rating before": before, "rating": during}
    return {
        name: part.rows.groupby(USER)["value"].mean().reindex(people).to_numpy(float) for name, part in named.items()
    }


def activity(interactions: Interactions, share: float = 0.9) -> pd.DataFrame:
    """Events of each person in two neighbouring windows of the calendar, equally long: columns before, during.

    The second window is the last 1 - share of the events. People are those known before the second window; who stays
    away counts 0. Index: user row.
    """
    cut, end = interactions.time.quantile(share), interactions.time.max()
    start = cut - (end - cut)
    old = np.unique(interactions.user[interactions.time < cut])
    spans = {"before": (interactions.time >= start) & (interactions.time < cut), "during": interactions.time >= cut}
    counts = {
        name: np.bincount(interactions.user[inside], minlength=interactions.n_users)[old]
        for name, inside in spans.items()
    }
    return pd.DataFrame(counts, index=pd.Index(old, name=USER)).astype(np.float64)


def pasts(table: pd.DataFrame, interactions: Interactions, first: str) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Outcomes of `visitors` with the same people's past: name -> (during, before). first: the list shown before."""
    pairs = {name: (table[f"{name}, {first}"], table[f"{name} before, {first}"]) for name in METRICS}
    if "rating" in table:
        pairs["mean rating"] = (table["rating"], table["rating before"])
    active = activity(interactions)
    return {**pairs, "events by calendar": (active["during"], active["before"])}


def arms(table: pd.DataFrame, lists: tuple[str, str], n: int, rng: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """n of the visitors dealt into two halves, (control, treated), each with its own list's metrics, higher better.

    lists: names of the control's and of the treated's list. familiarity is novelty with its sign turned, in bits.
    """
    if not 4 <= n <= len(table):
        raise Problem(f"n must lie in 4..{len(table)}, the number of visitors; got {n}")
    who = table.index[np.random.default_rng(rng).permutation(len(table))[:n]]
    found = []
    for half, name in zip(two_arms(who, rng), lists, strict=True):
        own = {metric: table.loc[half, f"{metric}, {name}"] for metric in METRICS}
        found.append(pd.DataFrame(own | {"familiarity": -table.loc[half, f"novelty, {name}"]}))
    return found[0], found[1]
