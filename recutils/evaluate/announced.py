"""A family of comparisons that were named beforehand, each with its own metric and what would matter; Holm's p."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.statistics import Comparison, holm


@dataclass(frozen=True)
class Declared:
    """A comparison named before the test part was read: model - against of a metric. least: what would matter."""

    model: str
    against: str
    metric: str
    value: float
    gap: Comparison
    least: float


def family(declared: Sequence[Declared]) -> pd.DataFrame:
    """One row per comparison: declared, metric, difference, low, high, p, p_holm, n, verdict, matters.

    verdict: "above", "below" or "undecided" by Holm's p. low, high: as the gaps were given, corrected or not.
    """
    corrected = holm([one.gap.p for one in declared])
    rows = []
    for one, p in zip(declared, corrected, strict=True):
        sign = "undecided" if p >= 0.05 else "above" if one.gap.delta > 0 else "below"
        what = f"{one.model} - {one.against}"
        rows.append((what, one.metric, one.gap.delta, one.gap.low, one.gap.high, one.gap.p, float(p), one.gap.n, sign,
                     abs(one.gap.delta) >= one.least))  # fmt: skip
    names = ["declared", "metric", "difference", "low", "high", "p", "p_holm", "n", "verdict", "matters"]
    return pd.DataFrame(rows, columns=names)


def family_records(declared: Sequence[Declared], **about: Any) -> list[Record]:
    """A record of the group "declared" for each comparison. about: notebook, dataset, protocol, split, seed."""
    rows = family(declared).itertuples()
    return [
        Record(group="declared", model=one.model, metric=one.metric, value=one.value, n=row.n, against=one.against,
               delta=row.difference, delta_low=row.low, delta_high=row.high, p=row.p, p_holm=row.p_holm, **about)
        for one, row in zip(declared, rows, strict=True)
    ]  # fmt: skip
