"""Choices among films that people rated, so that every reward is known. No true log: replay.py has those."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.records import Record, Records, from_users
from recutils.evaluate.replay import Log, live, replay
from recutils.evaluate.statistics import DRAWS
from recutils.present import interval
from recutils.rank.bandits import Bandit, Fixed
from recutils.tables import ITEM, TIME, USER, VALUE, Interactions, Problem


@dataclass(frozen=True, eq=False)
class Rated:
    """Decisions made from ratings: the log, and the warm part's mean liking of each arm (n_arms,), known beforehand."""

    log: Log
    before: np.ndarray
    items: np.ndarray


def rated_choices(
    warm: Interactions,
    stream: Interactions,
    liked: float,
    rng: int | np.random.Generator,
    *,
    n_arms: int = 100,
    offered: int = 5,
    most: int = 10_000,
    per_user: int = 5,
    factors: int = 8,
) -> Rated:
    """Choices among films that a person rated, every reward known: reward 1 where the rating is at least `liked`.

    Not a true log: whoever decides sees `offered` films drawn evenly from those that the person rated anyway, among the
    `n_arms` most rated of the warm part. A person's films are dealt into such hands, each film once; hands follow the
    person's order in the stream, at most `per_user` of each. The "logged" arm is one of the hand at random.
    contexts per film: 1, its mean liking in the warm part, `factors` numbers from an SVD of the warm part's ratings
    around each person's mean, the person's mean of liked minus disliked over the logged arms of earlier hands and the
    warm part's ratings times these numbers (one number).
    Raises Problem when nobody rated enough of the arms.
    """
    rng = np.random.default_rng(rng)
    items = np.argsort(-np.bincount(warm.item, minlength=warm.n_items), kind="stable")[:n_arms]
    hands = _hands(stream, items, (offered, per_user), rng)
    if len(hands) == 0:
        raise Problem(f"nobody rated {offered} of the {len(items)} arms in the stream. Offer fewer, or take more arms.")
    hands = hands[:most]
    arms, reward = (np.stack(column) for column in zip(*((h[1], h[2] >= liked) for h in hands), strict=True))
    users, reward = np.array([hand[0] for hand in hands]), reward.astype(np.float64)
    chosen = rng.integers(offered, size=len(hands))
    before, vectors = _item_facts(warm, items, liked, factors)
    taste = _tastes(warm, items, liked, vectors, (users, arms, reward, chosen))
    own = np.einsum("nf,nmf->nm", taste, vectors[arms])
    contexts = np.concatenate([np.ones((*arms.shape, 1)), before[arms][..., None], vectors[arms], own[..., None]], 2)
    return Rated(Log(arms, chosen, np.full(len(hands), 1 / offered), reward, contexts, users), before, items)


