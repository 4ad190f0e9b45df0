"""A/B tests with visitors as the unit: how many are needed, what a covariate saves, what may be decided.

Peeking is in peeking.py. An arm is a Series or a table indexed by visitor; the assignment must have been random.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from recutils.evaluate.statistics import Comparison
from recutils.tables import Problem

POWER, ALPHA, LEVEL = 0.8, 0.05, 0.95
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, eq=False)
class Cuped:
    """Outcomes with what the covariate foretold taken out. values: as the outcome, same mean; theta: the slope.

    saved: share of the variance that is gone, the squared correlation: so many fewer visitors are needed.
    """

    values: pd.Series
    theta: float
    correlation: float
    saved: float


@dataclass(frozen=True, eq=False)
class Decision:
    """What a test with guard-rails decides. ship: the primary metric rose and no guard-rail is in doubt.

    table: metric, role, difference, low, high, p, bound, margin, verdict; bound is the one that the verdict rests on.
    """

    table: pd.DataFrame
    ship: bool


def check_arms(control: pd.Series | pd.DataFrame, treated: pd.Series | pd.DataFrame) -> None:
    """Raise Problem for arms that cannot be compared: empty, a visitor twice or in both, values that are missing."""
    for name, arm in (("control", control), ("treated", treated)):
        if len(arm) < 2:
            raise Problem(f"the {name} arm holds {len(arm)} visitors; expected at least 2. Check the assignment.")
        if not arm.index.is_unique:
            double = arm.index[arm.index.duplicated()][:3].tolist()
            raise Problem(
                f"the {name} arm holds {double} more than once; the visitor is the unit: sum or average first."
            )
        if not np.isfinite(np.asarray(arm, dtype=np.float64)).all():
            raise Problem(f"the {name} arm holds values that are missing; count visitors without an event as 0.")
    both = control.index.intersection(treated.index)
    if len(both):
        raise Problem(
            f"{len(both):,} visitors are in both arms, such as {both[:3].tolist()}; each must see one variant only. "
            "Mend the assignment; dropping them is biased when they are the busy ones."
        )


def compare_arms(control: pd.Series, treated: pd.Series, *, level: float = LEVEL) -> Comparison:
    """The difference of means treated - control with Welch's interval and p; n counts both arms.

    >>> compare_arms(pd.Series([1.0, 2, 3], list("abc")), pd.Series([2.0, 3, 4], list("def"))).delta
    1.0
    """
    check_arms(control, treated)
    if control.var() + treated.var() == 0:
        raise Problem("every visitor of both arms has the same value, so no spread can be seen. Check the metric.")
    test = stats.ttest_ind(treated, control, equal_var=False)
    ends = test.confidence_interval(level)
    delta = float(treated.mean() - control.mean())
    return Comparison(delta, float(ends.low), float(ends.high), float(test.pvalue), len(control) + len(treated), 0)


def users_per_arm(delta: float, sd: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Visitors in each of two arms so that a true difference `delta` is found with this power (two-sided, normal).

    >>> users_per_arm(0.1, 1.0)
    1570
    """
    if not (np.isfinite(delta) and delta != 0 and np.isfinite(sd) and sd > 0):
        raise Problem(f"delta must be a number other than 0 and sd > 0; got {delta} and {sd}")
    needed = NormalIndPower().solve_power(effect_size=abs(delta) / sd, power=power, alpha=alpha)
    return math.ceil(float(np.squeeze(needed)))


