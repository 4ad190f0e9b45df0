"""Whole comparisons over the campaigns of a shop: both logs checked against each other, and rankers on the random logs.

The estimators are in policies.py, the intervals in rare.py, the policies in rank/policies.py; tables for people and
records in policy_tables.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from recutils.data.bandit import Log, open_bandit, prior
from recutils.evaluate.clicks import expected_clicks
from recutils.evaluate.policies import (
    Estimate,
    Overlap,
    by_place,
    click_terms,
    dm,
    dr,
    ipw,
    overlap,
    shuffled_p,
    snipw,
    switch_dr,
    switch_threshold,
)
from recutils.evaluate.rare import Terms, betting, coverage, difference, gamma_typical, pooled, with_interval
from recutils.evaluate.statistics import Interval, holm
from recutils.rank.policies import RANKERS, Scores, at_rows, best_share, place_blind, thompson, top_list, uniform
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Campaign:
    """One campaign: the log of chance, the log of Thompson sampling, and the sampler as a table (n_items, n_positions).

    rates: (n_items,) click rates that the shop believed in before both logs, the means of its priors.
    """

    name: str
    random: Log
    bts: Log
    table: np.ndarray
    rates: np.ndarray


@dataclass(frozen=True)
class Check:
    """An estimate from the other policy's log beside the policy's own log; difference = estimate - own."""

    campaign: str
    policy: str
    log: str
    estimate: Interval
    own: Interval
    difference: Interval
    overlap: Overlap

    @property
    def agrees(self) -> bool:
        """Whether 0 lies in the interval of the difference; that is no proof of equality."""
        return self.difference.low <= 0 <= self.difference.high


def open_campaigns(names: Iterable[str], rng: int, *, draws: int = 100_000) -> dict[str, Campaign]:
    """The campaigns of Open Bandit with both logs; draws: of the Thompson sampler, all campaigns from one seed each."""
    found = {}
    for name in names:
        random, bts = open_bandit("random", name), open_bandit("bts", name)
        alpha, beta = prior(name)
        table = thompson(alpha, beta, random.n_positions, rng, draws=draws)
        found[name] = Campaign(name, random, bts, table, alpha / (alpha + beta))
    return found


def own_rate(log: Log) -> Interval:
    """Clicks per impression of the log's own policy: equal weights, so the interval is Poisson's exact one."""
    most = float(log.click.max(initial=1.0))
    return with_interval(Terms(log.click[log.clicked], len(log), 0.0, most, most))


def estimates(campaign: Campaign) -> tuple[list[Estimate], float]:
    """Thompson sampling from the log of chance by every method, and the threshold that the switch chose."""
    log, policy = campaign.random, at_rows(campaign.table, campaign.random)
    expected = expected_clicks(log)
    limit = switch_threshold(log, policy, expected)
    blind = ipw(log, at_rows(place_blind(campaign.table), log))
    found = [ipw(log, policy), snipw(log, policy), dm(log, policy, expected), dr(log, policy, expected)]
    found += [switch_dr(log, policy, expected, limit), by_place(log, policy), replace(blind, method="ipw, no places")]
    return found, limit


def worlds(campaigns: Mapping[str, Campaign], rng: int, *, repeats: int) -> dict[str, pd.DataFrame]:
    """`coverage` of logs of chance that judge Thompson sampling, where the shop's beliefs are the true click rates.

    And, as "same rates", the first campaign with one rate for every item.
    """
    first = next(iter(campaigns.values()))
    rates = {name: np.repeat(one.rates[:, None], one.table.shape[1], axis=1) for name, one in campaigns.items()}
    real = {**campaigns, "same rates": first}
    rates["same rates"] = np.full(first.table.shape, first.rates.mean())
    return {name: coverage(rates[name], one.table, len(one.random), rng, repeats=repeats) for name, one in real.items()}


def as_it_ran(log: Log) -> np.ndarray:
    """The share of each item at each place of a log, (n_items, n_positions): its policy as seen from outside."""
    counts = np.zeros((log.n_items, log.n_positions))
    np.add.at(counts, (log.item, log.position), 1.0)
    if not counts.sum(axis=0).all():
        raise Problem(f"{log.name}: a place has no impression, so its policy cannot be seen. Use a longer log.")
    return counts / counts.sum(axis=0)


def likeness(campaign: Campaign) -> float:
    """How the sampler of the priors agrees with the propensities that the sampler's log holds: their correlation."""
    return float(np.corrcoef(campaign.table[campaign.bts.item, campaign.bts.position], campaign.bts.propensity)[0, 1])


def checks(campaigns: Mapping[str, Campaign]) -> list[Check]:
    """The sampler from the log of chance, frozen at its priors and as it ran, and chance from the sampler's log."""
    return [one for campaign in campaigns.values() for one in _both_ways(campaign)]


