"""Whole comparisons over the campaigns of a shop: both logs checked against each other, and rankers on the random logs.

The estimators are in policies.py, the intervals in rare.py, the policies in rank/policies.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from recutils.data.bandit import Log, open_bandit, prior
from recutils.evaluate.policies import Overlap, click_terms, overlap, shuffled_p
from recutils.evaluate.rare import Terms, betting, difference, gamma_typical, pooled, with_interval
from recutils.evaluate.statistics import Interval, holm
from recutils.rank.policies import RANKERS, Scores, at_rows, best_share, thompson, uniform
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


def checks(campaigns: Mapping[str, Campaign]) -> list[Check]:
    """Thompson sampling from the log of chance, and chance from the log of Thompson sampling, in every campaign."""
    return [one for campaign in campaigns.values() for one in _both_ways(campaign)]


def _both_ways(campaign: Campaign) -> list[Check]:
    ways = (
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
        level, more = rate(logs, own), gain(logs, own)
        effective = sum(overlap(log, one).effective_clicks for log, one in zip(logs, own, strict=True))
        p = np.nan if name == "random" else shuffled_p(logs, own, rng, draws=draws)
        rows.append((name, level.mean, level.low, level.high, more.mean, more.low, more.high, p, effective))
    names = ["policy", "rate", "low", "high", "gain", "gain_low", "gain_high", "p", "effective"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(p_holm=[np.nan, *holm(table.p[1:])])
