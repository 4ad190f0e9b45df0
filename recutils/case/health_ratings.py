"""The health case: why drugs must not be ranked by their ratings. Shares with intervals, shrinkage, and placebo checks.

A placebo check shuffles the ratings among the reviews of a condition, so that no drug can be better than another
there, and asks whether the ranking looks the same. Questions and replies are in health.py.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from recutils.tables import Problem

POSITIVE = "positive"


def tallies(table: pd.DataFrame, least: int = 1) -> pd.DataFrame:
    """One row for each drug of each condition with at least `least` reviews: condition, drug, n, positive, share.

    low, high: Wilson's 95 % interval. shrunk: the share drawn towards the condition's own by `prior_strength`. Reviews
    without a condition are left out.
    """
    known = table[table.condition != ""]
    grouped = known.assign(positive=known.rating == POSITIVE).groupby(["condition", "drug"], sort=True).positive
    found = grouped.agg(n="size", positive="sum").reset_index()
    found = found[found.n >= least].reset_index(drop=True)
    if found.empty:
        raise Problem(f"no drug has {least} reviews under one condition; ask for fewer.")
    low, high = proportion_confint(found.positive, found.n, method="wilson")
    middle = found.condition.map(_rates(known))
    strength = prior_strength(found.positive.to_numpy(), found.n.to_numpy(), middle.to_numpy())
    shrunk = (found.positive + strength * middle) / (found.n + strength)
    return found.assign(share=found.positive / found.n, low=low, high=high, shrunk=shrunk)


def _rates(table: pd.DataFrame) -> pd.Series:
    return (table.rating == POSITIVE).groupby(table.condition).mean()


def prior_strength(positive: np.ndarray, n: np.ndarray, rate: np.ndarray, most: float = 1000.0) -> float:
    """How many reviews the condition's own share counts for when a drug's share is drawn towards it.

    By moments: the spread of the shares beyond what coin tosses give, pooled over all drugs; `most` where nothing is
    left beyond it, so that all drugs of a condition come out alike.
    """
    toss = rate * (1 - rate)
    beyond = ((positive - n * rate) ** 2 - n * toss).sum() / (n * (n - 1) * toss).sum() if (n > 1).any() else 0.0
    return most if beyond <= 1 / (most + 1) else float(min(most, max(0.0, 1 / beyond - 1)))


@dataclass(frozen=True, eq=False)
class Placebo:
    """A statistic as found and under shuffled ratings. p: as large or larger by chance. n: reviews."""

    found: float
    drawn: np.ndarray
    n: int

    @property
    def p(self) -> float:
        """The share of draws at least as large, the found one among them."""
        return float((1 + (self.drawn >= self.found - 1e-12).sum()) / (1 + len(self.drawn)))


def placebo(table: pd.DataFrame, rng: int, *, least: int, draws: int = 1000, within: bool = True) -> Placebo:
    """Do ratings differ between the drugs of a condition more than shuffled ones? The statistic is the squared
    difference of each drug's share from its condition's, weighted by reviews, summed over drugs with `least` reviews.

    within: False asks instead whether the conditions differ, and shuffles all ratings.
    """
    known = table[table.condition != ""]
    group = known.groupby(["condition", "drug"] if within else "condition").ngroup().to_numpy()
    kept = np.bincount(group)[group] >= least
    positive, group = (known.rating == POSITIVE).to_numpy(float)[kept], np.unique(group[kept], return_inverse=True)[1]
    around = known.condition.to_numpy()[kept] if within else np.zeros(kept.sum())
    around = np.unique(around, return_inverse=True)[1]
    if len(np.unique(group)) < 2:
        raise Problem(f"fewer than two groups have {least} reviews; ask for fewer.")
    rng = np.random.default_rng(rng)
    found = _between(positive, group, around)
    drawn = np.array([_between(shuffled(positive, around, rng), group, around) for _ in range(draws)])
    return Placebo(found, drawn, len(positive))


def _between(positive: np.ndarray, group: np.ndarray, around: np.ndarray) -> float:
    n = np.bincount(group)
    expected = (np.bincount(around, positive) / np.bincount(around))[around]
    return float(((np.bincount(group, positive - expected)) ** 2 / n).sum())


def shuffled(values: np.ndarray, around: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The values dealt out anew among the rows of the same group of `around`, (n,) whole numbers."""
    order, dealt = np.argsort(around, kind="stable"), np.lexsort((rng.random(len(values)), around))
    out = np.empty_like(values)
    out[order] = values[dealt]
    return out


