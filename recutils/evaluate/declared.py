"""A family of comparisons declared beforehand, each pair with a rival of its own, corrected together (Holm)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recutils.evaluate.labels import Judged
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import holm
from recutils.tables import Problem


def declared(result: Judged, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """One row per comparison: what, delta of AUC, low, high (95 %), p, p_holm. pairs: what -> (model, against)."""
    unknown = sorted({name for pair in pairs.values() for name in pair} - set(result.draws))
    if unknown or not pairs:
        raise Problem(f"pairs must name judged models; {unknown[:3]} are none of {sorted(result.draws)[:5]} ...")
    gaps = [result.compare(*pair) for pair in pairs.values()]
    corrected = holm([gap.p for gap in gaps])
    return pd.DataFrame(
        {"what": what, "delta": gap.delta, "low": gap.low, "high": gap.high, "p": gap.p, "p_holm": float(one)}
        for what, gap, one in zip(pairs, gaps, corrected, strict=True)
    )


def verdict(row: Any, level: float = 0.05) -> str:
    """ "above", "below" or "undecided": the sign only when Holm's p is below the level."""
    return "undecided" if row.p_holm >= level else "above" if row.delta > 0 else "below"


def declared_records(
    result: Judged, pairs: Mapping[str, tuple[str, str]], *, seed: int = 0, **about: Any
) -> list[Record]:
    """AUC of every judged model with its interval; for the pairs' first models also the difference, p and Holm's p.

    A model that stands first in two pairs has one record for each. about: notebook, dataset, protocol, split.
    """
    rows = dict(zip(pairs.values(), declared(result, pairs).itertuples(), strict=True))
    found = []
    for name in result.draws:
        low, high = result.interval(name)
        value = result.mean(name)
        common: dict[str, Any] = {
            "metric": "auc", "model": name, "value": value, "low": min(low, value), "high": max(high, value),
            "n": result.n, "seed": seed, **about,
        }  # fmt: skip
        mine = [
            {"against": pair[1], "delta": row.delta, "delta_low": row.low, "delta_high": row.high,
             "p": row.p, "p_holm": row.p_holm}
            for pair, row in rows.items() if pair[0] == name
        ]  # fmt: skip
        found += [Record(**common, **more) for more in mine or [{}]]
    return found
