"""Comparisons of models over the same people, stated before they are read: rows, records, and what they decide."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.declared import verdict
from recutils.evaluate.family import columns_of, corrected, table
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, LEVEL, Comparison, Interval, mean_intervals
from recutils.present import p_value


def paired(
    values: Mapping[str, np.ndarray], pairs: Mapping[str, tuple[str, str]], *, seed: int, draws: int = DRAWS
) -> pd.DataFrame:
    """The same for per-user values: what, delta, low, high (95 %), p, p_holm, n. values: model -> (n_users,).

    pairs: what -> (model, against). n counts the users who have both values.
    """
    return table(corrected(columns_of(values, pairs), seed, draws=draws, together=False))


def worth(gap: Comparison, smallest: float, level: float = 0.05) -> str:
    """What a primary comparison decides: "pays", "helps", "harms" or "undecided".

    "pays" needs p below the level and the whole interval at `smallest` or more; "helps" and "harms" p and the sign.
    """
    if not gap.p < level:
        return "undecided"
    return "pays" if gap.low >= smallest else "helps" if gap.delta > 0 else "harms"


def signed(gap: Comparison | Interval, digits: int = 3) -> str:
    """A difference with its interval and signs: "+0.012 [+0.004, +0.020]"."""
    mean = gap.delta if isinstance(gap, Comparison) else gap.mean
    return f"{mean:+.{digits}f} [{gap.low:+.{digits}f}, {gap.high:+.{digits}f}]"


def primary(gap: Comparison, level: Interval, **about: Any) -> Record:
    """The record of one comparison that was declared alone. level: the model's mean; about: names, against."""
    found = {"value": level.mean, "low": level.low, "high": level.high, "n": gap.n, "p": gap.p, "p_holm": gap.p}
    paired = {"delta": gap.delta, "delta_low": gap.low, "delta_high": gap.high}
    return Record(group="primary comparison", **found, **paired, **about)


def over_people(
    values: Mapping[str, tuple[np.ndarray, np.ndarray]], seed: int, *, draws: int = DRAWS, level: float = LEVEL
) -> pd.DataFrame:
    """The same for values over people, paired: one row per comparison, with what, mean, against (means), delta, low,
    high, p, p_holm, n.

    values: what -> (model's, rival's), (n_users,) each, NaN where a person has no value; what differs may be judged on
    other people or in another metric. low, high: Bonferroni intervals. Raises Problem when nothing is declared.
    """
    rows = table(corrected(values, seed, draws=draws, level=level))
    means = [[float(one[~np.isnan(a - b)].mean()) for one in (a, b)] for a, b in values.values()]
    rows.insert(1, "mean", [own for own, _ in means])
    rows.insert(2, "against", [rival for _, rival in means])
    return rows


def people_records(
    values: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: Mapping[str, tuple[str, str]],
    seed: int,
    *,
    draws: int = DRAWS,
    **about: Any,
) -> list[Record]:
    """Records of `over_people`; names: what -> (model, against). `group` of each record is its `what`.

    about: notebook, dataset, protocol, split, metric, k; a mapping in place of a text holds one for each `what`.
    """
    found = []
    for row in over_people(values, seed, draws=draws).itertuples():
        model, against = names[row.what]
        own = {key: one[row.what] if isinstance(one, Mapping) else one for key, one in about.items()}
        ends = mean_intervals({"own": values[row.what][0]}, seed, draws=draws)["own"]
        found.append(Record(
            model=model, against=against, group=row.what, value=ends.mean, low=ends.low, high=ends.high, n=row.n,
            delta=row.delta, delta_low=row.low, delta_high=row.high, p=row.p, p_holm=row.p_holm, seed=seed, **own,
        ))  # fmt: skip
    return found


def in_words(row: Any, model: str, against: str) -> str:
    """One row of `over_people` as a sentence: "a is better than b: +0.012 (0.004 to 0.020, p < .001, 800 people)"."""
    found = {"above": "is better than", "below": "is worse than", "undecided": "is not told from"}[verdict(row)]
    return (
        f"{model} {found} {against}: {row.delta:+.3f} ({row.low:.3f} to {row.high:.3f}, p {p_value(row.p_holm)}, "
        f"{row.n:,} people)"
    )
