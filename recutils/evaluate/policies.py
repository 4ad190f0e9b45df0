"""What another policy would have earned, from the log of this one: estimators and overlap. Intervals are in rare.py.

All estimators give one term for each impression, whose mean is the estimate, so that intervals and tests use the terms.
A policy is (n, n_items), the probability of each item at each impression; rank/policies.py makes some. Rewards of the
log are clicks or other numbers >= 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.data.bandit import Log
from recutils.evaluate.rare import Terms, terms_of
from recutils.tables import Problem

# P8: obp 0.4.1, examples/quickstart/obd.ipynb: campaign "all", random log, Thompson sampling as the new policy.
PUBLISHED = {"ipw": 0.004553, "dm": 0.003545, "dr": 0.004727}
PUBLISHED_GATE = 7e-5  # of ipw: three times the spread over seeds of the 100,000 Thompson draws
THRESHOLDS = (np.inf, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.0)  # of the weights, from no switch to the model alone
SLACK = np.sqrt(6) - 1  # Su and others 2020, section 4
TOLERANCE = 1e-6  # of the sum of a policy's probabilities


@dataclass(frozen=True, eq=False)
class Estimate:
    """A policy's reward per impression by one method. terms: (n,), their mean is `value`; one for each impression."""

    method: str
    value: float
    terms: np.ndarray

    @property
    def error(self) -> float:
        """The standard error by the spread of the terms; it knows nothing of weights that did not occur."""
        return float(self.terms.std(ddof=1) / np.sqrt(len(self.terms))) if len(self.terms) > 1 else float("nan")


@dataclass(frozen=True)
class Overlap:
    """How much a log can say of a policy. Weights are the policy's probability over the log's.

    matched: impressions with a weight above 0. mean_weight: should be about 1. effective_n, effective_clicks: as many
    equally weighted impressions, or clicks, would say as much. one_click: the share of the estimate that hangs on the
    heaviest click (NaN without clicks). unseen: the policy's probability on items that the log never shows there.
    """

    n: int
    clicks: int
    matched: int
    mean_weight: float
    max_weight: float
    effective_n: float
    effective_clicks: float
    one_click: float
    unseen: float


def check_policy(log: Log, policy: np.ndarray) -> np.ndarray:
    """The policy as float64, or Problem: wrong shape, or rows that are no probabilities."""
    policy = np.asarray(policy, dtype=np.float64)
    if policy.shape != (len(log), log.n_items):
        raise Problem(
            f"a policy for {log.name} must have shape (impressions, items) = {(len(log), log.n_items)}; got "
            f"{policy.shape}. A table of items and places becomes one with rank.policies.at_rows."
        )
    bad = np.flatnonzero(~(np.isfinite(policy) & (policy >= 0) & (policy <= 1 + TOLERANCE)).all(axis=1))
    sums = policy.sum(axis=1)
    off = np.flatnonzero(~(np.abs(sums - 1) <= TOLERANCE))
    if len(bad) or len(off):
        row = (bad if len(bad) else off)[0]
        raise Problem(
            f"a policy's rows must be probabilities that sum to 1; row {row} lies in {policy[row].min():g}.."
            f"{policy[row].max():g} and sums to {sums[row]:g}. Divide each row by its sum."
        )
    return policy


def weights(log: Log, policy: np.ndarray) -> np.ndarray:
    """The policy's probability of each shown item over the log's: (n,). Problem when all are 0 (no common support)."""
    policy = check_policy(log, policy)
    weight = policy[np.arange(len(log)), log.item] / log.propensity
    if not weight.any():
        raise Problem(
            f"{log.name}: no impression shows an item that the policy would show, so the log says nothing of it. "
            "Mix the policy with chance (epsilon above 0), or log with more exploration."
        )
    return weight


def largest_weight(log: Log, policy: np.ndarray) -> float:
    """A bound of the weights: over all items when the log is uniform, else over what occurred, which may be too low."""
    return float(policy.max() * log.n_items) if is_uniform(log) else float(weights(log, policy).max())


def is_uniform(log: Log) -> bool:
    """Whether every item was equally likely in each impression, so that all propensities are known."""
    return bool(np.allclose(log.propensity, 1 / log.n_items, rtol=1e-6))


