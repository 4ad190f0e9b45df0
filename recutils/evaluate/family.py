"""A family of comparisons declared beforehand, each of two models' values over its own questions, corrected together.

`declared.py` does the same for the AUC of judged rows. Here each comparison has values of its own: one may be
an accuracy, the next a reciprocal rank. (Holm for p; Bonferroni intervals, to be read together.)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, compare, holm, mean_interval

Family = Mapping[str, tuple[Mapping[str, np.ndarray], str, str]]  # what -> values by model, model, against


def compared(family: Family, *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """One row a comparison of a declared family: what, of, delta, low, high (Bonferroni), p, p_holm, n, verdict.

    family: what -> (values by model (n,), model, against), the same questions within one comparison.
    """
    level = 1 - 0.05 / len(family)
    gaps = [compare(values[a], values[b], seed, draws=draws, level=level) for values, a, b in family.values()]
    corrected = holm([gap.p for gap in gaps])
    rows = [
        (what, f"{a} - {b}", gap.delta, gap.low, gap.high, gap.p, float(p), gap.n, _verdict(gap.delta, p))
        for (what, (_, a, b)), gap, p in zip(family.items(), gaps, corrected, strict=True)
    ]
    return pd.DataFrame(rows, columns=["what", "of", "delta", "low", "high", "p", "p_holm", "n", "verdict"])


def _verdict(delta: float, p: float) -> str:
    return "undecided" if p >= 0.05 else "better" if delta > 0 else "worse"


def compared_records(
    family: Family, rows: pd.DataFrame, metrics: Sequence[tuple[str, str]], *, draws: int, **about: Any
) -> list[Record]:
    """Records of the family: the first model's mean and interval, its difference, p and Holm's p.

    metrics: (metric, data set) of each comparison. about: notebook, protocol, split, seed.
    """
    found = []
    for (_, (values, a, b)), row, (metric, dataset) in zip(family.items(), rows.itertuples(), metrics, strict=True):
        one = mean_interval(values[a], about["seed"], draws=draws)
        paired = {"against": b, "delta": row.delta, "delta_low": row.low, "delta_high": row.high, "p": row.p}
        about_it = {"model": a, "metric": metric, "dataset": dataset, "group": row.what, "n": row.n, **about}
        ends = {"value": one.mean, "low": one.low, "high": one.high}
        found.append(Record(**about_it, **ends, **paired, p_holm=row.p_holm))
    return found
