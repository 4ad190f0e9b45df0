"""Tables for people, and records, of what counterfactual.py, rare.py and peeking.py found. It estimates nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.counterfactual import Campaign, Check, own_rate
from recutils.evaluate.experiments import detectable, visits_per_arm
from recutils.evaluate.peeking import share_sequence, strength_for
from recutils.evaluate.policies import Estimate
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import Interval


def log_table(campaigns: Mapping[str, Campaign], published: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Every log with its clicks; published: campaign -> clicks per 100 impressions of the whole logs (random, bts)."""
    rows = []
    for name, campaign in campaigns.items():
        for place, (policy, log) in enumerate({"random": campaign.random, "bts": campaign.bts}.items()):
            own = own_rate(log)
            rows.append((name, policy, log.n_items, len(log), len(log.clicked), 1000 * own.mean,
                         f"{1000 * own.low:.1f} to {1000 * own.high:.1f}", 10 * published[name][place]))  # fmt: skip
    names = ["campaign", "shown by", "items", "impressions", "clicks", "clicks per 1,000", "95 % interval", "whole log"]
    return pd.DataFrame(rows, columns=names)


def check_table(found: Sequence[Check]) -> pd.DataFrame:
    """Every check for people to read: clicks per 1,000 impressions."""
    rows = [
        {"campaign": one.campaign, "policy": one.policy, "from the log of": one.log}
        | {"estimate": _per_1000(one.estimate), "own log": _per_1000(one.own), "difference": _per_1000(one.difference)}
        | {"effective clicks": f"{one.overlap.effective_clicks:.1f}", "agrees": one.agrees}
        for one in found
    ]
    return pd.DataFrame(rows)


def _per_1000(one: Interval) -> str:
    return f"{1000 * one.mean:.1f} [{1000 * one.low:.1f}, {1000 * one.high:,.1f}]"


def family_table(family: pd.DataFrame) -> pd.DataFrame:
    """`compare_policies` for people: rates and gains per 1,000 impressions, effective clicks, and the corrected p."""
    columns = {name: 1000 * family[name] for name in ("rate", "low", "high", "gain", "gain_low", "gain_high")}
    named = {"effective clicks": family.effective.round(1).astype(str), "p (Holm)": family.p_holm}
    return family[["policy"]].assign(**columns, **named)


def check_records(found: Sequence[Check], **about: Any) -> list[Record]:
    """One record for each check: the estimate, and its difference from the policy's own log."""
    about |= {"protocol": "off-policy", "metric": "click_rate"}
    return [
        Record(**about, split=f"{one.campaign}, log of {one.log}", group="against its own log", model=one.policy,
               value=one.estimate.mean, low=one.estimate.low, high=one.estimate.high, n=one.estimate.n,
               against="own log", delta=one.difference.mean, delta_low=one.difference.low,
               delta_high=one.difference.high)
        for one in found
    ]  # fmt: skip


def policy_records(table: pd.DataFrame, n: int, **about: Any) -> list[Record]:
    """One record for each policy of `compare_policies`, with its tested gain over chance."""
    about |= {"protocol": "off-policy", "split": "logs of random, mean of campaigns", "metric": "click_rate", "n": n}
    found = []
    for one in table.itertuples():
        tested = {} if one.policy == "random" else {
            "against": "random", "delta": one.gain, "delta_low": one.gain_low, "delta_high": one.gain_high, "p": one.p,
            "p_holm": one.p_holm}  # fmt: skip
        found.append(Record(**about, model=one.policy, value=one.rate, low=one.low, high=one.high, **tested))
    return found


def estimate_table(
    found: Sequence[Estimate], spread: Mapping[str, Interval], published: Mapping[str, float]
) -> pd.DataFrame:
    """Every method's estimate beside the published one, with the interval in `spread`."""
    rows = [(e.method, e.value, published.get(e.method), spread[e.method].low, spread[e.method].high) for e in found]
    names = ["method", "clicks per impression", "published", "bootstrap low", "bootstrap high"]
    return pd.DataFrame(rows, columns=names)


def power_table(campaigns: Mapping[str, Campaign], published: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """The two logs of each campaign as an A/B test: lift seen, lift of the whole log, what can be found, what it needs.

    low, high: of the lift, valid at every look (`share_sequence`); planned for the published lift.
    """
    rows = []
    for name, one in campaigns.items():
        a, b = own_rate(one.random).mean, own_rate(one.bts).mean
        before, after = (rate / 100 for rate in published[name])
        least = detectable(len(one.random), float(np.sqrt(before * (1 - before)))) / before
        ends = share_sequence(len(one.random.clicked), len(one.bts.clicked), strength_for(before, after))
        lifts = [f"{lift:+.0%}" for lift in (b / a - 1, *(end / (1 - end) - 1 for end in ends), after / before - 1)]
        rows.append((name, *lifts, f"{least:+.0%}", visits_per_arm(before, after)))
    return pd.DataFrame(rows, columns=["campaign", "seen", "low", "high", "whole log", "detectable", "needed"])


def coverage_records(held: Mapping[str, pd.DataFrame], repeats: int, **about: Any) -> list[Record]:
    """One record for each interval in each simulated world, with its Monte-Carlo interval."""
    about |= {"protocol": "simulation", "metric": "coverage", "n": repeats}
    return [
        Record(**about, split=f"world: {name}", model=row.interval, value=row.covers,
               low=max(row.covers - 1.96 * row.error, 0.0), high=min(row.covers + 1.96 * row.error, 1.0))
        for name, table in held.items() for row in table.itertuples()
    ]  # fmt: skip


def peeking_records(race: pd.DataFrame, tests: int, **about: Any) -> list[Record]:
    """False alarms and power of each rule."""
    about |= {"protocol": "simulation", "n": tests}
    return [
        Record(**about, model=row.rule, metric=metric, value=getattr(row, metric))
        for row in race.itertuples() for metric in ("false_alarms", "power")
    ]  # fmt: skip


def estimate_records(found: Sequence[Estimate], spread: Mapping[str, Interval], **about: Any) -> list[Record]:
    """Every method's estimate with the bootstrap interval that is published beside it."""
    about |= {"protocol": "P8", "metric": "click_rate", "group": "estimators"}
    return [
        Record(**about, model=e.method, value=e.value, low=spread[e.method].low, high=spread[e.method].high,
               n=len(e.terms))
        for e in found
    ]  # fmt: skip


def saved_records(saved: pd.DataFrame, **about: Any) -> list[Record]:
    """The share of the variance that the past saves, for each outcome of `cuped_table`."""
    about |= {"protocol": "before and during", "split": "each history by time", "model": "cuped"}
    return [
        Record(**about, metric="variance_saved", group=row.outcome, value=row.saved, n=row.people)
        for row in saved.itertuples()
    ]