def overlap(log: Log, policy: np.ndarray) -> Overlap:
    """How much the log can say of the policy."""
    weight = weights(log, policy)
    worth = weight * log.click
    shown = np.zeros((log.n_positions, log.n_items), dtype=bool)
    shown[log.position, log.item] = True
    has_clicks = worth.sum() > 0
    return Overlap(
        n=len(log),
        clicks=len(log.clicked),
        matched=int((weight > 0).sum()),
        mean_weight=float(weight.mean()),
        max_weight=float(weight.max()),
        effective_n=float(weight.sum() ** 2 / (weight**2).sum()),
        effective_clicks=float(worth.sum() ** 2 / (worth**2).sum()) if has_clicks else 0.0,
        one_click=float(worth.max() / worth.sum()) if has_clicks else float("nan"),
        unseen=float((policy * ~shown[log.position]).sum(axis=1).mean()),
    )


def ipw(log: Log, policy: np.ndarray) -> Estimate:
    """Inverse propensity weighting: each reward times its weight. Unbiased where the log could show what the policy
    shows; its spread grows with the weights. Source: Horvitz & Thompson 1952.
    """
    terms = weights(log, policy) * log.click
    return Estimate("ipw", float(terms.mean()), terms)


def click_terms(log: Log, policy: np.ndarray, *, less_log: bool = False) -> Terms:
    """The terms of `ipw` with their bounds, for the intervals of rare.py.

    less_log: the difference from the log's own policy instead, (weight - 1) x click. For a uniform log the bounds and
    the typical weight (the mean weight of what the policy shows) are exact, else they are those that occurred.
    """
    weight = weights(log, policy)
    typical = float((policy**2).sum(axis=1).mean() * log.n_items if is_uniform(log) else weight @ weight / weight.sum())
    high, most = largest_weight(log, policy), float(log.click.max(initial=1.0))
    if less_log:
        return terms_of((weight - 1) * log.click, most * max(high - 1, 1.0), -most)
    return terms_of(weight * log.click, most * high, typical=most * typical)


def difference_terms(log: Log, policy: np.ndarray, other: np.ndarray) -> Terms:
    """The terms of `ipw` of one policy less another's on the same impressions, with their bounds.

    For a uniform log the bounds are exact (what either policy could show), else those that occurred.
    """
    terms = (weights(log, policy) - weights(log, other)) * log.click
    most = float(log.click.max(initial=1.0))
    return terms_of(terms, most * largest_weight(log, policy), -most * largest_weight(log, other))


def snipw(log: Log, policy: np.ndarray) -> Estimate:
    """The same, divided by the mean weight instead of its expectation 1: a little bias for less spread.

    terms are linearised, for the ratio's error. Source: Swaminathan & Joachims 2015.
    """
    weight = weights(log, policy)
    value = float(weight @ log.click / weight.sum())
    return Estimate("snipw", value, value + weight * (log.click - value) / weight.mean())


def dm(log: Log, policy: np.ndarray, expected: np.ndarray) -> Estimate:
    """The direct method: the policy's mean of the rewards that a model expects, (n, n_items); as good as the model."""
    terms = (check_policy(log, policy) * _checked(log, expected)).sum(axis=1)
    return Estimate("dm", float(terms.mean()), terms)


def dr(log: Log, policy: np.ndarray, expected: np.ndarray) -> Estimate:
    """Doubly robust: the model's mean, corrected by the weighted faults of the model where the truth was seen.

    Unbiased when either the propensities or the model are right. Source: Dudik, Langford & Li 2011.
    """
    return switch_dr(log, policy, expected, np.inf, name="dr")


def switch_dr(log: Log, policy: np.ndarray, expected: np.ndarray, threshold: float, *, name: str = "") -> Estimate:
    """Doubly robust where the weight is at most `threshold`, the model alone where it is larger.

    threshold: inf is `dr`, 0 is nearly `dm`. Source: Wang, Agarwal & Dudik 2017.
    """
    weight = weights(log, policy)
    fault = log.click - _checked(log, expected)[np.arange(len(log)), log.item]
    terms = dm(log, policy, expected).terms + np.where(weight <= threshold, weight, 0.0) * fault
    return Estimate(name or "switch-dr", float(terms.mean()), terms)