def _both_ways(campaign: Campaign) -> list[Check]:
    ran = at_rows(as_it_ran(campaign.bts), campaign.random)
    ways = (
        ("bts, as it ran", campaign.random, "random", campaign.bts, ran),
        ("bts", campaign.random, "random", campaign.bts, at_rows(campaign.table, campaign.random)),
        ("random", campaign.bts, "bts", campaign.random, uniform(campaign.bts)),
    )
    found = []
    for judged, log, name, own_log, policy in ways:
        estimate, own = with_interval(click_terms(log, policy)), own_rate(own_log)
        gap = difference(estimate, own)
        found.append(Check(campaign.name, judged, name, estimate, own, gap, overlap(log, policy)))
    return found


def trained(campaigns: Mapping[str, Campaign], ranker: str) -> list[np.ndarray]:
    """Scores on each campaign's log of chance by a ranker fitted on the other log, so that no click is used twice."""
    return [_ranker(ranker, one.bts)(one.random) for one in campaigns.values()]


def crossed(log: Log, ranker: str, rng: int, *, folds: int = 3) -> np.ndarray:
    """Scores (n, n_items) on one log by a ranker fitted on its other folds."""
    scores = np.empty((len(log), log.n_items))
    for train, test in KFold(folds, shuffle=True, random_state=rng).split(scores):
        scores[test] = _ranker(ranker, log.only(train))(log.only(test))
    return scores


def _ranker(name: str, train: Log) -> Scores:
    if name not in RANKERS:
        raise Problem(f"ranker must be one of {', '.join(RANKERS)}; got {name!r}")
    return RANKERS[name](train)


def soften(scores: Sequence[np.ndarray], share: float, epsilon: float) -> list[np.ndarray]:
    """`best_share` of each log's scores."""
    return [best_share(one, share, epsilon) for one in scores]


def from_timid_to_bold(
    logs: Sequence[Log], scores: Sequence[np.ndarray], epsilon: float
) -> dict[str, list[np.ndarray]]:
    """One ranker's policies over fewer and fewer items, down to the list itself."""
    found = {f"best {share:.0%}": soften(scores, share, epsilon) for share in (0.5, 0.25, 0.125)}
    last = [top_list(one, log.position, epsilon) for one, log in zip(scores, logs, strict=True)]
    return {**found, "the list itself": last}


def all_crossed(logs: Sequence[Log], share: float, epsilon: float, rng: int) -> dict[str, list[np.ndarray]]:
    """Every ranker's `best_share` policies, cross-fitted on the same logs that they are then judged on."""
    return {
        f"{name}, cross-fitted, best {share:.0%}": soften([crossed(log, name, rng) for log in logs], share, epsilon)
        for name in RANKERS
    }


def rate(logs: Sequence[Log], policies: Sequence[np.ndarray]) -> Interval:
    """A policy's clicks per impression, the mean of the campaigns, with the typical gamma interval."""
    terms = pooled([click_terms(log, policy) for log, policy in zip(logs, policies, strict=True)])
    low, high = gamma_typical(terms)
    return Interval(terms.mean, low, high, terms.n, 0)


def gain(logs: Sequence[Log], policies: Sequence[np.ndarray]) -> Interval:
    """A policy's clicks per impression less the log's, on the same impressions, with the betting interval."""
    parts = [click_terms(log, policy, less_log=True) for log, policy in zip(logs, policies, strict=True)]
    terms = pooled(parts)
    low, high = betting(terms)
    return Interval(terms.mean, low, high, terms.n, 0)


def compare_policies(
    logs: Sequence[Log], policies: Mapping[str, Sequence[np.ndarray]], rng: int, *, draws: int = 10_000
) -> pd.DataFrame:
    """Every policy against chance on the logs of chance, Holm over all: the family must have been declared beforehand.

    policies: name -> one policy for each log, fitted on other data. Columns: policy, rate, low, high, gain, gain_low,
    gain_high, p, p_holm, effective (clicks, summed over the logs); the first row is chance itself.
    """
    chance = [uniform(log) for log in logs]
    rows = []
    for name, own in {"random": chance, **policies}.items():
        none = Interval(0.0, np.nan, np.nan, sum(map(len, logs)), 0)
        level, more = rate(logs, own), none if name == "random" else gain(logs, own)
        effective = sum(overlap(log, one).effective_clicks for log, one in zip(logs, own, strict=True))
        p = np.nan if name == "random" else shuffled_p(logs, own, rng, draws=draws)
        rows.append((name, level.mean, level.low, level.high, more.mean, more.low, more.high, p, effective))
    names = ["policy", "rate", "low", "high", "gain", "gain_low", "gain_high", "p", "effective"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(p_holm=[np.nan, *holm(table.p[1:])])
