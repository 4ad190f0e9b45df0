"""Tests of two click rates that are looked at many times: what peeking does, and a rule that allows it.

Two arms of equally many impressions. Everything is vectorised over simulated tests: counts are (tests, looks).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from recutils.tables import Problem

ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Looks:
    """Clicks of both arms at each look. a, b: (tests, looks) cumulative clicks; visits: (looks,) of each arm so far."""

    a: np.ndarray
    b: np.ndarray
    visits: np.ndarray


def simulate(
    rate_a: float, rate_b: float, visits: np.ndarray, rng: int | np.random.Generator, *, tests: int = 10_000
) -> Looks:
    """Simulated tests with known click rates. visits: (looks,) increasing, impressions of each arm at each look."""
    visits = np.asarray(visits, dtype=np.int64)
    if len(visits) < 1 or not (np.diff(visits, prepend=0) > 0).all() or not (0 <= rate_a <= 1 and 0 <= rate_b <= 1):
        raise Problem(f"visits must increase from above 0 and rates be shares; got {visits}, {rate_a} and {rate_b}")
    rng, steps = np.random.default_rng(rng), np.diff(visits, prepend=0)
    a, b = (rng.binomial(steps, rate, size=(tests, len(steps))).cumsum(axis=1) for rate in (rate_a, rate_b))
    return Looks(a, b, visits)


def fixed_p(looks: Looks) -> np.ndarray:
    """Two-sided p of equal rates at each look as if it were the only one: (tests, looks). 1 before the first click."""
    pooled = (looks.a + looks.b) / (2 * looks.visits)
    error = np.sqrt(2 * pooled * (1 - pooled) / looks.visits)
    gap = np.abs(looks.b - looks.a) / looks.visits
    return 2 * stats.norm.sf(np.divide(gap, error, out=np.zeros_like(gap), where=error > 0))


def log_evidence(a: np.ndarray, b: np.ndarray, strength: float) -> np.ndarray:
    """log of the evidence against equal rates after a and b clicks: the beta-binomial mixture over a fair coin.

    When the arms get equally many impressions and their rates are equal, each click is a fair coin's toss between them.
    Against it stands a coin whose chance is drawn from Beta(strength, strength). Under equal rates the evidence ever
    exceeds 1 / alpha with probability alpha at most, however often one looks (Ville 1939). Source: Robbins 1970; the
    coin of clicks needs rare clicks, where arms of fixed and of random size agree.
    """
    if not strength > 0:
        raise Problem(f"strength must be above 0; got {strength}. `strength_for` takes it from the rates hoped for.")
    mixture = special.betaln(strength + b, strength + a) - special.betaln(strength, strength)
    return mixture + (a + b) * np.log(2)


def strength_for(rate_a: float, rate_b: float) -> float:
    """The Beta's parameter that makes its spread equal to the effect hoped for, chosen before the data."""
    if rate_a == rate_b or rate_a + rate_b <= 0:
        raise Problem(f"rates must differ; got {rate_a} and {rate_b}")
    away = rate_b / (rate_a + rate_b) - 0.5
    return max((1 / (4 * away**2) - 1) / 2, 0.5)


def share_sequence(a: int, b: int, strength: float, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Where the share of clicks that fall to the second arm lies, valid at every look at once: (low, high).

    A share s stands for a ratio of rates s / (1 - s). The shares against which the mixture's evidence is below 1 /
    alpha.
    """
    mixture = float(special.betaln(strength + b, strength + a) - special.betaln(strength, strength))

    def excess(share: float) -> float:
        return mixture - special.xlogy(b, share) - special.xlogy(a, 1 - share) + np.log(alpha)

    middle = (b + strength) / (a + b + 2 * strength) if a + b == 0 else b / (a + b)
    low = 0.0 if excess(1e-9) <= 0 else optimize.brentq(excess, 1e-9, max(middle, 2e-9))
    high = 1.0 if excess(1 - 1e-9) <= 0 else optimize.brentq(excess, min(middle, 1 - 2e-9), 1 - 1e-9)
    return float(low), float(high)


def rules(strength: float, *, alpha: float = ALPHA) -> dict[str, Callable[[Looks], np.ndarray]]:
    """Rules by name; each tells for every test and look whether it calls the arms different there: (tests, looks)."""

    def last_only(looks: Looks) -> np.ndarray:
        stops = fixed_p(looks) <= alpha
        stops[:, :-1] = False
        return stops

    return {
        "one look at the end": last_only,
        "fixed test at every look": lambda looks: fixed_p(looks) <= alpha,
        "fixed test, 5 % shared out": lambda looks: fixed_p(looks) <= alpha / len(looks.visits),
        "beta-binomial at every look": lambda looks: log_evidence(looks.a, looks.b, strength) >= -np.log(alpha),
    }


def stopped(stops: np.ndarray) -> np.ndarray:
    """Share of tests that have stopped by each look: (looks,)."""
    return np.logical_or.accumulate(stops, axis=1).mean(axis=0)


def compare_rules(null: Looks, alternative: Looks, strength: float, *, alpha: float = ALPHA) -> pd.DataFrame:
    """False alarms without a difference, power with one, and what a test costs, for every rule.

    Columns: rule, false_alarms, bound (one-sided 95 % Monte-Carlo upper bound of it, Clopper-Pearson), power, visits
    (mean per arm until it stops, or the end, when there is a difference).
    """
    rows = []
    for name, rule in rules(strength, alpha=alpha).items():
        wrong, right = rule(null), rule(alternative)
        n, k = len(wrong), int(wrong.any(axis=1).sum())
        bound = float(stats.beta.ppf(0.95, k + 1, n - k)) if k < n else 1.0
        first = np.where(right.any(axis=1), right.argmax(axis=1), right.shape[1] - 1)
        rows.append((name, k / n, bound, float(right.any(axis=1).mean()), float(alternative.visits[first].mean())))
    return pd.DataFrame(rows, columns=["rule", "false_alarms", "bound", "power", "visits"])