def switch_threshold(log: Log, policy: np.ndarray, expected: np.ndarray, *, z: float = 1.96) -> float:
    """The threshold by a rule that sees only estimates and their errors: Lepski's, as SLOPE uses it.

    From no switch downwards, biased more and spread less: the last one whose estimate still agrees with all before it,
    within z errors of its own and (sqrt 6 - 1) z of theirs. Source: Su, Srinath & Krishnamurthy 2020, section 4.
    """
    top = weights(log, policy).max()
    menu = [one for one in THRESHOLDS if one < top or one == np.inf]
    found = [switch_dr(log, policy, expected, one) for one in menu]
    last = 0
    for place, estimate in enumerate(found):
        agrees = (abs(estimate.value - e.value) <= z * (estimate.error + SLACK * e.error) for e in found[:place])
        if not all(agrees):
            break
        last = place
    return menu[last]


def each_place(log: Log, policy: np.ndarray) -> list[tuple[int, Log, Estimate]]:
    """`ipw` of each place apart: (place, the log there, estimate). Problem when a place has no impression."""
    counts = np.bincount(log.position, minlength=log.n_positions)
    if (counts == 0).any():
        raise Problem(f"{log.name}: no impression at place {counts.argmin()}; merge places, or use a longer log.")
    parts = [(place, np.flatnonzero(log.position == place)) for place in range(log.n_positions)]
    return [(place, log.only(rows), ipw(log.only(rows), policy[rows])) for place, rows in parts]


def by_place(log: Log, policy: np.ndarray) -> Estimate:
    """`ipw` for each place, and the plain mean of the places: a page has each place once, however many were logged."""
    terms = np.empty(len(log))
    for place, part, estimate in each_place(log, policy):
        terms[log.position == place] = estimate.terms * len(log) / (log.n_positions * len(part))
    return Estimate("ipw, by place", float(terms.mean()), terms)


def _checked(log: Log, expected: np.ndarray) -> np.ndarray:
    if np.shape(expected) != (len(log), log.n_items) or not np.isfinite(expected).all():
        raise Problem(
            f"expected must hold a finite reward for each impression and item, {(len(log), log.n_items)}; got shape "
            f"{np.shape(expected)}. `clicks.expected_clicks` makes one."
        )
    return expected


def shuffled_p(
    logs: Sequence[Log],
    policies: Sequence[np.ndarray],
    rng: int | np.random.Generator,
    *,
    against: Sequence[np.ndarray] | None = None,
    draws: int = 10_000,
) -> float:
    """Two-sided p of "which item is shown does not matter", by drawing the shown items of the clicks anew.

    logs: of chance only, else Problem; policies: fitted on other data. Exact, since the shop did draw the items so: no
    assumption on clicks or visitors. The statistic is the mean over logs of the ipw estimate, less that of `against`
    where this is given. Source: Fisher 1935.
    """
    others = [None] * len(logs) if against is None else against
    if not len(logs) == len(policies) == len(others) or not logs or not all(map(is_uniform, logs)):
        raise Problem("shuffled_p needs a policy for each log, and logs in which every item was equally likely.")
    rng = np.random.default_rng(rng)
    seen, drawn = 0.0, np.zeros(draws)
    for log, policy, other in zip(logs, policies, others, strict=True):
        rows = log.clicked
        shown = check_policy(log, policy)[rows] - (0.0 if other is None else check_policy(log, other)[rows])
        worth = shown * log.click[rows, None] * log.n_items / len(log)
        seen += worth[np.arange(len(rows)), log.item[rows]].sum() - worth.mean(axis=1).sum()
        items = rng.integers(log.n_items, size=(draws, len(rows)))
        drawn += worth[np.arange(len(rows)), items].sum(axis=1) - worth.mean(axis=1).sum()
    return float((1 + (np.abs(drawn) >= abs(seen) - 1e-15).sum()) / (1 + draws))


def overlap_table(found: Mapping[str, Overlap]) -> pd.DataFrame:
    """One row for each named overlap, for people to read."""
    rows = [
        {
            "policy on log": name,
            "impressions": one.n,
            "clicks": one.clicks,
            "mean weight": one.mean_weight,
            "largest weight": f"{one.max_weight:,.1f}",
            "effective impressions": round(one.effective_n),
            "effective clicks": f"{one.effective_clicks:.1f}",
            "heaviest click": f"{one.one_click:.0%}",
            "never shown": f"{one.unseen:.1%}",
        }
        for name, one in found.items()
    ]
    return pd.DataFrame(rows)
