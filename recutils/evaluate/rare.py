"""Intervals for the mean of rare, weighted clicks, and a simulation of how often each holds the truth.

Terms are weight x click, one for each impression; nearly all are 0. Five intervals of the mean: normal and percentile
bootstrap, which trust the few clicks that came; two gamma intervals and betting, which allow for one that did not come.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from recutils.evaluate.statistics import Interval
from recutils.tables import Problem

LEVEL = 0.95
BETS = 24  # sizes of bets in the mixture
SMALLEST_BET = 1e-3  # as a share of the largest that cannot lose everything


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of n impressions, the zeros left out. values: those that are not 0; n: how many impressions in all.

    low, high: bounds that every term must respect, also those that did not occur (weights that the policy allows).
    typical: what a click of the new policy's own impressions would weigh on average; `high` when it is not known.
    """

    values: np.ndarray
    n: int
    low: float
    high: float
    typical: float

    def __post_init__(self) -> None:
        inside = np.isfinite(self.values).all() and (self.values >= self.low).all() and (self.values <= self.high).all()
        if self.n < max(1, len(self.values)) or not inside or not self.low <= 0 < self.high:
            raise Problem(
                f"terms must be finite and lie in low..high with low <= 0 < high, at most n of them; got low "
                f"{self.low}, high {self.high}, n {self.n}, {len(self.values)} values. high: largest weight x reward."
            )

    @property
    def mean(self) -> float:
        """The estimate."""
        return float(self.values.sum() / self.n)


def terms_of(terms: np.ndarray, high: float, low: float = 0.0, *, typical: float | None = None) -> Terms:
    """Terms (n,) of an estimate as `Terms`; the bounds of what could have come grow where a term lies beyond them."""
    low, high = min(low, *terms, 0.0), max(high, *terms)
    return Terms(terms[terms != 0], len(terms), low, high, high if typical is None else typical)


def pooled(parts: Sequence[Terms]) -> Terms:
    """The mean of several logs' means, each log counting alike, as one set of terms."""
    n = sum(part.n for part in parts)
    scale = [n / (len(parts) * part.n) for part in parts]
    values = np.concatenate([part.values * one for part, one in zip(parts, scale, strict=True)])
    low = min(part.low * one for part, one in zip(parts, scale, strict=True))
    high = max(part.high * one for part, one in zip(parts, scale, strict=True))
    typical = max(part.typical * one for part, one in zip(parts, scale, strict=True))
    return Terms(values, n, low, high, typical)


def normal(terms: Terms, level: float = LEVEL) -> tuple[float, float]:
    """The estimate -+ 1.96 standard errors; below 0 at times, and (0, 0) without a click."""
    variance = (terms.values @ terms.values) / terms.n - terms.mean**2
    reach = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance / terms.n)
    return terms.mean - reach, terms.mean + reach