def ladder(table: pd.DataFrame, condition: str, rng: int, *, least: int, draws: int = 1000) -> pd.DataFrame:
    """The shares of one condition's drugs from best to worst beside those of shuffled ratings.

    Columns: rank, n, share, low, high (Wilson), shrunk, placebo, placebo_low, placebo_high: mean and 5 % and 95 %
    quantiles of the share at that rank when ratings are shuffled among the condition's reviews of these drugs.
    """
    own = tallies(table, least)
    own = own[own.condition == condition].sort_values(["share", "n"], ascending=False, kind="stable")
    if len(own) < 2:
        raise Problem(f"{condition!r} has {len(own)} drugs with {least} reviews; at least two make a ranking.")
    rng = np.random.default_rng(rng)
    labels = np.repeat([1.0, 0.0], [own.positive.sum(), (own.n - own.positive).sum()])
    place = np.repeat(np.arange(len(own)), own.n)
    drawn = [np.sort(np.bincount(place, rng.permutation(labels)) / own.n.to_numpy())[::-1] for _ in range(draws)]
    low, middle, high = np.quantile(drawn, 0.05, axis=0), np.mean(drawn, axis=0), np.quantile(drawn, 0.95, axis=0)
    columns = own[["n", "share", "low", "high", "shrunk"]].reset_index(drop=True)
    ranks = pd.DataFrame({"rank": np.arange(1, len(own) + 1)})
    return pd.concat([ranks, columns], axis=1).assign(placebo=middle, placebo_low=low, placebo_high=high)


def two_halves(table: pd.DataFrame, rng: int, *, least: int, draws: int = 200) -> np.ndarray:
    """Rank correlations (draws,) of the drugs' shares, less their condition's, between random halves of each drug's
    reviews. Near 0: a ranking made from other reviews of the same drugs would be another ranking."""
    known = table[table.condition != ""]
    group = known.groupby(["condition", "drug"]).ngroup().to_numpy()
    kept = np.bincount(group)[group] >= max(2, least)
    known, group = known[kept], np.unique(group[kept], return_inverse=True)[1]
    rest = ((known.rating == POSITIVE) - known.condition.map(_rates(known))).to_numpy(float)
    rng, found = np.random.default_rng(rng), []
    for _ in range(draws):
        dealt = np.lexsort((rng.random(len(group)), group))
        first = np.empty(len(group), bool)
        first[dealt] = (np.arange(len(group)) - np.searchsorted(group[dealt], group[dealt])) % 2 == 0
        halves = [pd.Series(rest[side]).groupby(group[side]).mean() for side in (first, ~first)]
        found.append(halves[0].corr(halves[1], method="spearman"))
    return np.array(found)


def turned(table: pd.DataFrame, least: int = 3) -> int:
    """How many pairs of drugs change their order when a condition that both have is looked at alone: over all reviews
    one is ahead, within that condition the other, each with `least` reviews there (Simpson's paradox)."""
    overall = (table.rating == POSITIVE).groupby(table.drug).mean()
    count = 0
    for _, own in tallies(table, least).groupby("condition"):
        share, whole = own.share.to_numpy(), overall[own.drug].to_numpy()
        opposite = (share[:, None] - share[None]) * (whole[:, None] - whole[None]) < 0
        count += int(np.triu(opposite, 1).sum())
    return count
