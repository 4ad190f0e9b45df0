"""A comparison of two models over the same users, stated before it is read: its row, its record and what it decides."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from recutils.evaluate.records import Record
from recutils.evaluate.statistics import DRAWS, Comparison, Interval, compare_all, holm
from recutils.tables import Problem


def paired(
    values: Mapping[str, np.ndarray], pairs: Mapping[str, tuple[str, str]], *, seed: int, draws: int = DRAWS
) -> pd.DataFrame:
    """The same for per-user values: what, delta, low, high (95 %), p, p_holm, n. values: model -> (n_users,).

    pairs: what -> (model, against). n counts the users who have both values.
    """
    unknown = sorted({name for pair in pairs.values() for name in pair} - set(values))
    if unknown or not pairs:
        raise Problem(f"pairs must name judged models; {unknown[:3]} are none of {sorted(values)[:5]} ...")
    gaps = compare_all({what: (values[a], values[b]) for what, (a, b) in pairs.items()}, seed, draws=draws)
    corrected = holm([gap.p for gap in gaps.values()])
    return pd.DataFrame(
        {"what": what, "delta": gap.delta, "low": gap.low, "high": gap.high, "p": gap.p, "p_holm": float(p), "n": gap.n}
        for (what, gap), p in zip(gaps.items(), corrected, strict=True)
    )


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