def detectable(n: int, sd: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The smallest true difference that n visitors in each arm find with this power; sd of one visitor's value."""
    if n < 2 or not sd > 0:
        raise Problem(f"n must be at least 2 visitors and sd > 0; got {n} and {sd}")
    return sd * float(np.squeeze(NormalIndPower().solve_power(nobs1=n, power=power, alpha=alpha)))


def visits_per_arm(rate_a: float, rate_b: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Impressions in each arm so that two click rates are told apart with this power (arcsine approximation)."""
    if not (0 < rate_a < 1 and 0 < rate_b < 1) or rate_a == rate_b:
        raise Problem(f"rates must lie between 0 and 1 and differ; got {rate_a} and {rate_b}")
    size = abs(proportion_effectsize(rate_b, rate_a))
    return math.ceil(float(np.squeeze(NormalIndPower().solve_power(effect_size=size, power=power, alpha=alpha))))


def cuped(outcome: pd.Series, covariate: pd.Series) -> Cuped:
    """The outcome less theta x (covariate - its mean): the same expectation, less spread.

    covariate: known before the assignment for the same visitors, or it hides what the treatment did. theta comes from
    both arms together. Source: Deng, Xu, Kohavi & Walker 2013, equation 5.
    """
    if not outcome.index.equals(covariate.index):
        raise Problem(
            "outcome and covariate must be of the same visitors in the same order; use .reindex(outcome.index)"
        )
    if not (np.isfinite(outcome).all() and np.isfinite(covariate).all()) or covariate.var() == 0 or outcome.var() == 0:
        raise Problem("outcome and covariate must be finite and vary; give visitors without history the mean.")
    theta = float(np.cov(outcome, covariate)[0, 1] / covariate.var())
    correlation = float(np.corrcoef(outcome, covariate)[0, 1])
    return Cuped(outcome - theta * (covariate - covariate.mean()), theta, correlation, correlation**2)


def cuped_table(pairs: Mapping[str, tuple[pd.Series, pd.Series]], lift: float = 0.05) -> pd.DataFrame:
    """What the covariate saves for each outcome: visitors per arm that find a change of `lift`, without it and with.

    pairs: name -> (outcome, covariate). Columns: outcome, correlation, saved, people, needed, with_cuped.
    """
    rows = []
    for name, (outcome, covariate) in pairs.items():
        found = cuped(outcome, covariate)
        needed = [users_per_arm(lift * outcome.mean(), values.std()) for values in (outcome, found.values)]
        rows.append((name, found.correlation, found.saved, len(outcome), *needed))
    return pd.DataFrame(rows, columns=["outcome", "correlation", "saved", "people", "needed", "with_cuped"])


def decide(control: pd.DataFrame, treated: pd.DataFrame, primary: str, margins: Mapping[str, float]) -> Decision:
    """Ship when the primary metric is surely higher and every guard-rail surely no lower than its margin.

    control, treated: one row per visitor, one column per metric, higher is better. margins: guard-rail -> the largest
    loss that would be borne (> 0), declared beforehand. All conditions must hold at once, so none is corrected for the
    number of guard-rails (intersection-union); each guard-rail added costs power instead.
    """
    missing = [name for name in (primary, *margins) if name not in control or name not in treated]
    if missing or primary in margins or not all(margin > 0 for margin in margins.values()):
        raise Problem(f"primary and margins must name columns, once each, with margins > 0; missing: {missing}")
    rows = [_verdict(control[name], treated[name], name, margins.get(name)) for name in (primary, *margins)]
    table = pd.DataFrame(rows)
    return Decision(table, bool(table.verdict.isin(["higher", "no worse"]).all()))


def _verdict(control: pd.Series, treated: pd.Series, name: str, margin: float | None) -> dict[str, object]:
    found = compare_arms(control, treated)
    about = {"metric": name, "role": "primary" if margin is None else "guard-rail", "difference": found.delta}
    about |= {"low": found.low, "high": found.high, "p": found.p}
    if margin is None:
        verdict = "higher" if found.low > 0 else "lower" if found.high < 0 else "undecided"
        return {**about, "bound": found.low, "margin": 0.0, "verdict": verdict}
    one_sided = compare_arms(control, treated, level=2 * LEVEL - 1)
    verdict = "no worse" if one_sided.low > -margin else "worse" if one_sided.high < -margin else "undecided"
    return {**about, "bound": one_sided.low, "margin": -margin, "verdict": verdict}


def two_arms(visitors: pd.Index, rng: int | np.random.Generator) -> tuple[pd.Index, pd.Index]:
    """Visitors dealt at random into two halves: (control, treated)."""
    dealt = np.random.default_rng(rng).permutation(len(visitors))
    return visitors[dealt[: len(visitors) // 2]], visitors[dealt[len(visitors) // 2 :]]


def gains(records: pd.DataFrame, metric: str = "ndcg", least: float = 1e-4) -> pd.DataFrame:
    """Visitors per arm that each recorded gain over a baseline would need online, if it were the same there.

    records: columns of evaluate.records. The spread of one user's value is read back from the recorded interval of the
    mean: sd = sqrt(n) x width / (2 x 1.96); where that exceeds a half, which values in 0..1 cannot, the interval was
    not one over users alone, and the record is left out. Only gains whose interval lies above `least`, each pair of
    models once for each data set and protocol, over the most people. Columns: notebook, dataset, protocol, split,
    group, model, against, n, gain, sd, over (popularity, random or another model), users_per_arm; largest need last.
    """
    records = records.reset_index(drop=True)
    own = records[(records.metric == metric) & (records.delta_low > least) & records.low.notna() & (records.n > 30)]
    sd = np.sqrt(own.n) * (own.high - own.low) / (2 * Z)
    own = own[(sd > 0) & (sd <= 0.5) & ~own["group"].str.startswith("over splits")].assign(sd=sd)
    pair = ["notebook", "dataset", "protocol", "model", "against"]
    own = own.sort_values("n", ascending=False, kind="stable").drop_duplicates(pair)
    names = ["notebook", "dataset", "protocol", "split", "group", "model", "against", "n"]
    table = own[names].assign(gain=own.delta, sd=own.sd)
    needed = [users_per_arm(gain, one) for gain, one in zip(table.gain, table.sd, strict=True)]
    over = np.where(table.against.isin(["popularity", "random"]), table.against, "another model")
    table = table.assign(over=over, users_per_arm=needed)
    return table.sort_values("users_per_arm", kind="stable").reset_index(drop=True)


def gain_table(needs: pd.DataFrame) -> pd.DataFrame:
    """Medians of `gains` by what the gain is over: over, gains (how many), gain, sd, users_per_arm."""
    found = needs.groupby("over")
    middle = found[["gain", "sd", "users_per_arm"]].median().astype({"users_per_arm": int})
    middle.insert(0, "gains", found.size())
    return middle.reset_index()


def decision_table(decisions: Mapping[int, Decision]) -> pd.DataFrame:
    """Decisions by the number of visitors side by side; the numbers are those of the last one."""
    last = list(decisions.values())[-1].table[["metric", "role", "difference", "bound", "margin"]]
    words = {f"verdict, {n:,} people": one.table.verdict.to_numpy() for n, one in decisions.items()}
    return last.assign(**words)
