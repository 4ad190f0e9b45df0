"""SIMULATION of the feedback loop: a user model accepts items, the recommender learns from them. No real person.

Everything here rests on the user model: what it holds of items that nobody rated is a guess. Label every figure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, stats

from recutils.evaluate.beyond import exposure, gini
from recutils.model.base import Model
from recutils.model.svd import SVD
from recutils.present import interval
from recutils.rank.top import top_k
from recutils.tables import ITEM, USER, VALUE, Interactions, Problem

LABEL = "SIMULATION"  # the protocol of every record made here


@dataclass(frozen=True, eq=False)
class World:
    """The people of the simulation. accept: (n_users, n_items) float32, the chance that who looks at an item takes it.

    start: real likes to begin with. auc: how well the user model tells likes from dislikes on ratings it never saw.
    """

    accept: np.ndarray
    start: Interactions
    auc: float
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Loop:
    """One way to run the recommender. model: makes the model; None shows random lists.

    retrain: learn from accepted items after each round. explore: this many places of each list go to random unseen
    items. discount: scores are divided by (events so far + 1)^discount, which holds the popular back.
    """

    model: Callable[[], Model] | None
    retrain: bool = True
    explore: int = 0
    discount: float = 0.0


def world(
    interactions: Interactions,
    liked: float,
    rng: int | np.random.Generator,
    *,
    least: int = 20,
    share: float = 0.2,
    factors: int = 20,
) -> World:
    """A user model fitted on real ratings, and a share of each person's real likes as the start.

    Items with fewer than `least` ratings are left out. SVD (biased matrix factorisation) learns from 90 % of them; a
    logistic curve of liking against its predictions, fitted on the other 10 %, gives the chances. It treats ratings
    as missing at random, which they are not: unrated items look better here than they would in life.
    Raises Problem where ratings do not tell likes from the rest, or nothing is left.
    """
    rng = np.random.default_rng(rng)
    known = _with_enough(interactions, least)
    good = known.value.to_numpy() >= liked
    if good.all() or not good.any():
        raise Problem(
            f"a world needs ratings on both sides of liked = {liked:g}; values are "
            f"{known.value.min():g} to {known.value.max():g}. Give another threshold, or data with ratings."
        )
    kept = rng.random(len(known)) < 0.9
    model = SVD(factors=factors, seed=int(rng.integers(2**31))).fit(known.only(kept))
    accept, auc = _calibrated(model, known.only(~kept), good[~kept])
    start = known.only(good & (rng.random(len(known)) < share))
    note = f"{known.n_items:,} of {interactions.n_items:,} items have at least {least} ratings and take part."
    return World(accept, start, auc, (note,))


def _with_enough(interactions: Interactions, least: int) -> Interactions:
    """Events of items with enough of them, item rows renumbered without gaps."""
    counts = np.bincount(interactions.item, minlength=interactions.n_items)
    new = np.where(counts >= least, np.cumsum(counts >= least) - 1, -1)
    rows = interactions.rows.assign(item=new[interactions.item])
    if (rows[ITEM] < 0).all():
        raise Problem(f"no item has {least} ratings, so there is no world to build. Lower `least`.")
    return Interactions(rows[rows[ITEM] >= 0], interactions.n_users, int(new.max()) + 1)


def _calibrated(model: SVD, held: Interactions, good: np.ndarray) -> tuple[np.ndarray, float]:
    """Chances (n_users, n_items) of liking, and the AUC of the predictions on the held-out ratings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    guess = model.predict(held.user.to_numpy(), held.item.to_numpy())
    curve = LogisticRegression().fit(guess[:, None], good)
    every = model.user_factors @ model.item_factors.T + model.mean[0]
    every += model.user_bias[:, None] + model.item_bias
    slope, level = curve.coef_[0, 0], curve.intercept_[0]
    return (1 / (1 + np.exp(-(slope * every + level)))).astype(np.float32), float(roc_auc_score(good, guess))