def _hands(
    stream: Interactions, items: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(user, arms (offered,), ratings (offered,)) in the order of the users' coming. size: offered, hands a user."""
    offered, per_user = size
    arm_of = np.full(stream.n_items, -1)
    arm_of[items] = np.arange(len(items))
    rows = stream.rows[arm_of[stream.item] >= 0].drop_duplicates([USER, ITEM])
    rows = rows.sort_values(TIME, kind="stable") if stream.has_time else rows
    hands = []
    for user, own in rows.groupby(USER, sort=False):
        dealt = rng.permutation(len(own))[: len(own) // offered * offered].reshape(-1, offered)[:per_user]
        arms, values = arm_of[own[ITEM].to_numpy()], own[VALUE].to_numpy()
        hands += [(user, arms[hand], values[hand]) for hand in dealt]
    return hands


def _item_facts(warm: Interactions, items: np.ndarray, liked: float, factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean liking (n_arms,), pulled to the overall mean by ten ratings, and vectors (n_arms, factors) of length ~1."""
    from sklearn.decomposition import TruncatedSVD

    good = (warm.value.to_numpy() >= liked).astype(np.float64)
    counts, sums = (np.bincount(warm.item, weights=w, minlength=warm.n_items)[items] for w in (None, good))
    before = (sums + 10 * good.mean()) / (counts + 10)
    centred = warm.matrix()[:, items].astype(np.float64)
    means = np.asarray(centred.sum(axis=1)).ravel() / np.maximum(np.diff(centred.indptr), 1)
    centred.data -= np.repeat(means, np.diff(centred.indptr))
    svd = TruncatedSVD(min(factors, len(items) - 1), random_state=0).fit(centred)
    vectors = svd.components_.T
    return before, vectors / max(float(np.sqrt((vectors**2).sum(axis=1).mean())), 1e-12)


def _tastes(
    warm: Interactions, items: np.ndarray, liked: float, vectors: np.ndarray, hands: tuple[np.ndarray, ...]
) -> np.ndarray:
    """(n_hands, factors): the mean of (+1 liked, -1 not) x vector over all known before each hand."""
    users, arms, reward, chosen = hands
    known = warm.matrix()[:, items]
    signs = sparse.csr_matrix((np.where(known.data >= liked, 1.0, -1.0), known.indices, known.indptr), known.shape)
    sums, counts = signs @ vectors, np.diff(known.indptr).astype(np.float64)
    tastes = np.empty((len(users), vectors.shape[1]))
    for place, user in enumerate(users):
        tastes[place] = sums[user] / max(counts[user], 1.0)
        sums[user] += (2 * reward[place, chosen[place]] - 1) * vectors[arms[place, chosen[place]]]
        counts[user] += 1
    return tastes


def hindsight(log: Log) -> Fixed:
    """The best fixed ranking, known only afterwards: arms by their mean reward over all of the log's hands."""
    sums, shown = (np.bincount(log.arms.ravel(), weights=w, minlength=log.n_arms) for w in (log.reward.ravel(), None))
    return Fixed(np.divide(sums, shown, out=np.zeros(len(sums)), where=shown > 0))


def race(
    choices: Callable[[int], Rated], policies: Mapping[str, Callable[[Rated], Bandit]], seeds: list[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every policy decides the same hands, and is judged once more by replay on the logged arms only.

    choices: seed -> hands; policies: name -> maker of a fresh one.
    Returns decisions (columns seed, place, user, then each policy's reward) and checks (seed, policy, counted,
    replay's mean, and live's mean over its first so many decisions).
    """
    decisions, checks = [], []
    for seed in seeds:
        given = choices(seed)
        rewards = {name: live(given.log, make(given), [seed, 1]).reward for name, make in policies.items()}
        place = np.arange(len(given.log))
        decisions.append(pd.DataFrame({"seed": seed, "place": place, "user": given.log.users} | rewards))
        for name, make in policies.items():
            seen = replay(given.log, make(given), [seed, 1])
            checks.append((seed, name, len(seen.places), seen.mean, rewards[name][: len(seen.places)].mean()))
    columns = ["seed", "policy", "counted", "replay", "live"]
    return pd.concat(decisions, ignore_index=True), pd.DataFrame(checks, columns=columns)


def score_card(
    table: pd.DataFrame, best: str, *, seed: int, draws: int = DRAWS, **labels: Any
) -> tuple[Records, pd.DataFrame]:
    """What `race` decided: records of each policy's likes per decision against "fixed", and a table with its regret.

    Unit: a person's mean over hands and seeds. best: the policy that regret is counted from. labels: for the records.
    """
    policies = [name for name in table.columns if name not in ("seed", "place", USER)]
    people = {name: column.to_numpy() for name, column in table.groupby(USER)[policies].mean().items()}
    found = from_users({"like_rate": people}, seed=seed, baseline="fixed", family=(), draws=draws, **labels)
    found = Records(one for one in found if one.metric == "like_rate")
    late = table[table.place >= table.groupby("seed").place.transform("max") / 2]
    rows = [
        (
            one.model,
            interval(one.value, one.low, one.high),
            _gap(one),
            late[one.model].mean(),
            table[best].mean() - table[one.model].mean(),
        )
        for one in found
    ]
    columns = ["policy", "likes per decision", "Δ to fixed", "second half", "regret per decision"]
    return found, pd.DataFrame(rows, columns=columns)


def _gap(one: Record) -> str:
    """The difference from the baseline with its interval, signed; nothing for the baseline itself."""
    return "" if one.delta is None else f"{one.delta:+.3f} [{one.delta_low:+.3f}, {one.delta_high:+.3f}]"
