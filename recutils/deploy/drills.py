"""How well alert rules do: thresholds learnt from quiet runs, false alarms, and what is seen of injected faults, how
late. Runs are dealt in deal.py, requests made in replay.py, rules read in alerts.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from recutils.deploy.alerts import Rule, Scrape, Watch, moved
from recutils.deploy.deal import Ground, Group, Plan, dealt
from recutils.deploy.drift import LEAST, Reference, ks_p
from recutils.deploy.replay import MINUTE
from recutils.deploy.window import FEATURES
from recutils.evaluate.records import Record, Records
from recutils.evaluate.staleness import frame_records
from recutils.tables import Problem


def worst(rule: Rule, series: Sequence[Scrape]) -> float:
    """The most extreme number that a gauge held for the rule's `for`: what its threshold is compared with.

    -inf (or +inf for a rule that fires below) where the gauge was absent.
    """
    gauge = rule.feature
    if gauge is None:
        raise Problem(f"{rule.name} is no rule on one gauge; its threshold is not learnt from a window.")
    sign = 1 if rule.above else -1
    key = (gauge[0], frozenset({("feature", gauge[1])} if gauge[1] else ()))
    values = np.array([sign * one.get(key, -sign * np.inf) for one in series])
    held = round(rule.hold / MINUTE) + 1
    if len(values) < held:
        return -sign * np.inf
    return float(sign * np.lib.stride_tricks.sliding_window_view(values, held).min(axis=1).max())


def learnt(rules: Sequence[Rule], runs: Sequence[Sequence[Scrape]], rate: float) -> dict[str, float]:
    """Thresholds with which at most about `rate` of such quiet runs meet any alarm: rule -> number.

    Each rule gets an equal part of the rate (Bonferroni). A gauge that was always absent keeps its threshold.
    """
    found = {}
    for rule in rules:
        values = np.array([worst(rule, run) for run in runs])
        if np.isfinite(values).all():
            part = rate / len(rules)
            level, method = (1 - part, "higher") if rule.above else (part, "lower")
            found[rule.name] = float(np.quantile(values, level, method=method)) + (1e-6 if rule.above else -1e-6)
    return found


def watched(rules: Sequence[Rule], series: Sequence[Scrape]) -> list[list[str]]:
    """The rules that fire at each scrape of a run, one scrape a minute."""
    watch = Watch(rules)
    return [watch.look(MINUTE * minute, one) for minute, one in enumerate(series)]


def calibrated(
    ground: Ground, positions: np.ndarray, rules: Sequence[Rule], *, rate: float, n: int, seed: int, groups: int = 40
) -> tuple[Reference, dict[str, float]]:
    """The reference of these requests, and thresholds learnt from n quiet runs of them.

    Two groups of people differ even when nothing changed, and one pair of groups does not tell by how much. So a third
    of the people is drawn `groups` times, with replacement, and runs of each such group are compared with a reference
    of those not drawn. (A third, since the level of n people is known with variance s/n, and that of a new group of n/2
    has 2s/n: together that of a drawn group of n/3.)
    """
    people, runs = np.unique(ground.people[positions]), []
    rng = np.random.default_rng([seed, 53])
    for number in range(min(groups, n)):
        drawn = rng.choice(people, max(1, len(people) // 3))
        rest = positions[~np.isin(ground.people[positions], drawn)]
        runs += ground.quiet(
            _group_of(ground, positions, drawn), ground.reference(rest), -(-n // groups), seed + number
        )
    return ground.reference(positions), learnt(rules, runs, rate)


def _group_of(ground: Ground, positions: np.ndarray, drawn: np.ndarray) -> Group:
    """The requests of drawn people; who was drawn twice comes twice, with visits of its own."""
    owner = ground.people[positions]
    parts = [positions[owner == person] for person in drawn]
    copy = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    group = ground.group(np.concatenate(parts))
    return Group(group.noted, group.visits + copy * (int(ground.visits.max()) + 1), {})


def over_splits(
    ground: Ground, splits: Sequence[Mapping[str, np.ndarray]], rules: Sequence[Rule], *, rate: float, n: int, seed: int
) -> pd.DataFrame:
    """Thresholds learnt and judged again for each way to part the people: the share of n quiet runs of the judged with
    any alarm, with thresholds from one group of people and from many (`calibrated`). Columns split, one, many.
    """
    rows = []
    for number, parts in enumerate(splits):
        shares = []
        for groups in (1, 40):
            reference, found = calibrated(
                ground, parts["learning"], rules, rate=rate, n=n, seed=seed + number, groups=groups
            )
            runs = ground.quiet(ground.group(parts["judged"]), reference, n, seed + number)
            shares.append(alarmed(moved(rules, found), runs)[0] / n)
        rows.append((number, *shares))
    return pd.DataFrame(rows, columns=["split", "one", "many"])


@dataclass(frozen=True)
class Drilled:
    """What became of n runs of one fault. delays: requests from the fault to the alarm, NaN for a miss; early: runs in
    which an alarm was on already when the fault began (left out of the delays). first: rule -> how often it was first.
    """

    delays: np.ndarray
    early: int
    first: Mapping[str, int]

    @property
    def n(self) -> int:
        """Runs that began quiet."""
        return len(self.delays)

    @property
    def seen(self) -> int:
        """Runs with an alarm after the fault."""
        return int(np.isfinite(self.delays).sum())


def drill(rules: Sequence[Rule], runs: Sequence[Sequence[Scrape]], plan: Plan) -> Drilled:
    """Evaluate the rules on runs with a fault at `plan.fault`."""
    delays, early, first = [], 0, {}
    for run in runs:
        firing = watched(rules, run)
        if firing[plan.quiet - 1]:
            early += 1
            continue
        later = [place for place in range(plan.quiet, len(firing)) if firing[place]]
        delays.append((later[0] - plan.quiet + 1) * plan.step if later else np.nan)
        for name in firing[later[0]] if later else ():
            first[name] = first.get(name, 0) + 1
    return Drilled(np.array(delays, dtype=float), early, first)


def share(count: int, n: int) -> tuple[float, float, float]:
    """A share with its exact 95 % interval (Clopper & Pearson 1934); NaN for n = 0."""
    if n == 0:
        return np.nan, np.nan, np.nan
    ends = stats.binomtest(count, n).proportion_ci()
    return count / n, float(ends.low), float(ends.high)


def alarmed(rules: Sequence[Rule], runs: Sequence[Sequence[Scrape]]) -> tuple[int, dict[str, int]]:
    """In how many runs any rule fired, and in how many each did."""
    fired = [set().union(*watched(rules, run)) for run in runs]
    return sum(map(bool, fired)), {rule.name: sum(rule.name in one for one in fired) for rule in rules}


def p_below(
    group: Group, reference: Reference, name: str, sizes: Sequence[int], rng: np.random.Generator, *,
    n: int, level: float = 0.01, together: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """How often the KS test calls quiet windows changed: columns window, share, low, high, psi (mean, uncorrected part
    taken off), n. together: visits stay whole, as in life; False deals single requests, as the test assumes.
    """
    feature, rows = reference.features[name], []
    for size in sizes:
        counts = []
        for _ in range(n):
            visits = group.visits if together else np.arange(len(group.visits))
            counts.append(feature.count(group.noted.rows[dealt(visits, size, rng), FEATURES.index(name)]))
        cells = np.array(counts)
        values = cells.sum(axis=1)
        p = ks_p(feature.ks(cells), float(feature.counts.sum()), np.maximum(values, LEAST))
        left = feature.excess(cells)[values >= LEAST]
        rows.append((size, *share(int((p < level).sum()), n), float(left.mean()) if len(left) else np.nan, n))
    return pd.DataFrame(rows, columns=["window", "share", "low", "high", "psi", "n"])


def drill_table(found: Mapping[tuple[str, float], Drilled]) -> pd.DataFrame:
    """One row for each fault and strength: runs that began quiet, share seen with its exact interval, median delay of
    those seen (requests), the rule that was first most often.
    """
    rows = []
    for (fault, strength), one in found.items():
        first = max(one.first, key=lambda name: one.first[name]) if one.first else "none"
        delay = float(np.nanmedian(one.delays)) if one.seen else np.nan
        rows.append((fault, strength, *share(one.seen, one.n), delay, first, one.n, one.early))
    columns = ["fault", "strength", "seen", "low", "high", "delay", "first", "n", "early"]
    return pd.DataFrame(rows, columns=columns)


def false_alarms(chosen: Mapping[str, Sequence[Rule]], quiet: Mapping[str, Sequence[Sequence[Scrape]]]) -> pd.DataFrame:
    """One row for each set of rules and each kind of quiet runs: share of runs with any alarm, the rule seen most."""
    rows = []
    for people, series in quiet.items():
        for told, rules in chosen.items():
            count, by_rule = alarmed(rules, series)
            most = max(by_rule, key=lambda name: by_rule[name]) if count else "none"
            rows.append((told, people, *share(count, len(series)), most, len(series)))
    return pd.DataFrame(rows, columns=["thresholds", "people", "share", "low", "high", "most", "n"])


def records(false: pd.DataFrame, seen: pd.DataFrame, **labels: Any) -> Records:
    """Shares of false alarms and of faults seen as records. labels: notebook, dataset, protocol, seed."""
    found: list[Record] = []
    for people, own in false.rename(columns={"thresholds": "model", "share": "value"}).groupby("people", sort=False):
        found += frame_records(own, "false_alarms", **labels, split=str(people), group="quiet runs")
    able = seen[seen.n > 0].rename(columns={"fault": "model", "seen": "value"})
    for strength, own in able.groupby("strength", sort=False):
        found += frame_records(own, "faults_seen", **labels, split="judged", group=f"strength {strength:g}")
    return Records(found)


def threshold_table(before: Sequence[Rule], after: Sequence[Rule]) -> pd.DataFrame:
    """The thresholds of the same rules before and after learning: columns alert, gauge, shipped, learnt."""
    rows = [
        (new.name, new.expr.split(" ")[0], old.threshold, new.threshold) for old, new in zip(before, after, strict=True)
    ]
    return pd.DataFrame(rows, columns=["alert", "gauge", "shipped", "learnt"])
