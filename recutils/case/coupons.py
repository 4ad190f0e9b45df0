"""Case 80, coupons: what orders without a coupon can tell of who should get one, labelled what-ifs, and the experiment.

Nothing here estimates an effect of a coupon: the data hold none. Power is evaluate/experiments.py's.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from recutils.case.groceries import ORDER, Orders
from recutils.evaluate.experiments import detectable, users_per_arm
from recutils.evaluate.statistics import compare, mean_interval
from recutils.tables import ITEM, USER, Problem

SELDOM, UNDECIDED, SURE = "seldom", "undecided", "sure thing"
EDGES = (0.1, 0.5)  # of the chance to buy anyway
Effect = Callable[[np.ndarray], np.ndarray]
# What a coupon might do to somebody who would buy with chance p: all four fit every table of past orders equally well.
WORLDS: Mapping[str, Effect] = {
    "it works on nobody": lambda p: np.zeros_like(p),
    "the less likely, the more": lambda p: 1 - p,
    "on the undecided": lambda p: p * (1 - p),
    "on regulars": lambda p: p**2 * (1 - p),
}


def pairs_of(orders: Orders, *, back: int = 0) -> pd.DataFrame:
    """One row for each product that a person bought before: user, item, share, bought.

    share: of the person's earlier orders, how many held the product. bought: in the last order, or in the one `back`
    before it.
    """
    number, last = orders.rows[ORDER], orders.last - back
    past, now = orders.rows[number < last], orders.rows[number == last]
    if not len(past):
        raise Problem(f"nothing was ordered before order -{back + 1}; use a smaller back.")
    counts = past.groupby([USER, ITEM]).size().rename("times").reset_index()
    counts["share"] = counts.times / counts[USER].map(past.groupby(USER)[ORDER].nunique())
    bought = pd.MultiIndex.from_frame(counts[[USER, ITEM]]).isin(pd.MultiIndex.from_frame(now[[USER, ITEM]]))
    return counts[[USER, ITEM, "share"]].assign(bought=bought)


def with_chance(pairs: pd.DataFrame, learnt_from: pd.DataFrame) -> pd.DataFrame:
    """The pairs with `chance`, to be bought without any coupon, and `group`; the link from share to chance is learnt
    from earlier orders (isotonic: a larger share never means a smaller chance).
    """
    from sklearn.isotonic import IsotonicRegression

    link = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
        learnt_from.share, learnt_from.bought.astype(float)
    )
    chance = link.predict(pairs.share)
    names = np.array([SELDOM, UNDECIDED, SURE], dtype=object)
    return pairs.assign(chance=chance, group=names[np.searchsorted(EDGES, chance, side="right")])


def rates(pairs: pd.DataFrame, seed: int, draws: int) -> pd.DataFrame:
    """What each group bought without a coupon: group, pairs, people, chance (foretold), bought, low, high.

    bought: the mean over people of each one's share; its interval draws people, since one person's pairs hang together.
    """
    rows = []
    for name, part in pairs.groupby("group"):
        own = mean_interval(part.groupby(USER).bought.mean().to_numpy(), seed, draws=draws)
        rows.append((name, len(part), own.n, part.groupby(USER).chance.mean().mean(), own.mean, own.low, own.high))
    columns = ["group", "pairs", "people", "chance", "bought", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sort_values("chance", ignore_index=True)


def targeted(scores: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the share of rows with the highest scores; equal ones in row order. Raises Problem out of 0..1."""
    if not 0 < share < 1:
        raise Problem(f"share must lie between 0 and 1 (of the pairs); got {share}")
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[np.argsort(-scores, kind="stable")[: max(1, round(share * len(scores)))]] = True
    return chosen


def placebo(pairs: pd.DataFrame, share: float, seed: int, draws: int) -> pd.Series:
    """What a before-and-after report would call the effect of a coupon that was never given: targeted minus the rest.

    Paired within people who have both; fields delta, low, high, n.
    """
    chosen = targeted(pairs.chance.to_numpy(), share)
    sides = [pairs[side].groupby(USER).bought.mean() for side in (chosen, ~chosen)]
    both = pd.concat(sides, axis=1, keys=["yes", "no"]).dropna()
    found = compare(both.yes.to_numpy(), both.no.to_numpy(), seed, draws=draws)
    return pd.Series({"delta": found.delta, "low": found.low, "high": found.high, "n": found.n})


def effect(chance: np.ndarray, world: Effect, mean: float) -> np.ndarray:
    """(n,) the assumed extra chance by a coupon: the world's shape, `mean` on average, never beyond certainty.

    Capping at 1 - chance may leave the average a little below `mean`. A world of zeros stays zero.
    """
    shape = world(chance)
    scaled = shape * mean / shape.mean() if shape.any() else shape
    return np.minimum(scaled, 1 - chance)


def what_if(pairs: pd.DataFrame, share: float, mean: float) -> pd.DataFrame:
    """A simulation on real pairs: for 100 coupons, purchases seen and purchases won, by world and by who gets them.

    Only the effect is invented (`mean` extra purchases a coupon if all got one); who bought anyway is real. Columns:
    world, seen (by who is likely to buy: all purchases with a coupon), then won: likely, random, best.
    """
    chance, bought = pairs.chance.to_numpy(), pairs.bought.to_numpy(dtype=float)
    likely, rows = targeted(chance, share), []
    for name, world in WORLDS.items():
        extra = effect(chance, world, mean)
        best = targeted(extra, share)
        seen = bought[likely] + (1 - bought[likely]) * extra[likely] / np.maximum(1 - chance[likely], 1e-9)
        rows.append((name, *(100 * x.mean() for x in (seen, extra[likely], extra, extra[best]))))
    return pd.DataFrame(rows, columns=["world", "seen: likely", "won: likely", "won: random", "won: best"])


def experiment(table: pd.DataFrame, lift: float) -> pd.DataFrame:
    """The smallest two-armed test for each group of `rates`: one pair a person, coupon or none by the toss of a coin.

    Columns: group, bought, people, per arm (people to find `lift`), smallest (the lift that the people at hand would
    find with power .8), between (people per arm in each group to find that a lift differs by `lift` from another's).
    """
    sd = np.sqrt(table.bought * (1 - table.bought)).clip(lower=1e-3)
    needed = [users_per_arm(lift, one) for one in sd]
    smallest = [detectable(max(2, n // 2), one) for n, one in zip(table.people, sd, strict=True)]
    between = [users_per_arm(lift, one * np.sqrt(2)) for one in sd]
    found = table[["group", "bought", "people"]].assign(smallest=smallest)
    return found.assign(**{"per arm": needed, "between": between})