def simulate(place: World, loop: Loop, rounds: int, k: int, seed: int) -> pd.DataFrame:
    """One row for each round: recommend to everybody, let the user model accept, learn. SIMULATION.

    A person looks at rank r with chance 1 / log2(r + 1) and takes what is looked at with the world's chance; what is
    taken is never shown to that person again. Columns: round, accept (mean chance of what is shown: true quality),
    taken (share of shown items), gini (of how often items are shown), coverage (share of the catalogue shown),
    popularity (mean rank by the start's events of what is shown, 1 the most popular item, 0 the least).
    """
    if rounds < 1 or not 0 <= loop.explore <= k:
        raise Problem(f"rounds must be 1 or more and explore lie in 0..{k} places; got {rounds} and {loop.explore}")
    rng, events = np.random.default_rng([seed, 31]), place.start
    model = loop.model().fit(events) if loop.model else None
    n_items, rows = place.start.n_items, []
    fame = stats.rankdata(np.bincount(events.item, minlength=n_items)) / n_items
    for number in range(1, rounds + 1):
        seen = events.matrix("binary")
        counts = np.bincount(events.item, minlength=n_items)
        histories = seen if loop.retrain else place.start.matrix("binary")
        lists = _lists(model, histories, seen, (loop, counts, k), rng)
        taken = _accepted(lists, place.accept, rng)
        rows.append((number, *_facts(lists, place.accept, fame), len(taken) / max((lists >= 0).sum(), 1)))
        events = _joined(events, taken)
        if loop.retrain and model is not None and number < rounds:
            model.fit(events)
    return pd.DataFrame(rows, columns=["round", "accept", "gini", "coverage", "popularity", "taken"])


def _lists(
    model: Model | None,
    histories: sparse.csr_matrix,
    seen: sparse.csr_matrix,
    rules: tuple[Loop, np.ndarray, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Lists (n_users, k) of unseen items, the last `explore` places drawn at random from what is not listed yet."""
    loop, counts, k = rules
    chance = rng.random(seen.shape, dtype=np.float32)
    if model is None:
        return top_k(chance, seen, k)
    scores = model.score(histories)
    if loop.discount:
        scores = np.maximum(scores, 0) / (counts + 1).astype(np.float32) ** loop.discount
    lists = top_k(scores, seen, k)
    if loop.explore:
        place = k - loop.explore
        users, columns = np.nonzero(lists[:, :place] >= 0)
        listed = sparse.csr_matrix((np.ones(len(users)), (users, lists[users, columns])), shape=seen.shape)
        lists[:, place:] = top_k(chance, (seen + listed).tocsr(), loop.explore)
    return lists


def _accepted(lists: np.ndarray, accept: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """The taken (user, item) pairs: looked at, and then accepted."""
    users, ranks = np.nonzero(lists >= 0)
    items = lists[users, ranks]
    chance = accept[users, items] / np.log2(ranks + 2)
    taken = rng.random(len(users)) < chance
    return pd.DataFrame({USER: users[taken], ITEM: items[taken], VALUE: 1.0})


def _facts(lists: np.ndarray, accept: np.ndarray, fame: np.ndarray) -> tuple[float, ...]:
    """accept, gini, coverage and popularity of one round's lists."""
    users, ranks = np.nonzero(lists >= 0)
    items = lists[users, ranks]
    if len(items) == 0:
        raise Problem("everybody has taken every item, so no list is left to show. Simulate fewer rounds.")
    shown = exposure(lists, len(fame))
    return float(accept[users, items].mean()), float(gini(shown)), float((shown > 0).mean()), float(fame[items].mean())


def _joined(events: Interactions, taken: pd.DataFrame) -> Interactions:
    rows = pd.concat([events.rows[[USER, ITEM, VALUE]], taken], ignore_index=True)
    return Interactions(rows, events.n_users, events.n_items)


def compare_loops(
    places: Callable[[int], World], loops: Mapping[str, Loop], rounds: int, k: int, seeds: list[int]
) -> pd.DataFrame:
    """`simulate` for every loop and seed: its columns and loop, seed. places: seed -> world; one world per seed."""
    found = []
    for seed in seeds:
        place = places(seed)
        for name, loop in loops.items():
            found.append(simulate(place, loop, rounds, k, seed).assign(loop=name, seed=seed))
    return pd.concat(found, ignore_index=True)


def over_seeds(table: pd.DataFrame, column: str, number: int, against: str) -> pd.DataFrame:
    """One row for each loop in one round: mean over seeds, lowest, highest, and the paired difference from `against`
    with its 95 % interval (Student's t over the seeds). That is the luck of the simulation, not doubt about the world.
    """
    wide = table[table["round"] == number].pivot(index="seed", columns="loop", values=column)[table.loop.unique()]
    rows = []
    for name in wide:
        gap = (wide[name] - wide[against]).to_numpy()
        reach = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else np.nan
        rows.append((name, wide[name].mean(), wide[name].min(), wide[name].max(), gap.mean(), reach))
    frame = pd.DataFrame(rows, columns=["loop", "mean", "low", "high", "delta", "reach"])
    return frame.assign(delta_low=frame.delta - frame.reach, delta_high=frame.delta + frame.reach, n=len(wide))


def final_table(ends: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of `over_seeds` by column as one: a row for each loop, "mean [lowest, highest]" in each column."""
    first = next(iter(ends.values()))
    shown = {name: [interval(*row) for row in one[["mean", "low", "high"]].to_numpy()] for name, one in ends.items()}
    return pd.DataFrame({"way": first.loop} | shown)
