"""The advertising case: its tables for people, the plan of a test, and its records. It estimates nothing (ads.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recutils.case.ads import Days, happened, shown_worth
from recutils.data.bandit import DAYS, PUBLISHED_SIZES, Log
from recutils.evaluate.experiments import ALPHA, POWER, visits_per_arm
from recutils.evaluate.policies import weights
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import Comparison, Interval
from recutils.present import interval


def card(days: Mapping[str, Days]) -> pd.DataFrame:
    """Each part of each campaign: campaign, part, items, impressions, clicks, days."""
    rows = [
        (name, part, log.n_items, len(log), len(log.clicked), f"{log.rows.time.min():%a} to {log.rows.time.max():%a}")
        for name, one in days.items() for part, log in vars(one).items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["campaign", "part", "items", "impressions", "clicks", "days"])


def context_table(gaps: Mapping[str, Comparison]) -> pd.DataFrame:
    """What each piece of context adds: what, AUC (difference), low, high, clicks."""
    rows = [(what, one.delta, one.low, one.high, one.n) for what, one in gaps.items()]
    return pd.DataFrame(rows, columns=["what is added", "AUC", "low", "high", "clicks"])


def places(logs: Sequence[Log]) -> pd.DataFrame:
    """Clicks at each place over all logs: place (1 is the first), impressions, clicks, rate, low, high."""
    position = np.concatenate([log.position for log in logs])
    click = np.concatenate([log.click for log in logs]) > 0
    rows = []
    for place in range(int(position.max()) + 1):
        here = position == place
        rows.append((place + 1, int(here.sum()), int(click[here].sum()), *happened(click[here].sum(), int(here.sum()))))
    return pd.DataFrame(rows, columns=["place", "impressions", "clicks", "rate", "low", "high"])


def places_table(logs: Mapping[str, Sequence[Log]], rates: Sequence[np.ndarray]) -> pd.DataFrame:
    """`places` of each policy's logs, in clicks per 1,000, with what the shop believed of the items that stood there.

    logs: who showed them -> one log for each campaign; rates: (n_items,) believed click rates of each campaign.
    """
    parts = []
    for name, own in logs.items():
        worth = np.mean([shown_worth(log, rate) for log, rate in zip(own, rates, strict=True)], axis=0)
        table = places(own)
        per_1000 = {column: 1000 * table[column] for column in ("rate", "low", "high")}
        parts.append(table.assign(**per_1000, **{"shown by": name, "believed of its items": 1000 * worth}))
    return pd.concat(parts, ignore_index=True)


def policy_table(found: Mapping[str, Mapping[str, Interval]], heard: Mapping[str, int]) -> pd.DataFrame:
    """Every policy by every method, clicks per 1,000 impressions, and how many clicks speak of it (`heard`)."""
    rows = [
        {"policy": policy}
        | {method: interval(1000 * e.mean, 1000 * e.low, 1000 * e.high, 1) for method, e in one.items()}
        | {"heard clicks": heard[policy]}
        for policy, one in found.items()
    ]
    return pd.DataFrame(rows)


def heaviest(
    logs: Mapping[str, Log], policies: Sequence[np.ndarray], others: Sequence[np.ndarray], names: tuple[str, str]
) -> pd.DataFrame:
    """Every click with its weight under two policies, those that move their difference most first.

    Columns: campaign, place (1 is the first), item, a weight for each name, and share: of all movement.
    """
    rows = [
        (name, log.position[i] + 1, log.item[i], weights(log, a)[i], weights(log, b)[i])
        for (name, log), a, b in zip(logs.items(), policies, others, strict=True) for i in log.clicked
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["campaign", "place", "item", *(f"weight: {name}" for name in names)])
    moved = (table.iloc[:, 3] - table.iloc[:, 4]).abs()
    return table.assign(share=moved / moved.sum()).sort_values("share", ascending=False, kind="stable")


def plan(rate: float, lifts: Mapping[str, float], campaigns: Sequence[str]) -> pd.DataFrame:
    """An A/B test for each named lift of the click rate: lift, impressions per arm, days at the shop's own traffic.

    Traffic: all impressions of the published week in these campaigns, both arms together. A lift of 0 or one that
    leaves no rate in 0..1 gets no size. POWER and ALPHA as in evaluate/experiments.py.
    """
    daily = sum(sum(PUBLISHED_SIZES[name]) for name in campaigns) / DAYS
    rows = []
    for name, lift in lifts.items():
        usable = lift != 0 and 0 < rate * (1 + lift) < 1
        size = visits_per_arm(rate, rate * (1 + lift), power=POWER, alpha=ALPHA) if usable else None
        days = np.nan if size is None else 2 * size / daily
        rows.append((name, f"{lift:+.0%}", "none" if size is None else f"{size:,}", days))
    return pd.DataFrame(rows, columns=["if the true lift were", "lift", "impressions per arm", "days of all traffic"])


def interval_records(found: Mapping[str, Interval], **about: Any) -> list[Record]:
    """One record for each named interval."""
    return [Record(**about, model=name, value=e.mean, low=e.low, high=e.high, n=e.n) for name, e in found.items()]


def tested_record(level: Interval, gap: Comparison, p_holm: float, **about: Any) -> Record:
    """One declared comparison: the level, the difference with its interval, p and Holm's p."""
    return Record(**about, value=level.mean, low=level.low, high=level.high, n=gap.n, delta=gap.delta,
                  delta_low=gap.low, delta_high=gap.high, p=gap.p, p_holm=float(p_holm))  # fmt: skip


def place_records(table: pd.DataFrame, **about: Any) -> list[Record]:
    """One record for each row of `places_table`."""
    return [
        Record(**about, split=f"log of {row['shown by']}, whole week", model=f"place {row['place']}", value=row["rate"]
               / 1000, low=row["low"] / 1000, high=row["high"] / 1000, n=row["impressions"])
        for row in table.to_dict("records")
    ]  # fmt: skip
