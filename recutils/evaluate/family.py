"""Comparisons declared together, each of a model with a rival of its own, corrected for their number: the one place.

Pairs that share one baseline stand in `records.from_users`, pairs of AUC in `declared`, families with metrics of their
own from draws in `announced`; tables and words for people are in `rivals`, `stated` and `differences`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, LEVEL, Comparison, compare, holm, mean_interval
from recutils.tables import Problem

Pairs = Mapping[str, tuple[str, str]]  # what is asked -> (model, rival)
Columns = Mapping[str, tuple[np.ndarray, np.ndarray]]  # what is asked -> the model's values and its rival's
Family = Mapping[str, tuple[Mapping[str, np.ndarray], str, str]]  # what -> values by model, model, against


def columns_of(values: Mapping[str, np.ndarray], pairs: Pairs) -> Columns:
    """The values of each pair. Raises Problem for a model without values and for no pair."""
    unknown = sorted({name for pair in pairs.values() for name in pair} - set(values))
    if unknown or not pairs:
        raise Problem(f"pairs must name judged models; {unknown[:3]} are none of {sorted(map(str, values))[:8]}.")
    return {what: (values[model], values[rival]) for what, (model, rival) in pairs.items()}


def corrected(
    columns: Columns, seed: int, *, draws: int = DRAWS, level: float = LEVEL, together: bool = True
) -> dict[str, tuple[Comparison, float]]:
    """Each difference with its interval, and its p after Holm.

    columns: what -> (model's, rival's), (n,) each, the same people within a comparison, NaN without a value; another
    comparison may be of other people or in another metric. together: intervals of the level 1 - (1 - level) / m for m
    comparisons (Bonferroni), which hold all at once; their verdict may differ from Holm's p, which is a little sharper.
    """
    if not columns:
        raise Problem("a family needs at least one declared comparison: what -> (values of a model, of its rival)")
    each = 1 - (1 - level) / len(columns) if together else level
    gaps = {what: compare(*pair, seed, draws=draws, level=each) for what, pair in columns.items()}
    after = holm([gap.p for gap in gaps.values()])
    return {what: (gap, float(p)) for (what, gap), p in zip(gaps.items(), after, strict=True)}


def table(found: Mapping[str, tuple[Comparison, float]]) -> pd.DataFrame:
    """One row a comparison: what, delta, low, high, p, p_holm, n."""
    rows = [(what, gap.delta, gap.low, gap.high, gap.p, p, gap.n) for what, (gap, p) in found.items()]
    return pd.DataFrame(rows, columns=["what", "delta", "low", "high", "p", "p_holm", "n"])


def compared(family: Family, *, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """One row a comparison of a declared family: what, of, delta, low, high (Bonferroni), p, p_holm, n, verdict.

    family: what -> (values by model (n,), model, against), the same questions within one comparison.
    """
    columns = {what: (values[a], values[b]) for what, (values, a, b) in family.items()}
    rows = table(corrected(columns, seed, draws=draws))
    rows.insert(1, "of", [f"{a} - {b}" for _, a, b in family.values()])
    return rows.assign(verdict=[_verdict(row.delta, row.p_holm) for row in rows.itertuples()])


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
