"""A declared family of differences, each model with a rival of its own, corrected together. AUC has one in declared.py.

Over users: paired intervals and p. Over cold pairs: people and items are drawn, which gives intervals and no p. Both
kinds of interval hold together for the family (level 1 - .05 / m for m differences, Bonferroni).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.family import Pairs, columns_of, corrected, table
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, crossed_interval
from recutils.tables import ITEM, USER

VERDICTS = ("above", "below", "undecided")


def rivals(values: Mapping[str, np.ndarray], pairs: Pairs, *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """One row per pair: what, model, against, delta, low, high, p, p_holm, n, verdict ("above", "below", "undecided").

    values: model -> (n_users,), the same users in the same order, NaN where a user has no truth. The verdict gives the
    sign only where Holm's p is below .05. Raises Problem for a model without values and for no pair.

    >>> better = {"a": np.full(20, 0.4) + np.arange(20) / 1e3, "b": np.arange(20) / 1e2}
    >>> rivals(better, {"first": ("a", "b")}, seed=0, draws=200)[["delta", "verdict"]].round(4).values.tolist()
    [[0.3145, 'above']]
    """
    rows = table(corrected(columns_of(values, pairs), seed, draws=draws))
    rows.insert(1, "model", [model for model, _ in pairs.values()])
    rows.insert(2, "against", [rival for _, rival in pairs.values()])
    return rows.assign(verdict=[_verdict(row.p_holm < 0.05, row.delta) for row in rows.itertuples()])


def crossed_rivals(found: pd.DataFrame, pairs: Pairs, *, seed: int, draws: int = 1000) -> pd.DataFrame:
    """The same for cold items: what, model, against, delta, low, high, n, verdict. found: as `cold.pairs` makes it.

    The verdict gives the sign only where the family's interval leaves out 0. n: people.
    """
    columns_of(found, pairs)
    rows = []
    for what, (a, b) in pairs.items():
        gap = (found[a] - found[b]).to_numpy(dtype=np.float64)
        options = {"weights": found["weight"].to_numpy(dtype=np.float64), "level": 1 - 0.05 / len(pairs)}
        one = crossed_interval(gap, found[USER], found[ITEM], seed, draws=draws, **options)
        rows.append((what, a, b, one.mean, one.low, one.high, one.n, _verdict(one.low > 0 or one.high < 0, one.mean)))
    return pd.DataFrame(rows, columns=["what", "model", "against", "delta", "low", "high", "n", "verdict"])


def rival_records(found: pd.DataFrame, values: Mapping[str, Any], *, seed: int, **about: Any) -> Iterable[Record]:
    """A record for each row of a family: the model's mean with its interval, and the difference.

    values: model -> anything with mean, low and high (`statistics.Interval`). about: notebook, dataset, protocol,
    split, metric, k and perhaps group.
    """
    for row in found.to_dict("records"):
        own = values[row["model"]]
        tested = {name: row[name] for name in ("delta", "p", "p_holm") if name in row}
        ends = {"delta_low": row["low"], "delta_high": row["high"], "against": row["against"]}
        mean = {"value": own.mean, "low": own.low, "high": own.high, "n": row["n"]}
        yield Record(model=row["model"], seed=seed, **mean, **tested, **ends, **about)


def mean_records(values: Mapping[str, Any], *, seed: int, **about: Any) -> Iterable[Record]:
    """A record of each model's mean with its interval. values, about: as in `rival_records`."""
    for name, one in values.items():
        yield Record(model=name, seed=seed, value=one.mean, low=one.low, high=one.high, n=one.n, **about)


def _verdict(clear: bool, delta: float) -> str:
    return "undecided" if not clear else "above" if delta > 0 else "below"