def percentile(
    terms: Terms, level: float = LEVEL, *, rng: int | np.random.Generator = 0, draws: int = 2000
) -> tuple[float, float]:
    """The percentile bootstrap: each click is drawn a Poisson(1) number of times, as with many impressions."""
    copies = np.random.default_rng(rng).poisson(1.0, size=(draws, len(terms.values)))
    low, high = np.quantile(copies @ terms.values / terms.n, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def gamma(terms: Terms, level: float = LEVEL) -> tuple[float, float]:
    """Clopper-Pearson's idea for weighted counts: the gamma interval of directly standardised rates.

    The upper end asks what one more click of the largest possible weight would change. Equal weights give the exact
    Poisson interval. For terms >= 0 only. Source: Fay & Feuer 1997.
    """
    return _gamma(terms, level, terms.high)


def gamma_typical(terms: Terms, level: float = LEVEL) -> tuple[float, float]:
    """The gamma interval with one more click of the typical weight instead of the largest: narrower, not proven.

    Our departure from Fay & Feuer, after Tiwari, Clegg & Zou 2006, whose average over the log's impressions (here 1)
    covers too rarely for weights as uneven as a policy's; `coverage` tells what it holds.
    """
    return _gamma(terms, level, terms.typical)


def _gamma(terms: Terms, level: float, one_more: float) -> tuple[float, float]:
    if terms.low < 0:
        raise Problem(f"a gamma interval is for terms >= 0; got a lower bound of {terms.low}. Use `betting`.")
    y, v, more = terms.mean, float(terms.values @ terms.values) / terms.n**2, one_more / terms.n
    tail = (1 - level) / 2
    low = v / (2 * y) * stats.chi2.ppf(tail, 2 * y**2 / v) if y > 0 else 0.0
    y, v = y + more, v + more**2
    return float(low), float(v / (2 * y) * stats.chi2.ppf(1 - tail, 2 * y**2 / v))


def betting(terms: Terms, level: float = LEVEL) -> tuple[float, float]:
    """Means that a gambler cannot win much against: valid for any terms within their bounds, for any n.

    Against each mean m one bets a share of the capital that terms exceed it, or fall short; a fair game makes 1 /
    (1 - level) of the capital at most so often. The capital is the mean over BETS sizes of bets. Impressions must be
    independent; their expectations may differ, since sizes fixed beforehand win no more at the mean of them (arithmetic
    above geometric mean). Source: Waudby-Smith & Ramdas 2023, section 4; the fixed mixture of bets is our departure.
    """
    values, counts = np.unique(np.append(terms.values, 0.0), return_counts=True)
    counts[values == 0] = terms.n - len(terms.values)
    unit = (values - terms.low) / (terms.high - terms.low)
    goal = np.log(2 / (1 - level))  # half of the error for each side
    ends = []
    for sign in (1, -1):

        def excess(mean: float, sign: int = sign) -> float:
            return _log_capital(unit, counts, mean, sign) - goal

        middle = np.clip(unit @ counts / terms.n, 1e-12, 1 - 1e-12)
        edge = 1e-12 if sign == 1 else 1 - 1e-12
        ends.append(edge if excess(edge) <= 0 else optimize.brentq(excess, edge, middle, xtol=1e-12, rtol=1e-6))
    low, high = (terms.low + (terms.high - terms.low) * end for end in ends)
    return float(low), float(high)


def _log_capital(unit: np.ndarray, counts: np.ndarray, mean: float, sign: int) -> float:
    """log of the mean capital of bets that terms in 0..1 exceed `mean` (sign 1) or fall short of it (sign -1).

    unit, counts: the values that occur and how often.
    """
    most = 1 / mean if sign == 1 else 1 / (1 - mean)  # such a bet can just lose everything
    bets = sign * most * np.geomspace(SMALLEST_BET, 0.99, BETS)
    won = np.log1p(np.outer(bets, unit - mean)) @ counts
    return float(np.logaddexp.reduce(won) - np.log(BETS))


INTERVALS: dict[str, Callable[[Terms], tuple[float, float]]] = {
    "normal": normal,
    "percentile bootstrap": percentile,
    "gamma, typical click": gamma_typical,
    "gamma, heaviest click": gamma,
    "betting": betting,
}


def difference(a: Interval, b: Interval) -> Interval:
    """a - b of two independent estimates from their own intervals: no normal shape is assumed.

    Source: Zou & Donner 2008 (MOVER). n is the smaller one.
    """
    delta = a.mean - b.mean
    low = delta - np.hypot(a.mean - a.low, b.high - b.mean)
    high = delta + np.hypot(a.high - a.mean, b.mean - b.low)
    return Interval(delta, float(low), float(high), min(a.n, b.n), 0)


def with_interval(terms: Terms, level: float = LEVEL) -> Interval:
    """The estimate with the typical gamma interval, or the betting one where terms may be negative."""
    low, high = (gamma_typical if terms.low >= 0 else betting)(terms, level)
    return Interval(terms.mean, low, high, terms.n, 0)


def coverage(
    rates: np.ndarray,
    policy: np.ndarray,
    n: int,
    rng: int | np.random.Generator,
    *,
    logger: np.ndarray | None = None,
    repeats: int = 2000,
) -> pd.DataFrame:
    """How often each interval holds the truth of a world whose click rates are known.

    rates, policy, logger: (n_items, n_positions), true rates, the new policy's and the log's probabilities; None is
    chance. n impressions, places alike. Columns: interval, covers, error (its Monte-Carlo standard error), below (the
    interval lies below the truth), above, width (median).
    """
    logger = np.full(rates.shape, 1 / len(rates)) if logger is None else logger
    if not rates.shape == policy.shape == logger.shape or not ((rates >= 0) & (rates <= 1)).all() or repeats < 2:
        raise Problem(f"rates, policy and logger must be shares of one shape; got {rates.shape} and {policy.shape}")
    truth = float((rates * policy).sum() / policy.shape[1])
    weight = np.divide(policy, logger, out=np.zeros(policy.shape), where=logger > 0).ravel()
    clicked = (rates * logger).ravel() / policy.shape[1]
    counts = np.random.default_rng(rng).multinomial(n, np.append(clicked, 1 - clicked.sum()), size=repeats)[:, :-1]
    high, typical = float(weight.max()), float((policy.ravel() @ weight) / policy.sum())
    samples = [Terms(np.repeat(weight, one), n, 0.0, high, typical) for one in counts]
    rows = [(name, *_covered([interval(one) for one in samples], truth)) for name, interval in INTERVALS.items()]
    return pd.DataFrame(rows, columns=["interval", "covers", "error", "below", "above", "width"])


def _covered(found: list[tuple[float, float]], truth: float) -> tuple[float, float, float, float, float]:
    low, high = np.array(found).T
    below, above = float((high < truth).mean()), float((low > truth).mean())
    covers = 1 - below - above
    return covers, float(np.sqrt(covers * (1 - covers) / len(found))), below, above, float(np.median(high - low))
