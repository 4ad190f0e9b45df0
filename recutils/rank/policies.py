"""Policies: how likely each item is to be shown, by chance, by Thompson sampling or by a ranker made softer.

A policy is a table (n, n_items) of probabilities, one row for each impression of a log, at that impression's place. It
is judged in evaluate/policies.py. Rankers here learn from a log's clicks and know no text.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from recutils.data.bandit import ITEM_ID, Log, codes
from recutils.tables import Problem

Scores = Callable[[Log], np.ndarray]  # (n, n_items) of a log's impressions, higher is better
BLOCK = 10_000  # draws at once
REGULARISED = 0.1  # C of the click models: strong, since a log has some fifty clicks; not tuned


def thompson(
    alpha: np.ndarray, beta: np.ndarray, n_positions: int, rng: int | np.random.Generator, *, draws: int = 100_000
) -> np.ndarray:
    """How often Thompson sampling puts each item on each place: (n_items, n_positions), columns sum to 1.

    Each draw samples a click rate for every item from Beta(alpha, beta) and shows the best n_positions in order. The
    frequencies are themselves estimates; an item never drawn gets 0. Source: obp, BernoulliTS.compute_batch_action_dist
    (Saito and others 2021), of which this is the same law with other random numbers.
    """
    alpha, beta = np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    if alpha.shape != beta.shape or alpha.ndim != 1 or not ((alpha > 0) & (beta > 0)).all():
        raise Problem(f"alpha and beta must be positive and of one length; got shapes {alpha.shape} and {beta.shape}")
    if not 1 <= n_positions <= len(alpha) or draws < 1:
        raise Problem(f"n_positions must lie in 1..{len(alpha)} and draws be >= 1; got {n_positions} and {draws}")
    rng = np.random.default_rng(rng) if isinstance(rng, (int, np.integer)) else rng
    counts = np.zeros((len(alpha), n_positions))
    for start in range(0, draws, BLOCK):
        rates = rng.beta(alpha, beta, size=(min(BLOCK, draws - start), len(alpha)))
        best = np.argsort(rates, axis=1)[:, ::-1][:, :n_positions]
        for place in range(n_positions):
            counts[:, place] += np.bincount(best[:, place], minlength=len(alpha))
    return counts / draws


def at_rows(table: np.ndarray, log: Log) -> np.ndarray:
    """A policy that knows no visitor, (n_items, n_positions), as (n, n_items) at each impression's place."""
    if table.shape != (log.n_items, log.n_positions):
        raise Problem(f"the table must be (items, places) = {(log.n_items, log.n_positions)}; got {table.shape}")
    return table.T[log.position]


def place_blind(table: np.ndarray) -> np.ndarray:
    """The same table with every place the mean of all: what remains when places are ignored."""
    return np.repeat(table.mean(axis=1, keepdims=True), table.shape[1], axis=1)


def uniform(log: Log) -> np.ndarray:
    """Every item equally likely: the trivial policy, (n, n_items)."""
    return np.full((len(log), log.n_items), 1 / log.n_items)


def best_share(scores: np.ndarray, share: float, epsilon: float) -> np.ndarray:
    """Chance among the best share of the items; with probability epsilon among all: (n, n_items).

    scores: (n, n_items). share: 1 is uniform; at least one item is kept. Equal scores: the lower item row is kept.
    """
    if not 0 < share <= 1 or not 0 <= epsilon <= 1:
        raise Problem(f"share must lie in (0, 1] and epsilon in [0, 1]; got {share} and {epsilon}")
    n_items = scores.shape[1]
    kept = max(1, round(share * n_items))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    policy = np.full(scores.shape, epsilon / n_items)
    np.put_along_axis(policy, best, epsilon / n_items + (1 - epsilon) / kept, axis=1)
    return policy


def top_list(scores: np.ndarray, position: np.ndarray, epsilon: float) -> np.ndarray:
    """The item of rank p at place p; with probability epsilon any item: (n, n_items).

    scores: (n, n_items). position: (n,) places from 0. Equal scores: the lower item row comes first.
    """
    if not 0 <= epsilon <= 1:
        raise Problem(f"epsilon must lie in [0, 1]; got {epsilon}")
    n_items = scores.shape[1]
    order = np.argsort(-scores, axis=1, kind="stable")
    policy = np.full(scores.shape, epsilon / n_items)
    policy[np.arange(len(scores)), order[np.arange(len(scores)), position]] += 1 - epsilon
    return policy


def item_clicks(train: Log) -> Scores:
    """Items by their click rate, drawn towards the mean as if each had been shown until one expected click."""
    shown, clicks = (np.bincount(train.item, weights=w, minlength=train.n_items) for w in (None, train.click))
    _check_clicks(train)
    rate = train.click.mean()
    scores = (clicks + 1) / (shown + 1 / rate)
    return lambda log: np.broadcast_to(scores, (len(log), len(scores)))


def content(train: Log) -> Scores:
    """Items by what they are (their hashed categories), not by which: a logistic model that could rank a new item."""
    _check_clicks(train)
    described = item_features(train.items)
    model = LogisticRegression(C=REGULARISED, max_iter=1000).fit(described[train.item], train.click > 0)
    scores = model.decision_function(described)
    return lambda log: np.broadcast_to(scores, (len(log), len(scores)))


def features(train: Log) -> Scores:
    """Items by a logistic model of the item's categories, crossed with the visitor's first feature, and the affinity.

    Without the cross the visitor would move all items alike, and the ranking would not be personal.
    """
    _check_clicks(train)
    described = item_features(train.items)
    seen = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train.people.iloc[:, :2])
    model = LogisticRegression(C=REGULARISED, max_iter=1000)
    model.fit(_crossed(seen.transform(train.people.iloc[:, :2]), described, train, train.item), train.click > 0)
    weight = model.coef_[0]

    def scores(log: Log) -> np.ndarray:
        people = seen.transform(log.people.iloc[:, :2])
        n_features, n_people = described.shape[1], people.shape[1]
        cross = weight[n_features : n_features * (1 + n_people)].reshape(n_people, n_features)
        personal = (weight[:n_features] + people @ cross) @ described.T
        return personal + weight[-1] * np.log1p(log.affinity)

    return scores


def _crossed(people: np.ndarray, described: np.ndarray, log: Log, item: np.ndarray) -> np.ndarray:
    """Item features, person x item features, and the affinity of the shown item: (n, ...)."""
    shown = described[item]
    both = (people[:, :, None] * shown[:, None, :]).reshape(len(shown), -1)
    return np.column_stack([shown, both, np.log1p(log.affinity[np.arange(len(shown)), item])])


def item_features(items: pd.DataFrame) -> np.ndarray:
    """Categories one-hot and the rest as numbers of mean 0 and spread 1: (n_items, d), the item's name left out."""
    described = items.drop(columns=ITEM_ID)
    numbers = described.select_dtypes("number").to_numpy(np.float64)
    spread = np.where(numbers.std(axis=0) > 0, numbers.std(axis=0), 1.0)
    kinds = described.select_dtypes(exclude="number")
    parts = [np.eye(column.max() + 1)[column] for column in codes(kinds).T] if len(kinds.columns) else []
    return np.column_stack([(numbers - numbers.mean(axis=0)) / spread, *parts])


def _check_clicks(train: Log) -> None:
    if len(train.clicked) == 0:
        raise Problem(f"{train.name}: no click among {len(train):,} impressions, so nothing can be learnt. Use more.")


RANKERS: dict[str, Callable[[Log], Scores]] = {"item clicks": item_clicks, "content": content, "features": features}
